package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// errMoved says that what an operation keeps was changed by somebody else between
// its call and the commit.
var errMoved = errors.New("a document was changed meanwhile")

// keep writes what an operation keeps, compared with what it read.
func keep(tx store.Tx, docs []bot.Document) error {
	for _, d := range docs {
		if _, err := tx.PutDocument(d); bot.KindOf(err) == bot.Conflict {
			return fmt.Errorf("keep %s %s: %w", d.Kind, d.ID, errors.Join(errMoved, err))
		} else if err != nil {
			return err
		}
	}
	return nil
}

// giveSlot gives the slot back within tx while the run bakes: it only looks then,
// and whoever wants to act there need not wait for hours.
func (e *Engine) giveSlot(tx store.Tx, c *current) error {
	r := &c.run
	if r.Progress.State != bot.OpBaking || !c.row.Holds {
		return nil
	}
	c.row.Holds, r.Aside = false, true
	return e.wakeQueue(tx, r)
}

// slotBack reports whether a run that is under way may make its next call: it may
// when it has its slot, while it bakes, and once it took the slot again. To act
// again takes what it took at first: that nobody is ahead, that nothing stands
// against it, and that its asker may. To go back takes the slot alone.
func (e *Engine) slotBack(ctx context.Context, c *current) (held bool, err error) {
	if c.row.Holds || !c.run.Aside || c.run.Progress.State == bot.OpBaking || c.run.CancelBy != "" {
		return true, nil
	}
	against := ""
	if !c.run.Progress.Returning {
		if against, err = e.againstGoingOn(ctx, c); err != nil {
			return false, err
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	err = e.update(ctx, c, func(tx store.Tx, c *current) error {
		r, now := &c.run, e.Clock.Now()
		stands := against
		if stands == "" && !r.Progress.Returning && e.Guards != nil {
			obstacles, err := e.Guards(tx, r, now)
			if err != nil {
				return err
			}
			for _, o := range obstacles {
				stands = o.Text
			}
		}
		if stands == "" {
			ahead, err := e.ahead(tx, c)
			if err != nil {
				return err
			}
			if ahead != nil {
				stands = fmt.Sprintf("behind #%d", ahead.run.Number)
			}
		}
		held = stands == ""
		if held {
			c.row.Holds, r.Aside = true, false
			return e.put(tx, c)
		}
		// It goes on looking meanwhile.
		r.Progress.State, r.WakeAt = bot.OpBaking, now.Add(queueRecheck)
		if waits := "does not go on yet: " + stands; r.Progress.Text != waits {
			r.Progress.Text = waits
			if err := e.show(tx, r); err != nil {
				return err
			}
		}
		if r.Progress.Returning { // going back is not put off by looking anew
			r.Progress.State, r.WakeAt = bot.OpWorking, now.Add(defaultNext)
		}
		return e.put(tx, c)
	})
	return held, err
}

// againstGoingOn says why the asker of a run may not have it act again, "" when
// they may.
func (e *Engine) againstGoingOn(ctx context.Context, c *current) (string, error) {
	asker, err := e.asker(ctx, &c.run)
	switch {
	case bot.KindOf(err) == bot.Denied:
		return bot.Sentence(err, c.run.Call.ID), nil
	case err != nil:
		return "", err
	}
	if d := e.Policy.Decide(e.request(&c.run, asker)); !d.Allowed {
		return d.Because, nil
	}
	return "", nil
}

// wakeBaking has the runs look at once that bake a value which r has just set, so
// that they do not act on what is no longer so.
func (e *Engine) wakeBaking(tx store.Tx, r *bot.Run) error {
	subjects := subjectsOf(r)
	if len(subjects) == 0 {
		return nil
	}
	rows, err := tx.Runs(bot.RunFilter{Target: r.Ask.Target, State: bot.Running, Limit: maxQueue})
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.Number == r.Number || row.Holds {
			continue
		}
		c, err := e.another(row)
		if err != nil {
			return err
		}
		if c.run.Aside && slices.Contains(subjects, c.run.Plan.Subject) {
			c.run.WakeAt = e.Clock.Now()
			if err := e.put(tx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// tellDirectly has those told of the end of a run who are to hear of it wherever
// they are.
func (e *Engine) tellDirectly(tx store.Tx, r *bot.Run, p bot.Progress) error {
	if e.Direct == nil {
		return nil
	}
	for _, person := range p.Tell {
		for _, o := range e.Direct(person) {
			card := bot.Card{Key: fmt.Sprintf("direct/%d/%s", r.Number, person), Version: 1, Run: r.Number, Tone: bot.Bad, Outcome: bot.OutcomeFailed,
				Title:  fmt.Sprintf("#%d %s", r.Number, r.Plan.Summary),
				Text:   strings.TrimSpace(p.Text),
				Fields: []bot.Field{{Name: "more", Value: fmt.Sprintf("run %d", r.Number)}}}
			card = card.Each(e.Recorder.Redact)
			body, err := json.Marshal(card)
			if err != nil {
				return fmt.Errorf("encode card %s: %w", card.Key, err)
			}
			o.Key, o.Version, o.Card, o.Created = card.Key, card.Version, body, e.Clock.Now()
			o.NextAt = o.Created
			if _, err := tx.Enqueue(o); err != nil {
				return err
			}
		}
	}
	return nil
}
