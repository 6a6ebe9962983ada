package bottest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"quarterdeck/bot"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFriendly(t *testing.T) {
	Conversations(t, func(t *testing.T) *World { return friendly(t, faults{}) })
}

func TestHostile(t *testing.T) {
	Conversations(t, func(t *testing.T) *World { return hostile(t, faults{}) })
}

// TestFaultsAreNoticed breaks the small bot in one way at a time. A suite that
// passes a broken bot is worth nothing.
func TestFaultsAreNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		faults
		hostileOnly bool // what a friendly network never brings about
	}{
		"runs edits":           {faults: faults{runsEdits: true}},
		"runs twice":           {faults: faults{runsTwice: true}},
		"own approval":         {faults: faults{ownApproval: true}},
		"skips confirmation":   {faults: faults{skipConfirm: true}},
		"guests may":           {faults: faults{guestsMay: true}},
		"hints at strangers":   {faults: faults{hintsAtStrangers: true}},
		"old buttons work":     {faults: faults{oldButtons: true}},
		"acts before asked":    {faults: faults{actsEarly: true}},
		"ignores a denial":     {faults: faults{ignoresDeny: true}},
		"forgets what is bad":  {faults: faults{forgetsBad: true}},
		"gives no hint":        {faults: faults{silentHelp: true}},
		"acknowledges alike":   {faults: faults{staleAck: true}},
		"shows private things": {faults: faults{publicRefusals: true}, hostileOnly: true},
		"answers edits":        {faults: faults{answersEdits: true}, hostileOnly: true},
		"goes back a version":  {faults: faults{oldVersions: true}, hostileOnly: true},
	} {
		t.Run(name, func(t *testing.T) {
			if !c.hostileOnly && len(complaints(t, friendly, c.faults)) == 0 {
				t.Error("no conversation on the friendly network noticed")
			}
			if len(complaints(t, hostile, c.faults)) == 0 {
				t.Error("no conversation on the hostile network noticed")
			}
		})
	}
}

// complaints runs the conversations and gives what was wrong first. Waits that the
// fault makes hopeless end soon.
func complaints(t *testing.T, make func(*testing.T, faults) *World, f faults) []string {
	var found []string
	for _, c := range All() {
		w := make(t, f)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		if err := c.Run(ctx, w); err != nil && ctx.Err() == nil {
			found = append(found, c.Name+": "+err.Error())
		}
		cancel()
		if h, ok := w.Chat.(*HostileChat); ok {
			found = append(found, h.Violations()...)
		}
		if len(found) > 0 {
			return found
		}
	}
	return found
}

func TestWaitSaysWhatWasThere(t *testing.T) {
	chat := NewFakeChat("x", NewClock(time.Unix(0, 0)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := chat.Wait(ctx, "a miracle", func(Post) bool { return false })
	if err == nil || !strings.Contains(err.Error(), "a miracle") || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("Wait gave %v", err)
	}
	if _, err := chat.Deliver(t.Context(), bot.Delivery{Channel: "x:main", Card: bot.Card{Key: "k", Title: "something else"}}); err != nil {
		t.Fatal(err)
	}
	if _, err = chat.Wait(ctx, "a miracle", func(Post) bool { return false }); err == nil || !strings.Contains(err.Error(), "something else") {
		t.Errorf("Wait gave %v", err)
	}
}

func TestDeliverEditsInPlace(t *testing.T) {
	chat := NewFakeChat("x", NewClock(time.Unix(0, 0)))
	card := bot.Card{Key: "run/1", Version: 1, Buttons: []bot.Button{{Line: "confirm 1", Token: "a"}}}
	ref, err := chat.Deliver(t.Context(), bot.Delivery{Channel: "x:main", Card: card})
	if err != nil {
		t.Fatal(err)
	}
	card.Version, card.Buttons = 2, []bot.Button{{Line: "approve 1", Token: "b"}}
	if _, err := chat.Deliver(t.Context(), bot.Delivery{Channel: "x:main", Ref: ref, Card: card}); err != nil {
		t.Fatal(err)
	}
	posts := chat.Posts()
	if len(posts) != 1 || posts[0].Edits != 1 || posts[0].Card.Version != 2 {
		t.Errorf("posts are %+v, want one, edited once", posts)
	}
	if stale := chat.Stale("run/1"); len(stale) != 1 || stale[0] != "a" {
		t.Errorf("stale tokens are %v, want a", stale)
	}
	if _, err := chat.Deliver(t.Context(), bot.Delivery{Channel: "x:main", Ref: "post-9", Card: card}); bot.KindOf(err) != bot.NotFound {
		t.Errorf("editing nothing gave %v, want NotFound", err)
	}
	if _, err := chat.Deliver(t.Context(), bot.Delivery{Channel: "y:main", Card: card}); bot.KindOf(err) != bot.Invalid {
		t.Errorf("another network's channel gave %v, want Invalid", err)
	}
}

// TestHostileFaults keeps the hostile network hostile: all three kinds of
// trouble come, each card gets through in the end, and one of them twice.
func TestHostileFaults(t *testing.T) {
	chat := NewHostileChat("x", bot.SystemClock{})
	kinds := map[bot.Kind]int{}
	for i := range 20 {
		d := bot.Delivery{Channel: bot.ChannelID(fmt.Sprintf("x:%d", i)), Card: bot.Card{Key: fmt.Sprint("k", i), Version: 1}}
		for tries := 0; ; tries++ {
			_, err := chat.Deliver(t.Context(), d)
			if err == nil {
				break
			}
			kinds[bot.KindOf(err)]++
			if bot.KindOf(err) == bot.Busy {
				var wait *bot.Error
				if !asError(err, &wait) || wait.RetryAfter <= 0 {
					t.Fatalf("Busy without a time to wait: %v", err)
				}
				tries = 0
			}
			if tries > 10 {
				t.Fatalf("card %d never got through", i)
			}
		}
	}
	for _, k := range []bot.Kind{bot.Unavailable, bot.Timeout, bot.Busy} {
		if kinds[k] == 0 {
			t.Errorf("no delivery failed as %s", k)
		}
	}
	seen := map[string]int{}
	for _, p := range chat.Posts() {
		seen[p.Card.Key]++
	}
	if len(seen) != 20 || len(chat.Posts()) == 20 {
		t.Errorf("%d cards in %d posts; want 20 cards, some of them twice", len(seen), len(chat.Posts()))
	}
	chat.Ban("x:gone")
	for range 3 {
		if _, err := chat.Deliver(t.Context(), bot.Delivery{Channel: "x:gone"}); bot.KindOf(err) != bot.NotFound {
			t.Errorf("a banned channel gave %v, want NotFound", err)
		}
	}
}

func asError(err error, target **bot.Error) bool {
	e, ok := err.(*bot.Error)
	*target = e
	return ok
}

// slow acknowledges nothing.
type slow struct{}

func (slow) Receive(ctx context.Context, m bot.Message) (bot.Receipt, error) {
	<-ctx.Done()
	return bot.Receipt{}, ctx.Err()
}

func TestSlowAcknowledgementIsNoticed(t *testing.T) {
	if testing.Short() {
		t.Skip("takes the three seconds that networks wait")
	}
	chat := NewHostileChat("x", bot.SystemClock{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- chat.Run(ctx, slow{}) }()
	if _, err := chat.Press(t.Context(), "x:dev", "token"); err == nil {
		t.Error("Press gave no error")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if v := chat.Violations(); len(v) != 2 || !strings.Contains(v[0], "not acknowledged") {
		t.Errorf("violations are %q, want the two late acknowledgements", v)
	}
}

func TestClockAndIDs(t *testing.T) {
	start := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	c := NewClock(start)
	for range 2 {
		if !c.Now().Equal(start) {
			t.Error("the clock moved by itself")
		}
	}
	if got := c.Advance(time.Minute); !got.Equal(start.Add(time.Minute)) || !c.Now().Equal(got) {
		t.Errorf("after a minute it is %v", c.Now())
	}
	c.SetStep(time.Second)
	if a, b := c.Now(), c.Now(); b.Sub(a) != time.Second {
		t.Errorf("two looks are %v apart, want 1s", b.Sub(a))
	}
	c.Set(start)
	if !c.Now().Equal(start) {
		t.Error("Set did not set")
	}
	ids := NewIDs("r")
	if a, b := ids.New(), ids.New(); a != "r0001" || b != "r0002" {
		t.Errorf("identifiers are %s, %s", a, b)
	}
}
