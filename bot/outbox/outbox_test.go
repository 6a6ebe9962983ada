package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarterdeck/bot"
	"quarterdeck/bot/outbox"
	"quarterdeck/bot/store"
)

func TestInOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var want []string
	for i := range 30 {
		title := fmt.Sprint("post ", i)
		want = append(want, title)
		r.enqueue(ordered(card(fmt.Sprint("k", i), 0, title), "chat:audit"), card(fmt.Sprint("k", i), 0, title))
	}
	r.start(r.deliverer())
	r.empty()
	r.wantTitles("chat:audit", want...)
	r.wantTitles("chat:ops", want...)
}

// Every error that may pass is tried again, later and later, or when the
// network says.
func TestBackoff(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		err   error
		waits []time.Duration
	}{
		{"unavailable", bot.Errorf(bot.Unavailable, "down"), []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second, time.Minute, time.Minute}},
		{"timeout", context.DeadlineExceeded, []time.Duration{time.Second, 2 * time.Second}},
		{"busy", &bot.Error{Kind: bot.Busy, RetryAfter: 7 * time.Second}, []time.Duration{7 * time.Second, 7 * time.Second}},
		{"wrapped", fmt.Errorf("post: %w", &bot.Error{Kind: bot.Unavailable, RetryAfter: 9 * time.Second}), []time.Duration{9 * time.Second}},
		{"unclassified", errors.New("EOF"), []time.Duration{time.Second, 2 * time.Second}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.chat.answers(func(bot.Delivery) error { return c.err })
			r.enqueue(ordered(card("a", 0, "a"), "chat:ops"))
			d := r.deliverer()
			r.start(d)
			for i, wait := range c.waits {
				r.await("a try", func() bool { return len(r.chat.all()) == i+1 && r.tries() == i+1 })
				if got := r.next().Sub(r.clock.Now()); got != wait {
					t.Fatalf("try %d is followed by a pause of %s, want %s", i+1, got, wait)
				}
				r.clock.Advance(wait)
				d.Wake()
			}
			r.chat.answers(nil)
			r.clock.Advance(time.Minute)
			d.Wake()
			r.empty()
		})
	}
}

// pending gives the only card in the outbox.
func (r *rig) pending() store.Outgoing {
	r.t.Helper()
	all := r.allPending()
	if len(all) != 1 {
		r.t.Fatalf("%d cards are pending", len(all))
	}
	return all[0]
}

// triesOf says how often a pending card was tried in vain.
func (r *rig) triesOf(key string) int {
	r.t.Helper()
	for _, o := range r.allPending() {
		if o.Key == key {
			return o.Tries
		}
	}
	return 0
}

func (r *rig) tries() int { return r.pending().Tries }

func (r *rig) next() time.Time { return r.pending().NextAt }

// In an ordered channel nothing overtakes a card that waits; elsewhere the
// others pass it.
func TestNothingOvertakesAnOrderedCard(t *testing.T) {
	t.Parallel()
	for _, inOrder := range []bool{true, false} {
		t.Run(fmt.Sprint("ordered ", inOrder), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.chat.answers(func(d bot.Delivery) error {
				if d.Card.Title == "first" {
					return bot.Errorf(bot.Unavailable, "down")
				}
				return nil
			})
			for _, title := range []string{"first", "second", "third"} {
				o := card(title, 0, title)
				o.Channel, o.Ordered = "chat:ops", inOrder
				r.enqueue(o)
			}
			r.enqueue(ordered(card("other", 0, "other"), "chat:elsewhere")) // is not held up
			d := r.deliverer()
			r.start(d)
			r.await("the other channel", func() bool { return len(r.chat.titles("chat:elsewhere")) == 1 })
			if inOrder {
				r.await("a try", func() bool { return r.triesOf("first") == 1 })
				r.clock.Advance(time.Second)
				d.Wake()
				r.await("a second try", func() bool { return r.triesOf("first") == 2 })
				r.wantTitles("chat:ops", "first", "first")
			} else {
				r.await("those behind", func() bool { return r.left() == 1 })
				r.wantTitles("chat:ops", "first", "second", "third")
			}
			r.chat.answers(nil)
			r.clock.Advance(time.Minute)
			d.Wake()
			r.empty()
			if got := r.chat.titles("chat:ops"); got[len(got)-1] == "first" == inOrder {
				t.Errorf("delivered %q", got)
			}
		})
	}
}

// A network that asks to be left alone is, with all cards of the channel.
func TestBusyRestsTheChannel(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chat.answers(func(d bot.Delivery) error {
		if d.Channel == "chat:ops" {
			return &bot.Error{Kind: bot.Busy, RetryAfter: 30 * time.Second}
		}
		return nil
	})
	for i := range 5 {
		r.enqueue(card(fmt.Sprint("k", i), 0, fmt.Sprint("post ", i)))
	}
	d := r.deliverer()
	r.start(d)
	r.await("a try", func() bool { return r.triesOf("k0") == 1 })
	r.clock.Advance(29 * time.Second)
	elsewhere := card("x", 0, "x")
	elsewhere.Channel = "chat:elsewhere"
	r.enqueue(elsewhere)
	d.Wake()
	r.await("the other channel", func() bool { return len(r.chat.titles("chat:elsewhere")) == 1 })
	r.wantTitles("chat:ops", "post 0")
	r.chat.answers(nil)
	r.clock.Advance(time.Second)
	d.Wake()
	r.empty()
	if got := r.chat.titles("chat:ops"); len(got) != 6 {
		t.Errorf("delivered %q", got)
	}
}

// What is refused for good leaves a gap where the order matters, and nothing
// elsewhere; the rest goes on.
func TestRefusedForGood(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chat.answers(func(d bot.Delivery) error {
		switch {
		case strings.HasPrefix(d.Card.Title, "bad"):
			return bot.Errorf(bot.Denied, "the bot was thrown out of the channel")
		case strings.HasPrefix(d.Card.Title, "panic"):
			panic("a fault of the adapter")
		}
		return nil
	})
	r.enqueue(ordered(card("a", 0, "bad a"), "chat:audit"), ordered(card("b", 0, "b"), "chat:audit"), ordered(card("c", 0, "panic c"), "chat:audit"),
		ordered(card("d", 0, "d"), "chat:audit"), ordered(card("e", 0, "e"), "nowhere:audit"), card("f", 0, "bad f"), card("g", 0, "g"))
	broken := ordered(card("h", 0, ""), "chat:audit")
	broken.Card = []byte("{")
	r.enqueue(broken)
	r.start(r.deliverer())
	r.empty()
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.Sort(r.gaps)
	want := []string{"chat:audit 1: the bot was thrown out of the channel", "chat:audit 3: internal error, ref outbox",
		"chat:audit 8: the stored card does not decode", `nowhere:audit 5: no chat network "nowhere" is configured`}
	if !slices.Equal(r.gaps, want) {
		t.Errorf("gaps %q, want %q", r.gaps, want)
	}
	r.wantTitles("chat:audit", "bad a", "b", "panic c", "d")
	r.wantTitles("chat:ops", "bad f", "g")
}

// An error that nobody classified is not tried for ever.
func TestUnclassifiedErrorsEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chat.answers(func(bot.Delivery) error { return errors.New("who knows") })
	r.enqueue(ordered(card("a", 0, "a"), "chat:audit"))
	d := r.deliverer()
	r.start(d)
	r.await("its end", func() bool {
		r.clock.Advance(time.Minute)
		d.Wake()
		return r.left() == 0
	})
	if n := len(r.chat.all()); n != 13 || len(r.gaps) != 1 {
		t.Errorf("%d tries, gaps %q", n, r.gaps)
	}
}

// A card for nobody is given up after a day, and one of the audit channel never.
func TestGivenUpAfterADay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chat.answers(func(bot.Delivery) error { return bot.Errorf(bot.Unavailable, "nobody is there") })
	r.enqueue(card("a", 0, "a"), ordered(card("b", 0, "b"), "chat:audit"))
	r.clock.Advance(25 * time.Hour)
	r.start(r.deliverer())
	r.await("one to be given up", func() bool { return r.left() == 1 && r.tries() > 0 })
	if o := r.pending(); o.Key != "b" || len(r.gaps) != 0 {
		t.Errorf("left is %+v, gaps %q", o, r.gaps)
	}
}

// Later versions edit the message of the first one, and replies go under the
// message that they are to go under.
func TestEditsAndThreads(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := r.deliverer()
	r.start(d)
	r.enqueue(card("run/1", 1, "asked"))
	d.Wake()
	r.empty()
	r.enqueue(card("run/1", 2, "done"))
	reply := card("", 0, "a detail")
	reply.Under = "run/1"
	r.enqueue(reply)
	placed := card("", 0, "elsewhere")
	placed.Under, placed.Thread = "run/1", "t9"
	private := card("reply/1", 0, "for you")
	private.To = "chat:dev"
	r.enqueue(placed, private)
	d.Wake()
	r.empty()
	got := map[string]bot.Delivery{}
	for _, p := range r.chat.all() {
		got[p.Card.Title] = p
	}
	if got["asked"].Ref != "" || got["done"].Ref != "m1" || got["a detail"].Thread != "m1" || got["a detail"].Ref != "" ||
		got["elsewhere"].Thread != "t9" || got["for you"].To != "chat:dev" {
		t.Errorf("delivered %+v", got)
	}
	version, found, err := r.shown("chat:ops", "run/1")
	if err != nil || !found || version != 2 {
		t.Errorf("shown is version %d (%v, %v)", version, found, err)
	}
	if _, found, err := r.shown("chat:elsewhere", "run/1"); found || err != nil {
		t.Errorf("shown where it never was (%v)", err)
	}
}

func (r *rig) shown(channel bot.ChannelID, key string) (version int64, found bool, err error) {
	err = r.store.View(context.Background(), func(rd store.Reader) (err error) {
		version, found, err = outbox.Shown(rd, channel, key)
		return err
	})
	return version, found, err
}

// Versions that came faster than they could be delivered become one; the newest
// is always the last to arrive.
func TestVersionsAreGathered(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	hold := make(chan struct{})
	var once sync.Once
	arrived := make(chan struct{})
	r.chat.answers(func(d bot.Delivery) error {
		if d.Card.Version == 1 {
			once.Do(func() { close(arrived) })
			<-hold
		}
		return nil
	})
	r.enqueue(card("run/1", 1, "v1"))
	d := r.deliverer()
	r.start(d)
	select {
	case <-arrived:
	case <-time.After(patience):
		t.Fatal("the first version never came")
	}
	for v := int64(2); v <= 20; v++ {
		r.enqueue(card("run/1", v, fmt.Sprint("v", v)))
	}
	close(hold)
	r.empty()
	r.wantTitles("chat:ops", "v1", "v20")
	if all := r.chat.all(); all[1].Ref != "m1" {
		t.Errorf("the newest was posted, not edited: %+v", all[1])
	}
}

// failing is a store whose writes fail while told so.
type failing struct {
	store.Store
	mu  sync.Mutex
	bad bool
	n   int
}

func (f *failing) Update(ctx context.Context, do func(tx store.Tx) error) error {
	f.mu.Lock()
	bad := f.bad
	if bad {
		f.n++
	}
	f.mu.Unlock()
	if bad {
		return bot.Errorf(bot.Unavailable, "the disk is full")
	}
	return f.Store.Update(ctx, do)
}

func (f *failing) set(bad bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bad = bad
}

// What was delivered but could not be noted, because the process died or the
// disk was full, is delivered again: once too often and never too seldom. It
// does not flood the channel meanwhile.
func TestDeliveredAtLeastOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := &failing{Store: r.store}
	first := r.deliverer()
	first.Store = f
	r.chat.answers(func(bot.Delivery) error { f.set(true); return nil })
	r.enqueue(ordered(card("a", 1, "a"), "chat:ops"), ordered(card("b", 1, "b"), "chat:ops"))
	stop := r.start(first)
	r.await("the commit to fail", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.n > 0
	})
	for range 20 { // the clock stands, so its channel rests
		first.Wake()
	}
	stop()
	r.wantTitles("chat:ops", "a")
	r.chat.answers(nil)
	r.start(r.deliverer())
	r.empty()
	r.wantTitles("chat:ops", "a", "a", "b")
}

// However much waits for a channel that takes nothing now, or is being written to,
// other channels get theirs.
func TestLongQueueHoldsUpNobody(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"resting", "at work"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			met, held := make(chan struct{}), make(chan struct{})
			var once sync.Once
			r.chat.answers(func(d bot.Delivery) error {
				switch {
				case d.Channel != "chat:crowded":
					return nil
				case how == "resting":
					once.Do(func() { close(met) })
					return &bot.Error{Kind: bot.Busy, RetryAfter: time.Hour}
				}
				once.Do(func() { close(met) })
				select {
				case <-held:
				case <-t.Context().Done():
				}
				return nil
			})
			var crowd []store.Outgoing
			for i := range 600 {
				o := card(fmt.Sprint("c", i), 1, "late")
				o.Channel = "chat:crowded"
				crowd = append(crowd, o)
			}
			r.enqueue(crowd...)
			stop := r.start(r.deliverer())
			<-met
			page := card("page", 1, "page")
			page.Channel = "chat:page"
			r.enqueue(page)
			r.await("the other channel's card", func() bool { return slices.Equal(r.chat.titles("chat:page"), []string{"page"}) })
			close(held)
			stop()
		})
	}
}

// A Deliverer that is told to stop notes what it has delivered.
func TestStopNotesWhatWasDelivered(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx, cancel := context.WithCancel(context.Background())
	r.chat.answers(func(bot.Delivery) error { cancel(); return nil })
	r.chat.mu.Lock()
	r.chat.refs = 0
	r.chat.mu.Unlock()
	r.enqueue(card("a", 1, "a"))
	d := r.deliverer()
	d.Chats = func(string) (bot.Chat, bool) { return deaf{r.chat}, true }
	if err := d.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if n := r.left(); n != 0 {
		t.Errorf("%d cards are left", n)
	}
}

// deaf is a network that delivers although its context ends.
type deaf struct{ *chat }

func (c deaf) Deliver(ctx context.Context, d bot.Delivery) (string, error) {
	return c.chat.Deliver(context.WithoutCancel(ctx), d)
}

// Where cards are is forgotten a month after the last delivery.
func TestForgotten(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := r.deliverer()
	stop := r.start(d)
	var cards []store.Outgoing
	for i := range 250 { // more than one batch
		cards = append(cards, card(fmt.Sprint("reply/", i), 0, "x"))
	}
	r.enqueue(append(cards, card("run/1", 1, "asked"))...)
	d.Wake()
	r.empty()
	r.clock.Advance(20 * 24 * time.Hour)
	r.enqueue(card("run/1", 2, "done"))
	d.Wake()
	r.empty()
	stop()
	r.clock.Advance(11 * 24 * time.Hour)
	again := r.deliverer()
	r.start(again)
	r.await("the old ones to be forgotten", func() bool { return r.documents("shown") == 1 })
	if version, found, err := r.shown("chat:ops", "run/1"); err != nil || !found || version != 2 {
		t.Errorf("the one that was edited since is version %d (%v, %v)", version, found, err)
	}
	r.clock.Advance(20 * 24 * time.Hour)
	again.Wake()
	r.await("the last one to be forgotten", func() bool { return r.documents("shown") == 0 && r.documents("shown-until") == 0 })
}

func (r *rig) documents(kind string) (n int) {
	r.t.Helper()
	err := r.store.View(context.Background(), func(rd store.Reader) error {
		docs, err := rd.Documents(kind, "", 1000, false)
		n = len(docs)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// TestRandomNetworks: whatever a network does, in the end every ordered post
// was delivered or left a gap, in order, and every keyed card shows its newest
// version.
func TestRandomNetworks(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		channel := bot.ChannelID(fmt.Sprint("chat:audit", round))
		ops := bot.ChannelID(fmt.Sprint("chat:ops", round))
		script := rapid.SliceOfN(rapid.SampledFrom([]string{"ok", "ok", "down", "busy", "bad", "panic", "odd"}), 0, 30).Draw(rt, "script")
		var mu sync.Mutex
		step, lost := 0, map[string]bool{}
		var got []string
		newest := map[string]int64{}
		r.chat.answers(func(d bot.Delivery) error {
			if d.Channel != channel && d.Channel != ops {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			what := "ok"
			if step < len(script) {
				what = script[step]
			}
			step++
			switch what {
			case "down":
				return bot.Errorf(bot.Unavailable, "down")
			case "busy":
				return &bot.Error{Kind: bot.Busy, RetryAfter: 3 * time.Second}
			case "odd":
				return errors.New("odd")
			case "bad", "panic":
				lost[d.Card.Title] = true
				if what == "panic" {
					panic("odd")
				}
				return bot.Errorf(bot.Invalid, "too long")
			}
			if d.Channel == channel {
				got = append(got, d.Card.Title)
			} else {
				if newest[d.Card.Key] > d.Card.Version {
					rt.Errorf("%s went back from %d to %d", d.Card.Key, newest[d.Card.Key], d.Card.Version)
				}
				newest[d.Card.Key] = d.Card.Version
			}
			return nil
		})
		d := r.deliverer()
		stop := r.start(d)
		var want []string
		version := int64(0)
		for i := range rapid.IntRange(1, 12).Draw(rt, "cards") {
			title := fmt.Sprint("post ", i)
			want = append(want, title)
			version++
			edit := card("run/1", version, fmt.Sprint("edit ", version))
			edit.Channel = ops
			r.enqueue(ordered(card(fmt.Sprint(round, "/", i), 0, title), channel), edit)
			d.Wake()
		}
		r.await("an empty outbox", func() bool {
			r.clock.Advance(20 * time.Second)
			d.Wake()
			return r.left() == 0
		})
		stop()
		want = slices.DeleteFunc(want, func(title string) bool { return lost[title] })
		if !slices.Equal(got, want) {
			rt.Fatalf("delivered %q, want %q", got, want)
		}
		if last := fmt.Sprint("edit ", version); newest["run/1"] != version && !lost[last] {
			rt.Fatalf("the card shows version %d of %d", newest["run/1"], version)
		}
	})
}
