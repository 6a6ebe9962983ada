package router

import (
	"encoding/json"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// What is no UTF-8 is replaced when a message is stored. It is the bot's own
// message all the same, also after it was read back.
func TestSealOfWhatIsNoText(t *testing.T) {
	t.Parallel()
	r := &Router{Config: Config{Seal: store.NewSeal([]byte("secret"))}}
	for _, text := range []string{"deploy shop v2 prod", "deploy \xff\xfe prod", "cut \xe2\x82", "<a> & \u2028", "\ufffd"} {
		m := bot.Message{ID: "x:1", Account: "x:dev", Text: text, Thread: text, On: text, Received: time.Now()}
		if err := r.seal(&m); err != nil {
			t.Fatal(err)
		}
		if err := r.genuine(m); err != nil {
			t.Errorf("%q is not genuine before it is stored: %v", text, err)
		}
		body, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var read bot.Message
		if err := json.Unmarshal(body, &read); err != nil {
			t.Fatal(err)
		}
		if err := r.genuine(read); err != nil {
			t.Errorf("%q is not genuine once it was stored: %v", text, err)
		}
		read.Text += "!"
		if r.genuine(read) == nil {
			t.Errorf("%q was changed, and is genuine", text)
		}
	}
}
