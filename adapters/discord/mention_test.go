package discordchat

import (
	"encoding/json"
	"strings"
	"testing"

	"quarterdeck/bot"
)

// TestMention draws the attention of those that a card names, of Discord's alone,
// and of nobody that its words name.
func TestMention(t *testing.T) {
	m := render(bot.Card{Title: "page #7", Text: "<@999> @everyone", Mention: []bot.AccountID{"discord:" + sre, "slack:T1/U1", "discord:@everyone"}}, inChannel)
	o, _ := m.body()
	raw, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(m.content, "\n<@"+sre+">") || strings.Contains(m.content, "slack") || !strings.Contains(string(raw), `"parse":[],"users":["`+sre+`"]`) {
		t.Errorf("%q, %s", m.content, raw)
	}
	conforms(t, "MessageCreateRequest", map[string]any{"content": m.content, "allowed_mentions": o.Mentions})
	if o, _ := render(bot.Card{Title: "x"}, inChannel).body(); len(o.Mentions.Users) > 0 {
		t.Errorf("%+v", o.Mentions)
	}
}

// TestDirectTo reaches one account alone, wherever it was seen last.
func TestDirectTo(t *testing.T) {
	w := newWorld(t, standStill)
	channel, ok := w.chat.DirectTo("discord:" + sre)
	if !ok {
		t.Fatal("a user of Discord's cannot be written to")
	}
	ref, err := w.chat.Deliver(t.Context(), bot.Delivery{Channel: channel, Card: bot.Card{Key: "page/7", Version: 1, Title: "page #7"}})
	if err != nil {
		t.Fatal(err)
	}
	if ref2, err := w.chat.Deliver(t.Context(), bot.Delivery{Channel: channel, Ref: ref, Card: bot.Card{Key: "page/7", Version: 2, Title: "page #7: taken"}}); err != nil || ref2 != ref {
		t.Errorf("%s, %v", ref2, err)
	}
	if all := w.Messages(w.DirectWith(sre)); len(all) != 1 || !strings.Contains(all[0].Content, "taken") {
		t.Errorf("%+v", all)
	}
	for _, a := range []bot.AccountID{"slack:T1/U1", "discord:x", "discord:"} {
		if c, ok := w.chat.DirectTo(a); ok {
			t.Errorf("%s is reached in %s", a, c)
		}
	}
}
