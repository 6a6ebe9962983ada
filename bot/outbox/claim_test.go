package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/outbox"
	"quarterdeck/bot/store"
)

func (r *rig) replica(owner string) *outbox.Deliverer {
	d := r.deliverer()
	d.Owner = owner
	return d
}

// TestReplicasKeepTheOrder: three deliver from one outbox; every card of every
// channel comes once, and in its order.
func TestReplicasKeepTheOrder(t *testing.T) {
	r := newRig(t)
	want := map[bot.ChannelID][]string{}
	for i := range 3 {
		r.start(r.replica(fmt.Sprint(i)))
	}
	for n := range 60 {
		for _, c := range []bot.ChannelID{"chat:audit", "chat:other"} {
			title := fmt.Sprintf("%s %d", c, n)
			want[c] = append(want[c], title)
			r.enqueue(ordered(card("", 0, title), c))
		}
	}
	r.empty()
	for c, titles := range want {
		r.wantTitles(c, titles...)
	}
}

// severed is a store that cannot be reached while cut.
type severed struct {
	store.Store
	cut atomic.Bool
}

func (s *severed) Update(ctx context.Context, f func(tx store.Tx) error) error {
	if s.cut.Load() {
		return &bot.Error{Op: "test", Kind: bot.Unavailable, Err: errors.New("cut off")}
	}
	return s.Store.Update(ctx, f)
}

// TestClaimLostInTheMiddle: a replica posts a card and is cut off before it can
// note that. Another takes the channel over once the claim is over, posts the
// card again and those behind it; the first, back again, notes nothing of what
// is not its own any more, and no card comes after a newer one.
func TestClaimLostInTheMiddle(t *testing.T) {
	r := newRig(t)
	reached, leave := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	r.chat.answers(func(d bot.Delivery) error {
		if first.CompareAndSwap(false, true) {
			close(reached)
			<-leave
		}
		return nil
	})
	a := r.replica("a")
	own := &severed{Store: r.store}
	a.Store = own
	r.start(a)
	for n := range 3 {
		r.enqueue(ordered(card("", 0, fmt.Sprint(n)), "chat:audit"))
	}
	<-reached
	own.cut.Store(true)
	r.start(r.replica("b"))
	other := card("", 0, "elsewhere")
	other.Channel = "chat:free"
	r.enqueue(other)
	r.await("what nobody claims", func() bool { return len(r.chat.titles("chat:free")) == 1 })
	r.wantTitles("chat:audit", "0")
	r.clock.Advance(10 * time.Second)
	r.empty()
	r.wantTitles("chat:audit", "0", "0", "1", "2")
	own.cut.Store(false)
	close(leave)
	r.enqueue(ordered(card("", 0, "3"), "chat:audit"))
	r.empty()
	r.await("the last", func() bool { return slices.Contains(r.chat.titles("chat:audit"), "3") })
	r.wantTitles("chat:audit", "0", "0", "1", "2", "3")
}

// connected is a chat of sessions, each connected to one replica.
type connected struct {
	*chat
	here bot.ChannelID
}

func (s connected) Kept() time.Duration { return 10 * time.Minute }

func (s connected) Has(c bot.ChannelID) bool { return c == s.here }

func (s connected) Deliver(ctx context.Context, d bot.Delivery) (string, error) {
	if !s.Has(d.Channel) {
		return "", bot.Errorf(bot.Unavailable, "the session is not connected")
	}
	return s.chat.Deliver(ctx, d)
}

// TestSessionOfAnotherReplica: a card for a session goes by the replica to which
// it is connected, whoever enqueued it; one for nobody's waits.
func TestSessionOfAnotherReplica(t *testing.T) {
	r := newRig(t)
	networks := map[string]*chat{"a": {}, "b": {}}
	for owner, network := range networks {
		d := r.replica(owner)
		d.Chats = func(string) (bot.Chat, bool) { return connected{network, bot.ChannelID("chat:" + owner)}, true }
		r.start(d)
	}
	for n := range 20 {
		for _, c := range []bot.ChannelID{"chat:a", "chat:b", "chat:gone"} {
			o := card("", 0, fmt.Sprint(n))
			o.Channel = c
			r.enqueue(o)
		}
	}
	r.await("both sessions", func() bool {
		return len(networks["a"].titles("chat:a")) == 20 && len(networks["b"].titles("chat:b")) == 20
	})
	if len(networks["a"].all()) != 20 || len(networks["b"].all()) != 20 {
		t.Errorf("%d and %d cards were delivered", len(networks["a"].all()), len(networks["b"].all()))
	}
	r.await("only the third left", func() bool { return r.left() == 20 })
}
