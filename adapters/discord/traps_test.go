package discordchat

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"quarterdeck/adapters/discord/fakediscord"
	"quarterdeck/bot"
)

// log keeps what was logged.
type keptLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *keptLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *keptLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// works shows that what people say comes in.
func (w *world) works(t *testing.T) {
	t.Helper()
	w.until(t, "the gateway", func() bool { return w.Sessions() == 1 && w.chat.Connection().Up })
	before := len(w.hub.messages())
	if _, err := w.Say(dev, ops, fakediscord.Remark{Text: "<@" + own + "> works"}); err != nil {
		t.Fatal(err)
	}
	w.await(t, before+1)
	if sent, err := w.Slash(w.ctx, fakediscord.Way{}, dev, ops, "whoami"); err != nil || !sent.Acked {
		t.Fatalf("%+v, %v", sent, err)
	}
}

// Whatever Discord does while a connection is opened, the bot opens another, waits
// between them, and receives.
func TestOpening(t *testing.T) {
	for name, odd := range map[string]fakediscord.Connect{
		"reconnect before READY": {Op: fakediscord.OpReconnect}, "invalid before READY": {Op: fakediscord.OpInvalidSession},
		"invalid, resumable": {Op: fakediscord.OpInvalidSession, Resumable: true}, "silent": {Silent: true}, "cut": {Drop: true},
		"unknown error": {Close: 4000}, "rate limited": {Close: 4008}, "going away": {Close: 1001}, "odd opcode": {Op: 99},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(s *setting) { s.before = func(f *fakediscord.Server) { f.Next(odd, odd) } })
			w.works(t)
			if connections, identifies, _ := w.Counts(); connections != 3 || identifies > 3 {
				t.Errorf("%d connections, %d sessions begun", connections, identifies)
			}
		})
	}
}

// A connection that ends is resumed where Discord said, and nothing that was said
// meanwhile is lost.
func TestResuming(t *testing.T) {
	for name, end := range map[string]func(w *world){
		"asked to":       func(w *world) { w.Reconnect() },
		"invalid, still": func(w *world) { w.Invalidate(true) },
		"cut":            func(w *world) { w.Drop() },
		"unknown error":  func(w *world) { w.CloseWith(4000) },
		"zombie":         func(w *world) { w.Mute() },
		"asked to while resuming": func(w *world) {
			w.Next(fakediscord.Connect{Op: fakediscord.OpReconnect})
			w.Reconnect()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(s *setting) { s.fake.Heartbeat = 100 * time.Millisecond })
			w.works(t)
			before := len(w.hub.messages())
			end(w)
			for n := range 5 {
				if _, err := w.Say(dev, ops, fakediscord.Remark{Text: fmt.Sprint("<@"+own+"> during ", n)}); err != nil {
					t.Fatal(err)
				}
			}
			w.until(t, "another connection", func() bool { connections, _, _ := w.Counts(); return connections > 1 && w.Sessions() == 1 })
			got := map[string]bool{}
			while := name == "asked to while resuming" // then the session is begun anew
			if !while {
				for _, m := range w.await(t, before+5)[before:] {
					got[m.Text] = true
				}
				if len(got) != 5 {
					t.Errorf("came in: %v", got)
				}
				if _, identifies, resumes := w.Counts(); identifies != 1 || resumes < 1 {
					t.Errorf("%d sessions were begun, %d resumed", identifies, resumes)
				}
			}
			w.works(t)
		})
	}
}

// A session that is over is begun anew.
func TestBeginningAnew(t *testing.T) {
	for name, end := range map[string]func(w *world){
		"invalid": func(w *world) { w.Invalidate(false) }, "not authenticated": func(w *world) { w.CloseWith(4003) },
		"invalid sequence": func(w *world) { w.CloseWith(4007) }, "timed out": func(w *world) { w.CloseWith(4009) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			end(w)
			w.until(t, "another session", func() bool { _, identifies, _ := w.Counts(); return identifies == 2 })
			w.works(t)
		})
	}
}

// What Discord closes for good is said in one sentence: at the start the bot ends,
// and later it goes on with all else and asks seldom.
func TestClosedForGood(t *testing.T) {
	for _, code := range []int{4004, 4010, 4011, 4012, 4013, 4014} {
		t.Run(fmt.Sprint("at the start ", code), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(s *setting) { s.idle = true })
			w.Next(fakediscord.Connect{Close: code}, fakediscord.Connect{Close: code}, fakediscord.Connect{Close: code})
			err := w.chat.Run(w.ctx, w.hub)
			if bot.KindOf(err) != bot.Denied || !strings.Contains(bot.Sentence(err, ""), "Discord") || strings.Contains(bot.Sentence(err, ""), ".") {
				t.Errorf("%v", err)
			}
			if connections, _, _ := w.Counts(); connections != 1 {
				t.Errorf("%d connections", connections)
			}
		})
		t.Run(fmt.Sprint("later ", code), func(t *testing.T) {
			t.Parallel()
			kept := &keptLog{}
			w := newWorld(t, func(s *setting) { s.o.Logger = slog.New(slog.NewTextHandler(kept, nil)) })
			w.chat.rhythm.refused = time.Hour // which nothing but the end of the bot ends
			w.CloseWith(code)
			w.until(t, "it to be said", func() bool { return strings.Contains(kept.String(), "nothing is received from Discord any more") })
			if c := w.chat.Connection(); c.Up {
				t.Errorf("%+v", c)
			}
			if connections, _, _ := w.Counts(); connections != 1 {
				t.Errorf("%d connections", connections)
			}
			w.delivers(t, bot.Delivery{Channel: opsID, Card: bot.Card{Key: "k", Title: "all else goes on"}})
		})
	}
}

// A wrong token is refused at the first question, and sessions are not begun beyond
// Discord's count, after which it takes the token away.
func TestTokenAndBudget(t *testing.T) {
	t.Setenv("OTHER_TOKEN", "not-the-token-of-this-bot")
	w := newWorld(t, func(s *setting) { s.idle, s.config.BotToken = true, "env:OTHER_TOKEN" })
	if err := w.chat.Run(w.ctx, w.hub); bot.KindOf(err) != bot.Denied || !strings.Contains(err.Error(), "refuses the bot token") {
		t.Errorf("%v", err)
	}
	if n := len(w.Calls("")); n != 1 {
		t.Errorf("%d calls", n)
	}
	kept := &keptLog{}
	w = newWorld(t, func(s *setting) {
		s.fake.Identifies, s.o.Logger = 2, slog.New(slog.NewTextHandler(kept, nil))
	})
	w.Invalidate(false)
	w.until(t, "it to wait", func() bool { return strings.Contains(kept.String(), "few sessions are left") })
	if _, identifies, _ := w.Counts(); identifies != 1 {
		t.Errorf("%d sessions were begun", identifies)
	}
}

// What comes too late, twice, or from nowhere known is not run, and what nobody has
// heard of ends nothing.
func TestOddPayloads(t *testing.T) {
	w := newWorld(t)
	if sent, err := w.Slash(w.ctx, fakediscord.Way{Age: 4 * time.Second}, dev, ops, "deploy", option("service", "shop")); err != nil || sent.Acked {
		t.Errorf("%+v, %v", sent, err)
	}
	for name, change := range map[string]func(p map[string]any){
		"another application": func(p map[string]any) { p["application_id"] = "31337" },
		"no id":               func(p map[string]any) { p["id"] = "" },
		"no user":             func(p map[string]any) { delete(p, "member") },
		"a name for an id":    func(p map[string]any) { p["id"] = "dev" },
		"unknown type":        func(p map[string]any) { p["type"] = 99 },
		"data of a kind":      func(p map[string]any) { p["data"] = "none" },
		"member of a kind":    func(p map[string]any) { p["member"] = []int{1} },
	} {
		before := len(w.hub.messages())
		w.chat.guarded(name, func() {}) // what is handled is handled guarded
		if sent, err := w.Slash(w.ctx, fakediscord.Way{Change: change, Age: 2800 * time.Millisecond}, dev, ops, "whoami"); err != nil || sent.Acked {
			t.Errorf("%s: %+v, %v", name, sent, err)
		}
		if n := len(w.hub.messages()); n != before {
			t.Errorf("%s: it came in", name)
		}
	}
	// A stranger's message with a component of next year's is no reason to fall over.
	m, err := w.Say(dev, ops, fakediscord.Remark{Text: "hi", Change: func(p map[string]any) { p["components"] = []any{map[string]any{"type": 999}} }})
	if err != nil {
		t.Fatal(err)
	}
	odd := fakediscord.Way{Change: func(p map[string]any) {
		data := p["data"].(map[string]any)
		data["resolved"] = map[string]any{"messages": map[string]any{m.ID: map[string]any{"components": []any{map[string]any{"type": 999, "component": 7}}}}}
	}}
	before := len(w.hub.messages())
	if sent, err := w.On(w.ctx, odd, dev, askCommand, m); err != nil || !sent.Acked {
		t.Errorf("%+v, %v", sent, err)
	}
	w.await(t, before+1)
	ref := w.delivers(t, bot.Delivery{Channel: opsID, Card: bot.Card{Key: "k", Title: "t", Buttons: []bot.Button{{Label: "Yes", Line: "yes", Token: "tok"}}}})
	shown := w.shows(t, ref)
	for what, do := range map[string]func() (fakediscord.Sent, error){
		"unknown button": func() (fakediscord.Sent, error) {
			return w.Forged(w.ctx, fakediscord.Way{}, dev, shown, "elsewhere")
		},
		"unknown menu": func() (fakediscord.Sent, error) {
			return w.Select(w.ctx, fakediscord.Way{}, dev, shown, "menu", "a", "b")
		},
		"form too old": func() (fakediscord.Sent, error) {
			return w.Forged(w.ctx, fakediscord.Way{}, dev, shown, againID+"gone")
		},
		"old command": func() (fakediscord.Sent, error) {
			return w.On(w.ctx, fakediscord.Way{}, dev, "A command of last year", m)
		},
	} {
		sent, err := do()
		if err != nil || sent.Answer.Type != sayNow || !strings.Contains(string(sent.Answer.Data), `"flags":64`) {
			t.Errorf("%s: %+v %s, %v", what, sent, sent.Answer.Data, err)
		}
	}
	w.Dispatch("INTERACTION_CREATE", 0, "no object")
	w.Dispatch("MESSAGE_CREATE", 0, []int{1})
	w.hub.set(func(h *hub) { h.panics = true })
	if sent, err := w.Slash(w.ctx, fakediscord.Way{Age: 2500 * time.Millisecond}, dev, ops, "whoami"); err != nil || sent.Acked {
		t.Errorf("%+v, %v", sent, err)
	}
	w.hub.set(func(h *hub) { h.panics = false })
	w.works(t)
	if c := w.chat.Connection(); c.Unreadable < 5 || c.Reconnects != 0 {
		t.Errorf("%+v", c)
	}
}

// A button comes in with the message that it is on, and one that asks once more
// with the card's and not the question's.
func TestPresses(t *testing.T) {
	w := newWorld(t)
	c := bot.Card{Key: "run/1", Run: 1, Title: "deploy shop v2 to prod", Buttons: []bot.Button{{Label: "Confirm", Line: "confirm 1", Token: "tok1"}, {Label: "Kill", Line: "kill 1", Token: "tok2", Danger: true, Twice: true}}}
	ref := w.delivers(t, bot.Delivery{Channel: opsID, Card: c})
	sent, err := w.Press(w.ctx, fakediscord.Way{Twice: true}, sre, w.shows(t, ref), "Confirm")
	if err != nil || sent.Answer.Type != saySilent {
		t.Fatalf("%+v, %v", sent, err)
	}
	if m := w.await(t, 1)[0]; m.Press != "tok1" || m.On != ref || m.Account != "discord:"+sre {
		t.Errorf("%+v", m)
	}
	if sent, err = w.Press(w.ctx, fakediscord.Way{}, sre, w.shows(t, ref), "Kill"); err != nil || sent.Answer.Type != sayNow || len(w.hub.messages()) != 1 {
		t.Fatalf("%+v, %v, %d", sent, err, len(w.hub.messages()))
	}
	for _, m := range w.Shown(sre, ops) {
		if m.For == sre {
			if _, err := w.Press(w.ctx, fakediscord.Way{}, sre, m, "Kill"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if m := w.await(t, 2)[1]; m.Press != "tok2" || m.On != ref {
		t.Errorf("%+v", m)
	}
	// A private answer to a press is seen by whoever pressed alone.
	pressed := w.hub.messages()[0]
	w.delivers(t, bot.Delivery{Channel: opsID, To: "discord:" + sre, Card: bot.Card{Key: "reply", ReplyTo: pressed.ID, Title: "denied: no"}})
	if got := w.Messages(ops); got[len(got)-1].For != sre {
		t.Errorf("%+v", got[len(got)-1])
	}
}

// Many who type at once are each offered at most 25 choices, or none in time.
func TestAutocompleteStorm(t *testing.T) {
	w := newWorld(t)
	var people sync.WaitGroup
	var mu sync.Mutex
	answered := 0
	for n := range 300 {
		people.Go(func() {
			typed := fakediscord.Option{Name: "service", Type: 3, Value: fmt.Sprint("s", n), Focused: true}
			values, sent, err := w.Complete(w.ctx, fakediscord.Way{}, dev, ops, "deploy", typed)
			if err != nil || sent.Acked && (len(values) != 25 || !strings.HasPrefix(values[0], fmt.Sprintf("s%d-", n))) {
				t.Errorf("%v, %v", values, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if sent.Acked {
				answered++
			}
		})
	}
	people.Wait()
	if answered < 40 { // the bot's own limit of calls is 45 a second for all but these
		t.Errorf("%d of 300 were answered", answered)
	}
	if len(w.hub.messages()) != 0 {
		t.Error("what is being typed came in")
	}
	w.works(t)
}

// While the store stands still the reading goes on, what is too much is left, and
// nobody is told that it was kept.
func TestStandstill(t *testing.T) {
	w := newWorld(t)
	still := make(chan struct{})
	w.hub.set(func(h *hub) { h.still = still })
	sent, err := w.Slash(w.ctx, fakediscord.Way{}, dev, ops, "deploy", option("service", "shop"))
	if err != nil || sent.Answer.Type != sayNow || !strings.Contains(string(sent.Answer.Data), "not run") {
		t.Errorf("%+v %s, %v", sent, sent.Answer.Data, err)
	}
	close(still)
	w.hub.set(func(h *hub) { h.still = nil })
	w.works(t)
}

// The bot stops while Discord does not answer: nothing is waited for.
func TestStopping(t *testing.T) {
	w := newWorld(t)
	w.Fail("", fakediscord.Outage{Hang: true})
	ctx, cancel := context.WithCancel(w.ctx)
	ended := make(chan error, 1)
	go func() {
		_, err := w.chat.Deliver(ctx, bot.Delivery{Channel: opsID, Card: bot.Card{Key: "k", Title: "t"}})
		ended <- err
	}()
	w.Say(dev, ops, fakediscord.Remark{Text: "<@" + own + "> hi"})
	w.stop()
	cancel()
	if err := <-ended; err == nil {
		t.Error("delivered to nobody")
	}
}
