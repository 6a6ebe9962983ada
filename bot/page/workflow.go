package page

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/oncall"
	"quarterdeck/bot/store"
)

// Kind is the workflow of all Specs whose body is a Change.
const Kind = "page@1"

// Action is what a Change does.
type Action string

// The closed set of actions.
const (
	ActOpen        Action = "open"
	ActAck         Action = "ack"
	ActResolve     Action = "resolve"
	ActEscalate    Action = "escalate"
	ActSnooze      Action = "snooze"
	ActNote        Action = "note"
	ActUpdate      Action = "update"
	ActOverride    Action = "override"     // somebody else is on call for a while
	ActEndOverride Action = "end override" // Page is the override's number
)

// Change is the body of the Specs.
type Change struct {
	Action   Action           `json:"action"`
	Page     int64            `json:"page,omitempty"`
	For      time.Duration    `json:"for,omitempty"` // of a snooze
	Text     string           `json:"text,omitempty"`
	Target   bot.Target       `json:"target,omitzero"`
	Severity string           `json:"severity,omitempty"`
	Override *oncall.Override `json:"override,omitempty"`
}

// Workflow does what people ask of pages. It implements bot.Workflow and
// bot.Settler; safe for concurrent use. Every write carries the operation's key,
// so that doing it again changes nothing.
type Workflow struct{ k *Keeper }

// NewWorkflow makes the Workflow.
func NewWorkflow(k *Keeper) *Workflow { return &Workflow{k} }

// state is what a Handle carries.
type state struct {
	Change Change `json:"change"`
	Actor  string `json:"actor"`
	Reason string `json:"reason,omitempty"`
}

// Kind implements bot.Workflow.
func (w *Workflow) Kind() string { return Kind }

// Timing implements bot.Timed: what is written is seen at once.
func (w *Workflow) Timing(bot.Target) bot.Timing { return bot.Timing{Call: 5 * time.Second} }

// Check implements bot.Workflow; how the page stands is looked at when it acts.
func (w *Workflow) Check(context.Context, bot.Spec, []bot.Fact) ([]bot.Obstacle, error) {
	return nil, nil
}

// Begin implements bot.Workflow.
func (w *Workflow) Begin(s bot.Spec, t bot.Task) (bot.Handle, error) {
	var c Change
	if err := json.Unmarshal(s.Body, &c); err != nil {
		return bot.Handle{}, fmt.Errorf("decode %s: %w", s.Kind, err)
	}
	raw, err := json.Marshal(state{Change: c, Actor: t.Actor, Reason: t.Reason})
	return bot.Handle{Key: t.Key, Target: s.Target, State: raw}, err
}

// Cancel implements bot.Workflow: it is done in one step, and too late to stop.
func (w *Workflow) Cancel(_ context.Context, h bot.Handle) (bot.Handle, error) { return h, nil }

// Advance implements bot.Workflow.
func (w *Workflow) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	var st state
	if err := json.Unmarshal(h.State, &st); err != nil {
		return h, bot.Progress{}, fmt.Errorf("decode handle: %w", err)
	}
	s, err := w.k.settings()
	if err != nil {
		return h, bot.Progress{}, err
	}
	if journalled(h.Key) {
		return h, w.k.ackOffLog(st), nil
	}
	says := ""
	err = w.k.Store.Update(ctx, func(tx store.Tx) (err error) {
		says, err = w.k.apply(tx, s, h.Key, st)
		return err
	})
	if err != nil {
		return h, bot.Progress{}, err
	}
	_, _ = w.k.refresh(ctx) // the next look mends it
	w.k.Posted()
	w.k.Wake()
	return h, bot.Progress{State: bot.OpSucceeded, Text: says}, nil
}

// runOf gives the number of the run that a key is of, 0 for one that is of none.
func runOf(key string) int64 {
	rest, ok := strings.CutPrefix(key, "run-")
	number, _, _ := strings.Cut(rest, "-")
	n, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil {
		return 0
	}
	return n
}

// apply does a change within tx and says what is so then.
func (k *Keeper) apply(tx store.Tx, s *Settings, key string, st state) (says string, err error) {
	c := st.Change
	switch c.Action {
	case ActOpen:
		return k.openByHand(tx, s, key, st)
	case ActOverride:
		return k.override(tx, key, st)
	case ActEndOverride:
		return k.endOverride(tx, c.Page)
	}
	p, err := readPage(tx, c.Page)
	if err != nil {
		return "", err
	}
	if p.Key == key {
		return fmt.Sprintf("page %d is %s", p.Number, p.State), nil
	}
	if !p.Open() && c.Action != ActNote && c.Action != ActUpdate {
		return "", bot.Errorf(bot.Conflict, "page %d is resolved already", p.Number)
	}
	p.Key = key
	e := Event{Person: st.Actor, Run: runOf(key), Text: c.Text}
	switch c.Action {
	case ActAck:
		from := ""
		if p.State == Acknowledged && p.Holder != st.Actor {
			from = ", taken over from " + p.Holder
		}
		p.State, p.Holder, p.Acked, p.Due = Acknowledged, st.Actor, k.Clock.Now(), k.Clock.Now().Add(s.AckTimeout)
		e.Kind, e.Text = Acked, "has it"+from
		says = fmt.Sprintf("%s has page %d%s; nobody else is asked until %s", st.Actor, p.Number, from, k.Zone().Clock(p.Due))
	case ActResolve:
		text := "resolved"
		if st.Reason != "" {
			text += ": " + st.Reason
		}
		if n := p.Firing(); n > 0 {
			text += fmt.Sprintf("; %d alerts fire still, and a new one pages again", n)
		}
		return fmt.Sprintf("page %d is %s", p.Number, text), k.end(tx, s, p, st.Actor, text, runOf(key))
	case ActEscalate:
		p.State, p.Holder = Triggered, ""
		p.Level++
		return fmt.Sprintf("page %d goes on to the next level", p.Number), k.escalated(tx, s, p, Event{Kind: Escalated, Person: st.Actor, Run: runOf(key), Text: strings.TrimPrefix(st.Reason+" escalated", " ")})
	case ActSnooze:
		p.State, p.Holder, p.Due = Snoozed, st.Actor, k.Clock.Now().Add(c.For)
		e.Kind, e.Text = Postponed, "until "+k.Zone().Minute(p.Due)
		says = fmt.Sprintf("page %d comes back at %s", p.Number, k.Zone().Minute(p.Due))
	case ActNote:
		e.Kind, says = Noted, fmt.Sprintf("the note is with page %d", p.Number)
	case ActUpdate:
		e.Kind, says = Updated, fmt.Sprintf("the update is with page %d", p.Number)
		if s.Updates != "" {
			card := bot.Card{Title: cut(c.Text, 150), Text: c.Text, Footer: fmt.Sprintf("%s, by %s", p.Name(), st.Actor)}
			if card.Text == card.Title {
				card.Text = ""
			}
			if err := k.post(tx, s.Updates, "", card); err != nil {
				return "", err
			}
			says += " and in " + string(s.Updates)
		}
	default:
		return "", bot.Errorf(bot.Internal, "this version does not know the action %q", c.Action)
	}
	return says, k.write(tx, s, p, e, nil)
}

// openByHand opens a page that a person asks for.
func (k *Keeper) openByHand(tx store.Tx, s *Settings, key string, st state) (string, error) {
	var done int64
	if _, found, err := get(tx, kindSettled, "open/"+key, &done); err != nil || found {
		return fmt.Sprintf("page %d is open", done), err
	}
	c := st.Change
	p := &Page{Title: c.Text, Target: c.Target, Severity: c.Severity, Source: st.Actor, Key: key, Summary: st.Reason}
	if err := k.create(tx, s, p, Event{Person: st.Actor, Run: runOf(key)}); err != nil {
		return "", err
	}
	if err := set(tx, kindSettled, "open/"+key, k.Clock.Now().Add(keepAlerts), p.Number); err != nil {
		return "", err
	}
	return fmt.Sprintf("page %d is open; %s", p.Number, p.asked()), nil
}

func (k *Keeper) override(tx store.Tx, key string, st state) (string, error) {
	all, err := overrides(tx)
	if err != nil {
		return "", err
	}
	o := *st.Change.Override
	for _, other := range all {
		if other.Key == key {
			return k.SayOverride(other), nil
		}
	}
	if o.Number, err = next(tx, "override"); err != nil {
		return "", err
	}
	o.Key, o.By, o.Reason, o.At = key, st.Actor, st.Reason, k.Clock.Now()
	return k.SayOverride(o), set(tx, kindOverride, pageID(o.Number), o.Until, o)
}

// SayOverride says who is on call by it, and how it is ended.
func (k *Keeper) SayOverride(o oncall.Override) string {
	z := k.Zone()
	return fmt.Sprintf("override %d: %s is on call by %s from %s until %s; to end it: oncall end %d", o.Number, o.Person, o.Schedule, z.Minute(o.From), z.Minute(o.Until), o.Number)
}

func (k *Keeper) endOverride(tx store.Tx, number int64) (string, error) {
	var o oncall.Override
	_, found, err := get(tx, kindOverride, pageID(number), &o)
	if err != nil || !found {
		return fmt.Sprintf("override %d is over", number), err
	}
	return fmt.Sprintf("override %d is ended; %s follows its rotation again", number, o.Schedule), tx.DeleteDocument(kindOverride, pageID(number))
}
