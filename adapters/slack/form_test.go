package slackchat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"quarterdeck/adapters/slack/fakeslack"
	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
)

// desk is bot.Forms with one form for whatever begins with "form", and for the
// buttons whose tokens do.
type desk struct {
	mu      sync.Mutex
	form    bot.Form
	from    map[string]bot.Message // by token
	faults  map[string]string
	err     error
	choices []string
	entries []bot.Entry
}

func (d *desk) Form(_ context.Context, m bot.Message) (bot.Form, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !strings.HasPrefix(m.Text+m.Press, "form") && !strings.HasPrefix(m.ID, "slack:shortcut/") {
		return bot.Form{}, false
	}
	f := d.form
	f.Token = fmt.Sprintf("token%d", len(d.from))
	if d.from == nil {
		d.from = map[string]bot.Message{}
	}
	d.from[f.Token] = m
	return f, true
}

func (d *desk) Choices(_ context.Context, e bot.Entry, input, typed string, limit int) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	e.Values = map[string]string{input: typed, "service": e.Values["service"]}
	d.entries = append(d.entries, e)
	return d.choices[:min(limit, len(d.choices))]
}

func (d *desk) Entered(_ context.Context, e bot.Entry) (bot.Message, map[string]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries = append(d.entries, e)
	if d.err != nil || d.faults != nil {
		return bot.Message{}, d.faults, d.err
	}
	m := d.from[e.Token]
	m.ID, m.Code = e.ID, e.Values["code"]
	if m.Press == "" {
		m.Text = "made of " + e.Values["service"] + e.Values["line"]
	}
	return m, nil, nil
}

func (d *desk) set(change func(*desk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

// newFormWorld is newWorld with forms and a Home.
func newFormWorld(t *testing.T, forms bot.Forms, home bot.Home, change ...func(*fakeslack.Options)) *world {
	t.Helper()
	o := fakeslack.Options{}
	if dir := contracts(t); dir != "" {
		o.Methods = filepath.Join(dir, "methods")
	}
	for _, c := range change {
		c(&o)
	}
	fake, err := fakeslack.New(o)
	if err != nil {
		t.Fatal(err)
	}
	o = fake.Options()
	t.Setenv("SLACK_BOT_TOKEN", o.BotToken)
	t.Setenv("SLACK_APP_TOKEN", o.AppToken)
	fake.SetUser(fakeslack.User{ID: "UDEV"})
	fake.SetUser(fakeslack.User{ID: "UGUEST", Kind: fakeslack.Guest})
	fake.SetChannel(fakeslack.Channel{ID: "C1", Members: []string{"UBOT", "UDEV"}})
	fake.SetChannel(fakeslack.Channel{ID: "C2", Private: true, Members: []string{"UDEV"}})
	c, err := open(bot.ChatOptions{Raw: table{Config{Teams: []string{o.TeamID}, APIURL: fake.URL()}}, Clock: bot.SystemClock{}, Logger: slog.New(slog.NewTextHandler(testLog{t}, nil)),
		Forms: forms, Home: home})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	w := &world{Server: fake, chat: c, hub: &hub{}, ctx: ctx}
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx, w.hub) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run ended with %v", err)
		}
		fake.Close()
		web.CloseIdleConnections()
		for _, wrong := range fake.Wrong() {
			t.Errorf("Slack's rules were broken: %s", wrong)
		}
	})
	if err := fake.Until(ctx, "both sockets", func() bool { return fake.Sockets() == sockets }); err != nil {
		t.Fatal(err)
	}
	return w
}

// nasty are texts of every length and sort that an input can hold.
var nasty = []string{"", "x", "<!channel> & <https://evil|prod>", strings.Repeat("&", 500), strings.Repeat("👩‍🚒", 2000), "\u202eevil\x00\n\ttext", strings.Repeat("long ", 3000)}

var inputKinds = []bot.InputKind{bot.InputText, bot.InputPick, bot.InputSwitch, bot.InputCode}

// Whatever a form holds, Slack takes it.
func TestFormWithinLimits(t *testing.T) {
	d := &desk{}
	w := newFormWorld(t, d, nil)
	for _, text := range nasty {
		f := bot.Form{Title: text, Text: text, Submit: text}
		for n := range 25 {
			f.Inputs = append(f.Inputs, bot.Input{Name: fmt.Sprintf("input-%d", n), Label: text, Hint: text, Value: text, Kind: inputKinds[n%len(inputKinds)], Optional: true})
		}
		d.set(func(d *desk) { d.form = f })
		if sent, err := w.Slash(w.ctx, fakeslack.Way{}, "UDEV", "C1", "form"); err != nil || !sent.Acked {
			t.Fatalf("%+v, %v", sent, err)
		}
		v, err := w.Form(w.ctx, "UDEV")
		if err != nil {
			t.Fatalf("%.40q: %v", text, err)
		}
		if strings.Contains(string(v.Raw), "\u202e") || v.Private != fmt.Sprintf("token%d", len(d.from)-1) {
			t.Errorf("%.40q: the form holds %.300s, with the metadata %q", text, v.Raw, v.Private)
		}
		for name, value := range v.Entered() {
			if n := 0; value != "" {
				fmt.Sscanf(name, "input-%d/", &n)
				if inputKinds[n%len(inputKinds)] == bot.InputCode {
					t.Errorf("the code is filled in with %q", value)
				}
			}
		}
		if sent, err := w.Submit(w.ctx, fakeslack.Way{}, v, nil); err != nil || !sent.Acked {
			t.Fatalf("%+v, %v", sent, err)
		}
	}
	if n := len(w.hub.messages()); n != len(nasty) {
		t.Errorf("%d messages of %d forms", n, len(nasty))
	}
}

// simple is a form with a pick and a text.
func simple() bot.Form {
	return bot.Form{Title: "Deploy", Submit: "Deploy", Inputs: []bot.Input{{Name: "service", Label: "Service", Kind: bot.InputPick, Value: "shop"}, {Name: "reason", Label: "Reason", Kind: bot.InputText, Optional: true}}}
}

// opens has UDEV type a line and gives the form that it opens.
func (w *world) opens(t *testing.T, way fakeslack.Way, channel string) fakeslack.View {
	t.Helper()
	if sent, err := w.Slash(w.ctx, way, "UDEV", channel, "form"); err != nil || !sent.Acked {
		t.Fatalf("%+v, %v", sent, err)
	}
	v, err := w.Form(w.ctx, "UDEV")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Choices are as many as an acknowledgement holds, and each stands for what it
// shows.
func TestSuggestions(t *testing.T) {
	d := &desk{form: simple()}
	w := newFormWorld(t, d, nil)
	v := w.opens(t, fakeslack.Way{}, "C1")
	var many []string
	for n := range 300 {
		many = append(many, strings.Repeat("é", 70)+fmt.Sprint(n))
	}
	for _, choices := range [][]string{nil, {"a", "b", "a"}, append([]string{"ok"}, nasty...), many} {
		d.set(func(d *desk) { d.choices = choices })
		got, sent, err := w.Suggest(w.ctx, fakeslack.Way{}, v, "service/entry", "typ", map[string]string{"service/entry": "pay"})
		if err != nil || !sent.Acked {
			t.Fatalf("%+v, %v", sent, err)
		}
		for _, c := range got {
			if !slices.Contains(choices, c) {
				t.Errorf("%q is offered, which is no choice", c)
			}
		}
		if want := min(len(choices), 2); len(got) < want {
			t.Errorf("%d of %d choices are offered", len(got), len(choices))
		}
	}
	e := d.entries[0]
	if e.Token != v.Private || e.Account != "slack:T1/UDEV" || e.Standing != bot.Member || e.Values["service"] != "pay" {
		t.Errorf("asked with %+v", e)
	}
}

// What is entered is one message, however often it is sent and whatever went
// wrong before.
func TestSubmission(t *testing.T) {
	d := &desk{form: simple()}
	w := newFormWorld(t, d, nil)
	v := w.opens(t, fakeslack.Way{Twice: true}, "C1") // the other delivery finds it open
	if n := len(w.hub.messages()); n != 0 {
		t.Fatalf("a line that opened a form is also %d messages", n)
	}
	send := func(way fakeslack.Way) fakeslack.Sent {
		t.Helper()
		sent, err := w.Submit(w.ctx, way, v, map[string]string{"reason/entry": "why"})
		if err != nil || !sent.Acked {
			t.Fatalf("%+v, %v", sent, err)
		}
		return sent
	}
	d.set(func(d *desk) { d.faults = map[string]string{"service": "no such", "elsewhere": "odd"} })
	if sent := send(fakeslack.Way{}); sent.Errors["service"] == "" {
		t.Errorf("what is wrong is answered with %s", sent.Answer)
	}
	for _, err := range []error{bot.Errorf(bot.NotFound, "gone"), bot.Errorf(bot.Denied, "another's")} {
		d.set(func(d *desk) { d.faults, d.err = nil, err })
		other := v
		other.ID = "V999"
		sent, e := w.Forge(w.ctx, fakeslack.Way{}, other, nil)
		if e != nil || !strings.Contains(string(sent.Answer), "update") || !strings.Contains(string(sent.Answer), bot.Sentence(err, "")) {
			t.Errorf("%v is answered with %s, %v", err, sent.Answer, e)
		}
	}
	d.set(func(d *desk) { d.err = errors.New("down") })
	if sent := send(fakeslack.Way{}); !strings.Contains(sent.Errors["service"], "cannot be recorded") {
		t.Errorf("a form that cannot be taken is answered with %s", sent.Answer)
	}
	d.set(func(d *desk) { d.err = nil })
	w.hub.fails(errors.New("disk full"))
	if sent := send(fakeslack.Way{}); !strings.Contains(sent.Errors["service"], "cannot be recorded") {
		t.Errorf("a message that cannot be kept is answered with %s", sent.Answer)
	}
	w.hub.fails(nil)
	for range 3 {
		send(fakeslack.Way{Twice: true})
	}
	got := w.hub.messages()
	if len(got) != 1 || got[0].Text != "made of shop" || got[0].Channel != "slack:C1" || got[0].Account != "slack:T1/UDEV" || !strings.HasPrefix(got[0].ID, "slack:form/") {
		t.Errorf("the form is %+v", got)
	}
}

// Where no form can be opened, the line is answered as if there were none, once,
// within the time for the acknowledgement.
func TestNoFormCanBeOpened(t *testing.T) {
	w := newFormWorld(t, &desk{form: simple()}, nil)
	for name, o := range map[string]fakeslack.Outage{
		"expired": {Error: "expired_trigger_id"}, "invalid": {Error: "invalid_trigger_id"}, "limited": {Status: 429, RetryAfter: time.Minute},
		"down": {Status: 503}, "page": {HTML: true}, "silent": {Hang: true}, "refused": {Error: "invalid_arguments"},
	} {
		before := len(w.hub.messages())
		w.Fail("views.open", o)
		if sent, err := w.Slash(w.ctx, fakeslack.Way{}, "UDEV", "C1", "form "+name); err != nil || !sent.Acked {
			t.Fatalf("%s: %+v, %v", name, sent, err)
		}
		w.Mend()
		if got := w.hub.messages()[before:]; len(got) != 1 || got[0].Text != "form "+name {
			t.Errorf("%s: %+v", name, got)
		}
	}
	w.hub.fails(errors.New("disk full"))
	w.Fail("views.open", fakeslack.Outage{Error: "expired_trigger_id"})
	sent, err := w.Slash(w.ctx, fakeslack.Way{}, "UDEV", "C1", "form")
	if err != nil || !strings.Contains(string(sent.Answer), "not run") {
		t.Errorf("a line that can be neither asked nor kept is answered with %s, %v", sent.Answer, err)
	}
}

// The answer to a form goes where the line that opened it was typed, also where
// the bot is no member.
func TestAnswerToAForm(t *testing.T) {
	w := newFormWorld(t, &desk{form: simple()}, nil)
	v := w.opens(t, fakeslack.Way{}, "C2")
	if sent, err := w.Submit(w.ctx, fakeslack.Way{}, v, nil); err != nil || !sent.Acked {
		t.Fatalf("%+v, %v", sent, err)
	}
	m := w.hub.messages()[0]
	if _, err := w.chat.Deliver(w.ctx, bot.Delivery{Channel: m.Channel, To: m.Account, Card: bot.Card{Title: "done", ReplyTo: m.ID}}); err != nil {
		t.Fatal(err)
	}
	if got := w.Messages("C2"); len(got) != 1 || !got[0].Hook || got[0].For != "UDEV" {
		t.Errorf("the answer is %+v", got)
	}
}

// A button that needs a code opens a form; the code comes with the press.
func TestCodeForAButton(t *testing.T) {
	d := &desk{form: bot.Form{Title: "Code", Inputs: []bot.Input{{Name: "code", Label: "Code", Kind: bot.InputCode, Value: "000000"}}}}
	w := newFormWorld(t, d, nil)
	ref, err := w.chat.Deliver(w.ctx, bot.Delivery{Channel: "slack:C1", Card: bot.Card{Title: "run", Buttons: []bot.Button{{Label: "Approve", Token: "form-token"}, {Label: "Cancel", Token: "other"}}}})
	if err != nil {
		t.Fatal(err)
	}
	card := w.Messages("C1")[0]
	for _, label := range []string{"Approve", "Cancel"} {
		if sent, err := w.Click(w.ctx, fakeslack.Way{}, "UDEV", card, label); err != nil || !sent.Acked {
			t.Fatalf("%+v, %v", sent, err)
		}
	}
	v, err := w.Form(w.ctx, "UDEV")
	if err != nil {
		t.Fatal(err)
	}
	if sent, err := w.Submit(w.ctx, fakeslack.Way{}, v, map[string]string{"code/entry": "123456"}); err != nil || !sent.Acked {
		t.Fatalf("%+v, %v", sent, err)
	}
	got := w.hub.messages()
	if len(got) != 2 || got[0].Press != "other" || got[1].Press != "form-token" || got[1].Code != "123456" || got[0].Code != "" {
		t.Errorf("pressed %+v, on %s", got, ref)
	}
}

// A shortcut on a message asks in that message's thread; what the message says
// is not read. Another shortcut, and a form that is closed, are nothing.
func TestShortcut(t *testing.T) {
	d := &desk{form: bot.Form{Inputs: []bot.Input{{Name: "line", Kind: bot.InputText}}}}
	w := newFormWorld(t, d, nil)
	for _, c := range []struct {
		on   fakeslack.Message
		want string
	}{{fakeslack.Message{Channel: "C1", TS: "1.1", Text: "deploy shop v9 prod"}, "1.1"}, {fakeslack.Message{Channel: "C1", TS: "1.2", Thread: "1.1"}, "1.1"}} {
		before := len(w.hub.messages())
		for _, callback := range []string{"another", "ask_quarterdeck"} {
			if sent, err := w.Shortcut(w.ctx, fakeslack.Way{}, "UDEV", callback, c.on); err != nil || !sent.Acked {
				t.Fatalf("%+v, %v", sent, err)
			}
		}
		v, err := w.Form(w.ctx, "UDEV")
		if err != nil {
			t.Fatal(err)
		}
		if sent, err := w.Submit(w.ctx, fakeslack.Way{}, v, map[string]string{"line/entry": "status"}); err != nil || !sent.Acked {
			t.Fatalf("%+v, %v", sent, err)
		}
		if sent, err := w.Dismiss(w.ctx, fakeslack.Way{}, v); err != nil || !sent.Acked {
			t.Fatalf("%+v, %v", sent, err)
		}
		got := w.hub.messages()[before:]
		if len(got) != 1 || got[0].Text != "made of status" || got[0].Thread != c.want || got[0].Channel != "slack:C1" {
			t.Errorf("%+v", got)
		}
	}
}

// Payloads in the vendor's own form are read; what is missing in them is nothing.
func TestVendorsPayloads(t *testing.T) {
	dir := contracts(t)
	if dir == "" {
		t.Skip("the contracts are not laid beside the project")
	}
	w := newFormWorld(t, &desk{form: simple()}, nil)
	for name, kind := range map[string]string{"interactive/ViewSubmissionPayload": kindInteractive, "interactive/ViewClosedPayload": kindInteractive, "interactive/MessageShortcutPayload": kindInteractive,
		"interactive/BlockActionPayload": kindInteractive, "events/AppHomeOpenedPayload": kindEvents} {
		raw, err := os.ReadFile(filepath.Join(dir, name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		if p, ours, err := w.chat.decode(kind, raw); err != nil || ours {
			t.Errorf("%s is %+v, %v, %v", name, p, ours, err)
		}
		filled := strings.NewReplacer(`"user": ""`, `"user": "UDEV"`, `"tab": ""`, `"tab": "home"`, `"event_id": ""`, `"event_id": "Ev1"`, `"trigger_id": ""`, `"trigger_id": "1.2"`,
			`"id": ""`, `"id": "UDEV"`, `"callback_id": ""`, `"callback_id": "form"`, `"message_ts": ""`, `"message_ts": "1.1"`).Replace(string(raw))
		if name == "interactive/MessageShortcutPayload" {
			filled = strings.Replace(filled, `"callback_id": "form"`, `"callback_id": "ask_quarterdeck"`, 1)
		}
		_, ours, err := w.chat.decode(kind, json.RawMessage(filled))
		if want := name != "interactive/ViewClosedPayload" && name != "interactive/BlockActionPayload"; err != nil || ours != want {
			t.Errorf("%s, filled in, is for the bot: %v, %v; want %v", name, ours, err, want)
		}
	}
}

// A Home is drawn once however often it is opened at a time, within Slack's
// limits, for whoever Slack vouches for; a fault in it stays there.
func TestHome(t *testing.T) {
	var mu sync.Mutex
	drawn := map[bot.AccountID]int{}
	home := func(_ context.Context, a bot.AccountID, standing bot.Standing) []bot.Card {
		mu.Lock()
		defer mu.Unlock()
		drawn[a]++
		if standing != bot.Member {
			return []bot.Card{{Title: "denied: guests may not"}}
		}
		if drawn[a] > 1 {
			panic("drawn again")
		}
		cards := []bot.Card{{Title: "waits", Buttons: []bot.Button{{Label: "Approve", Token: "home-token", Danger: true}}}}
		for _, text := range nasty {
			cards = append(cards, bot.Card{Title: text, Text: text, Fields: []bot.Field{{Name: text, Value: text}}, Footer: text,
				Table: &bot.Table{Columns: []string{"A", text}, Rows: [][]string{{text, text}, {"x", ""}}}})
		}
		return cards
	}
	w := newFormWorld(t, nil, home)
	for range 20 {
		for _, user := range []string{"UDEV", "UGUEST"} {
			if sent, err := w.OpenHome(w.ctx, fakeslack.Way{}, user); err != nil || !sent.Acked {
				t.Fatalf("%+v, %v", sent, err)
			}
		}
	}
	v, err := w.Home(w.ctx, "UDEV", "the developer's home", func(fakeslack.View) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(v.Raw), "\u202e") || strings.Contains(string(v.Raw), `"table"`) {
		t.Errorf("the home holds %s", v.Raw)
	}
	guest, err := w.Home(w.ctx, "UGUEST", "the guest's home", func(fakeslack.View) bool { return true })
	if err != nil || !strings.Contains(string(guest.Raw), "guests may not") {
		t.Errorf("the guest's home is %s, %v", guest.Raw, err)
	}
	if sent, err := w.ClickView(w.ctx, fakeslack.Way{Twice: true}, "UDEV", v, "Approve"); err != nil || !sent.Acked {
		t.Fatalf("%+v, %v", sent, err)
	}
	got := w.hub.messages()
	if len(got) != 1 || got[0].Press != "home-token" || got[0].On != bot.OnHome || got[0].Channel != "slack:DUDEV" || got[0].Account != "slack:T1/UDEV" {
		t.Errorf("pressed %+v", got)
	}
	for again := false; !again; { // its panic is nobody's end
		mu.Lock()
		again = drawn["slack:T1/UDEV"] > 1
		mu.Unlock()
		if !pause(w.ctx, time.Millisecond) {
			t.Fatal("the home is not drawn again after a button of it was pressed")
		}
	}
	if n := len(w.Calls("views.publish")); n > 4 {
		t.Errorf("a home that was opened twenty times by two was shown %d times", n)
	}
}

// A trigger is good for three seconds and for one form.
func TestTriggers(t *testing.T) {
	now := bottest.NewClock(bot.SystemClock{}.Now())
	d := &desk{form: simple()}
	w := newFormWorld(t, d, nil, func(o *fakeslack.Options) { o.Clock = now })
	w.opens(t, fakeslack.Way{}, "C1")
	now.SetStep(2 * time.Second) // from making the trigger to using it more than one look at the clock
	if sent, err := w.Slash(w.ctx, fakeslack.Way{}, "UDEV", "C1", "form too late"); err != nil || !sent.Acked {
		t.Fatalf("%+v, %v", sent, err)
	}
	got := w.hub.messages()
	if len(got) != 1 || got[0].Text != "form too late" || len(w.Views("UDEV")) != 1 {
		t.Errorf("an expired trigger gives %+v and the forms %v", got, w.Views("UDEV"))
	}
}
