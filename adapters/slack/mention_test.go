package slackchat

import (
	"encoding/json"
	"strings"
	"testing"

	"quarterdeck/bot"
)

// TestMention: the accounts that a card is to draw attention of are mentioned, and
// nobody else, whatever its text says.
func TestMention(t *testing.T) {
	t.Parallel()
	m := render(bot.Card{Title: "page 1 <@U9>", Mention: []bot.AccountID{"slack:T1/U1", "discord:42", "slack:T1/C1", "slack:T1/U2"}}, inChannel)
	raw, err := json.Marshal(m.blocks)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(raw); strings.Count(got, `"type":"user"`) != 2 || !strings.Contains(got, `"user_id":"U1"`) || !strings.Contains(got, `"user_id":"U2"`) {
		t.Errorf("it draws %s", got)
	}
}
