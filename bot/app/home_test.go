package app_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/bot/store"
)

func said(cards []bot.Card) string {
	var all []string
	for _, c := range cards {
		all = append(all, c.Title, c.Text)
		if c.Table != nil {
			for _, row := range c.Table.Rows {
				all = append(all, strings.Join(row, " "))
			}
		}
		for _, b := range c.Buttons {
			all = append(all, "["+b.Label+" "+b.Token+"]")
		}
	}
	return strings.Join(all, "\n")
}

// A home shows what its account may see and answer, and nothing else; its reads
// are recorded, and its rights are those of now.
func TestHomeAndForms(t *testing.T) {
	t.Parallel()
	w := newWorld(t, friendly, providertest.NewFriendly)
	o := &bot.ChatOptions{}
	w.opened = o
	w.run()
	ctx := t.Context()
	w.gets("x:dev", "deploy shop v2 prod", bot.OutcomeWaiting)
	home := func(a bot.AccountID, standing bot.Standing) string { return said(o.Home(ctx, a, standing)) }

	mine := home("x:dev", bot.Member)
	for _, want := range []string{"waits for you", "#1 deploy shop v2 to prod: confirm?", "[Confirm ", "runs, newest first", "shop/prod v1"} {
		if !strings.Contains(mine, want) {
			t.Errorf("the asker's home lacks %q: %s", want, mine)
		}
	}
	confirm := w.wait("the card", func(p bottest.Post) bool { return p.Card.Run == 1 && len(p.Card.Buttons) > 0 })
	if token := confirm.Card.Buttons[0].Token; token == "" || !strings.Contains(mine, token) {
		t.Errorf("the button of the home is not that of the card, %q: %s", token, mine)
	}
	if theirs := home("x:sre", bot.Member); !strings.Contains(theirs, "nothing waits for you") || strings.Contains(theirs, "[") {
		t.Errorf("the approver's home before the confirmation: %s", theirs)
	}
	w.gets("x:dev", "confirm 1", bot.OutcomeWaiting)
	if theirs := home("x:sre", bot.Member); !strings.Contains(theirs, "[Approve ") {
		t.Errorf("the approver's home: %s", theirs)
	}
	if mine := home("x:dev", bot.Member); strings.Contains(mine, "[Approve ") {
		t.Errorf("the asker may approve: %s", mine)
	}
	for a, standing := range map[bot.AccountID]bot.Standing{"x:dev": bot.Guest, "x:sre": bot.Unvouched, "x:stranger": bot.Member} {
		if got := home(a, standing); !strings.HasPrefix(got, "denied: ") || strings.Contains(got, "shop") {
			t.Errorf("the home of %s as %q: %s", a, standing, got)
		}
	}
	if got := home("x:trainee", bot.Member); strings.Contains(got, "shop") {
		t.Errorf("the home of somebody without rights: %s", got)
	}
	reads, denied, waits := 0, 0, 0
	for _, r := range w.records() {
		switch {
		case r.Channel == "x:home" && r.Read && r.Person != "" && (r.Verb == "runs" || r.Verb == "status"):
			reads++
		case r.Channel == "x:home" && r.Read && r.Verb == "home" && r.Text["line"] == "home #1":
			waits++
		case r.Channel == "x:home" && r.Kind == bot.DeniedRecord:
			denied++
		}
	}
	if reads != 8 || waits != 2 || denied != 3 {
		t.Errorf("four homes, of which two hold a run that waits, and three refusals have %d, %d and %d records", reads, waits, denied)
	}

	// Forms offer what the rules of now allow.
	ask := func() (string, bool) {
		f, ok := o.Forms.Form(ctx, bot.Message{ID: "x:f", Account: "x:dev", Standing: bot.Member, Channel: "x:ops", Text: "deploy shop v2"})
		return strings.Join(o.Forms.Choices(ctx, bot.Entry{Token: f.Token, Account: "x:dev", Standing: bot.Member, Values: map[string]string{"service": "shop"}}, "environment", "", 9), " "), ok
	}
	if got, ok := ask(); !ok || got != "staging prod" {
		t.Errorf("a form offers %q, %v", got, ok)
	}
	w.configure(strings.Replace(standard, `targets = ["shop/*"]`, `targets = ["shop/staging"]`, 1))
	if _, _, err := w.app.Reload(ctx); err != nil {
		t.Fatal(err)
	}
	if got, ok := ask(); !ok || got != "staging" {
		t.Errorf("after the rules changed a form offers %q, %v", got, ok)
	}
	if mine := home("x:dev", bot.Member); strings.Contains(mine, "shop/prod v1") {
		t.Errorf("after the rules changed the home holds what is no longer theirs: %s", mine)
	}
}

// While the log cannot be written a home is shown, and says that it is not
// recorded; a form is not opened, so that the line is answered like any other.
func TestHomeOffTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t, friendly, providertest.NewFriendly)
	ill := &sick{}
	w.stores = []store.Type{{Scheme: "sqlite", Open: func(_ context.Context, dsn string) (_ store.Store, err error) {
		ill.Store, err = sqlite.Open(context.Background(), dsn)
		return ill, err
	}}}
	o := &bot.ChatOptions{}
	w.opened = o
	w.run()
	w.gets("x:dev", "deploy shop v2 prod", bot.OutcomeWaiting)
	ill.set(errors.New("disk full"), nil)
	if got := said(o.Home(t.Context(), "x:dev", bot.Member)); strings.Count(got, "not recorded: the audit log cannot be written") != 3 || !strings.Contains(got, "shop/prod v1") {
		t.Errorf("the home off the log: %s", got)
	}
	if f, ok := o.Forms.Form(t.Context(), bot.Message{ID: "x:f", Account: "x:dev", Standing: bot.Member, Channel: "x:ops", Text: "deploy"}); ok {
		t.Errorf("a form is opened that nothing keeps: %+v", f)
	}
	ill.set(nil, nil)
}
