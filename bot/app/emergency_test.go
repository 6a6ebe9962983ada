package app_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/bot/store"
)

// TestEmergencyStopsADeployment: what is under way when the disk fills up is
// stopped first, and has ended in the log afterwards.
func TestEmergencyStopsADeployment(t *testing.T) {
	t.Parallel()
	w, s := ailing(t)
	w.gets(w.Dev, "deploy shop v2 staging", bot.OutcomeOK)
	release := w.far.Hold()
	defer release()
	said, err := w.x.Say(t.Context(), w.Dev, "deploy shop v3 staging")
	if err != nil {
		t.Fatal(err)
	}
	w.until("the deployment is under way", func() bool { return len(effects(w.far)) == 2 })
	_ = said
	s.set(errFull, nil)
	w.x.Say(t.Context(), w.Dev, "rollback shop staging")
	w.wait("the rollback has begun", func(p bottest.Post) bool {
		return strings.Contains(shown(p.Card), "emergency journal") && p.Card.Phase == bot.PhaseWorking
	})
	release()
	w.wait("the rollback is done", func(p bottest.Post) bool { return strings.Contains(p.Card.Title, "v2: done") })
	if live := w.far.Live(staging); live != providertest.V2 {
		t.Fatalf("%s is live after the rollback", live)
	}
	s.set(nil, nil)
	w.until("all is settled", func() bool {
		runs := w.runs()
		return len(runs) == 3 && runs[1].Settled() && runs[2] == bot.Succeeded
	})
	if live := w.far.Live(staging); live != providertest.V2 {
		t.Errorf("%s is live after the merge: the stopped deployment went on", live)
	}
	w.verified()
}

// TestEmergencyIsFoundAgain: a bot that ends in the middle of a way back which
// only its journal knows of finds that again, and does it once.
func TestEmergencyIsFoundAgain(t *testing.T) {
	for _, mended := range []bool{true, false} {
		t.Run(map[bool]string{true: "mended", false: "still full"}[mended], func(t *testing.T) {
			t.Parallel()
			w, s := ailing(t)
			w.stop()
			w.configure(standard + "[stop]\nwithin = \"1s\"\n")
			w.run()
			w.gets(w.Dev, "deploy shop v2 staging", bot.OutcomeOK)
			release := w.far.Hold()
			defer release()
			s.set(errFull, nil)
			if _, err := w.x.Say(t.Context(), w.Dev, "rollback shop staging v1"); err != nil {
				t.Fatal(err)
			}
			w.until("the rollback is under way", func() bool { return len(effects(w.far)) == 2 })
			w.stop()
			release()
			if mended {
				s.set(nil, nil)
			} else {
				s.startable()
			}
			w.run()
			if !mended {
				w.wait("its end is told", func(p bottest.Post) bool { return strings.Contains(p.Card.Title, "v1: done") })
				s.set(nil, nil)
			}
			w.until("it has ended in the log", func() bool {
				runs := w.runs()
				return len(runs) == 2 && runs[1] == bot.Succeeded
			})
			if want := []string{"shop/staging v2", "shop/staging v1"}; !slices.Equal(effects(w.far), want) {
				t.Errorf("the platform did %q, want %q", effects(w.far), want)
			}
			w.verified()
		})
	}
}

// startable has the store take what starting writes, and then fail again.
func (s *sick) startable() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = 2 // whether it was restored, and the configuration
}

// TestEmergencyBlind: when the database cannot even be read, the way back is
// planned from the platform alone, and says so.
func TestEmergencyBlind(t *testing.T) {
	t.Parallel()
	w, s := ailing(t)
	w.gets(w.Dev, "deploy shop v2 staging", bot.OutcomeOK)
	s.set(errDamaged, errDamaged)
	w.holds(w.settled(w.Dev, "history shop"), "damaged")
	w.holds(w.settled(w.Dev, "rollback shop staging v1 --dry-run"), "dry run", "cannot be read", "platform alone")
	w.holds(w.settled(w.Dev, "rollback shop staging v1"), "done", "emergency journal")
	if live := w.far.Live(staging); live != providertest.V1 {
		t.Fatalf("%s is live after the rollback", live)
	}
	s.set(nil, nil)
	w.until("the journal is merged", func() bool { return slices.Contains(w.kinds(0), "succeeded rollback") })
}

// TestEmergencyKeepsRules: a rule that names rollback holds in an emergency too;
// an answer that cannot be recorded is not taken.
func TestEmergencyKeepsRules(t *testing.T) {
	t.Parallel()
	w, s := ailing(t)
	w.stop()
	w.configure(standard + "[[require]]\npermissions = [\"rollback\"]\ntargets = [\"shop/prod\"]\napprovals = { count = 1, from = [\"sre\"] }\n" +
		"[[grant]]\nroles = [\"sre\"]\npermissions = [\"break-glass\"]\ntargets = [\"shop/*\"]\n")
	w.run()
	w.far.SetLive(prod, providertest.V1)
	w.far.SetLive(prod, providertest.V2)
	s.set(errFull, nil)
	w.holds(w.settled(w.Dev, "rollback shop prod v1"), "needs", "approval", "break glass")
	w.holds(w.settled(w.SRE, "approve"), "not run")
	w.holds(w.settled(w.Dev, `rollback shop prod v1 --break-glass "because"`), "denied")
	if len(effects(w.far)) != 0 {
		t.Fatalf("the platform did %q", effects(w.far))
	}
	w.holds(w.settled(w.SRE, `rollback shop prod v1 --break-glass "the shop is down"`), "done")
	s.set(nil, nil)
	w.until("the journal is merged", func() bool { return slices.Contains(w.kinds(0), "succeeded rollback") })
	w.view(func(r store.Reader) error {
		rows, err := r.Runs(bot.RunFilter{ToReview: true})
		if len(rows) != 1 {
			t.Errorf("%d runs wait to be reviewed, want the one that broke the glass", len(rows))
		}
		return err
	})
}

// TestEmergencyOnce: a line that was received before the disk filled up, told
// "not run", is not run when there is room again.
func TestEmergencyOnce(t *testing.T) {
	t.Parallel()
	w, s := ailing(t)
	w.gets(w.Dev, "deploy shop v2 staging", bot.OutcomeOK)
	s.mu.Lock()
	s.write, s.free = errFull, 1 // the inbox takes it, and nothing after it
	s.mu.Unlock()
	p := w.settled(w.Dev, "deploy shop v3 staging")
	w.holds(p, "not run")
	s.set(nil, nil)
	w.until("the refusal is in the log", func() bool { return slices.Contains(w.kinds(0), "failed deploy") })
	w.until("the inbox is empty", func() (empty bool) {
		w.view(func(r store.Reader) error {
			left, err := r.Unfinished(10)
			empty = len(left) == 0
			return err
		})
		return empty
	})
	if want := []string{"shop/staging v2"}; !slices.Equal(effects(w.far), want) {
		t.Errorf("the platform did %q, want %q", effects(w.far), want)
	}
}

// TestLocked: another program that keeps the database to itself stops no way
// back.
func TestLocked(t *testing.T) {
	t.Parallel()
	w := start(t, friendly, providertest.NewFriendly)
	w.gets(w.Dev, "deploy shop v2 staging", bot.OutcomeOK)
	db, err := sql.Open("sqlite", filepath.Join(w.dir, "q.db")+"?_pragma=busy_timeout(20000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), "BEGIN EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	w.holds(w.settled(w.Dev, "deploy shop v3 staging"), "not run", "locked by another process")
	w.holds(w.settled(w.Dev, "rollback shop staging v1"), "done", "emergency journal")
	if _, err := conn.ExecContext(context.WithoutCancel(t.Context()), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	w.until("the journal is merged", func() bool { return slices.Contains(w.kinds(0), "succeeded rollback") })
	if want := []string{"shop/staging v2", "shop/staging v1"}; !slices.Equal(effects(w.far), want) {
		t.Errorf("the platform did %q, want %q", effects(w.far), want)
	}
	w.verified()
}
