package run_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/run"
	"quarterdeck/bot/store"
)

// tamper edits a stored run behind the bot's back, with its key or without.
func (r *rig) tamper(number int64, key bool, edit func(x *bot.Run)) {
	r.t.Helper()
	name := fmt.Sprintf("run #%d", number)
	err := r.store.Update(context.Background(), func(tx store.Tx) error {
		row, found, err := tx.Run(number)
		if err != nil || !found {
			return fmt.Errorf("run %d: %v, %w", number, found, err)
		}
		body, err := seal.Unwrap(name, row.Body)
		if err != nil {
			return err
		}
		var x bot.Run
		if err := json.Unmarshal(body, &x); err != nil {
			return err
		}
		edit(&x)
		if body, err = json.Marshal(x); err != nil {
			return err
		}
		by := store.NewSeal([]byte("guessed"))
		if key {
			by = seal
		}
		if row.Body, err = by.Wrap(name, body); err != nil {
			return err
		}
		row.State, row.WakeAt = x.State, r.clock.Now()
		_, err = tx.PutRun(row)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// What somebody wrote into the stored run of another runs nothing: not without
// the key, and not with it where the log tells otherwise.
func TestForgedRun(t *testing.T) {
	t.Parallel()
	forge := func(x *bot.Run) {
		x.Approvals = append(x.Approvals, bot.Approval{Account: "chat:" + sreOne, Person: sreOne, Digest: x.Digest, Rules: []int{0}, At: x.Created})
		x.State = bot.Queued
	}
	for _, c := range []struct {
		name  string
		key   bool
		edit  func(x *bot.Run)
		state bot.RunState
		says  string
	}{
		{"an approval", false, forge, bot.Failed, "what is stored of run #2 was not written by this bot"},
		{"an approval, with the key", true, forge, bot.Failed, "no record says that sre-one approved it"},
		{"another artefact, with the key", true, func(x *bot.Run) {
			x.Plan.Spec.Body = json.RawMessage(strings.ReplaceAll(string(x.Plan.Spec.Body), "v3", "v4"))
			forge(x)
		}, bot.Failed, "what it would do is not what was planned"},
		{"another artefact and its digest, with the key", true, func(x *bot.Run) {
			x.Plan.Spec.Body = json.RawMessage(strings.ReplaceAll(string(x.Plan.Spec.Body), "v3", "v4"))
			x.Digest = x.Plan.Spec.Digest()
			forge(x)
		}, bot.Failed, "no record says that this was planned"},
		{"a confirmation, with the key", true, func(x *bot.Run) {
			x.Confirmed = x.Created
			forge(x)
		}, bot.Failed, "no record says that it was confirmed"},
		{"another asker, with the key", true, func(x *bot.Run) {
			x.Call.Who.Account, x.Call.Who.Person, x.Call.Who.Roles = "chat:"+sreTwo, sreTwo, []string{"sre"}
			forge(x)
		}, bot.Failed, "no record says that sre-two asked for it"},
		{"a running one", false, func(x *bot.Run) { x.State, x.Started, x.Acted = bot.Running, x.Created, true }, bot.Unknown, "was not written by this bot"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			h := r.host().start()
			h.reaches(h.begin(dev, "deploy shop v2 to free"), bot.Succeeded)
			n := h.begin(dev, "deploy shop v3 to prod")
			if !strings.Contains(c.name, "confirmation") {
				h.mustSay(dev, "confirm")
			}
			h.reaches(n, bot.Waiting)
			h.kill()
			r.tamper(n, c.key, c.edit)
			r.host().start()
			r.await("the forged run ends", func() bool {
				return r.row(n).State.Settled()
			})
			if acts := r.far.Acts(); len(acts) != 1 {
				t.Errorf("the platform acted: %+v", acts)
			}
			if row := r.row(n); row.State != c.state {
				t.Errorf("it ended as %s, want %s", row.State, c.state)
			}
			said := ""
			for _, rec := range r.records(n) {
				if rec.Detail["forged"] == "true" {
					said = rec.Text["result"]
				}
			}
			if !strings.Contains(said, c.says) {
				t.Errorf("the log says %q, want %q", said, c.says)
			}
		})
	}
}

// A run that was over and is put back does not start again.
func TestRunPutBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	h := r.host().start()
	n := h.begin(dev, "deploy shop v2 to free")
	h.reaches(n, bot.Succeeded)
	h.kill()
	r.tamper(n, true, func(x *bot.Run) {
		x.State, x.Started, x.Ended, x.Acted, x.Handle, x.Result = bot.Queued, time.Time{}, time.Time{}, false, bot.Handle{}, ""
		x.Plan.Preconditions = nil
		x.WakeAt = r.clock.Now()
	})
	h = r.host().start()
	got := h.reaches(n, bot.Failed, bot.Succeeded)
	if len(r.far.Acts()) != 1 || !strings.Contains(got.Result, "it started already") {
		t.Errorf("%s: %s; acts %+v", got.State, got.Result, r.far.Acts())
	}
}

func (r *rig) row(n int64) (row store.RunRow) {
	r.t.Helper()
	err := r.store.View(context.Background(), func(rd store.Reader) (err error) {
		row, _, err = rd.Run(n)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return row
}

// Nothing is executed late: what was queued when the bot went away for long, or
// was agreed to long ago, is asked about first.
func TestNothingIsExecutedLate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, where string
		away        time.Duration
		asks        string
	}{
		{"away a moment", "free", 90 * time.Second, ""},
		{"away for long", "free", 3 * time.Minute, "the bot was away for 3m"},
		{"agreed long ago", "asks", 90 * time.Second, "it was agreed to 1m"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			away := r.host(func(c *run.Config) { c.ApprovalExpires, c.ConfirmExpires = time.Minute, time.Minute }) // does not work yet
			n := away.begin(dev, "deploy shop v2 to "+c.where)
			if c.where == "asks" {
				away.mustSay(dev, "confirm")
			}
			r.clock.jump(c.away)
			away.start()
			if c.asks == "" {
				away.reaches(n, bot.Succeeded)
				return
			}
			got := away.reaches(n, bot.Waiting)
			if len(r.far.Acts()) != 0 || !strings.Contains(strings.Join(got.Plan.Warnings, " "), c.asks) {
				t.Errorf("warnings %q, acts %+v", got.Plan.Warnings, r.far.Acts())
			}
		})
	}
}
