package slackchat

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
)

// TestPeopleWhoInject has people type, as a service, a version, a reason and
// half a command, whatever would do more than be read: in the channel, in the
// answers and in the audit channel it is only read.
func TestPeopleWhoInject(t *testing.T) {
	w := newWhole(t)
	asTyped := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;") // as Slack passes a command on
	users := []string{"UDEV", "USRE", "UONCALL", "USTRANGER"}
	all := bottest.Injections()
	runs, last := 0, int64(0)
	for i, name := range slices.Sorted(maps.Keys(all)) {
		evil := all[name]
		user := users[i%len(users)]
		for _, line := range []string{"deploy shop " + evil + " prod", evil, fmt.Sprintf("status %q", evil)} {
			d := w.types(t, user, "COPS", asTyped.Replace(line))
			if d.Card.Outcome == bot.OutcomeOK && strings.TrimSpace(plain(evil)) != "" {
				t.Errorf("%s: %.60q was answered by %q", name, line, d.Card.Title)
			}
		}
		if user == "USTRANGER" || len(evil) > 300 {
			continue
		}
		// The reason stands on the card, in its records and in the audit channel.
		reason := strings.NewReplacer(`"`, "", "\n", " ", "`", "").Replace(plain(evil))
		d := w.types(t, user, "COPS", asTyped.Replace(`restart shop staging --reason "because `+reason+`"`))
		if d.Card.Run > 0 {
			runs, last = runs+1, d.Card.Run
		}
	}
	if runs < 10 {
		t.Errorf("only %d runs were made", runs)
	}
	w.chat.await(t, "the audit channel", func(d bot.Delivery) bool {
		return d.Channel == "slack:CAUDIT" && strings.Contains(d.Card.Title, fmt.Sprintf("#%d ", last)) && strings.Contains(d.Card.Title, "succeeded")
	})
	said := 0
	for _, m := range w.Messages("") {
		if m.From == "UBOT" {
			harmless(t, m.Channel, m)
			said++
		}
	}
	if said < 3*len(all) {
		t.Errorf("only %d messages were looked at", said)
	}
}
