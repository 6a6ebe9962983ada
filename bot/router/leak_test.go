package router_test

import (
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/store"
)

// TestCodeIsKeptNowhere: however a line with a code is mistaken, or asked about
// instead of run, the code is in nothing that is stored or said.
func TestCodeIsKeptNowhere(t *testing.T) {
	t.Parallel()
	fake, now := friendly()
	talk := &confiding{fake, make(chan bot.Delivery, 8)}
	w := start(t, talk, now, withStepUp)
	p := enrols(t, w, talk)
	w.gets(t, "x:dev", "deploy shop v2 prod", bot.OutcomeWaiting)
	w.gets(t, "x:dev", "confirm", bot.OutcomeWaiting)
	for i, line := range []string{
		"can approve 1 --code CODE",
		"can deploy shop v2 prod --break-glass now --code CODE",
		"help approve --code CODE",
		"approve 1 --cod CODE",
		"approve 1 --coed=CODE",
		"approve 1 —code CODE",
		"aprove 1 --code CODE",
		`approve 1 --code "CODE`,
		"approve 1 --reason --code CODE",
		"approve 1 --dry-run --code CODE",
		"approve --code CODE 1",
		"approve 1 code CODE",
		"approve 1 CODE",
		"approve #1 CODE",
		"approve 1 code:CODE",
		"approve 1 code=CODE",
		"/ops approve 1 --code CODE",
		"totp confirm CODE now",
	} {
		code := p.code(t, 40+int64(i)) // which is right some day, and wrong now
		said, err := w.chat.Say(t.Context(), "x:sre", strings.ReplaceAll(line, "CODE", code))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.chat.Wait(t.Context(), "the answer to "+line, func(p bottest.Post) bool { return bottest.Answers(p, said.ID) }); err != nil {
			t.Fatal(err)
		}
		err = w.store(t).View(t.Context(), func(r store.Reader) error {
			for _, shelf := range store.Shelves() {
				bodies, err := r.Bodies(shelf, "", 1000)
				if err != nil {
					return err
				}
				for _, b := range bodies {
					if strings.Contains(string(b.Value), code) {
						at := strings.Index(string(b.Value), code)
						t.Errorf("after %q %s %q holds it: %.80s", line, shelf, b.ID, b.Value[max(0, at-40):])
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
