package router_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/outbox"
	"quarterdeck/bot/store"
)

// TestButtonOnlyOnItsOwnCard takes the button of a run's card elsewhere: to
// another run's card, to a copy, to another channel, to somebody else's private
// conversation. It does nothing there, and what it was for still waits.
func TestButtonOnlyOnItsOwnCard(t *testing.T) {
	t.Parallel()
	talk, now := friendly()
	w := start(t, talk, now, "")
	own := w.gets(t, w.Dev, "deploy shop v2 prod", bot.OutcomeWaiting)
	other := w.gets(t, w.SRE, "deploy shop v3 prod", bot.OutcomeWaiting)
	confirm := token(t, own.Card, "confirm")
	shown := w.noted(t, own) // the outbox knows where both are
	if shown != own.Ref || w.noted(t, other) != other.Ref {
		t.Fatalf("the card is at %q, noted as %q", own.Ref, shown)
	}
	for name, at := range map[string]struct {
		channel bot.ChannelID
		on      string
	}{
		"on another run's card":                 {"", other.Ref},
		"on a copy in the same channel":         {"", "post-999"},
		"on a copy in another channel":          {"x:elsewhere", "post-999"},
		"in another channel":                    {"x:elsewhere", ""},
		"forwarded to a private conversation":   {"x:private-sre", "post-998"},
		"on a message that nobody can tell of ": {"", "?"},
	} {
		said, err := talk.PressOn(t.Context(), w.Dev, confirm, at.channel, at.on)
		if err != nil {
			t.Fatal(err)
		}
		p := w.answer(t, said.ID, bot.OutcomeDenied)
		if !strings.Contains(p.Card.Title, "not on the card that it belongs to") || p.To != w.Dev {
			t.Errorf("%s: answered %q to %q", name, p.Card.Title, p.To)
		}
	}
	if n := w.records(t, `kind = 'denied' AND CAST(body AS TEXT) LIKE '%"button"%'`); n != 6 {
		t.Errorf("%d refusals are on record", n)
	}
	if _, err := talk.Wait(t.Context(), "the audit channel to say what was tried", func(p bottest.Post) bool {
		return p.Channel == "x:audit" && strings.Contains(p.Card.Title+p.Card.Text, "dev tried \"confirm 1\": that button")
	}); err != nil {
		t.Error(err)
	}
	if len(effects(w.far)) > 0 {
		t.Errorf("effects are %q", effects(w.far))
	}
	p := w.presses(t, w.Dev, confirm, bot.OutcomeWaiting)
	w.presses(t, w.SRE, token(t, p.Card, "approve"), bot.OutcomeOK)
	if got := effects(w.far); !slices.Equal(got, []string{"shop/prod v2"}) {
		t.Errorf("effects are %q", got)
	}
}

// TestButtonOfTheCardElsewhere approves a run in another channel than the one in
// which it was asked for, where its card is shown too; and at home.
func TestButtonOfTheCardElsewhere(t *testing.T) {
	t.Parallel()
	talk, now := friendly()
	w := start(t, talk, now, "")
	p := w.gets(t, w.Dev, "deploy shop v2 prod", bot.OutcomeWaiting)
	said, err := talk.PressOn(t.Context(), w.Dev, token(t, p.Card, "confirm"), "x:private-dev", bot.OnHome)
	if err != nil {
		t.Fatal(err)
	}
	p = w.answer(t, said.ID, bot.OutcomeWaiting)
	approve := token(t, p.Card, "approve")
	if p.Channel != "x:private-dev" {
		t.Fatalf("the card came to %s", p.Channel)
	}
	w.noted(t, p)
	// It is shown in both places; in each its own message is the right one.
	said, err = talk.PressOn(t.Context(), w.SRE, approve, "x:private-dev", p.Ref+"-copy")
	if err != nil {
		t.Fatal(err)
	}
	w.answer(t, said.ID, bot.OutcomeDenied)
	said, err = talk.PressOn(t.Context(), w.SRE, approve, "x:private-dev", p.Ref)
	if err != nil {
		t.Fatal(err)
	}
	w.answer(t, said.ID, bot.OutcomeOK)
	// Decided in one place, disarmed in all.
	for _, channel := range []bot.ChannelID{talk.Main(), "x:private-dev"} {
		_, err := talk.Wait(t.Context(), "the card in "+string(channel)+" without an answer to give", func(p bottest.Post) bool {
			return p.Channel == channel && p.Card.Key == bot.RunCardKey(1) && p.Card.State == bot.Succeeded &&
				!slices.ContainsFunc(p.Card.Buttons, func(b bot.Button) bool { return b.Token == approve })
		})
		if err != nil {
			t.Error(err)
		}
	}
	for range 2 {
		p = w.presses(t, w.SRE, approve, bot.OutcomeFailed)
		if !strings.Contains(p.Card.Title, "#1 is over") {
			t.Errorf("pressed again: %q", p.Card.Title)
		}
	}
	if got := effects(w.far); !slices.Equal(got, []string{"shop/prod v2"}) {
		t.Errorf("effects are %q", got)
	}
}

// noted waits until the outbox has noted where a run's card is in this version,
// and gives that; until then, a press anywhere in the channel counts.
func (w *world) noted(t *testing.T, p bottest.Post) (ref string) {
	t.Helper()
	db := w.store(t)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		version := int64(0)
		err := db.View(t.Context(), func(r store.Reader) (err error) {
			ref, version, _, err = outbox.At(r, p.Channel, p.Card.Key)
			return err
		})
		if err != nil || time.Now().After(end) {
			t.Fatalf("nobody knows where the card of #%d is: %v", p.Card.Run, err)
		}
		if ref != "" && version >= p.Card.Version {
			return ref
		}
	}
}

// TestButtonOfACardThatIsOnItsWay presses a button on a message that the bot
// posted and was killed before it could note that: nobody is locked out. Once
// the card has come again and is noted, the first message is a copy.
func TestButtonOfACardThatIsOnItsWay(t *testing.T) {
	t.Parallel()
	talk, now := friendly()
	w := start(t, talk, now, "")
	p := w.gets(t, w.Dev, "deploy shop v2 prod", bot.OutcomeWaiting)
	ref := w.noted(t, p)
	db := w.store(t)
	forget := func(tx store.Tx) error { return tx.DeleteDocument("shown", "x:main|run/1") }
	if err := db.Update(t.Context(), forget); err != nil {
		t.Fatal(err)
	}
	confirm := token(t, p.Card, "confirm")
	said, err := talk.PressOn(t.Context(), w.Dev, confirm, "x:elsewhere", ref)
	if err != nil {
		t.Fatal(err)
	}
	w.answer(t, said.ID, bot.OutcomeDenied)
	said, err = talk.PressOn(t.Context(), w.Dev, confirm, "", ref)
	if err != nil {
		t.Fatal(err)
	}
	again := w.answer(t, said.ID, bot.OutcomeWaiting)
	if w.noted(t, again) != again.Ref || again.Ref == ref {
		t.Fatalf("the card is at %s", again.Ref)
	}
	said, err = talk.PressOn(t.Context(), w.SRE, token(t, again.Card, "approve"), "", ref)
	if err != nil {
		t.Fatal(err)
	}
	w.answer(t, said.ID, bot.OutcomeDenied)
	w.presses(t, w.SRE, token(t, again.Card, "approve"), bot.OutcomeOK)
}
