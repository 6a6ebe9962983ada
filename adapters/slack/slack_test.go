package slackchat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"quarterdeck/adapters/slack/fakeslack"
	"quarterdeck/bot"
)

func TestMain(m *testing.M) {
	// The fakes' own defaults, set once, so that tests can run beside one another.
	for name, value := range map[string]string{"SLACK_BOT_TOKEN": "xoxb-fake", "SLACK_APP_TOKEN": "xapp-fake", "SLACK_SIGNING_SECRET": "signing-fake"} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// hub takes messages, once each, and can refuse to.
type hub struct {
	mu   sync.Mutex
	got  []bot.Message
	seen map[string]bool
	err  error

	still chan struct{} // while the store stands still, until it is closed
	held  int           // how many it holds up
	gone  int           // how many it refused
}

func (h *hub) Receive(ctx context.Context, m bot.Message) (bot.Receipt, error) {
	h.mu.Lock()
	if still := h.still; still != nil {
		h.held++
		h.mu.Unlock()
		var err error
		select {
		case <-still:
		case <-ctx.Done():
			err = ctx.Err()
		}
		h.mu.Lock()
		h.held--
		if err != nil {
			h.gone++
			h.mu.Unlock()
			return bot.Receipt{}, err
		}
	}
	defer h.mu.Unlock()
	if h.err != nil {
		h.gone++
		return bot.Receipt{}, h.err
	}
	if h.seen[m.ID] {
		return bot.Receipt{Duplicate: true}, nil
	}
	if h.seen == nil {
		h.seen = map[string]bool{}
	}
	h.seen[m.ID] = true
	h.got = append(h.got, m)
	return bot.Receipt{}, nil
}

func (h *hub) messages() []bot.Message {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]bot.Message(nil), h.got...)
}

// stall has the store stand still until goOn.
func (h *hub) stall() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.still = make(chan struct{})
}

func (h *hub) goOn() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.still)
	h.still = nil
}

func (h *hub) waiting() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.held
}

func (h *hub) refused() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.gone
}

func (h *hub) fails(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
}

// table is a configuration table.
type table struct{ config Config }

func (t table) Decode(dst any) error {
	c := dst.(*Config)
	c.Teams, c.Shared = t.config.Teams, t.config.Shared
	if t.config.Replicas != 0 {
		c.Replicas = t.config.Replicas
	}
	for from, to := range map[*string]*string{&t.config.Mode: &c.Mode, &t.config.APIURL: &c.APIURL, &t.config.BotToken: &c.BotToken, &t.config.AppToken: &c.AppToken, &t.config.Command: &c.Command} {
		if *from != "" {
			*to = *from
		}
	}
	return nil
}
func (table) Dir() string   { return "." }
func (table) Where() string { return "config.toml:9" }

// contracts gives the folder of the vendor's descriptions, or "" where it is
// not laid beside the project.
func contracts(t testing.TB) string {
	dir := os.Getenv("CONTRACTS_DIR")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "contracts")
	}
	dir = filepath.Join(dir, "slack")
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CONTRACTS_REQUIRED") != "" {
			t.Fatalf("the contracts are not there: %v", err)
		}
		return ""
	}
	return dir
}

// world is a fake Slack with people and the adapter on it.
type world struct {
	*fakeslack.Server
	chat *chat
	hub  *hub
	ctx  context.Context
}

func newWorld(t *testing.T, change ...func(*fakeslack.Options)) *world {
	t.Helper()
	o := fakeslack.Options{AckWithin: 3 * time.Second}
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
	for id, kind := range map[string]fakeslack.Kind{"UDEV": fakeslack.Full, "USRE": fakeslack.Full, "UGUEST": fakeslack.Guest, "USINGLE": fakeslack.Single,
		"UGONE": fakeslack.Gone, "UOTHERBOT": fakeslack.Bot, "UFLOW": fakeslack.Workflow, "UINVITED": fakeslack.Invited} {
		fake.SetUser(fakeslack.User{ID: id, Kind: kind, Name: strings.ToLower(id)})
	}
	fake.SetUser(fakeslack.User{ID: "UCONNECT", TeamID: "T9", Kind: fakeslack.Connected})
	fake.SetChannel(fakeslack.Channel{ID: "C1", Name: "ops", Members: []string{"UBOT", "UDEV", "USRE"}})
	fake.SetChannel(fakeslack.Channel{ID: "C2", Name: "secret", Private: true, Members: []string{"UDEV"}})
	fake.SetChannel(fakeslack.Channel{ID: "C3", Name: "partners", Shared: true, Members: []string{"UBOT", "UDEV", "UCONNECT"}})
	c, err := open(bot.ChatOptions{Raw: table{Config{Teams: []string{o.TeamID}, APIURL: fake.URL()}}, Clock: bot.SystemClock{}, Logger: slog.New(slog.NewTextHandler(testLog{t}, nil))})
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

type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	for _, secret := range []string{"xoxb-fake", "xapp-fake", "/hook/", "trigger."} {
		if strings.Contains(string(p), secret) {
			l.t.Errorf("the log holds a secret: %s", p)
		}
	}
	return len(p), nil
}

// A slash command, a mention and a direct message come in once, as who wrote
// them, also when Slack delivers them on both sockets.
func TestWaysIn(t *testing.T) {
	w := newWorld(t)
	for _, twice := range []bool{false, true} {
		way := fakeslack.Way{Twice: twice}
		for _, c := range []struct {
			name string
			do   func() (fakeslack.Sent, error)
			want bot.Message
		}{
			{"slash", func() (fakeslack.Sent, error) {
				return w.Slash(w.ctx, way, "UDEV", "C1", "deploy shop v2 &lt;x&gt; prod")
			}, bot.Message{Channel: "slack:C1", Text: "deploy shop v2 <x> prod"}},
			{"mention", func() (fakeslack.Sent, error) { return w.Mention(w.ctx, way, "UDEV", "C1", "status", "") }, bot.Message{Channel: "slack:C1", Text: "status"}},
			{"mention in a thread", func() (fakeslack.Sent, error) { return w.Mention(w.ctx, way, "UDEV", "C1", "status", "1.2") }, bot.Message{Channel: "slack:C1", Thread: "1.2", Text: "status"}},
			{"direct", func() (fakeslack.Sent, error) { return w.Direct(w.ctx, way, "UDEV", "whoami") }, bot.Message{Channel: "slack:DUDEV", Text: "whoami"}},
		} {
			before := len(w.hub.messages())
			sent, err := c.do()
			if err != nil || !sent.Acked {
				t.Fatalf("%s: %+v, %v", c.name, sent, err)
			}
			got := w.hub.messages()[before:]
			if len(got) != 1 {
				t.Fatalf("%s, twice %v: %d messages", c.name, twice, len(got))
			}
			m := got[0]
			if m.Account != "slack:T1/UDEV" || m.Standing != bot.Member || m.Channel != c.want.Channel || m.Text != c.want.Text || m.Thread != c.want.Thread || m.ID == "" {
				t.Errorf("%s: %+v", c.name, m)
			}
		}
	}
	if n := len(w.Calls("users.info")); n != 1 {
		t.Errorf("users.info was called %d times for one person", n)
	}
}

// Whoever is no full member of the workspace is known as what they are.
func TestStandings(t *testing.T) {
	w := newWorld(t)
	for user, want := range map[string]bot.Standing{"UDEV": bot.Member, "UGUEST": bot.Guest, "USINGLE": bot.Guest, "UINVITED": bot.Guest, "UGONE": bot.Disabled,
		"UOTHERBOT": bot.Automated, "UFLOW": bot.Automated, "UCONNECT": bot.External, "UNOBODY": bot.External} {
		if _, err := w.Slash(w.ctx, fakeslack.Way{}, user, "C1", "status"); err != nil {
			t.Fatal(err)
		}
		got := w.hub.messages()
		if m := got[len(got)-1]; m.Standing != want {
			t.Errorf("%s is %q, want %q", user, m.Standing, want)
		}
	}
	if _, err := w.Mention(w.ctx, fakeslack.Way{}, "UDEV", "C3", "status", ""); err != nil {
		t.Fatal(err)
	}
	got := w.hub.messages()
	if m := got[len(got)-1]; m.Standing != bot.External {
		t.Errorf("in a shared channel a member is %q", m.Standing)
	}
}

// Slack is down when somebody unknown writes: they are refused, not trusted.
func TestStandingFailsClosed(t *testing.T) {
	w := newWorld(t)
	w.Fail("users.info", fakeslack.Outage{Status: 500})
	if _, err := w.Slash(w.ctx, fakeslack.Way{}, "USRE", "C1", "status"); err != nil {
		t.Fatal(err)
	}
	if m := w.hub.messages()[0]; m.Standing != bot.Unvouched {
		t.Errorf("standing %q", m.Standing)
	}
	w.Mend()
	if _, err := w.Slash(w.ctx, fakeslack.Way{}, "USRE", "C1", "status"); err != nil {
		t.Fatal(err)
	}
	if m := w.hub.messages()[1]; m.Standing != bot.Member {
		t.Errorf("once Slack answers, standing %q", m.Standing)
	}
}

// What is not said to the bot never comes in, and is acknowledged all the same.
func TestNotForTheBot(t *testing.T) {
	w := newWorld(t)
	for name, inner := range map[string]map[string]any{
		"its own message":      {"type": "message", "channel_type": "im", "user": "UBOT", "text": "deploy shop v2 prod", "channel": "DUDEV"},
		"an edit":              {"type": "message", "subtype": "message_changed", "channel_type": "im", "channel": "DUDEV", "message": map[string]any{"user": "UDEV", "text": "deploy shop v2 prod"}},
		"a bot's":              {"type": "message", "subtype": "bot_message", "channel_type": "im", "bot_id": "B9", "text": "deploy shop v2 prod", "channel": "DUDEV"},
		"in a channel":         {"type": "message", "channel_type": "channel", "user": "UDEV", "text": "deploy shop v2 prod", "channel": "C1"},
		"an event of the year": {"type": "brand_new_event", "user": "UDEV", "text": "deploy shop v2 prod"},
		"nothing":              {},
	} {
		sent, err := w.Event(w.ctx, fakeslack.Way{}, "", inner)
		if err != nil || !sent.Acked {
			t.Errorf("%s: %+v, %v", name, sent, err)
		}
	}
	if got := w.hub.messages(); len(got) != 0 {
		t.Errorf("came in: %+v", got)
	}
	// An edited mention comes as an edit, and one of another bot as a bot's.
	for _, inner := range []map[string]any{
		{"type": "app_mention", "user": "UDEV", "text": "<@UBOT> deploy shop v2 prod", "channel": "C1", "edited": map[string]any{"ts": "1"}},
		{"type": "app_mention", "user": "UDEV", "bot_id": "B9", "text": "<@UBOT> deploy shop v2 prod", "channel": "C1"},
	} {
		if _, err := w.Event(w.ctx, fakeslack.Way{}, "", inner); err != nil {
			t.Fatal(err)
		}
	}
	got := w.hub.messages()
	if len(got) != 2 || !got[0].Edited || got[1].Standing != bot.Automated {
		t.Errorf("came in: %+v", got)
	}
}

// What cannot be kept is not acknowledged, so that Slack delivers it again; who
// typed a command, which is not delivered again, hears that it was not run.
func TestNotKept(t *testing.T) {
	w := newWorld(t, func(o *fakeslack.Options) { o.AckWithin = 300 * time.Millisecond })
	w.hub.fails(errors.New("the disk is full"))
	sent, err := w.Slash(w.ctx, fakeslack.Way{}, "UDEV", "C1", "deploy shop v2 prod")
	if err != nil || !strings.Contains(string(sent.Answer), "not run") {
		t.Errorf("%s, %v", sent.Answer, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		sent, err = w.Mention(w.ctx, fakeslack.Way{}, "USRE", "C1", "status", "")
	}()
	if err := w.Until(w.ctx, "the mention is refused once", func() bool { return len(w.Calls("users.info")) >= 2 }); err != nil {
		t.Fatal(err)
	}
	w.hub.fails(nil)
	<-done
	if err != nil || !sent.Acked || len(w.hub.messages()) != 1 {
		t.Errorf("after a redelivery: %+v, %v, %d messages", sent, err, len(w.hub.messages()))
	}
}

// Frames that make no sense are taken and do no harm.
func TestOddFrames(t *testing.T) {
	w := newWorld(t)
	for _, frame := range []string{`{}`, `[]`, `not json`, `{"type":"events_api"}`, `{"type":"unheard_of","payload":{}}`, `{"type":"hello","num_connections":9}`} {
		if err := w.Frame(0, frame); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Slash(w.ctx, fakeslack.Way{Socket: 0}, "UDEV", "C1", "status"); err != nil {
		t.Fatal(err)
	}
	if len(w.hub.messages()) != 1 {
		t.Errorf("%d messages", len(w.hub.messages()))
	}
}

// Slack ends connections every few hours; one is up meanwhile, and a server that
// ends each at once is not stormed.
func TestDisconnects(t *testing.T) {
	w := newWorld(t)
	w.Disconnect("refresh_requested")
	if err := w.Until(w.ctx, "new sockets", func() bool { return w.Opened() >= 2+sockets && w.Sockets() == sockets }); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Slash(w.ctx, fakeslack.Way{}, "UDEV", "C1", "status"); err != nil {
		t.Fatal(err)
	}
	before := w.Opened()
	storm, cancel := context.WithTimeout(w.ctx, 3*time.Second)
	defer cancel()
	for storm.Err() == nil {
		w.Disconnect("link_disabled")
		_ = w.Until(storm, "a socket", func() bool { return w.Sockets() > 0 }) // or the storm is over
	}
	if opened := w.Opened() - before; opened > 6 {
		t.Errorf("%d connections were asked for in three seconds of refusals", opened)
	}
}

// A card is posted, edited in place, and its button comes back as its token.
func TestCardAndButton(t *testing.T) {
	w := newWorld(t)
	card := bot.Card{Title: "#1 deploy shop v2 to prod: confirm?", Tone: bot.Question, Fields: []bot.Field{{Name: "now", Value: "v1"}},
		Buttons: []bot.Button{{Label: "Confirm", Line: "confirm 1", Token: "tok-1", Danger: true}}}
	ref, err := w.chat.Deliver(w.ctx, bot.Delivery{Channel: "slack:C1", Card: card})
	if err != nil {
		t.Fatal(err)
	}
	shown, err := w.Wait(w.ctx, "the card", func(m fakeslack.Message) bool { return strings.Contains(string(m.Blocks), "confirm?") })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Click(w.ctx, fakeslack.Way{Twice: true}, "USRE", shown, "Confirm"); err != nil {
		t.Fatal(err)
	}
	got := w.hub.messages()
	if len(got) != 1 || got[0].Press != "tok-1" || got[0].On != ref || got[0].Account != "slack:T1/USRE" || got[0].Channel != "slack:C1" {
		t.Fatalf("the press came as %+v", got)
	}
	card.Title, card.Buttons = "#1 deploy shop v2 to prod: done", nil
	again, err := w.chat.Deliver(w.ctx, bot.Delivery{Channel: "slack:C1", Ref: ref, Card: card})
	if err != nil || again != ref {
		t.Fatalf("edited as %q, %v", again, err)
	}
	if all := w.Messages("C1"); len(all) != 1 || all[0].Edits != 1 || strings.Contains(string(all[0].Blocks), "tok-1") {
		t.Errorf("after the edit: %+v", all)
	}
}

// A private answer reaches the asker alone: in the channel, by the response URL
// where the bot is no member, and by direct message when that is used up.
func TestWhisper(t *testing.T) {
	w := newWorld(t)
	sent, err := w.Slash(w.ctx, fakeslack.Way{}, "UDEV", "C2", "help")
	if err != nil {
		t.Fatal(err)
	}
	id := "slack:" + once("command", sent.Trigger)
	whisper := func(channel bot.ChannelID, title string) {
		t.Helper()
		w.chat.pace = newPace(bot.SystemClock{})
		if _, err := w.chat.Deliver(w.ctx, bot.Delivery{Channel: channel, To: "slack:T1/UDEV", Card: bot.Card{Title: title, ReplyTo: id}}); err != nil {
			t.Fatal(err)
		}
	}
	whisper("slack:C1", "in the channel")
	for i := range hookUses {
		whisper("slack:C2", fmt.Sprint("by response URL ", i))
	}
	whisper("slack:C2", "by direct message")
	w.chat.answers.keep(id+"x", w.URL()+"elsewhere")
	for _, m := range w.Messages("") {
		if m.From == "UBOT" && m.For != "UDEV" && m.Channel != "DUDEV" {
			t.Errorf("others see %q in %s", m.Text, m.Channel)
		}
	}
	if all := w.Messages("C2"); len(all) != hookUses {
		t.Errorf("%d answers by response URL", len(all))
	}
	if all := w.Messages("DUDEV"); len(all) != 1 || all[0].Text != "by direct message" {
		t.Errorf("direct messages: %+v", all)
	}
}

// Errors become what the outbox understands.
func TestErrors(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		o    fakeslack.Outage
		kind bot.Kind
	}{
		"429":            {fakeslack.Outage{Status: 429, RetryAfter: 7 * time.Second}, bot.Busy},
		"429 without":    {fakeslack.Outage{Status: 429}, bot.Busy},
		"500":            {fakeslack.Outage{Status: 503}, bot.Unavailable},
		"a page":         {fakeslack.Outage{HTML: true}, bot.Unavailable},
		"internal_error": {fakeslack.Outage{Error: "internal_error"}, bot.Unavailable},
		"is_archived":    {fakeslack.Outage{Error: "is_archived"}, bot.NotFound},
		"invalid_blocks": {fakeslack.Outage{Error: "invalid_blocks"}, bot.Invalid},
	} {
		w.chat.pace = newPace(bot.SystemClock{})
		w.Fail("chat.postMessage", c.o)
		_, err := w.chat.Deliver(w.ctx, bot.Delivery{Channel: "slack:C1", Card: bot.Card{Title: "x"}})
		if bot.KindOf(err) != c.kind {
			t.Errorf("%s: %v is %s, want %s", name, err, bot.KindOf(err), c.kind)
		}
		var known *bot.Error
		if errors.As(err, &known) && name == "429" && known.RetryAfter != 7*time.Second {
			t.Errorf("%s: retry after %s", name, known.RetryAfter)
		}
		w.Mend()
		w.chat.gate.forget()
	}
	w.chat.pace = newPace(bot.SystemClock{})
	if _, err := w.chat.Deliver(w.ctx, bot.Delivery{Channel: "slack:C1", Card: bot.Card{Title: "fine again"}}); err != nil {
		t.Error(err)
	}
}

func TestBadConfig(t *testing.T) {
	for says, c := range map[string]Config{
		"needs teams":                      {},
		`team "t1" is not a workspace's`:   {Teams: []string{"t1"}},
		"would send the token unencrypted": {Teams: []string{"T1"}, APIURL: "http://slack.example/api/"},
		"bot_token: ":                      {Teams: []string{"T1"}, BotToken: "xoxb-1"},
		`command "ops"`:                    {Teams: []string{"T1"}, Command: "ops"},
		`shared channel "ops"`:             {Teams: []string{"T1"}, Shared: []string{"ops"}},
		"replicas -1 does not do":          {Teams: []string{"T1"}, Replicas: -1},
		"replicas 6 does not do; expected": {Teams: []string{"T1"}, Replicas: 6},
	} {
		_, err := open(bot.ChatOptions{Raw: table{c}})
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "xoxb-1") {
			t.Errorf("%+v: %v, want %q", c, err, says)
		}
	}
}
