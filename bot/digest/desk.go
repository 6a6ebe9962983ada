package digest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/nearest"
	"quarterdeck/bot/run"
	"quarterdeck/bot/schedule"
	"quarterdeck/bot/store"
)

// Config is what a Desk works with; all fields are needed.
type Config struct {
	Digests  []Definition
	Sections []Section
	Store    store.Store
	Recorder run.Recorder
	Policy   bot.Policy
	Clock    bot.Clock
	Logger   *slog.Logger
	Zone     bot.Zone
	Posted   func() // called after something was enqueued
}

// Desk makes digests and posts them. Safe for concurrent use.
type Desk struct{ Config }

// New makes a Desk.
func New(c Config) *Desk { return &Desk{c} }

// Names lists the digests in the order of the configuration.
func (d *Desk) Names() []string {
	if d == nil {
		return nil
	}
	var all []string
	for _, def := range d.Digests {
		all = append(all, def.Name)
	}
	return all
}

// Find gives a digest by name; its Error is of kind Invalid and names the nearest.
func (d *Desk) Find(name string) (Definition, error) {
	names := d.Names()
	if i := slices.Index(names, name); i >= 0 {
		return d.Digests[i], nil
	}
	if near := nearest.Of(name, names); near != "" {
		return Definition{}, bot.Errorf(bot.Invalid, "there is no digest %q; did you mean %q?", name, near)
	}
	if len(names) == 0 {
		return Definition{}, bot.Errorf(bot.Invalid, "no digest is configured; add a [[digest]] to the configuration")
	}
	return Definition{}, bot.Errorf(bot.Invalid, "there is no digest %q; there are %s", name, strings.Join(names, ", "))
}

// Post gathers the digest that c asks for and posts it to its channel; a dry run
// is shown to the asker alone. Card, record, the answer to whoever asked and the
// end of the message share one commit, so that a message gives one post.
func (d *Desk) Post(ctx context.Context, c bot.Call, name string) error {
	def, err := d.Find(name)
	if err != nil {
		return err
	}
	due, byClock := schedule.Period(c)
	w := d.window(def, due)
	answers := gather(ctx, d.sections(def), w)
	if err := ctx.Err(); err != nil { // the bot stops; whoever takes the message up gathers anew
		return err
	}
	for _, a := range answers {
		if a.err != nil {
			d.Logger.WarnContext(ctx, "a section of a digest is left out", "request", c.ID, "digest", name, "section", a.Name, "err", a.err)
		}
	}
	card := compose(w, due, answers, c.ID)
	if card.Image != nil {
		if err := card.Image.Check(); err != nil {
			d.Logger.ErrorContext(ctx, "a digest's image is left out", "request", c.ID, "digest", name, "err", err)
			card.Image = nil
		}
	}
	return d.commit(ctx, c, def, card, byClock)
}

func (d *Desk) commit(ctx context.Context, c bot.Call, def Definition, card bot.Card, byClock bool) error {
	here := byClock || c.Channel == def.Channel && c.Thread == ""
	err := d.Store.Update(ctx, func(tx store.Tx) error {
		if done, err := tx.Finish(c.Message); err != nil {
			return err
		} else if !done {
			return run.ErrHandled
		}
		text := map[string]string{"line": c.Line, "result": card.Title}
		if c.Reason != "" {
			text["reason"] = c.Reason
		}
		detail := map[string]string{"digest": def.Name, "channel": string(def.Channel)}
		if c.DryRun {
			detail = map[string]string{"digest": def.Name, "dry_run": "true"}
		}
		rule := d.Policy.Decide(bot.Request{Who: c.Who, Permission: bot.MayDigest, Resources: []bot.Resource{def.Resource()}, Channel: c.Channel, At: c.At}).Rule
		_, err := d.Recorder.Append(tx, bot.Record{Kind: bot.SucceededKind, At: d.Clock.Now(), Request: c.ID, Account: c.Who.Account, Standing: c.Who.Standing,
			Person: c.Who.Person, Channel: c.Channel, Message: c.Message, Verb: c.Command, Permission: bot.MayDigest,
			Resources: []bot.Resource{def.Resource()}, Rule: rule, Read: true, Detail: detail, Text: text})
		if err != nil {
			return err
		}
		answer := store.Outgoing{Channel: c.Channel, Thread: c.Thread}
		if c.DryRun {
			card.Title = "dry run, posted nowhere: " + card.Title
			answer.To = c.Who.Account
			return d.enqueue(tx, answer, c.Message, card)
		}
		if here {
			return d.enqueue(tx, answer, c.Message, card)
		}
		if err := d.enqueue(tx, store.Outgoing{Channel: def.Channel}, "", card); err != nil {
			return err
		}
		return d.enqueue(tx, answer, c.Message, bot.Card{Tone: bot.Good, Outcome: bot.OutcomeOK,
			Title: fmt.Sprintf("the %s digest was posted to %s", def.Name, def.Channel)})
	})
	if err == nil {
		d.Posted()
	}
	return err
}

// enqueue adds a card; message is the ID of what it answers, "" for nothing.
func (d *Desk) enqueue(tx store.Tx, o store.Outgoing, message string, card bot.Card) error {
	if message != "" {
		card.Key, card.ReplyTo = "reply/"+message, message
	}
	body, err := json.Marshal(card.Each(d.Recorder.Redact))
	if err != nil {
		return fmt.Errorf("encode card: %w", err)
	}
	now := d.Clock.Now()
	o.Card, o.Created, o.NextAt = body, now, now
	_, err = tx.Enqueue(o)
	return err
}

// sections gives those of a digest in its order.
func (d *Desk) sections(def Definition) []Section {
	var all []Section
	for _, name := range def.Sections {
		if i := slices.IndexFunc(d.Sections, func(s Section) bool { return s.Name == name }); i >= 0 {
			all = append(all, d.Sections[i])
		}
	}
	return all
}

// window gives what a digest is about that was due at a time, or is asked for
// between: then it reaches back as far as the last one did.
func (d *Desk) window(def Definition, due time.Time) Window {
	now := d.Clock.Now()
	w := Window{Definition: def, To: due, Now: now, Zone: bot.Zone{Location: def.Times.Zone()}}
	last := due
	if due.IsZero() {
		w.To = now
		last, _ = def.Times.Last(now.AddDate(-6, 0, 0), now)
	}
	before, found := def.Times.Last(last.AddDate(-6, 0, 0), last.Add(-time.Nanosecond))
	if last.IsZero() || !found {
		before, last = now.Add(-24*time.Hour), now
	}
	w.From = w.To.Add(before.Sub(last))
	who := bot.Identity{Account: bot.ClockAccount(def.Principal()), Standing: bot.Member, Person: def.Principal()}
	w.May = func(p bot.Permission, t bot.Target) bool {
		resource := bot.TheBot
		if t != (bot.Target{}) {
			resource = t.Resource()
		}
		return d.Policy.Decide(bot.Request{Who: who, Permission: p, Resources: []bot.Resource{resource}, Channel: def.Channel, At: now}).Allowed
	}
	return w
}
