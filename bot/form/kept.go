package form

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Kind is the document kind of open forms.
const Kind = "form"

const (
	// life is how long what is entered into a form is taken.
	life = time.Hour
	// maxToken bounds what is looked for in the store, in bytes.
	maxToken = 128
)

// kept is what an open form is bound to. A form that asks for what a command
// lacks has Command; one that asks for a code has Press, or the Line; one that
// asks for a line has none of them.
type kept struct {
	Account bot.AccountID `json:"account"`
	Channel bot.ChannelID `json:"channel"`
	Thread  string        `json:"thread,omitempty"`
	Inputs  []string      `json:"inputs"`
	Command string        `json:"command,omitempty"`
	Line    string        `json:"line,omitempty"`
	Bound   string        `json:"bound,omitempty"`
	Press   string        `json:"press,omitempty"`
	On      string        `json:"on,omitempty"`
	// Used is the Message.ID of what was made of it, "" while nothing was.
	Used string `json:"used,omitempty"`
	// Tried says that somebody else tried to use it, which was recorded.
	Tried bool `json:"tried,omitempty"`
}

// keep binds a new token to k.
func (f *Forms) keep(ctx context.Context, k kept) (token string, err error) {
	due := f.Router.Clock.Now().Add(life)
	// The hour it expires in comes first, so that the oldest are swept first.
	token = fmt.Sprintf("%06x", due.Unix()/3600) + f.Router.IDs.New()
	err = f.Router.Store.Update(ctx, func(tx store.Tx) error {
		return f.put(tx, bot.Document{Kind: Kind, ID: token, Due: due}, k)
	})
	return token, err
}

// errGone is for a form that there is not, or no longer: which of them is nobody's
// to know.
func errGone() error {
	return &bot.Error{Op: "form", Kind: bot.NotFound, Say: "this form has expired or was sent already; type the command again"}
}

// load gives the form that a token is bound to.
func (f *Forms) load(r store.Reader, token string) (d bot.Document, k kept, err error) {
	if token == "" || len(token) > maxToken {
		return d, k, errGone()
	}
	d, found, err := r.Document(Kind, token)
	if err != nil {
		return d, k, err
	}
	if !found || !f.Router.Clock.Now().Before(d.Due) {
		return d, k, errGone()
	}
	body, forged := f.Router.Seal.Unwrap(sealName(token), d.Body)
	if forged != nil {
		f.log().Error("a stored form was forged", "err", forged)
		return d, k, errGone()
	}
	if err := json.Unmarshal(body, &k); err != nil {
		return d, k, fmt.Errorf("decode a form: %w", err)
	}
	return d, k, nil
}

// look is load outside a transaction.
func (f *Forms) look(ctx context.Context, token string) (k kept, err error) {
	err = f.Router.Store.View(ctx, func(r store.Reader) (err error) {
		_, k, err = f.load(r, token)
		return err
	})
	return k, err
}

// put writes a form, marked as written by the bot: a code that is entered must
// not be for a line that somebody else wrote into the database.
func (f *Forms) put(tx store.Tx, d bot.Document, k kept) error {
	body, err := json.Marshal(k)
	if err == nil {
		d.Body, err = f.Router.Seal.Wrap(sealName(d.ID), body)
	}
	if err != nil {
		return fmt.Errorf("encode a form: %w", err)
	}
	_, err = tx.PutDocument(d)
	return err
}

func sealName(token string) string { return "form " + token }

// use takes the form for the message id, once: for another it is gone then.
func (f *Forms) use(ctx context.Context, token, id string) error {
	return f.Router.Store.Update(ctx, func(tx store.Tx) error {
		d, k, err := f.load(tx, token)
		switch {
		case err != nil:
			return err
		case k.Used == id:
			return nil
		case k.Used != "":
			return errGone()
		}
		k.Used = id
		return f.put(tx, d, k)
	})
}

// recordThief records, once for each form, that an account tried to use another's.
func (f *Forms) recordThief(ctx context.Context, e bot.Entry, k kept) {
	who, err := f.Router.Directory.Identify(ctx, e.Account, e.Standing)
	if err != nil {
		who = bot.Identity{Account: e.Account, Standing: e.Standing}
	}
	err = f.Router.Store.Update(ctx, func(tx store.Tx) error {
		d, k, err := f.load(tx, e.Token)
		if err != nil || k.Tried {
			return err
		}
		k.Tried = true
		if err := f.put(tx, d, k); err != nil {
			return err
		}
		_, err = f.Router.Recorder.Append(tx, bot.Record{Kind: bot.DeniedRecord, At: f.Router.Clock.Now(), Account: e.Account, Standing: e.Standing, Person: who.Person,
			Channel: k.Channel, Message: e.ID, Verb: k.Command, Rule: "form", Error: bot.Denied,
			Text: map[string]string{"result": fmt.Sprintf("the form was opened by %s and can be sent by nobody else", k.Account)}})
		return err
	})
	if err != nil {
		f.log().ErrorContext(ctx, "record that another's form was sent", "account", e.Account, "owner", k.Account, "err", err)
		return
	}
	f.Router.Posted()
}

const (
	sweepEvery = 10 * time.Minute
	sweepBatch = 200
	sweepMost  = 50 // batches at once
)

// Sweep removes forms that expired, until ctx ends.
func Sweep(ctx context.Context, s store.Store, clock bot.Clock, log *slog.Logger) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := sweep(ctx, s, clock.Now()); err != nil && ctx.Err() == nil {
			log.Error("remove expired forms", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func sweep(ctx context.Context, s store.Store, now time.Time) error {
	for range sweepMost {
		removed := 0
		err := s.Update(ctx, func(tx store.Tx) error {
			removed = 0
			docs, err := tx.Documents(Kind, "", sweepBatch, false)
			if err != nil {
				return err
			}
			for _, d := range docs {
				if d.Due.After(now) {
					continue
				}
				if err := tx.DeleteDocument(Kind, d.ID); err != nil {
					return err
				}
				removed++
			}
			return nil
		})
		if err != nil || removed < sweepBatch {
			return err
		}
	}
	return nil
}
