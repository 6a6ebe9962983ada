package terminal

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"quarterdeck/bot"
)

// People mistype names and the session's own words. Each gets the nearest, and
// the way back.
func TestHints(t *testing.T) {
	o := Options{Socket: socketPath(t), Impersonate: true, Describe: func(ctx context.Context, a bot.AccountID) string {
		if a == here || a == "terminal:sree" || a == "terminal:zork" {
			return string(a) + " (unknown here)"
		}
		return describe(ctx, a)
	}}
	serve(t, o, newTestBot(func(b *testBot, m bot.Message) {
		if m.Text == "status" {
			b.reply(m, bot.Card{Title: "all is well", Outcome: bot.OutcomeOK})
			return
		}
		b.reply(m, bot.Card{Title: "no", Outcome: bot.OutcomeInvalid})
	}))
	local := func(_ context.Context, _ []string, out io.Writer) error {
		_, err := fmt.Fprint(out, strings.Repeat("words ", 20), "\nthe end")
		return err
	}
	var out buffer
	s := &Session{Socket: o.Socket, Out: &out, As: "dev", Names: []string{"dev", "sre", "guest"},
		Local: map[string]Local{"targets": local, "tamper": local, "audit verify": local}, In: strings.NewReader(`status
targetz
tampre 3
audit verfy
depoly shop
exit
quit
/as sree
/as dev
/as zork
/as
/as dev
targets
`)}
	if err := s.Chat(within(t)); err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(`dev> status
all is well
dev> targetz
no
the session itself knows "targets"; did you mean that?
dev> tampre 3
no
the session itself knows "tamper"; did you mean that?
dev> audit verfy
no
the session itself knows "audit verify"; did you mean that?
dev> depoly shop
no
dev> exit
no
to leave, type /quit or press Ctrl-D
dev> quit
no
to leave, type /quit or press Ctrl-D
dev> /as sree
no declared person owns terminal:sree, so everything it asks is denied; there
  are dev, guest, sre; /as dev goes back to dev; did you mean "sre"?
terminal:sree> /as dev
dev> /as zork
no declared person owns terminal:zork, so everything it asks is denied; there
  are dev, guest, sre; /as dev goes back to dev
terminal:zork> /as
no declared person owns HERE, so everything it asks is denied; there are dev,
  guest, sre; /as dev goes back to dev
HERE> /as dev
dev> targets
words words words words words words words words words words words words words
  words words words words words words words
the end
`, "HERE", string(here))
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
