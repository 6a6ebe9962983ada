package router_test

import (
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
)

// TestCodeIsForWhatWasShown: a code that is asked for by a form counts for the run
// that the form named, whatever waits by the time it is sent.
func TestCodeIsForWhatWasShown(t *testing.T) {
	t.Parallel()
	fake, now := friendly()
	talk := &confiding{fake, make(chan bot.Delivery, 8)}
	w := start(t, talk, now, withStepUp)
	p := enrols(t, w, talk)
	asks := func(version string) {
		t.Helper()
		w.gets(t, "x:dev", "deploy shop "+version+" prod", bot.OutcomeWaiting)
		w.gets(t, "x:dev", "confirm", bot.OutcomeWaiting)
	}
	opens := func(line string) bot.Form {
		t.Helper()
		f, needed := w.forms.Form(t.Context(), bot.Message{ID: "x:open", Account: "x:sre", Standing: bot.Member, Channel: "x:main", Text: line})
		if !needed {
			t.Fatalf("%q opens no form", line)
		}
		return f
	}
	sends := func(f bot.Form, id, code string, want bot.Outcome) bottest.Post {
		t.Helper()
		m, faults, err := w.forms.Entered(t.Context(), bot.Entry{Token: f.Token, Account: "x:sre", Standing: bot.Member, ID: id, Values: map[string]string{"code": code}})
		if err != nil || len(faults) > 0 {
			t.Fatal(faults, err)
		}
		m.Received = now.Now()
		if _, err := w.chat.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		return w.answer(t, id, want)
	}
	asks("v2")
	first := opens(`approve --reason "looks right"`)
	if !strings.Contains(first.Text, "#1") || !strings.Contains(first.Text, "deploy shop v2 to prod") {
		t.Errorf("the form does not say what it is for: %q", first.Text)
	}
	w.gets(t, "x:dev", "cancel 1", bot.OutcomeOK)
	asks("v3")
	if a := sends(first, "x:late", p.code(t, 0), bot.OutcomeFailed); !strings.Contains(a.Card.Title, "#1") {
		t.Errorf("a code for #1 is answered %q", a.Card.Title)
	}
	if got := effects(w.far); len(got) != 0 {
		t.Fatalf("a code for #1 made %q", got)
	}
	sends(opens("approve"), "x:now", p.code(t, 1), bot.OutcomeOK)
	if got := effects(w.far); len(got) != 1 || got[0] != "shop/prod v3" {
		t.Errorf("effects are %q", got)
	}
}

// TestCodeIsForThePlanThatWasShown: nor does it count for another plan of the run.
func TestCodeIsForThePlanThatWasShown(t *testing.T) {
	t.Parallel()
	fake, now := friendly()
	talk := &confiding{fake, make(chan bot.Delivery, 8)}
	w := start(t, talk, now, withStepUp)
	p := enrols(t, w, talk)
	w.gets(t, "x:dev", "deploy shop v2 prod", bot.OutcomeWaiting)
	w.gets(t, "x:dev", "confirm", bot.OutcomeWaiting)
	f, _ := w.forms.Form(t.Context(), bot.Message{ID: "x:open", Account: "x:sre", Standing: bot.Member, Channel: "x:main", Text: "approve 1"})
	m, _, err := w.forms.Entered(t.Context(), bot.Entry{Token: f.Token, Account: "x:sre", Standing: bot.Member, ID: "x:sent", Values: map[string]string{"code": p.code(t, 0)}})
	if err != nil || m.Bound == "" {
		t.Fatalf("the answer is bound to no plan: %+v, %v", m, err)
	}
	m.Bound, m.Received = "another", now.Now()
	if _, err := w.chat.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if a := w.answer(t, m.ID, bot.OutcomeFailed); !strings.Contains(a.Card.Title, "planned anew") {
		t.Errorf("answered %q", a.Card.Title)
	}
	if got := effects(w.far); len(got) != 0 {
		t.Errorf("it made %q", got)
	}
}
