package app_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/app"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/config"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/bot/store"
)

// sick is a store that fails for as long as it is told to.
type sick struct {
	store.Store
	mu          sync.Mutex
	write, read error
	free        int // so many writes are taken before
}

func (s *sick) set(write, read error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write, s.read = write, read
}

func (s *sick) Update(ctx context.Context, f func(store.Tx) error) error {
	s.mu.Lock()
	err := s.write
	if s.free > 0 {
		s.free, err = s.free-1, nil
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.Store.Update(ctx, f)
}

func (s *sick) View(ctx context.Context, f func(store.Reader) error) error {
	s.mu.Lock()
	err := s.read
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.Store.View(ctx, f)
}

var (
	errFull    = &bot.Error{Op: "store.update", Kind: bot.Unavailable, Say: "the disk that holds the database is full; nothing was changed"}
	errOnly    = &bot.Error{Op: "store.update", Kind: bot.Unavailable, Say: "the database can only be read; nothing was changed"}
	errDamaged = &bot.Error{Op: "store.view", Kind: bot.Unavailable, Say: "the database file is damaged, so stop the bot and put a backup back with: quarterdeck db restore FILE"}
)

// ailing makes a World, on a good platform, with a store that can be made to fail.
func ailing(t *testing.T) (*world, *sick) {
	t.Helper()
	w, s := newWorld(t, friendly, providertest.NewFriendly), &sick{}
	w.stores = []store.Type{{Scheme: "sqlite", Open: func(ctx context.Context, dsn string) (store.Store, error) {
		opened, err := sqlite.Open(ctx, dsn)
		if err != nil {
			return nil, err
		}
		s.Store = opened
		return s, nil
	}}}
	w.run()
	return w, s
}

// mounted makes a World whose database and journal lie on a file system of a few
// megabytes. That takes root, which is asked for where everything is tested.
func mounted(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, friendly, providertest.NewFriendly)
	disk := filepath.Join(w.dir, "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", disk).CombinedOutput(); err != nil {
		if os.Getenv("QUARTERDECK_TEST_ALL") != "" {
			t.Fatalf("mount a small disk: %v: %s", err, out)
		}
		t.Skipf("a small disk cannot be mounted: %s", out)
	}
	t.Cleanup(func() {
		if w.store != nil {
			w.store.Close()
		}
		if out, err := exec.Command("umount", disk).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	w.configure(strings.Replace(standard, `"sqlite:q.db"`, `"sqlite:disk/q.db"`, 1))
	w.run()
	return w
}

// fill takes all that is left of a disk, and gives what gives it back.
func fill(t *testing.T, disk string) (mend func()) {
	t.Helper()
	path := filepath.Join(disk, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// says that a card holds every one of the words.
func (w *world) holds(p bottest.Post, words ...string) {
	w.t.Helper()
	for _, word := range words {
		if !strings.Contains(shown(p.Card), word) {
			w.t.Errorf("the card does not say %q:\n%s", word, shown(p.Card))
		}
	}
}

// settled waits until an answer is no longer under way.
func (w *world) settled(a bot.AccountID, line string) bottest.Post {
	w.t.Helper()
	said, err := w.x.Say(w.t.Context(), a, line)
	if err != nil {
		w.t.Fatalf("%s says %q: %v", a, line, err)
	}
	return w.wait("the end of "+line, func(p bottest.Post) bool { return bottest.Answers(p, said.ID) && p.Card.Phase != bot.PhaseWorking })
}

// emergency has people talk to a bot whose log cannot be written, and after it
// was mended, and holds what they hear and what is in the log against promise 1.
func emergency(t *testing.T, w *world, fall func() (mend func()), cause string) {
	t.Helper()
	w.gets(w.Dev, "deploy shop v2 staging", bot.OutcomeOK)
	before := len(w.records())
	mend := fall()

	// Everybody hears a sentence.
	p := w.settled(w.Dev, "status shop")
	w.holds(p, "not recorded", cause)
	if p.Card.Outcome != bot.OutcomeOK {
		t.Errorf("what reads was answered %q", p.Card.Outcome)
	}
	p = w.settled(w.Dev, "deploy shop v3 staging")
	w.holds(p, "not run", cause, "rollback")
	if p.Card.Outcome != bot.OutcomeFailed {
		t.Errorf("a deployment was answered %q", p.Card.Outcome)
	}
	w.holds(w.settled(w.Stranger, "rollback shop staging"), "denied")
	w.holds(w.settled(w.Guest, "rollback shop staging"), "denied")
	w.holds(w.settled("x:trainee", "rollback shop staging"), "denied")
	w.holds(w.settled(w.Dev, "deplyo shop"), `did you mean "deploy"`)
	if live := w.far.Live(staging); live != providertest.V2 {
		t.Fatalf("%s is live, although only refusals were given", live)
	}

	// The way back works.
	p = w.settled(w.Dev, "rollback shop staging v1")
	w.holds(p, "emergency journal", "done")
	w.wait("the audit channel hears of it at once", func(p bottest.Post) bool {
		return p.Channel == "x:audit" && strings.Contains(shown(p.Card), "emergency journal")
	})
	if live := w.far.Live(staging); live != providertest.V1 {
		t.Fatalf("%s is live after the rollback", live)
	}
	w.holds(w.settled(w.SRE, "rollback shop staging"), "has been done", "name the release")

	mend()
	w.until("the journal is merged", func() bool { return slices.Contains(w.kinds(before), "succeeded rollback") })
	w.gets(w.Dev, "status shop", bot.OutcomeOK)
	records := w.records()[before:]
	var got []string
	for _, r := range records {
		if r.Detail["journalled"] == "" && r.Verb != "status" {
			t.Errorf("record %d (%s %s) does not say that it was journalled", r.Seq, r.Kind, r.Verb)
		}
		if !r.Read {
			got = append(got, fmt.Sprintf("%s %s %s", r.Kind, r.Verb, r.Person))
		}
	}
	for want, times := range map[string]int{"failed deploy dev": 1, "denied rollback trainee": 1, "requested rollback dev": 1, "started rollback dev": 1, "succeeded rollback dev": 1} {
		if n := count(got, want); n != times {
			t.Errorf("the log says %q %d times, want %d:\n%s", want, n, times, strings.Join(got, "\n"))
		}
	}
	if want := []string{"shop/staging v2", "shop/staging v1"}; !slices.Equal(effects(w.far), want) {
		t.Errorf("the platform did %q, want %q", effects(w.far), want)
	}
	w.wait("the run's own card", func(p bottest.Post) bool { return p.Card.Run == 2 && p.Card.State == bot.Succeeded })
	w.gets(w.Dev, "deploy shop v2 staging", bot.OutcomeDenied) // the rollback marked it bad
	w.gets(w.Dev, "deploy shop v3 staging", bot.OutcomeOK)
	w.verified()
}

func count(list []string, want string) (n int) {
	for _, s := range list {
		if s == want {
			n++
		}
	}
	return n
}

// kinds gives what the log tells of from a record on.
func (w *world) kinds(from int) (list []string) {
	for _, r := range w.records()[from:] {
		list = append(list, string(r.Kind)+" "+r.Verb)
	}
	return list
}

// verified checks the chain.
func (w *world) verified() {
	w.t.Helper()
	tables := w.tables()
	tables.Stores = []store.Type{sqlite.Type()}
	c, err := config.Load(w.path, tables.Known())
	if err != nil {
		w.t.Fatal(err)
	}
	report, err := app.Verify(w.t.Context(), c, tables, nil, "")
	if err != nil || !report.OK {
		w.t.Errorf("the log does not verify: %v %+v", err, report)
	}
}

// TestUnwritable shows promise 1 with a store that fails.
func TestUnwritable(t *testing.T) {
	for _, err := range []*bot.Error{errFull, errOnly} {
		cause, _, _ := strings.Cut(err.Say, ";")
		t.Run(cause, func(t *testing.T) {
			t.Parallel()
			w, s := ailing(t)
			emergency(t, w, func() func() { s.set(err, nil); return func() { s.set(nil, nil) } }, cause)
		})
	}
}

// TestDiskFull shows it on a disk that is full.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	w := mounted(t)
	emergency(t, w, func() func() { return fill(t, filepath.Join(w.dir, "disk")) }, "full")
}

// TestReadOnlyDisk: a bot does not start on a disk that can only be read, says
// why, and starts when that was mended.
func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	w := mounted(t)
	w.gets(w.Dev, "deploy shop v2 staging", bot.OutcomeOK)
	w.stop()
	disk := filepath.Join(w.dir, "disk")
	remount := func(how string) {
		t.Helper()
		if out, err := exec.Command("mount", "-o", "remount,"+how, disk).CombinedOutput(); err != nil {
			t.Fatalf("remount %s: %v: %s", how, err, out)
		}
	}
	remount("ro")
	a, err := w.assemble()
	if err != nil {
		t.Fatal(err)
	}
	var e *bot.Error
	if err := a.Run(t.Context()); !errors.As(err, &e) || e.Kind != bot.Unavailable || !strings.Contains(e.Say, "only be read") && !strings.Contains(e.Say, "read-only") {
		t.Errorf("starting on a read-only disk gives %v, want a sentence", err)
	}
	remount("rw")
	w.run()
	w.gets(w.Dev, "status shop", bot.OutcomeOK)
	w.verified()
}
