package outbox_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"quarterdeck/bot"
)

// narrow is a network whose messages hold no fields.
type narrow struct{ *chat }

func (narrow) Spill(c bot.Card, private bool) (rest []bot.Card) {
	if c.Title == "breaks" {
		panic("a bug")
	}
	for _, f := range c.Fields {
		rest = append(rest, bot.Card{Title: fmt.Sprint(f.Name, " ", private), Text: f.Value, Buttons: c.Buttons})
	}
	return rest
}

func (r *rig) narrow() {
	d := r.deliverer()
	d.Chats = func(string) (bot.Chat, bool) { return narrow{r.chat}, true }
	r.start(d)
}

func large(version int64, value string, phase bot.Phase) bot.Card {
	return bot.Card{Key: "run/1", Version: version, Run: 1, Title: fmt.Sprint("v", version), Phase: phase,
		Fields: []bot.Field{{Name: "a", Value: value}, {Name: "b", Value: "same"}}, Buttons: []bot.Button{{Label: "x", Token: "t"}}}
}

// What does not fit follows in the thread once, and again only where it changed;
// never while the run is under way.
func TestSpill(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.narrow()
	deliver := func(c bot.Card) {
		t.Helper()
		o := card(c.Key, c.Version, c.Title)
		o.Card = encode(t, c)
		r.enqueue(o)
		r.empty()
	}
	deliver(large(1, "one", bot.PhaseWorking))
	r.wantTitles("chat:ops", "v1")
	deliver(large(2, "one", bot.PhaseWaiting))
	r.wantTitles("chat:ops", "v1", "v2", "a false", "b false")
	deliver(large(3, "one", bot.PhaseWaiting))
	deliver(large(4, "two", bot.PhaseWorking))
	r.wantTitles("chat:ops", "v1", "v2", "a false", "b false", "v3", "v4")
	deliver(large(5, "two", bot.PhaseDone))
	r.wantTitles("chat:ops", "v1", "v2", "a false", "b false", "v3", "v4", "v5", "a false", "b false")
	shorter := large(6, "two", bot.PhaseDone)
	shorter.Fields = shorter.Fields[:1]
	deliver(shorter)
	all := r.chat.all()
	if gone := all[len(all)-1]; gone.Ref != "m3" || gone.Card.Text != "This has changed; see above." {
		t.Errorf("what is not true any more came as %+v", gone)
	}
	first, again := all[2], all[7]
	if first.Thread != "m1" || !first.Card.Rest || len(first.Card.Buttons) > 0 || first.Card.Run != 0 || first.Ref != "" {
		t.Errorf("what did not fit came as %+v", first)
	}
	if again.Ref != "m2" || again.Card.Text != "two" {
		t.Errorf("what changed came as %+v, not as an edit", again)
	}
}

// A private card's rest is private, and one that is never edited spills once.
func TestSpillOfPrivate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.narrow()
	o := card("", 0, "answer")
	c := large(0, "one", bot.PhaseDone)
	c.Key, c.Title = "reply/1", "answer"
	o.Card, o.To, o.Thread = encode(t, c), "chat:dev", "m0"
	r.enqueue(o)
	r.empty()
	r.wantTitles("chat:ops", "answer", "a true", "b true")
	for _, d := range r.chat.all() {
		if d.To != "chat:dev" || d.Thread != "m0" {
			t.Errorf("%q went to %q in %q", d.Card.Title, d.To, d.Thread)
		}
	}
}

// A bug in finding the rest, or a file that is refused for good, costs neither
// the card nor those behind it, and posts nothing twice.
func TestSpillThatFails(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chat.answers(func(d bot.Delivery) error {
		if d.Card.Rest {
			return bot.Errorf(bot.Invalid, "no files here")
		}
		return nil
	})
	r.narrow()
	broken := large(1, "one", bot.PhaseDone)
	broken.Title, broken.Key = "breaks", "run/2"
	for _, c := range []bot.Card{broken, large(1, "one", bot.PhaseDone)} {
		o := ordered(card(c.Key, c.Version, c.Title), "chat:audit")
		o.Card = encode(t, c)
		r.enqueue(o)
	}
	r.enqueue(ordered(card("", 0, "behind"), "chat:audit"))
	r.empty()
	titles := r.chat.titles("chat:audit")
	slices.Sort(titles)
	if want := []string{"a false", "b false", "behind", "breaks", "v1"}; !slices.Equal(titles, want) {
		t.Errorf("delivered %q, want %q", titles, want)
	}
	if r.gaps != nil {
		t.Errorf("the rest of a card left a gap: %q", r.gaps)
	}
}

func encode(t *testing.T, c bot.Card) []byte {
	t.Helper()
	body, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return body
}
