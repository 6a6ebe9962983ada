package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"quarterdeck/bot"
)

// Heartbeat asks an address now and then, for as long as the bot can do its
// work, so that its silence can be an alarm elsewhere. The address is a secret
// and appears in no error and no line of the log.
type Heartbeat struct {
	// URL is the address itself, or a reference to it: "env:NAME" or
	// "file:PATH". A reference is read anew each time, so that the address may
	// be replaced.
	URL   string
	Every time.Duration
	// Secrets opens a reference.
	Secrets *bot.Secrets
	Logger  *slog.Logger
	// Fault says why nothing is to be sent, nil when it is; see Monitor.Fault.
	Fault func() error
	// May reports whether an address may be asked, because it is told in clear
	// to nobody else.
	May func(address string) bool
	// Beat is told each outcome: "sent", "failed" or "withheld".
	Beat func(outcome string)
	// Client asks; default one without redirects.
	Client *http.Client
}

// beatWithin bounds one heartbeat.
const beatWithin = 10 * time.Second

// Check says whether the address can be had, without asking it. Its error is of
// kind Invalid.
func (h *Heartbeat) Check() error {
	_, err := h.address()
	return err
}

// Run sends at once and then every Every until ctx ends. A failure is logged
// when it begins and when it is over.
func (h *Heartbeat) Run(ctx context.Context) error {
	client := h.Client
	if client == nil {
		// What answers with another address is not what was configured.
		client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		defer client.CloseIdleConnections()
	}
	ticker := time.NewTicker(h.Every)
	defer ticker.Stop()
	failing := false
	for {
		err := h.Fault()
		switch {
		case err != nil:
			h.Beat("withheld")
			h.Logger.Warn("no heartbeat is sent", "err", err)
		default:
			if err = h.send(ctx, client); ctx.Err() != nil {
				return nil
			}
			if err != nil {
				h.Beat("failed")
				if !failing {
					h.Logger.Warn("the heartbeat does not get through", "err", err)
				}
			} else {
				h.Beat("sent")
				if failing {
					h.Logger.Info("the heartbeat gets through again")
				}
			}
			failing = err != nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (h *Heartbeat) send(ctx context.Context, client *http.Client) error {
	address, err := h.address()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, beatWithin)
	defer cancel()
	// GET, because every such service takes it.
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return errors.New("the address is none") // err repeats it
	}
	q.Header.Set("User-Agent", "quarterdeck")
	r, err := client.Do(q)
	if err != nil {
		var known *url.Error
		if errors.As(err, &known) { // it begins with the address
			err = known.Err
		}
		return err
	}
	defer r.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, 64<<10)) // so that the connection can be used again
	if r.StatusCode < 200 || r.StatusCode > 299 {
		return fmt.Errorf("it answers %d", r.StatusCode)
	}
	return nil
}

// address reads the reference.
func (h *Heartbeat) address() (string, error) {
	address := h.URL
	if bot.IsSecret(h.URL) {
		secret, err := h.Secrets.Open(h.URL, "")
		if err == nil {
			address, err = secret.Value()
		}
		if err != nil {
			return "", &bot.Error{Op: "health.heartbeat", Kind: bot.Invalid, Say: "heartbeat.url cannot be had: " + bot.Sentence(err, "heartbeat"), Err: errors.Unwrap(err)}
		}
		address = strings.TrimSpace(address)
	}
	if !h.May(address) {
		return "", bot.Errorf(bot.Invalid, "what heartbeat.url refers to is no address that begins with https://")
	}
	return address, nil
}
