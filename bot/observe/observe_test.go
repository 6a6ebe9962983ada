package observe_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/observe"
	"quarterdeck/bot/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var prod = bot.Target{Service: "shop", Environment: "prod"}

const slot = "shop/prod count"

// count is a source of one number, which its tests set.
type count struct {
	mu     sync.Mutex
	seen   observe.Seen
	err    error
	basis  string
	settle time.Duration
	during func() // called in the middle of a look
}

func (c *count) set(value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = observe.Seen{Value: value, Text: value + " instances"}
}

func (c *count) Fact() string { return "count" }

func (c *count) Subjects() []observe.Subject {
	c.mu.Lock()
	defer c.mu.Unlock()
	return []observe.Subject{{Name: "shop/prod", Target: prod, Slot: slot, Basis: c.basis}}
}

func (c *count) Look(context.Context, observe.Subject) (observe.Seen, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.during != nil {
		c.during()
	}
	return c.seen, c.err
}

func (c *count) Settle(observe.Subject) time.Duration { return c.settle }

// Explains takes the summary of a run for the number that it set.
func (c *count) Explains(r bot.Run, now observe.Seen) bool { return r.Plan.Summary == now.Value }

func (c *count) Left(r bot.Run) (observe.Seen, bool) {
	return observe.Seen{Value: r.Plan.Summary, Text: r.Plan.Summary + " instances"}, r.State == bot.Succeeded
}

func (c *count) Says(x observe.Change) string { return x.Was.Text + " became " + x.Now.Text }

func (c *count) Keep(x observe.Change) ([]bot.Document, error) {
	return []bot.Document{{Kind: "kept", ID: x.Subject.Name + x.Was.Value + "-" + x.Now.Value, Body: []byte("{}")}}, nil
}

// world is a store with runs, looked at by any number of watchers.
type world struct {
	t     *testing.T
	store store.Store
	clock *bottest.Clock
	log   *audit.Log
	count *count
	runs  map[int64]bot.Run
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s, err := sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, store: s, clock: bottest.NewClock(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)), count: &count{}, runs: map[int64]bot.Run{}}
	w.log = audit.New(audit.Config{Store: s, Clock: w.clock})
	w.count.set("3")
	return w
}

func (w *world) watcher() *observe.Watcher {
	return &observe.Watcher{Sources: []observe.Source{w.count}, Store: w.store, Runs: known{w}, Recorder: w.log, Clock: w.clock,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Every: time.Hour, Timeout: time.Minute, Jitter: func() float64 { return 0.5 }}
}

// known gives the runs of a world as the engine does.
type known struct{ w *world }

func (k known) Get(context.Context, int64) (bot.Run, error) { return bot.Run{}, nil }

func (k known) Answer(context.Context, bot.Call, bot.Answer, int64) (bot.Reply, error) {
	return bot.Reply{}, nil
}

func (k known) Runs(ctx context.Context, f bot.RunFilter) (all []bot.Run, err error) {
	err = k.w.store.View(ctx, func(r store.Reader) error {
		rows, err := r.Runs(f)
		for _, row := range rows {
			var run bot.Run
			if err := json.Unmarshal(row.Body, &run); err != nil {
				return err
			}
			all = append(all, run)
		}
		return err
	})
	return all, err
}

// run writes a run of the slot that sets the number to value.
func (w *world) run(number int64, state bot.RunState, value string) {
	w.t.Helper()
	r := bot.Run{Number: number, State: state, Acted: state != bot.Waiting, Started: w.clock.Now(), Ended: w.clock.Now(), Plan: bot.Plan{Slot: slot, Summary: value}}
	body, err := json.Marshal(r)
	if err != nil {
		w.t.Fatal(err)
	}
	err = w.store.Update(context.Background(), func(tx store.Tx) error {
		old, _, err := tx.Run(number)
		if err != nil {
			return err
		}
		_, err = tx.PutRun(store.RunRow{Number: number, Rev: old.Rev, State: state, Target: prod.String(), Slot: slot,
			Holds: state == bot.Running || state == bot.Cancelling, Created: r.Started, Body: body})
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// observed gives what was recorded, oldest first.
func (w *world) observed() string {
	w.t.Helper()
	records, err := w.log.Records(context.Background(), bot.RecordFilter{Kind: bot.ObservedKind, Limit: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	var says []string
	for _, r := range records {
		says = append([]string{r.Text["result"]}, says...)
	}
	return strings.Join(says, "; ")
}

func (w *world) want(says string) {
	w.t.Helper()
	if got := w.observed(); got != says {
		w.t.Errorf("observed are %q, want %q", got, says)
	}
}

// What was seen first is nothing new; what changes after is, once, over
// restarts.
func TestNoticed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.watcher().Round(t.Context())
	w.want("")
	w.count.set("5")
	w.watcher().Round(t.Context())
	w.watcher().Round(t.Context())
	w.want("3 instances became 5 instances")
	w.count.set("3")
	w.watcher().Round(t.Context())
	w.want("3 instances became 5 instances; 5 instances became 3 instances")
	err := w.store.View(t.Context(), func(r store.Reader) error {
		for _, id := range []string{"shop/prod3-5", "shop/prod5-3"} {
			if _, found, err := r.Document("kept", id); err != nil || !found {
				t.Errorf("%s is not kept (%v)", id, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	records, err := w.log.Records(t.Context(), bot.RecordFilter{Kind: bot.ObservedKind})
	if err != nil || records[0].Target != "shop/prod" || records[0].Words("summary") != "shop/prod: 5 instances -> 3 instances" {
		t.Errorf("recorded %+v (%v)", records, err)
	}
}

// The bot's own doing is not another's: not while a run holds the slot, not
// right after, and not what it left.
func TestOwnDoing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.count.settle = time.Second
	w.watcher().Round(t.Context())
	w.run(1, bot.Running, "4")
	w.count.set("4")
	w.watcher().Round(t.Context())
	w.run(1, bot.Succeeded, "4")
	w.count.set("3") // not visible yet
	w.watcher().Round(t.Context())
	w.want("")
	w.clock.Set(w.clock.Now().Add(time.Minute))
	w.count.set("4")
	w.watcher().Round(t.Context())
	w.want("")
	// Somebody else goes back to what the run had left: it explains nothing any more.
	w.count.set("3")
	w.watcher().Round(t.Context())
	w.want("4 instances became 3 instances")
	w.count.set("4")
	w.watcher().Round(t.Context())
	w.want("4 instances became 3 instances; 3 instances became 4 instances")
	// A run that did not do what is there does not explain it.
	w.run(2, bot.Failed, "7")
	w.clock.Set(w.clock.Now().Add(time.Minute))
	w.count.set("6")
	w.watcher().Round(t.Context())
	w.want("4 instances became 3 instances; 3 instances became 4 instances; 4 instances became 6 instances")
	// What is told to have been replaced is what the newest run left.
	w.run(4, bot.Succeeded, "2")
	w.clock.Set(w.clock.Now().Add(time.Minute))
	w.watcher().Round(t.Context())
	if got := w.observed(); !strings.HasSuffix(got, "2 instances became 6 instances") {
		t.Errorf("observed are %q", got)
	}
	// One that waits for a person has done nothing.
	w.run(3, bot.Waiting, "9")
	w.count.set("9")
	w.watcher().Round(t.Context())
	if got := w.observed(); !strings.HasSuffix(got, "6 instances became 9 instances") {
		t.Errorf("observed are %q", got)
	}
}

// A run that begins, or comes and goes, in the middle of a look makes it worth
// nothing.
func TestRunDuringLook(t *testing.T) {
	t.Parallel()
	for _, state := range []bot.RunState{bot.Running, bot.Succeeded} {
		w := newWorld(t)
		w.watcher().Round(t.Context())
		w.count.during = func() {
			w.run(1, bot.Running, "4")
			if state != bot.Running {
				w.run(1, state, "4")
			}
			w.count.seen.Value = "4"
		}
		w.watcher().Round(t.Context())
		w.want("")
		w.count.during = nil
		w.run(1, bot.Succeeded, "4")
		w.watcher().Round(t.Context())
		w.want("")
	}
}

// A source that is down, that is being changed, or that shows nothing is not
// judged; what may be passing is when it stays.
func TestNotJudged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := w.watcher()
	one.Round(t.Context())
	for _, c := range []struct {
		seen observe.Seen
		err  error
	}{
		{observe.Seen{}, bot.Errorf(bot.Unavailable, "it is down")},
		{observe.Seen{Value: "9"}, bot.Errorf(bot.Internal, "a fault")},
		{observe.Seen{Value: "9", Moving: true}, nil},
		{observe.Seen{}, nil},
	} {
		w.count.seen, w.count.err = c.seen, c.err
		one.Round(t.Context())
		one.Round(t.Context())
	}
	w.count.err = nil
	for _, value := range []string{"3 or 4", "4 or 5"} {
		w.count.seen = observe.Seen{Value: value, Text: value, Passing: true}
		one.Round(t.Context())
	}
	w.want("")
	one.Round(t.Context())
	w.want("3 instances became 4 or 5")
	w.count.during = func() { panic("a fault of the source") }
	one.Round(t.Context())
	w.count.during = nil
	w.count.basis = "another configuration"
	w.count.set("8")
	one.Round(t.Context())
	w.want("3 instances became 4 or 5")
}

// Many processes that see the same change tell of it once.
func TestManyWatchers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.watcher().Round(t.Context())
	w.count.set("5")
	var parts sync.WaitGroup
	for range 8 {
		one := w.watcher()
		parts.Go(func() { one.Round(t.Context()) })
	}
	parts.Wait()
	w.want("3 instances became 5 instances")
}

// A Watcher that is woken looks at once.
func TestWake(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := w.watcher()
	told := make(chan struct{}, 1)
	one.Posted = func() { told <- struct{}{} }
	first := make(chan struct{}, 10)
	w.count.during = func() { first <- struct{}{} }
	ctx, stop := context.WithCancel(t.Context())
	var parts sync.WaitGroup
	parts.Go(func() { _ = one.Run(ctx) })
	<-first
	for seen := false; !seen; { // until the first value is noted
		err := w.store.View(ctx, func(r store.Reader) (err error) {
			_, seen, err = r.Document("observed", "count/shop/prod")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	w.count.set("5")
	one.Wake()
	<-told
	stop()
	parts.Wait()
	w.want("3 instances became 5 instances")
}
