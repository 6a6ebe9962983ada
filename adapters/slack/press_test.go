package slackchat

import (
	"slices"
	"strings"
	"testing"

	"github.com/sourcegraph/conc"

	"quarterdeck/adapters/slack/fakeslack"
	"quarterdeck/bot"
)

// waiting has dev ask for a deployment to prod in one channel and confirm it in
// another, and gives the card as both show it, with its approval asked for.
func (w *whole) waiting(t *testing.T) (ops, sre fakeslack.Message) {
	t.Helper()
	w.types(t, "UDEV", "COPS", "deploy shop v2 prod")
	w.types(t, "UDEV", "CSRE", "confirm 1")
	for _, c := range []struct {
		channel bot.ChannelID
		into    *fakeslack.Message
	}{{"slack:COPS", &ops}, {"slack:CSRE", &sre}} {
		*c.into = w.message(t, w.chat.await(t, "the approval to be asked for", func(d bot.Delivery) bool {
			return d.Channel == c.channel && strings.Contains(d.Card.Title, "waits for 1 approval")
		}))
	}
	return ops, sre
}

// TestTwoClickAtOnce has two people approve at the same moment, each in another
// channel and each click delivered twice: one approval counts, the other person
// is told, and the platform acts once. Both cards are disarmed.
func TestTwoClickAtOnce(t *testing.T) {
	w := newWhole(t)
	ops, sre := w.waiting(t)
	var both conc.WaitGroup
	sent, errs := make([]fakeslack.Sent, 2), make([]error, 2)
	for i, user := range []string{"USRE", "UONCALL"} {
		m := []fakeslack.Message{ops, sre}[i]
		both.Go(func() { sent[i], errs[i] = w.Click(w.ctx, fakeslack.Way{Twice: true}, user, m, "Approve") })
	}
	both.Wait()
	for i := range sent {
		if errs[i] != nil || !sent[i].Acked {
			t.Fatalf("%+v, %v", sent[i], errs[i])
		}
	}
	told := w.chat.await(t, "one of them to be told", func(d bot.Delivery) bool { return d.To != "" })
	if !strings.Contains(told.Card.Title, "#1") || told.Card.Outcome == bot.OutcomeOK {
		t.Errorf("told %q", told.Card.Title)
	}
	for _, channel := range []bot.ChannelID{"slack:COPS", "slack:CSRE"} {
		done := w.run(t, 1, channel, bot.Succeeded)
		if strings.Count(done.Card.Footer, "approved by") != 1 || strings.Contains(done.Card.Footer, " and ") {
			t.Errorf("%s says %q", channel, done.Card.Footer)
		}
		m := w.message(t, done)
		if strings.Contains(string(m.Blocks), `"Approve"`) {
			t.Errorf("%s still offers to approve: %s", channel, m.Blocks)
		}
	}
	for _, m := range []fakeslack.Message{ops, sre} { // as it is still open on a phone
		late := w.clicks(t, "USRE", m, "Approve")
		if !strings.Contains(late.Card.Title, "#1 is over: succeeded") {
			t.Errorf("a late click is told %q", late.Card.Title)
		}
	}
	if got := w.acts(); !slices.Equal(got, []string{"shop/prod v2"}) {
		t.Errorf("the platform did %q", got)
	}
	if n := len(w.Messages("COPS")); n != 2 && n != 3 { // the card, and what was said to those too late
		t.Errorf("%d messages in the channel", n)
	}
}

// TestButtonTakenElsewhere presses a card's button where Slack's payload names
// another message or channel than the card's: a copy, a forwarded one, another
// run's card. It is refused, recorded, and the card works all the same.
func TestButtonTakenElsewhere(t *testing.T) {
	w := newWhole(t)
	ops, sre := w.waiting(t)
	other := w.message(t, w.types(t, "UDEV", "COPS", "restart shop prod"))
	for name, at := range map[string]struct{ channel, ts string }{
		"another run's card":        {"COPS", other.TS},
		"a copy":                    {"COPS", "1790000000.999999"},
		"the other channel's stamp": {"COPS", sre.TS},
		"forwarded":                 {"DUSRE", ops.TS},
	} {
		m := ops
		m.Channel, m.TS = at.channel, at.ts
		got := w.clicks(t, "USRE", m, "Approve")
		if !strings.Contains(got.Card.Title, "denied: that button is not on the card") || got.To != "slack:T1/USRE" {
			t.Errorf("%s: %q", name, got.Card.Title)
		}
	}
	if got := w.acts(); len(got) > 0 {
		t.Fatalf("the platform did %q", got)
	}
	w.clicks(t, "USRE", ops, "Approve")
	w.run(t, 1, "slack:COPS", bot.Succeeded)
}
