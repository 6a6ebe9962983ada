package stepup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/sourcegraph/conc"
	"pgregory.net/rapid"

	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/stepup"
	"quarterdeck/bot/store"
)

var start = time.Date(2026, 3, 2, 12, 0, 5, 0, time.UTC)

// rig is a store with keepers on it, as many as there are replicas.
type rig struct {
	t      testing.TB
	dir    string
	clock  *bottest.Clock
	store  store.Store
	log    *audit.Log
	key    stepup.Key
	logged *bytes.Buffer
	keeper *stepup.Keeper

	mu     sync.Mutex
	shown  []bot.Delivery
	broken error // what showing a secret gives
	n      int
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), clock: bottest.NewClock(start), logged: &bytes.Buffer{}}
	s, err := sqlite.Open(t.Context(), filepath.Join(r.dir, "q.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	r.store, r.log = s, audit.New(audit.Config{Store: s, Clock: r.clock})
	if r.key, err = stepup.OpenKey(filepath.Join(r.dir, "totp.key"), false); err != nil {
		t.Fatal(err)
	}
	r.keeper = r.replica(r.key, nil)
	return r
}

func (r *rig) replica(key stepup.Key, fault error) *stepup.Keeper {
	return stepup.New(stepup.Config{Store: r.store, Recorder: r.log, Key: key, Fault: fault, Clock: r.clock, IDs: bot.RandomIDs{},
		Logger: slog.New(slog.NewTextHandler(r.logged, &slog.HandlerOptions{Level: slog.LevelDebug})), Issuer: "Quarterdeck", Posted: func() {},
		Confide: func(_ context.Context, d bot.Delivery) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.broken == nil {
				r.shown = append(r.shown, d)
			}
			return r.broken
		}})
}

func who(person string) bot.Identity {
	return bot.Identity{Account: bot.AccountID("x:" + person), Standing: bot.Member, Person: person}
}

// call makes a call of a message that is in the inbox.
func (r *rig) call(person string, f bot.Factor) bot.Call {
	r.t.Helper()
	r.mu.Lock()
	r.n++
	id := fmt.Sprintf("x:%d", r.n)
	r.mu.Unlock()
	err := r.store.Update(context.Background(), func(tx store.Tx) error {
		_, err := tx.Receive(bot.Message{ID: id, Account: who(person).Account, Received: r.clock.Now()})
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return bot.Call{ID: "r" + id, Who: who(person), Message: id, Channel: "x:room", Factor: f}
}

// check shows a code to a keeper, as the router does.
func (r *rig) check(k *stepup.Keeper, person, code, message string, enrolling bool) (f bot.Factor) {
	r.t.Helper()
	err := r.store.Update(context.Background(), func(tx store.Tx) (err error) {
		f, err = k.Check(tx, stepup.Shown{Who: who(person), Message: bot.Message{ID: message, Channel: "x:room"}, Code: code, Enrolling: enrolling})
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return f
}

var secretIn = regexp.MustCompile(`secret=([A-Z2-7]{32})`)

// enrol gives the secret that a person is shown.
func (r *rig) enrol(person string, f bot.Factor) string {
	r.t.Helper()
	before := len(r.shown)
	if err := r.keeper.Enrol(context.Background(), r.call(person, f)); err != nil {
		r.t.Fatal(err)
	}
	if len(r.shown) != before+1 || r.shown[before].To != who(person).Account {
		r.t.Fatalf("shown to others, or not at all: %+v", r.shown[before:])
	}
	return secretIn.FindStringSubmatch(r.shown[before].Card.Link)[1]
}

// enrolled enrols a person by the code of the time step before this one, so that
// this one's is not used yet.
func (r *rig) enrolled(person string) (secret string) {
	r.t.Helper()
	secret = r.enrol(person, bot.NoFactor)
	r.confirm(person, r.code(secret, -1))
	return secret
}

func (r *rig) confirm(person, code string) {
	r.t.Helper()
	c := r.call(person, bot.NoFactor)
	if c.Factor = r.check(r.keeper, person, code, c.Message, true); c.Factor != bot.FactorNew {
		r.t.Fatalf("the first code is %q", c.Factor)
	}
	if err := r.keeper.Confirm(context.Background(), c); err != nil {
		r.t.Fatal(err)
	}
}

// code gives the code of a secret so many steps from now.
func (r *rig) code(secret string, steps int64) string {
	r.t.Helper()
	code, err := hotp.GenerateCodeCustom(secret, uint64(r.clock.Now().Unix()/30+steps), hotp.ValidateOpts{Digits: otp.DigitsSix})
	if err != nil {
		r.t.Fatal(err)
	}
	return code
}

// wrong gives a code that is none of a secret's from long ago to long after now.
func (r *rig) wrong(secret string) string {
	near := map[string]bool{}
	for d := int64(-50); d <= 50; d++ {
		near[r.code(secret, d)] = true
	}
	for n := 0; ; n++ {
		if c := fmt.Sprintf("%06d", n); !near[c] {
			return c
		}
	}
}

// notices gives what the log tells of second factors, oldest first.
func (r *rig) notices() (all []string) {
	r.t.Helper()
	records, err := r.log.Records(context.Background(), bot.RecordFilter{Limit: 1000})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, rec := range records {
		all = append([]string{rec.Text["notice"]}, all...)
	}
	return all
}

func TestCodes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if f := r.check(r.keeper, "ann", "123456", "m", false); f != bot.FactorNone {
		t.Errorf("without an enrolment: %q", f)
	}
	secret := r.enrol("ann", bot.NoFactor)
	if f := r.check(r.keeper, "ann", r.code(secret, 0), "m", false); f != bot.FactorNone {
		t.Errorf("a secret that nobody confirmed gives %q", f)
	}
	r.confirm("ann", r.code(secret, -1))
	for _, c := range []struct {
		what string
		code string
		want bot.Factor
	}{
		{"the code that confirmed", r.code(secret, -1), bot.FactorUsed},
		{"two steps ago", r.code(secret, -2), bot.FactorWrong},
		{"two steps ahead", r.code(secret, 2), bot.FactorWrong},
		{"letters", "abcdef", bot.FactorWrong},
		{"too short", "12345", bot.FactorWrong},
		{"now", r.code(secret, 0), bot.FactorTOTP},
		{"now, again", r.code(secret, 0), bot.FactorUsed},
		{"one step ahead", r.code(secret, 1), bot.FactorTOTP},
		{"now, after the one ahead", r.code(secret, 0), bot.FactorUsed},
		{"none", "", bot.NoFactor},
	} {
		if f := r.check(r.keeper, "ann", c.code, "m", false); f != c.want {
			t.Errorf("%s: %q, want %q", c.what, f, c.want)
		}
	}
	other := r.enrolled("bob")
	if f := r.check(r.keeper, "ann", r.code(other, 0), "m", false); f != bot.FactorWrong {
		t.Errorf("another's code: %q", f)
	}
	if f := r.check(r.keeper, "bob", r.code(other, 0), "m", false); f != bot.FactorTOTP {
		t.Errorf("one's own code after that: %q", f)
	}
	var nothing *stepup.Keeper
	if f := r.check(nothing, "ann", "123456", "m", false); f != bot.NoFactor {
		t.Errorf("where nothing is configured: %q", f)
	}
	if err := nothing.Enrol(context.Background(), r.call("ann", bot.NoFactor)); !strings.Contains(fmt.Sprint(err), "second factors are not set up here") {
		t.Errorf("where nothing is configured: %v", err)
	}
}

// TestNoStepTwice: whatever is shown when, to whichever replica, over whichever
// way the clock goes, no time step is taken twice, and none before one that was.
func TestNoStepTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	secret := r.enrolled("ann")
	other := r.replica(r.key, nil)
	taken := map[string]bool{r.code(secret, -1): true}
	rapid.Check(t, func(t *rapid.T) {
		r.clock.Advance(time.Duration(rapid.IntRange(-40, 100).Draw(t, "seconds")) * time.Second)
		code := r.code(secret, int64(rapid.IntRange(-3, 3).Draw(t, "steps")))
		k := r.keeper
		if rapid.Bool().Draw(t, "other") {
			k = other
		}
		if f := r.check(k, "ann", code, "m", false); f == bot.FactorTOTP {
			if taken[code] {
				t.Fatalf("%s was taken twice", code)
			}
			taken[code] = true
		}
		if rapid.IntRange(0, 9).Draw(t, "later") == 0 {
			r.clock.Advance(25 * time.Hour) // past any lock
			if f := r.check(k, "ann", r.code(secret, 0), "m", false); f == bot.FactorTOTP {
				taken[r.code(secret, 0)] = true
			}
		}
	})
	if len(taken) < 5 {
		t.Errorf("only %d codes were taken", len(taken))
	}
}

// TestAtOnce shows one good code and a flood of wrong ones at the same time to two
// replicas: the good one counts once, and of the wrong ones no more than five are
// looked at.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	secret, bobs := r.enrolled("ann"), r.enrolled("bob")
	good, wrong := r.code(secret, 0), r.wrong(bobs)
	replicas := []*stepup.Keeper{r.keeper, r.replica(r.key, nil)}
	var mu sync.Mutex
	got := map[bot.Factor]int{}
	var all conc.WaitGroup
	for i := range 32 {
		all.Go(func() {
			a := r.check(replicas[i%2], "ann", good, fmt.Sprint("a", i), false)
			b := r.check(replicas[i%2], "bob", wrong, fmt.Sprint("b", i), false)
			mu.Lock()
			defer mu.Unlock()
			got["ann "+a]++
			got["bob "+b]++
		})
	}
	all.Wait()
	want := map[bot.Factor]int{"ann totp": 1, "ann used": 31, "bob wrong": 4, "bob locked": 28}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("gave %v, want %v", got, want)
	}
	locked := 0
	for _, n := range r.notices() {
		if strings.HasPrefix(n, "LOCKED: 5 one-time codes in the name of bob were wrong") {
			locked++
		}
	}
	if locked != 1 {
		t.Errorf("the log tells %d times of the lock: %q", locked, r.notices())
	}
}

// TestLocks: a lock holds against good codes too and ends by itself, the next in a
// row lasts twice as long, and a good code makes all well.
func TestLocks(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	secret := r.enrolled("ann")
	lock := func() {
		t.Helper()
		for i := range 5 {
			want := bot.FactorWrong
			if i == 4 {
				want = bot.FactorLocked
			}
			if f := r.check(r.keeper, "ann", r.wrong(secret), "m", false); f != want {
				t.Fatalf("wrong code %d: %q, want %q", i+1, f, want)
			}
		}
	}
	for _, long := range []time.Duration{15 * time.Minute, 30 * time.Minute, time.Hour} {
		lock()
		r.clock.Advance(long - time.Second)
		if f := r.check(r.keeper, "ann", r.code(secret, 0), "m", false); f != bot.FactorLocked {
			t.Fatalf("a second before the end of %s: %q", long, f)
		}
		say := bot.Sentence(r.keeper.Refusal(context.Background(), "ann", bot.FactorLocked), "ref")
		if !strings.Contains(say, "none of yours is taken until") || !strings.Contains(say, "totp reset ann") {
			t.Errorf("says %q", say)
		}
		r.clock.Advance(time.Second)
	}
	if f := r.check(r.keeper, "ann", r.code(secret, 0), "m", false); f != bot.FactorTOTP {
		t.Fatalf("after the lock: %q", f)
	}
	lock() // as the first
	r.clock.Advance(15 * time.Minute)
	if f := r.check(r.keeper, "ann", r.code(secret, 0), "m", false); f != bot.FactorTOTP {
		t.Errorf("after the first lock since: %q", f)
	}
	// Those of long ago do not count.
	for range 12 {
		if f := r.check(r.keeper, "ann", r.wrong(secret), "m", false); f != bot.FactorWrong {
			t.Fatalf("now and then a slip: %q", f)
		}
		r.clock.Advance(4 * time.Minute)
	}
	if say := bot.Sentence(r.keeper.Refusal(context.Background(), "ann", bot.FactorWrong), "ref"); !strings.Contains(say, "2 more tries are left") || !strings.Contains(say, r.clock.Now().Format("15:04:05")) {
		t.Errorf("says %q", say)
	}
}

// TestUndone: where the message is not stored, its code is not used up.
func TestUndone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	secret := r.enrolled("ann")
	broken := errors.New("the disk is full")
	err := r.store.Update(context.Background(), func(tx store.Tx) error {
		f, err := r.keeper.Check(tx, stepup.Shown{Who: who("ann"), Code: r.code(secret, 0)})
		if err != nil || f != bot.FactorTOTP {
			t.Errorf("%q, %v", f, err)
		}
		return broken
	})
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if f := r.check(r.keeper, "ann", r.code(secret, 0), "m", false); f != bot.FactorTOTP {
		t.Errorf("delivered again: %q", f)
	}
}

func TestEnrolling(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx := context.Background()
	refuses := func(err error, want string) {
		t.Helper()
		if say := bot.Sentence(err, "ref"); err == nil || !strings.Contains(say, want) {
			t.Errorf("says %q, want %q", say, want)
		}
	}
	refuses(r.keeper.Confirm(ctx, r.call("ann", bot.FactorNone)), "nothing waits to be confirmed")
	refuses(r.keeper.Confirm(ctx, r.call("ann", bot.NoFactor)), "takes the code that your authenticator shows now")
	refuses(r.keeper.Enrol(ctx, r.call("", bot.NoFactor)), "belongs to no declared person")

	// A secret is good for ten minutes, and the newest one alone.
	old := r.enrol("ann", bot.NoFactor)
	secret := r.enrol("ann", bot.NoFactor)
	if f := r.check(r.keeper, "ann", r.code(old, 0), "m", true); f != bot.FactorWrong {
		t.Errorf("of the secret before: %q", f)
	}
	r.clock.Advance(10 * time.Minute)
	if f := r.check(r.keeper, "ann", r.code(secret, 0), "m", true); f != bot.FactorNone {
		t.Errorf("ten minutes later: %q", f)
	}

	// Replaced between its code and its confirmation, it does not count.
	secret = r.enrol("ann", bot.NoFactor)
	c := r.call("ann", bot.NoFactor)
	c.Factor = r.check(r.keeper, "ann", r.code(secret, 0), c.Message, true)
	r.enrol("ann", bot.NoFactor)
	refuses(r.keeper.Confirm(ctx, c), "the secret was replaced or reset meanwhile")

	// The present one is asked for before there is another, and counts until then.
	r.clock.Advance(time.Minute)
	secret = r.enrolled("ann")
	refuses(r.keeper.Enrol(ctx, r.call("ann", bot.NoFactor)), "show a code of the present one: totp enrol --code 123456")
	refuses(r.keeper.Enrol(ctx, r.call("ann", bot.FactorNew)), "show a code of the present one")
	next := r.enrol("ann", bot.FactorTOTP)
	if f := r.check(r.keeper, "ann", r.code(secret, 0), "m", false); f != bot.FactorTOTP {
		t.Errorf("the old one, before the new one is confirmed: %q", f)
	}
	r.confirm("ann", r.code(next, 0))
	if f := r.check(r.keeper, "ann", r.code(secret, 1), "m", false); f != bot.FactorWrong {
		t.Errorf("the old one, after that: %q", f)
	}
	if f := r.check(r.keeper, "ann", r.code(next, 1), "m", false); f != bot.FactorTOTP {
		t.Errorf("the new one: %q", f)
	}

	// What cannot be shown to one alone is void.
	r.broken = &bot.Error{Kind: bot.Internal, Say: "gone", Err: errors.New("could not send SECRET")}
	err := r.keeper.Enrol(ctx, r.call("bob", bot.NoFactor))
	refuses(err, "the secret could not be shown to you alone, so it is void")
	if strings.Contains(err.Error(), "SECRET") {
		t.Errorf("the error quotes what was to be shown: %v", err)
	}
	r.broken = &bot.Error{Kind: bot.Timeout, Say: "no answer", Err: errors.New("could not send SECRET")}
	refuses(r.keeper.Enrol(ctx, r.call("eve", bot.NoFactor)), "if you saw none, type totp enrol again")
	if f := r.check(r.keeper, "eve", "123456", "m", true); f != bot.FactorWrong {
		t.Errorf("of a secret that may have been seen: %q", f)
	}
	if f := r.check(r.keeper, "bob", "123456", "m", true); f != bot.FactorNone {
		t.Errorf("of a secret that nobody saw: %q", f)
	}
}

// TestReset: another person ends it, and what was enrolled anew since stays.
func TestReset(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx := context.Background()
	w := stepup.NewResetWorkflow(r.keeper)
	if _, err := r.keeper.PlanReset(ctx, r.call("ann", bot.FactorTOTP), "ann"); bot.KindOf(err) != bot.Denied {
		t.Errorf("one's own: %v", err)
	}
	if p, err := r.keeper.PlanReset(ctx, r.call("sre", bot.NoFactor), "ann"); err != nil || p.Noop != "ann has no second factor" {
		t.Errorf("of nobody: %+v, %v", p, err)
	}
	secret := r.enrolled("ann")
	p, err := r.keeper.PlanReset(ctx, r.call("sre", bot.NoFactor), "ann")
	if err != nil {
		t.Fatal(err)
	}
	advance := func() {
		t.Helper()
		h, err := w.Begin(p.Spec, bot.Task{Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		if _, progress, err := w.Advance(ctx, h); err != nil || progress.State != bot.OpSucceeded {
			t.Fatalf("%+v, %v", progress, err)
		}
	}
	advance()
	if f := r.check(r.keeper, "ann", r.code(secret, 0), "m", false); f != bot.FactorNone {
		t.Errorf("after the reset: %q", f)
	}
	secret = r.enrolled("ann")
	advance() // as after a crash
	if f := r.check(r.keeper, "ann", r.code(secret, 0), "m", false); f != bot.FactorTOTP {
		t.Errorf("the reset of before took what was enrolled since: %q", f)
	}
}

// TestKey: a key that was lost or replaced is told from one that was never there,
// and no code counts until it is back.
func TestKey(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx := context.Background()
	path := filepath.Join(r.dir, "totp.key")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	secret := r.enrolled("ann")
	again, err := stepup.OpenKey(path, true)
	if err != nil || again.ID() != r.key.ID() || strings.Contains(fmt.Sprintf("%v %+v %#v", again, again, again), "[]byte") {
		t.Errorf("read again: %v, %v", again, err)
	}
	if f := r.check(r.replica(again, nil), "ann", r.code(secret, 0), "m", false); f != bot.FactorTOTP {
		t.Errorf("after a restart: %q", f)
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	_, lost := stepup.OpenKey(path, true)
	if bot.KindOf(lost) != bot.NotFound || !strings.Contains(bot.Sentence(lost, ""), "is gone, and people are enrolled under it; put it back from a copy") {
		t.Errorf("lost: %v", lost)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a new key was made over a lost one")
	}
	without := r.replica(stepup.Key{}, lost)
	if f := r.check(without, "ann", r.code(secret, 1), "m", false); f != bot.FactorLost {
		t.Errorf("without its key: %q", f)
	}
	if err := without.Enrol(ctx, r.call("ann", bot.FactorTOTP)); !strings.Contains(bot.Sentence(err, ""), "cannot be read with the key there is") {
		t.Errorf("without its key: %v", err)
	}
	other, err := stepup.OpenKey(filepath.Join(r.dir, "other.key"), false)
	if err != nil {
		t.Fatal(err)
	}
	replaced := r.replica(other, nil)
	if f := r.check(replaced, "ann", r.code(secret, 1), "m", false); f != bot.FactorLost {
		t.Errorf("with another key: %q", f)
	}
	if err := replaced.Enrol(ctx, r.call("ann", bot.NoFactor)); !strings.Contains(bot.Sentence(err, ""), "put the old key back, or have another person type totp reset") {
		t.Errorf("with another key: %v", err)
	}
	if held, unread, err := stepup.Enrolled(ctx, r.store, other); held != 1 || unread != 1 || err != nil {
		t.Errorf("with another key: %d enrolled, %d of them unreadable, %v", held, unread, err)
	}
	if p, err := replaced.PlanReset(ctx, r.call("sre", bot.NoFactor), "ann"); err != nil || p.Noop != "" || p.Preview[0].Value != "enrolled under a key that is not there" {
		t.Errorf("cannot be reset: %+v, %v", p, err)
	}
	// Put back, all is as it was.
	if err := os.WriteFile(path, kept, 0o600); err != nil {
		t.Fatal(err)
	}
	back, err := stepup.OpenKey(path, true)
	if err != nil {
		t.Fatal(err)
	}
	if f := r.check(r.replica(back, nil), "ann", r.code(secret, 1), "m", false); f != bot.FactorTOTP {
		t.Errorf("with its key again: %q", f)
	}
	// What others can read is no secret, and what is no key is none.
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := stepup.OpenKey(path, true); !strings.Contains(bot.Sentence(err, ""), "can be read by others (mode 0644); make it yours alone: chmod 600") {
		t.Errorf("read by all: %v", err)
	}
	if err := errors.Join(os.WriteFile(path, []byte("c2hvcnQ=\n"), 0o600), os.Chmod(path, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := stepup.OpenKey(path, true); !strings.Contains(bot.Sentence(err, ""), "holds no key of second factors") {
		t.Errorf("too short: %v", err)
	}
}

// TestForged: who can write into the database cannot give a person's authenticator
// to another, nor undo that a code was used, without the key.
func TestForged(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	secret := r.enrolled("ann")
	put := func(person string, change func(body []byte) []byte) {
		t.Helper()
		err := r.store.Update(context.Background(), func(tx store.Tx) error {
			doc, _, err := tx.Document(stepup.Kind, "ann")
			if err != nil {
				return err
			}
			there, _, err := tx.Document(stepup.Kind, person)
			if err != nil {
				return err
			}
			_, err = tx.PutDocument(bot.Document{Kind: stepup.Kind, ID: person, Rev: there.Rev, Body: change(bytes.Clone(doc.Body))})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	put("eve", func(body []byte) []byte { return body })
	if f := r.check(r.keeper, "eve", r.code(secret, 0), "m", false); f != bot.FactorLost {
		t.Errorf("another's enrolment: %q", f)
	}
	put("ann", func(body []byte) []byte { return bytes.Replace(body, []byte(`"id":"`), []byte(`"id":"z`), 1) })
	if f := r.check(r.keeper, "ann", r.code(secret, 0), "m", false); f != bot.FactorLost {
		t.Errorf("with another name: %q", f)
	}
}

// TestNothingTells looks for secrets and codes in whatever is left behind.
func TestNothingTells(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	secret := r.enrolled("ann")
	used := r.code(secret, 0)
	r.check(r.keeper, "ann", used, "m", false)
	again := r.enrol("ann", bot.FactorTOTP)
	r.broken = errors.New("no")
	if err := r.keeper.Enrol(context.Background(), r.call("bob", bot.NoFactor)); err == nil {
		t.Fatal("a secret was shown that could not be")
	}
	files, err := filepath.Glob(filepath.Join(r.dir, "q.db*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%q, %v: the database and its log are to be looked through", files, err)
	}
	all := map[string][]byte{"the log": r.logged.Bytes()}
	for _, name := range files {
		if all[name], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	for name, raw := range all {
		for _, s := range []string{secret, again, secret[:4] + " " + secret[4:8], "otpauth:", `"` + used + `"`} {
			if bytes.Contains(raw, []byte(s)) {
				t.Errorf("%s holds %q", name, s)
			}
		}
	}
}
