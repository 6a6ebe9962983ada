package terminal

import (
	"testing"

	"quarterdeck/bot"
)

// A rule about one session could never hold: its channel is made of a secret.
func TestRulesNameNoSession(t *testing.T) {
	noRule := Type().NoRule
	if why := noRule("terminal:*"); why != "" {
		t.Errorf("terminal:* %s", why)
	}
	for _, c := range []bot.ChannelID{"terminal:ops", "terminal:op*", channelOf(1, "secret")} {
		if noRule(c) == "" {
			t.Errorf("%s may stand in a rule", c)
		}
	}
}
