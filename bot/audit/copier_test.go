package audit

import (
	"bytes"
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// vault is a friendly one, until it is told otherwise.
type vault struct {
	mu      sync.Mutex
	objects map[string][]byte
	until   map[string]time.Time
	// before is asked before a Put is carried out, lost whether its answer is.
	before func(name string) error
	lost   bool
}

func newVault() *vault { return &vault{objects: map[string][]byte{}, until: map[string]time.Time{}} }

func (v *vault) Place() string { return "vault" }

func (v *vault) Put(_ context.Context, name string, body []byte, until time.Time) error {
	if v.before != nil {
		if err := v.before(name); err != nil {
			return err
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.objects[name] != nil {
		return bot.Errorf(bot.Conflict, "taken")
	}
	v.objects[name], v.until[name] = bytes.Clone(body), until
	if v.lost {
		v.lost = false
		return bot.Errorf(bot.Timeout, "no answer")
	}
	return nil
}

func (v *vault) Names(_ context.Context, after string) ([]string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := slices.Sorted(maps.Keys(v.objects))
	all = slices.DeleteFunc(all, func(n string) bool { return n <= after })
	return all[:min(2, len(all))], nil
}

func (v *vault) Get(_ context.Context, name string, _ int64) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.objects[name] == nil {
		return nil, bot.Errorf(bot.NotFound, "no %s", name)
	}
	return v.objects[name], nil
}

func (r *rig) copier(v provider.Vault) *Copier {
	return &Copier{Store: r.store, Key: r.key, Clock: r.clock, Vault: v, Retain: 400 * 24 * time.Hour, Logger: logTo(io.Discard)}
}

func (r *rig) copy(c *Copier) int64 {
	r.Helper()
	n, err := c.Copy(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	return n
}

func (r *rig) verifyCopy(v provider.Vault) Report {
	r.Helper()
	report, err := VerifyCopy(r.Context(), r.store, v, VerifyOptions{PublicKey: r.key.Public()})
	if err != nil {
		r.Fatal(err)
	}
	return report
}

// The copy grows by what is new, over restarts and by several replicas, holds
// nothing that may have to be erased, and verifies by itself.
func TestCopy(t *testing.T) {
	t.Parallel()
	r, v := newRig(t), newVault()
	r.story()
	one := r.copier(v)
	if n := r.copy(one); n != 8 || r.copy(one) != 0 {
		t.Errorf("%d records were copied, want 8 and then none", n)
	}
	r.story()
	if n := r.copy(r.copier(v)); n != 8 { // after a restart
		t.Errorf("%d records were copied after a restart, want 8", n)
	}
	r.story()
	if n := r.copy(one); n != 8 { // the other replica, which knows the first segment alone
		t.Errorf("%d records were copied by the other replica, want 8", n)
	}
	if got := slices.Sorted(maps.Keys(v.objects)); !slices.Equal(got, []string{"audit-000000000001.jsonl.gz", "audit-000000000009.jsonl.gz", "audit-000000000017.jsonl.gz"}) {
		t.Errorf("the vault holds %q", got)
	}
	for name, until := range v.until {
		if got := until.Sub(r.clock.Now()); got < 399*24*time.Hour || got > 400*24*time.Hour {
			t.Errorf("%s is kept for %v", name, got)
		}
	}
	if report := r.verifyCopy(v); !report.OK || report.To != 24 || report.Records != 24 {
		t.Errorf("the copy: %s %+v", report.Summary(), report.Problems)
	}
	dir := t.TempDir()
	if _, err := fetch(t.Context(), v, dir); err != nil {
		t.Fatal(err)
	}
	list, err := segments(dir, func(path string, err error) { t.Error(path, err) })
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		if _, err := s.lines(func(line []byte) error {
			if bytes.Contains(line, []byte("fixes")) || bytes.Contains(line, []byte("status shop")) {
				t.Errorf("the copy holds what was typed: %s", line)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
}

// Two replicas that copy at once, and an answer that is lost, leave one segment for
// each stretch.
func TestCopyOnce(t *testing.T) {
	t.Parallel()
	r, v := newRig(t), newVault()
	r.story()
	other := r.copier(v)
	v.before = func(string) error {
		v.before = nil
		r.copy(other)
		return nil
	}
	if n := r.copy(r.copier(v)); n != 0 {
		t.Errorf("%d records were copied a second time", n)
	}
	r.story()
	v.lost = true
	c := r.copier(v)
	if _, err := c.Copy(t.Context()); bot.KindOf(err) != bot.Timeout {
		t.Errorf("a lost answer gives %v", err)
	}
	if n := r.copy(c); n != 0 {
		t.Errorf("%d records were copied a second time", n)
	}
	if report := r.verifyCopy(v); !report.OK || report.To != 16 || len(v.objects) != 2 {
		t.Errorf("the copy of %d segments: %s %+v", len(v.objects), report.Summary(), report.Problems)
	}
}

// Whatever was changed on either side is named, and nothing is added to a vault
// that does not agree.
func TestCopyFindsWhatWasChanged(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change  func(r *rig, v *vault)
		kind    ProblemKind // "" for none
		want    string
		refused string // what copying says; "" for nothing
	}{
		"database edited": {func(r *rig, _ *vault) {
			r.store.rows[3].Body = bytes.Replace(r.store.rows[3].Body, []byte("guests"), []byte("anyone"), 1)
		}, Rewritten, "record 4 is another one in the database than in vault", ""},
		"end cut off": {func(r *rig, _ *vault) {
			r.store.rows = r.store.rows[:5]
		}, CutOff, "record 6 is missing at the end of the database; it is in vault", "the database ends with 5: it was cut off or restored from a backup"},
		"cut and continued": {func(r *rig, _ *vault) {
			r.store.rows = r.store.rows[:5]
			r.clock.move(time.Hour)
			r.story()
		}, Rewritten, "record 6 is another one in the database than in vault", "record 8 is another one in vault than in the database"},
		"segment taken away": {func(r *rig, v *vault) {
			r.story()
			r.copy(r.copier(v))
			delete(v.objects, "audit-000000000001.jsonl.gz")
		}, Removed, "records 1 to 8 are missing in vault, which begins with 9", ""},
		"segment edited":  {func(_ *rig, v *vault) { v.objects["audit-000000000001.jsonl.gz"] = []byte("nothing") }, "", "there is no copy", "is no segment of an audit log"},
		"database intact": {func(*rig, *vault) {}, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, v := newRig(t), newVault()
			r.story()
			r.copy(r.copier(v))
			c.change(r, v)
			report, err := VerifyCopy(t.Context(), r.store, v, VerifyOptions{PublicKey: r.key.Public()})
			var said []string
			for _, p := range report.Problems {
				said = append(said, string(p.Kind)+": "+p.Say)
			}
			if err != nil {
				said = append(said, ": "+bot.Sentence(err, ""))
			}
			if c.want == "" && (err != nil || !report.OK) {
				t.Errorf("an intact copy: %q (%v)", said, err)
			}
			if !slices.ContainsFunc(said, func(s string) bool { return strings.HasPrefix(s, string(c.kind)+": ") && strings.Contains(s, c.want) }) && c.want != "" {
				t.Errorf("got %q, want %s: %q", said, c.kind, c.want)
			}
			before := len(v.objects)
			_, err = r.copier(v).Copy(t.Context())
			if (err == nil) != (c.refused == "") || err != nil && (bot.KindOf(err) != bot.Conflict || !strings.Contains(err.Error(), c.refused)) {
				t.Errorf("copying gives %v, want %q", err, c.refused)
			}
			if c.refused != "" && len(v.objects) != before {
				t.Error("something was added to the evidence")
			}
		})
	}
}

// An outage is told of once, and what was recorded meanwhile is copied afterwards.
func TestCopyAfterAnOutage(t *testing.T) {
	t.Parallel()
	r, v := newRig(t), newVault()
	r.story()
	c := r.copier(v)
	logs := &logger{}
	c.Logger = logTo(logs)
	v.before = func(string) error { return bot.Errorf(bot.Unavailable, "no route") }
	for range 120 {
		c.try(t.Context(), false)
		r.clock.move(time.Second * 30)
	}
	if n := strings.Count(logs.String(), "is not copied"); n != 1 || len(v.objects) != 0 {
		t.Errorf("an outage of an hour was told of %d times; %d objects", n, len(v.objects))
	}
	v.before = nil
	r.clock.move(time.Minute)
	c.try(t.Context(), false)
	if report := r.verifyCopy(v); !report.OK || report.To != 8 {
		t.Errorf("after the outage: %s", report.Summary())
	}
}
