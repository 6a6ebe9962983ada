package slackchat

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"
	"github.com/sourcegraph/conc"
	"github.com/sourcegraph/conc/pool"

	"quarterdeck/bot"
)

const (
	// sockets is how many connections are kept: Slack ends each every few
	// hours, and while one is opened anew the other receives.
	sockets = 2
	// handlers bounds how many payloads are handled at once. What comes beyond
	// is not acknowledged, so that Slack delivers events again and tells whoever
	// typed that nothing happened.
	handlers = 256
	// ackWithin is when Slack gives up on an acknowledgement, and handleWithin when
	// what to acknowledge with must be known, so that it gets there in time.
	ackWithin    = 3 * time.Second
	handleWithin = 2500 * time.Millisecond
	// readLimit bounds one frame.
	readLimit = 1 << 20
	// pingWithin is how long a socket may be silent.
	pingWithin = 30 * time.Second
)

// runSockets receives over Socket Mode until ctx ends.
func (s *chat) runSockets(ctx context.Context, in bot.Inbound) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	running := pool.New().WithErrors().WithFirstError()
	for n := range sockets {
		running.Go(func() error {
			defer stop() // what ends one for good ends both
			return s.keepSocket(ctx, in, n)
		})
	}
	return running.Wait()
}

// keepSocket keeps one connection open; an error is one that no new connection
// mends.
func (s *chat) keepSocket(ctx context.Context, in bot.Inbound, n int) error {
	for wait := time.Second; ctx.Err() == nil; wait = min(2*wait, time.Minute) {
		token, err := s.appToken.Value()
		if err != nil {
			return err
		}
		began := s.o.Clock.Now()
		err = s.oneSocket(ctx, in, token, n)
		switch {
		case ctx.Err() != nil:
			return nil
		case refused(err) && !s.known(n):
			return bot.Errorf(bot.Denied, "Slack refuses the app token: %s", code(err))
		case refused(err):
			// It was good before. Whatever else the bot does goes on, and a new
			// token may be laid where this one was.
			wait = time.Minute
			s.logger().Error("Slack refuses the app token now; nothing is received until there is a new one", "why", code(err), "socket", n)
		case s.o.Clock.Now().Sub(began) > time.Minute:
			wait = time.Second
		}
		s.reached(n, false)
		s.logger().Warn("a connection to Slack ended", "socket", n, "err", err, "again in", wait)
		if !pause(ctx, wait) {
			return nil
		}
	}
	return nil
}

// oneSocket runs a client until it gives up, ctx ends, or it panics. The client
// opens its connection anew by itself, as often as spacing lets it.
func (s *chat) oneSocket(ctx context.Context, in bot.Inbound, token string, n int) (err error) {
	api := slack.New("", slack.OptionAppLevelToken(token), slack.OptionAPIURL(s.base),
		slack.OptionHTTPClient(&http.Client{Timeout: callTimeout + spacingMost, Transport: s.gate, CheckRedirect: noRedirect}))
	client := socketmode.New(api, socketmode.OptionReadLimit(readLimit), socketmode.OptionPingInterval(pingWithin),
		socketmode.OptionLog(log.New(io.Discard, "", 0))) // it would log what people wrote
	ctx, cancel := context.WithCancel(ctx)
	var work conc.WaitGroup
	defer work.Wait()
	defer cancel()
	work.Go(func() { s.serve(ctx, client, in, n) })
	err = client.RunContext(ctx)
	return err
}

// serve takes what a client receives. It never blocks: the client stops reading,
// and loses what it holds, when nobody takes its events.
func (s *chat) serve(ctx context.Context, client *socketmode.Client, in bot.Inbound, n int) {
	var work sync.WaitGroup
	defer work.Wait()
	free := make(chan struct{}, handlers)
	for {
		var evt socketmode.Event
		select {
		case <-ctx.Done():
			return
		case evt = <-client.Events:
		}
		id, kind, payload := envelope(evt)
		if id == "" {
			s.noteSocket(evt, n)
			continue
		}
		select {
		case free <- struct{}{}:
		default:
			s.logger().Error("more payloads than can be handled; one is left to be delivered again", "kind", kind)
			continue
		}
		work.Go(func() {
			defer func() { <-free }()
			s.handle(ctx, client, in, id, kind, payload)
		})
	}
}

// envelope gives what of an event must be acknowledged; id is "" for what must
// not. What the library could not decode is taken from its raw form.
func envelope(evt socketmode.Event) (id, kind string, payload json.RawMessage) {
	switch evt.Type {
	case socketmode.EventTypeEventsAPI, socketmode.EventTypeSlashCommand, socketmode.EventTypeInteractive:
		if evt.Request != nil {
			return evt.Request.EnvelopeID, evt.Request.Type, evt.Request.Payload
		}
	case socketmode.EventTypeErrorBadMessage:
		bad, ok := evt.Data.(*socketmode.ErrorBadMessage)
		if !ok {
			return "", "", nil
		}
		var frame struct {
			EnvelopeID string          `json:"envelope_id"`
			Type       string          `json:"type"`
			Payload    json.RawMessage `json:"payload"`
		}
		if json.Unmarshal(bad.Message, &frame) == nil {
			return frame.EnvelopeID, frame.Type, frame.Payload
		}
	}
	return "", "", nil
}

// noteSocket logs what a connection went through.
func (s *chat) noteSocket(evt socketmode.Event, n int) {
	switch evt.Type {
	case socketmode.EventTypeErrorBadMessage:
		s.unreadable("none", errors.New("it is no envelope"))
	case socketmode.EventTypeHello:
		if evt.Request == nil {
			return
		}
		own := sockets * s.config.Replicas
		others := max(0, evt.Request.NumConnections-own)
		s.tally.others.Store(int64(others))
		if others > 0 {
			// Whoever else has a connection takes part of what people write.
			s.logger().Error("more connections than this bot and its replicas keep hold the app token; another bot, or a thief, receives part of what is written",
				"connections", evt.Request.NumConnections, "own", own)
		}
	case socketmode.EventTypeConnecting, socketmode.EventTypeDisconnect:
		s.reached(n, false)
	case socketmode.EventTypeConnected:
		s.reached(n, true)
		s.logger().Info("connected to Slack", "socket", n)
	case socketmode.EventTypeConnectionError:
		why := "unreachable"
		if failed, ok := evt.Data.(*slack.ConnectionErrorEvent); ok {
			if c := code(failed.ErrorObj); c != "" {
				why = c
			}
		}
		s.logger().Warn("a connection to Slack could not be opened", "socket", n, "why", why)
	}
}

// tally counts what those who watch the bot want to know of.
type tally struct {
	unreadable, forged, others atomic.Int64
	warned                     atomic.Int64 // when the log last told of a forged request, in microseconds
}

// unreadable counts and logs a payload of which nothing can be made. It is
// acknowledged, or it would come again for ever.
func (s *chat) unreadable(kind string, err error) {
	s.tally.unreadable.Add(1)
	s.logger().Warn("a payload could not be read; it is acknowledged so that it does not come again", "kind", kind, "err", err)
}

// known reports whether a socket was ever up.
func (s *chat) known(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ever[n]
}

// revoked notes that Slack took the bot's token away, or that it works again.
func (s *chat) revoked(is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone == is {
		return
	}
	s.gone = is
	if is {
		s.api = nil // the token is read anew
	}
	s.settle()
}

// settle notes how the connection is. The lock is held.
func (s *chat) settle() {
	is := !s.gone && (s.config.Mode == modeHTTP && s.in != nil || slices.Contains(s.up[:], true))
	if is != s.link.Up || s.link.Since.IsZero() {
		s.link.Up, s.link.Since = is, s.o.Clock.Now()
	}
}

// reached notes whether a socket is up.
func (s *chat) reached(n int, up bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if up && s.ever[n] {
		s.link.Reconnects++
	}
	s.up[n], s.ever[n] = up, s.ever[n] || up
	s.settle()
}

// Connection implements bot.Connected: it is up while one socket is, and over
// HTTP from when the bot receives; in both until Slack takes its token away.
func (s *chat) Connection() bot.Connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	is := s.link
	is.Asked, is.Others = s.spacing.asked.Load(), int(s.tally.others.Load())
	is.Unreadable, is.Forged = s.tally.unreadable.Load(), s.tally.forged.Load()
	return is
}

// handle takes one payload and acknowledges it once it is kept.
func (s *chat) handle(ctx context.Context, client *socketmode.Client, in bot.Inbound, id, kind string, payload json.RawMessage) {
	defer func() {
		if p := recover(); p != nil {
			s.logger().Error("panic while handling a payload", "kind", kind, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, ackWithin)
	defer cancel()
	soon, cancel := context.WithTimeout(ctx, handleWithin)
	defer cancel()
	var answer any
	p, ours, err := s.decode(kind, payload)
	switch {
	case err != nil:
		s.unreadable(kind, err)
	case ours:
		t := s.take(soon, in, p)
		if t.again && kind == kindEvents {
			return // it is delivered again
		}
		if t.reply != nil {
			answer = t.reply
		} else if t.say != "" && kind == kindCommand {
			answer = map[string]string{"response_type": "ephemeral", "text": t.say}
		}
	}
	if err := client.AckCtx(ctx, id, answer); err != nil && !errors.Is(err, context.Canceled) {
		s.logger().Warn("a payload could not be acknowledged; it may come again", "kind", kind, "err", err)
	}
}

const (
	spacingLeast = time.Second
	spacingMost  = time.Minute
)

// spacing keeps openings of connections apart. slack-go opens one anew at once
// when Slack ends it, thousands in seconds where Slack ends each after its
// greeting.
type spacing struct {
	mu   sync.Mutex
	next time.Time
	gap  time.Duration
	last time.Time

	asked atomic.Int64 // how often a connection was asked for
}

// callsKept is how many connections to the Web API are kept for the next call.
// With the two that net/http keeps, most calls of a busy hour would open one
// anew, with its TLS handshake.
const callsKept = 64

// web makes the calls of every chat of this process.
var web = func() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = callsKept
	return t
}()

func newSpacing() *spacing { return &spacing{gap: spacingLeast} }

// RoundTrip implements http.RoundTripper.
func (p *spacing) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/apps.connections.open") {
		if !pause(r.Context(), p.reserve(time.Now())) {
			return nil, r.Context().Err()
		}
		p.asked.Add(1)
	}
	return web.RoundTrip(r)
}

// reserve gives how long to wait for the next opening. The first ones, one for
// each socket, come at once; after them the gap doubles while openings follow
// upon one another, and is small again after a quiet while.
func (p *spacing) reserve(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.last) > 2*spacingMost {
		p.gap = spacingLeast / sockets
	}
	at := now
	if p.next.After(now) {
		at = p.next
	}
	p.last = at
	p.next = at.Add(p.gap)
	p.gap = min(2*p.gap, spacingMost)
	return at.Sub(now)
}
