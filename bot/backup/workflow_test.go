package backup_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarterdeck/bot"
	"quarterdeck/bot/backup"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
)

var (
	shop = bot.Target{Service: "shop", Environment: "prod"}
	now  = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
)

// rig is a workflow over a vault.
type rig struct {
	*testing.T
	vault *providertest.Vault
	dir   string
	wf    *backup.Workflow
	want  provider.Objectives
}

func newRig(t *testing.T, fault providertest.VaultFault, want provider.Objectives) *rig {
	t.Helper()
	v := providertest.NewVault(shop, fault, now)
	c := provider.NewCatalog([]string{"prod"}, map[bot.Target]provider.Bindings{shop: {Backup: v.Restorer(), Objectives: want, Digest: "as-configured"}})
	dir := filepath.Join(t.TempDir(), "evidence")
	return &rig{t, v, dir, backup.NewWorkflow(c, backup.NewLedger(nil, dir, nil), bottest.NewClock(now)), want}
}

func (r *rig) spec() bot.Spec {
	r.Helper()
	s, err := bot.NewSpec(backup.Kind, "restore-test", shop, nil, backup.Test{Trial: provider.Trial{Target: shop, Backup: r.vault.Listed[0]}, Objectives: r.want})
	if err != nil {
		r.Fatal(err)
	}
	return s
}

func (r *rig) begin() bot.Handle {
	r.Helper()
	h, err := r.wf.Begin(r.spec(), bot.Task{Key: "run-1-a", Actor: "dev", Reason: "the quarter"})
	if err != nil {
		r.Fatal(err)
	}
	return h
}

// end goes on as an engine does, also after errors that are worth it.
func (r *rig) end(h bot.Handle) (bot.Handle, bot.Progress) {
	r.Helper()
	for range 500 {
		next, p, err := r.wf.Advance(r.Context(), h)
		switch bot.KindOf(err) {
		case "":
			if h = next; p.State.Settled() {
				return h, p
			}
			h.Interrupted = false
		case bot.Unavailable, bot.Timeout, bot.Busy:
			h.Interrupted = true
		default:
			r.Fatal(err)
		}
	}
	r.Fatal("it does not end")
	return h, bot.Progress{}
}

// evidence reads what was written down, and checks that it is what its digest says.
func (r *rig) evidence() (e backup.Evidence, page string) {
	r.Helper()
	raw, err := os.ReadFile(filepath.Join(r.dir, "shop-prod-run-1-a.json"))
	if err != nil {
		r.Fatal(err)
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		r.Fatal(err)
	}
	md, err := os.ReadFile(filepath.Join(r.dir, "shop-prod-run-1-a.md"))
	if err != nil {
		r.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	if !strings.Contains(string(md), "sha256:"+hex.EncodeToString(sum[:])) {
		r.Error("the page does not have the digest of the JSON beside it")
	}
	return e, string(md)
}

// Whatever the provider does, a test passes only when every rung did, leaves
// evidence, and leaves nothing else; and what is left is said.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	all := provider.Objectives{RPO: 10 * time.Minute, RTO: 2 * time.Minute}
	for _, c := range []struct {
		name  string
		fault providertest.VaultFault
		want  provider.Objectives
		edit  func(v *providertest.Vault)
		state bot.OpState
		says  string
		left  int
	}{
		{name: "good", want: all, state: bot.OpSucceeded, says: "newest was restored and is good (checked: age, space, intact, engine, restored, content, queries, across, fresh, in time, removed)"},
		{name: "flaky", fault: providertest.VaultFlaky, want: all, state: bot.OpSucceeded, says: "is good"},
		{name: "slow removal", fault: providertest.VaultSlow, want: all, state: bot.OpSucceeded, says: "is good"},
		{name: "a rung fails", fault: providertest.VaultFails, want: all, state: bot.OpFailed, says: "content: the table orders is missing"},
		{name: "a rung is left out", fault: providertest.VaultSilent, want: all, state: bot.OpFailed, says: "content: it was not checked"},
		{name: "it fails and says not where", fault: providertest.VaultLies, want: all, state: bot.OpFailed, says: "restored: it ended as failed"},
		{name: "a rung is of no known state", fault: providertest.VaultUnknown, want: all, state: bot.OpFailed, says: "content: as it should be"},
		{name: "it refuses half-way", fault: providertest.VaultRefuses, want: all, state: bot.OpFailed, says: "restored: the vault was moved"},
		{name: "nothing is removed", fault: providertest.VaultStuck, want: all, state: bot.OpFailed, says: "removed: what was restored is still there and needs a person: the vault keeps what it has", left: 1},
		{name: "too old", want: provider.Objectives{RPO: 30 * time.Second}, state: bot.OpFailed, says: "age: the backup is 1m old, and the RPO is 30s"},
		{name: "made tomorrow", want: all, edit: func(v *providertest.Vault) { v.Listed[0].Created = now.Add(24 * time.Hour) }, state: bot.OpFailed, says: "age: the backup says that it was made 24h from now; one of the clocks is wrong"},
		{name: "its data is too old", want: provider.Objectives{RPO: 90 * time.Second}, state: bot.OpFailed, says: "fresh: its newest data is 2m old, and the RPO is 1m30s"},
		{name: "too slow", want: provider.Objectives{RTO: time.Second}, state: bot.OpFailed, says: "in time: it took 2s, and the RTO is 1s"},
		{name: "not measured", want: all, edit: func(v *providertest.Vault) { v.Found.Ready = 0 }, state: bot.OpFailed, says: "in time: the provider does not say how long it took"},
		{name: "nothing wanted", state: bot.OpSucceeded, says: "not asked: age, fresh, in time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, c.fault, c.want)
			if c.edit != nil {
				c.edit(r.vault)
			}
			h, p := r.end(r.begin())
			if p.State != c.state || !strings.Contains(p.Text, c.says) {
				t.Errorf("it is %s: %s\nwant %s: ...%s...", p.State, p.Text, c.state, c.says)
			}
			if n := r.vault.Places(); n != c.left {
				t.Errorf("%d places are left, not %d", n, c.left)
			}
			e, page := r.evidence()
			if (e.Outcome == "passed") != (c.state == bot.OpSucceeded) || e.By != "dev" || e.Reason != "the quarter" || e.Backup.ID != "newest" {
				t.Errorf("the evidence says %+v", e)
			}
			if !strings.Contains(page, "# Restore test of shop/prod: "+e.Outcome) {
				t.Errorf("the page says %s", page)
			}
			docs, err := r.wf.Settle(bot.Run{Number: 1, Plan: bot.Plan{Spec: r.spec()}, Handle: h}, p, now)
			if want := map[bool]int{true: 2, false: 1}[c.state == bot.OpSucceeded]; err != nil || len(docs) != want {
				t.Errorf("it keeps %d documents, %v, want %d", len(docs), err, want)
			}
		})
	}
}

// A test that leaves no evidence has not passed.
func TestNoEvidence(t *testing.T) {
	t.Parallel()
	r := newRig(t, providertest.VaultSound, provider.Objectives{})
	if err := os.WriteFile(r.dir, nil, 0o600); err != nil { // a file where the folder should be
		t.Fatal(err)
	}
	h := r.begin()
	for range 50 {
		next, p, err := r.wf.Advance(t.Context(), h)
		if bot.KindOf(err) == bot.Unavailable {
			return
		}
		if err != nil || p.State.Settled() {
			t.Fatalf("%+v, %v", p, err)
		}
		h = next
	}
	t.Error("it goes on for ever")
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	for calls := range 8 {
		r := newRig(t, providertest.VaultSound, provider.Objectives{})
		h := r.begin()
		settled := false
		for range calls {
			next, p, err := r.wf.Advance(t.Context(), h)
			if err != nil {
				t.Fatal(err)
			}
			h, settled = next, p.State.Settled()
		}
		h, err := r.wf.Cancel(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		_, p := r.end(h)
		if !settled && p.State != bot.OpCancelled && p.State != bot.OpSucceeded {
			t.Errorf("after %d calls it ends as %s: %s", calls, p.State, p.Text)
		}
		if calls < 4 && p.State != bot.OpCancelled {
			t.Errorf("after %d calls it cannot be cancelled any more", calls)
		}
		if n := r.vault.Places(); n != 0 {
			t.Errorf("after %d calls %d places are left", calls, n)
		}
	}
}

// Thrown away and called again at random, with answers lost, it comes to the same
// end and leaves nothing.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t, rapid.SampledFrom(providertest.VaultFaults()).Draw(rt, "fault"), provider.Objectives{RPO: time.Hour})
		h := r.begin()
		for range rapid.IntRange(0, 30).Draw(rt, "calls") {
			next, p, err := r.wf.Advance(rt.Context(), h)
			if err == nil && p.State.Settled() {
				break
			}
			lost := rapid.Bool().Draw(rt, "lost")
			if err == nil && !lost {
				h = next
			}
			h.Interrupted = lost || err != nil
		}
		_, p := r.end(h)
		want := bot.OpSucceeded
		if r.vault.Fault == providertest.VaultFails {
			want = bot.OpFailed
		}
		if p.State != want {
			rt.Errorf("it ends as %s: %s", p.State, p.Text)
		}
		if n := r.vault.Places(); n != 0 {
			rt.Errorf("%d places are left", n)
		}
	})
}

func TestCheck(t *testing.T) {
	t.Parallel()
	r := newRig(t, providertest.VaultSound, provider.Objectives{})
	spec := r.spec()
	body, err := backup.Body(spec)
	if err != nil {
		t.Fatal(err)
	}
	facts := backup.Facts(body, "as-configured")
	if _, err := r.wf.Check(t.Context(), spec, facts); err != nil {
		t.Errorf("nothing changed: %v", err)
	}
	if _, err := r.wf.Check(t.Context(), spec, backup.Facts(body, "otherwise")); bot.KindOf(err) != bot.Conflict {
		t.Errorf("the configuration changed: %v", err)
	}
	r.vault.Listed[0].Bytes++
	if _, err := r.wf.Check(t.Context(), spec, facts); bot.KindOf(err) != bot.Conflict || !strings.Contains(err.Error(), "was written over meanwhile") {
		t.Errorf("another backup: %v", err)
	}
	r.vault.Listed = r.vault.Listed[1:]
	if _, err := r.wf.Check(t.Context(), spec, facts); bot.KindOf(err) != bot.NotFound {
		t.Errorf("no backup: %v", err)
	}
}

func TestOverdue(t *testing.T) {
	t.Parallel()
	passed := func(ago time.Duration) *backup.Result {
		return &backup.Result{Run: 3, Passed: true, At: now.Add(-ago)}
	}
	for _, c := range []struct {
		s    backup.Standing
		o    time.Duration
		want string
	}{
		{backup.Standing{}, 0, ""},
		{backup.Standing{}, 168 * time.Hour, "no restore test has passed yet; one is wanted every 7d"},
		{backup.Standing{Last: passed(time.Hour), Passed: passed(time.Hour)}, 168 * time.Hour, ""},
		{backup.Standing{Last: passed(200 * time.Hour), Passed: passed(200 * time.Hour)}, 168 * time.Hour, "overdue: the last restore test passed 8d ago, and one is wanted every 7d"},
		{backup.Standing{Last: &backup.Result{Run: 4}, Passed: passed(time.Hour)}, 0, "the last restore test failed (#4)"},
	} {
		if got := c.s.Overdue(provider.Objectives{Every: c.o}, now); got != c.want {
			t.Errorf("%+v: %q, want %q", c.s, got, c.want)
		}
	}
}
