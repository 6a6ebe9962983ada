package run_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarterdeck/bot"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/bot/store"
)

// TestRandomConversations lets random people say random things on random
// platforms, while others deploy behind their backs and time passes. At every
// moment the runs must be what their records tell, and the slots must be held by
// who is at work; at the end nothing may have happened twice, or without those
// who had to agree.
func TestRandomConversations(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		fault := rapid.SampledFrom(append(providertest.Faults(), "friendly", "friendly", "friendly")).Draw(rt, "fault")
		r := newRigIn(rt, dir, func(c bot.Clock) *providertest.Infrastructure {
			if fault == "friendly" {
				return providertest.NewFriendly(c)
			}
			return providertest.NewHostile(c, fault)
		})
		h := r.host().start()
		release := func() {}
		person := rapid.SampledFrom([]string{dev, devTwo, sreOne, sreTwo, outsider})
		where := rapid.SampledFrom([]string{free, free, prod, two})
		version := rapid.SampledFrom([]string{"v1", "v2", "v3", "v4"})
		ask := func(line string) {
			who := person.Draw(rt, "who")
			err := h.say(who, line)
			rt.Logf("%s: %s: %v", who, line, err)
			if k := bot.KindOf(err); k == bot.Internal || k == bot.Unavailable {
				rt.Fatalf("%s: %s: %v", who, line, err)
			}
		}
		answer := func(verb string) {
			runs, err := h.Runs(context.Background(), bot.RunFilter{Open: true, Limit: 100})
			if err != nil {
				rt.Fatal(err)
			}
			if len(runs) > 0 {
				ask(fmt.Sprintf("%s %d", verb, rapid.SampledFrom(runs).Draw(rt, "run").Number))
			}
		}
		over := func() string {
			if rapid.IntRange(0, 3).Draw(rt, "override") == 0 {
				return ` --override "I know"`
			}
			return ""
		}
		ops := map[string]func(){
			"deploy": func() {
				ask("deploy " + strings.Replace(where.Draw(rt, "where"), "/", " "+version.Draw(rt, "version")+" ", 1) + over())
			},
			"rollback": func() { ask("rollback " + where.Draw(rt, "where") + over()) },
			"back to":  func() { ask("rollback " + where.Draw(rt, "where") + " " + version.Draw(rt, "version") + over()) },
			"restart":  func() { ask("restart " + where.Draw(rt, "where")) },
			"confirm":  func() { answer("confirm") },
			"approve":  func() { answer("approve") },
			"deny":     func() { answer("deny") },
			"cancel":   func() { answer("cancel") },
			"outside":  func() { r.far.SetLive(target(where.Draw(rt, "where")), version.Draw(rt, "version")) },
			"hold":     func() { release = r.far.Hold() },
			"release":  func() { release() },
			"roles": func() {
				r.people.set(person.Draw(rt, "whose"), rapid.SampledFrom([]string{"developer", "sre", "visitor"}).Draw(rt, "role"))
			},
			"time": func() {
				r.clock.jump(time.Duration(rapid.SampledFrom([]int{1, 3, 70, 130, 2000}).Draw(rt, "seconds")) * time.Second)
				h.Wake()
			},
			"quiet": func() {
				if fault == "friendly" {
					release()
					h.quiet()
				}
			},
		}
		names := []string{"deploy", "deploy", "deploy", "rollback", "rollback", "back to", "restart", "confirm", "confirm", "confirm", "approve", "approve",
			"approve", "deny", "cancel", "outside", "hold", "release", "roles", "time", "time", "quiet"}
		for range rapid.IntRange(10, 40).Draw(rt, "steps") {
			ops[rapid.SampledFrom(names).Draw(rt, "op")]()
			h.consistent()
		}
		release()
		h.quiet()
		h.consistent()
		runs, err := h.Runs(context.Background(), bot.RunFilter{Limit: 1000})
		if err != nil {
			rt.Fatal(err)
		}
		for _, x := range runs {
			if x.State.Settled() {
				r.complete(x)
			}
			h.agreed(x)
		}
	})
}

// quiet waits until nothing is queued or under way.
func (h *host) quiet() {
	h.rig.t.Helper()
	h.rig.await("everything to be through", func() bool {
		runs, err := h.Runs(context.Background(), bot.RunFilter{Open: true, Limit: 1000})
		if err != nil {
			h.rig.t.Fatal(err)
		}
		for _, x := range runs {
			if x.State != bot.Waiting {
				return false
			}
		}
		return true
	})
}

// runStates are what a record can name as the state of its run.
var runStates = map[string]bool{"waiting": true, "queued": true, "running": true, "cancelling": true, "succeeded": true, "failed": true,
	"rolled back": true, "cancelled": true, "expired": true, "unknown": true}

// consistent checks, on one snapshot, that every run is in the state that its
// records tell, and that slots are held by whoever is at work and no one else.
func (h *host) consistent() {
	h.rig.t.Helper()
	err := h.rig.store.View(context.Background(), func(rd store.Reader) error {
		rows, err := rd.Runs(bot.RunFilter{Limit: 1000})
		if err != nil {
			return err
		}
		holders := map[string]int64{}
		for _, row := range rows {
			sealed, err := rd.Records(bot.RecordFilter{Run: row.Number, Limit: 1000})
			if err != nil {
				return err
			}
			told := ""
			for _, s := range sealed { // newest first
				rec, err := audit.Decode(s)
				if err != nil {
					return err
				}
				if runStates[rec.Detail["state"]] {
					told = rec.Detail["state"]
					break
				}
			}
			if told != string(row.State) {
				return fmt.Errorf("#%d is %s, and its records tell that it is %s", row.Number, row.State, told)
			}
			var x bot.Run
			if err := json.Unmarshal(row.Body, &x); err != nil {
				return err
			}
			acting := row.State == bot.Running || row.State == bot.Cancelling
			if acting != row.Holds && !(row.Holds && row.State == bot.Queued) {
				return fmt.Errorf("#%d is %s, and holds its slot: %v", row.Number, row.State, row.Holds)
			}
			if !row.Holds {
				continue
			}
			if other, taken := holders[row.Slot]; taken {
				return fmt.Errorf("#%d and #%d hold %s", other, row.Number, row.Slot)
			}
			holders[row.Slot] = row.Number
		}
		return nil
	})
	if err != nil {
		h.rig.t.Fatal(err)
	}
}

// agreed checks that nothing was started without those whom the rules name.
func (h *host) agreed(x bot.Run) {
	h.rig.t.Helper()
	if x.Started.IsZero() {
		return
	}
	approvers := map[string]bool{}
	confirmed := false
	for _, rec := range h.rig.records(x.Number) {
		switch {
		case rec.Spec != x.Digest:
		case rec.Kind == bot.ConfirmedKind:
			confirmed = confirmed || rec.Person == x.Call.Who.Person
		case rec.Kind == bot.Approved:
			approvers[rec.Person] = true
		}
	}
	if approvers[x.Call.Who.Person] {
		h.rig.t.Errorf("#%d was approved by its asker", x.Number)
	}
	want := 0
	if x.Call.Command != "rollback" {
		want = map[string]int{prod: 1, two: 2}[x.Ask.Target.String()]
	}
	if len(approvers) < want {
		h.rig.t.Errorf("#%d (%s) was started with approvals of %v", x.Number, x.Call.Line, approvers)
	}
	if want == 1 && !confirmed {
		h.rig.t.Errorf("#%d (%s) was started without a confirmation of this plan", x.Number, x.Call.Line)
	}
}
