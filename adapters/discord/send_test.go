package discordchat

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"quarterdeck/adapters/discord/fakediscord"
	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
)

// asks has somebody use a slash command, and gives the message that the hub got.
func (w *world) asks(t *testing.T, user, channel string) (bot.Message, fakediscord.Sent) {
	t.Helper()
	before := len(w.hub.messages())
	sent, err := w.Slash(w.ctx, fakediscord.Way{}, user, channel, "status", option("service", "shop"))
	if err != nil || !sent.Acked {
		t.Fatalf("%+v, %v", sent, err)
	}
	return w.await(t, before+1)[before], sent
}

func (w *world) delivers(t *testing.T, d bot.Delivery) string {
	t.Helper()
	ref, err := w.chat.Deliver(w.ctx, d)
	if err != nil {
		t.Fatalf("%+v: %v", d, err)
	}
	return ref
}

// shows gives the message of a reference.
func (w *world) shows(t *testing.T, ref string) fakediscord.Message {
	t.Helper()
	_, id := split(ref)
	m, ok := w.Message(id)
	if !ok {
		t.Fatalf("there is no message %s", ref)
	}
	return m
}

const opsID = bot.ChannelID("discord:" + ops)

func card(m bot.Message, title string) bot.Card {
	return bot.Card{Key: "run/1", Run: 1, ReplyTo: m.ID, Title: title, Tone: bot.Working}
}

// The answer takes the place of "is thinking" and is edited in place: with the
// token while that is good, as the bot later, and anew when it was deleted.
func TestOneMessage(t *testing.T) {
	clock := bottest.NewClock(time.Now())
	w := newWorld(t, func(s *setting) { s.o.Clock, s.fake.Clock = clock, clock })
	m, _ := w.asks(t, dev, ops)
	ref := w.delivers(t, bot.Delivery{Channel: opsID, Card: card(m, "deploying")})
	if got := w.Messages(ops); len(got) != 1 || !strings.Contains(got[0].Content, "deploying") || got[0].Flags&fakediscord.Loading != 0 {
		t.Fatalf("%+v", got)
	}
	if again := w.delivers(t, bot.Delivery{Channel: opsID, Ref: ref, Card: card(m, "half")}); again != ref || !strings.Contains(w.shows(t, ref).Content, "half") {
		t.Errorf("edited as %s", again)
	}
	clock.Advance(16 * time.Minute)
	if again := w.delivers(t, bot.Delivery{Channel: opsID, Ref: ref, Card: card(m, "done")}); again != ref || !strings.Contains(w.shows(t, ref).Content, "done") {
		t.Errorf("edited as %s", again)
	}
	if n := len(w.Calls("PATCH /channels/{channel_id}/messages/{message_id}")); n != 1 {
		t.Errorf("%d edits as the bot", n)
	}
	_, id := split(ref)
	w.DeleteMessage(id)
	again := w.delivers(t, bot.Delivery{Channel: opsID, Ref: ref, Card: card(m, "done for good")})
	if again == ref || !strings.Contains(w.shows(t, again).Content, "done for good") {
		t.Errorf("told anew as %s", again)
	}
	if link := w.chat.LinkTo(again); link != "https://discord.com/channels/500/"+again {
		t.Errorf("the link is %q", link)
	}
}

// The answer to somebody's command is often the card that is there already: that is
// edited, and what was deferred says where it is.
func TestAnsweredElsewhere(t *testing.T) {
	w := newWorld(t)
	m, _ := w.asks(t, dev, ops)
	ref := w.delivers(t, bot.Delivery{Channel: opsID, Card: card(m, "waits")})
	second, _ := w.asks(t, sre, ops)
	if again := w.delivers(t, bot.Delivery{Channel: opsID, Ref: ref, Card: card(second, "approved")}); again != ref {
		t.Errorf("edited as %s", again)
	}
	for _, said := range w.Messages(ops) {
		if said.Flags&fakediscord.Loading != 0 {
			t.Errorf("is thinking for ever: %+v", said)
		}
		if said.ID != w.shows(t, ref).ID && !strings.Contains(string(said.Embeds), ref) {
			t.Errorf("it does not say where: %s %s", said.Content, said.Embeds)
		}
	}
}

// A private answer is seen by its asker alone, however the acknowledgement promised
// it, and in place while the token is good.
func TestPrivateAnswers(t *testing.T) {
	for _, promised := range []bool{true, false} {
		t.Run(fmt.Sprintf("promised %v", promised), func(t *testing.T) {
			w := newWorld(t)
			w.hub.set(func(h *hub) { h.private = promised })
			m, _ := w.asks(t, dev, ops)
			to := bot.AccountID("discord:" + dev)
			ref := w.delivers(t, bot.Delivery{Channel: opsID, To: to, Card: card(m, "for you")})
			w.delivers(t, bot.Delivery{Channel: opsID, To: to, Ref: ref, Card: card(m, "for you alone")})
			got := w.Messages("")
			if len(got) != 1 || got[0].For != dev || !strings.Contains(got[0].Content, "for you alone") {
				t.Errorf("%+v", got)
			}
		})
	}
	// What was promised in private and is for all is said to all.
	w := newWorld(t)
	w.hub.set(func(h *hub) { h.private = true })
	m, _ := w.asks(t, dev, ops)
	w.delivers(t, bot.Delivery{Channel: opsID, Card: card(m, "for all")})
	if !slices.ContainsFunc(w.Shown(sre, ops), func(m fakediscord.Message) bool { return strings.Contains(m.Content, "for all") }) {
		t.Errorf("%+v", w.Messages(ops))
	}
	for _, said := range w.Messages(ops) {
		if said.Flags&fakediscord.Loading != 0 {
			t.Errorf("is thinking for ever: %+v", said)
		}
	}
}

// Without an interaction what one account alone may see goes by direct message, and
// where that is closed the asker is told how to get it.
func TestDirectMessages(t *testing.T) {
	w := newWorld(t)
	m, err := w.Say(dev, ops, fakediscord.Remark{Text: "<@" + own + "> help"})
	if err != nil {
		t.Fatal(err)
	}
	asked := w.await(t, 1)[0]
	d := bot.Delivery{Channel: opsID, To: bot.AccountID("discord:" + dev), Card: card(asked, "help")}
	ref := w.delivers(t, d)
	if got := w.shows(t, ref); got.Channel != w.DirectWith(dev) || m.ID == got.ID {
		t.Errorf("%+v", got)
	}
	if w.chat.LinkTo(ref) != "" {
		t.Errorf("others are given the link %q", w.chat.LinkTo(ref))
	}
	d.Ref = ref
	if again := w.delivers(t, d); again != ref {
		t.Errorf("edited as %s", again)
	}
	w.SetUser(fakediscord.User{ID: sre, Name: "sre", Roles: map[string][]string{guild: {}}, Closed: true})
	d.To, d.Ref = "discord:"+sre, ""
	if got := w.shows(t, w.delivers(t, d)); got.Channel != ops || !strings.Contains(got.Content, "may not write") || strings.Contains(got.Content+string(got.Embeds), "help") {
		t.Errorf("%+v %s", got, got.Embeds)
	}
	// In their own conversation nothing has to be opened.
	if _, err := w.Say(dev, w.DirectWith(dev), fakediscord.Remark{Text: "whoami"}); err != nil {
		t.Fatal(err)
	}
	asked = w.await(t, 2)[1]
	before := len(w.Calls("POST /users/@me/channels"))
	if got := w.shows(t, w.delivers(t, bot.Delivery{Channel: asked.Channel, To: asked.Account, Card: bot.Card{Key: "reply", ReplyTo: asked.ID, Title: "you"}})); got.Channel != w.DirectWith(dev) {
		t.Errorf("%+v", got)
	}
	if n := len(w.Calls("POST /users/@me/channels")); n != before {
		t.Errorf("a conversation was opened that was there")
	}
}

// Where the bot is no member, the one who asked it there is answered all the same;
// what nobody asked for is given up, so that the log notes the gap.
func TestNoMember(t *testing.T) {
	w := newWorld(t)
	m, _ := w.asks(t, dev, quiet)
	d := bot.Delivery{Channel: "discord:" + quiet, Card: card(m, "there")}
	ref := w.delivers(t, d)
	d.Ref, d.Card.Title = ref, "still there"
	if again := w.delivers(t, d); again != ref || !strings.Contains(w.shows(t, ref).Content, "still there") {
		t.Errorf("edited as %s", again)
	}
	_, err := w.chat.Deliver(w.ctx, bot.Delivery{Channel: "discord:" + quiet, Card: bot.Card{Key: "audit", Title: "unasked"}})
	if kind := bot.KindOf(err); kind != bot.Denied {
		t.Errorf("%q: %v", kind, err)
	}
	_, err = w.chat.Deliver(w.ctx, bot.Delivery{Channel: "discord:404", Card: bot.Card{Key: "audit", Title: "unasked"}})
	if kind := bot.KindOf(err); kind != bot.NotFound {
		t.Errorf("%q: %v", kind, err)
	}
}

// What does not fit follows in a thread, which is begun once; where there are no
// threads, it refers to its message.
func TestThread(t *testing.T) {
	w := newWorld(t)
	ref := w.delivers(t, bot.Delivery{Channel: opsID, Card: bot.Card{Key: "run/7", Run: 7, Title: "deploy"}})
	for n := range 2 {
		got := w.shows(t, w.delivers(t, bot.Delivery{Channel: opsID, Thread: ref, Card: bot.Card{Key: fmt.Sprint("run/7/rest/", n), Rest: true, Text: fmt.Sprint("more ", n)}}))
		if _, id := split(ref); got.Channel != id {
			t.Errorf("said in %s", got.Channel)
		}
	}
	if n := len(w.Calls("POST /channels/{channel_id}/messages/{message_id}/threads")); n != 1 {
		t.Errorf("%d threads were begun", n)
	}
	long := bot.Card{Key: "run/7/rest/3", Rest: true}
	for i := range 4000 {
		long.Lines = append(long.Lines, fmt.Sprintf("line %d of the output", i))
	}
	got := w.shows(t, w.delivers(t, bot.Delivery{Channel: opsID, Thread: ref, Card: long}))
	if len(got.Files) != 1 || got.Files[0].Name != "run-7.txt" || !bytes.Contains(got.Files[0].Data, []byte("line 3999 ")) {
		t.Errorf("%+v", got.Files)
	}
	w.SetChannel(fakediscord.Channel{ID: "650", Guild: guild, Name: "no-threads", Denies: fakediscord.CreatePublicThreads})
	ref = w.delivers(t, bot.Delivery{Channel: "discord:650", Card: bot.Card{Key: "run/8", Run: 8, Title: "deploy"}})
	got = w.shows(t, w.delivers(t, bot.Delivery{Channel: "discord:650", Thread: ref, Card: bot.Card{Key: "run/8/rest", Rest: true, Text: "more"}}))
	if _, id := split(ref); got.Channel != "650" || got.ReplyTo != id {
		t.Errorf("%+v", got)
	}
}

var png = []byte("\x89PNG\r\n\x1a\n and the rest of it")

// A picture is in the card's message, is replaced and not added by an edit, and a
// card is told without it where it is not taken.
func TestPictureSent(t *testing.T) {
	w := newWorld(t)
	c := bot.Card{Key: "run/1", Title: "metrics", Image: &bot.Image{Name: "shop.png", Alt: "a line", PNG: png}}
	ref := w.delivers(t, bot.Delivery{Channel: opsID, Card: c})
	w.delivers(t, bot.Delivery{Channel: opsID, Ref: ref, Card: c})
	if got := w.shows(t, ref); len(got.Files) != 1 || got.Files[0].Alt != "a line" || !bytes.Equal(got.Files[0].Data, png) || !strings.Contains(string(got.Embeds), "attachment://shop.png") {
		t.Errorf("%+v %s", got.Files, got.Embeds)
	}
	c.Image = nil
	w.delivers(t, bot.Delivery{Channel: opsID, Ref: ref, Card: c})
	if got := w.shows(t, ref); len(got.Files) != 0 {
		t.Errorf("%+v", got.Files)
	}
	w.SetChannel(fakediscord.Channel{ID: "651", Guild: guild, Name: "no-files", Denies: fakediscord.AttachFiles})
	c.Image = &bot.Image{Name: "shop.png", Alt: "a line", PNG: png}
	if got := w.shows(t, w.delivers(t, bot.Delivery{Channel: "discord:651", Card: c})); len(got.Files) != 0 || !strings.Contains(string(got.Embeds), "a line") {
		t.Errorf("%+v %s", got.Files, got.Embeds)
	}
	w.SetChannel(fakediscord.Channel{ID: "652", Guild: guild, Name: "no-embeds", Denies: fakediscord.EmbedLinks | fakediscord.AttachFiles})
	if got := w.shows(t, w.delivers(t, bot.Delivery{Channel: "discord:652", Card: bot.Card{Key: "x", Title: "words", Text: "alone"}})); !strings.Contains(got.Content, "words") || !strings.Contains(got.Content, "alone") {
		t.Errorf("%q", got.Content)
	}
}

// A post whose answer was lost is not told twice, and two cards that say the same
// are two.
func TestNonce(t *testing.T) {
	w := newWorld(t)
	w.Fail("POST /channels/{channel_id}/messages", fakediscord.Outage{Times: 1, Status: 502, After: true})
	d := bot.Delivery{Channel: opsID, Card: bot.Card{Key: "audit/1", Version: 1, Title: "told"}}
	if _, err := w.chat.Deliver(w.ctx, d); bot.KindOf(err) != bot.Unavailable {
		t.Fatalf("%v", err)
	}
	w.delivers(t, d)
	if got := w.Messages(ops); len(got) != 1 {
		t.Errorf("%d messages", len(got))
	}
	d.Card.Key = "audit/2"
	w.delivers(t, d)
	if got := w.Messages(ops); len(got) != 2 {
		t.Errorf("%d messages", len(got))
	}
}

// What may be read by one account alone is only said where nothing keeps it.
func TestConfide(t *testing.T) {
	w := newWorld(t)
	for _, private := range []bool{true, false} {
		w.hub.set(func(h *hub) { h.private = private })
		m, _ := w.asks(t, dev, ops)
		secret := bot.Delivery{Channel: opsID, To: "discord:" + dev, Card: card(m, "the secret")}
		if err := w.chat.Confide(w.ctx, secret); err != nil {
			t.Fatal(err)
		}
		secret.To = "discord:" + sre
		if err := w.chat.Confide(w.ctx, secret); bot.KindOf(err) != bot.NotFound {
			t.Errorf("another is told: %v", err)
		}
	}
	if _, err := w.Say(dev, w.DirectWith(dev), fakediscord.Remark{Text: "totp enrol"}); err != nil {
		t.Fatal(err)
	}
	got := w.await(t, 3)[2]
	if err := w.chat.Confide(w.ctx, bot.Delivery{Channel: got.Channel, To: got.Account, Card: card(got, "the secret")}); bot.KindOf(err) != bot.NotFound {
		t.Errorf("it is kept in a direct conversation: %v", err)
	}
	for _, m := range w.Messages("") {
		if strings.Contains(m.Content, "secret") && m.For != dev {
			t.Errorf("%+v", m)
		}
	}
}

// What Discord asks to wait for is given back to whoever posts, at once; nothing
// sleeps. A page instead of an answer comes from the shield before Discord, and
// holds everything up.
func TestLimits(t *testing.T) {
	w := newWorld(t)
	const post = "POST /channels/{channel_id}/messages"
	d := bot.Delivery{Channel: opsID, Card: bot.Card{Key: "a", Title: "a"}}
	other := bot.Delivery{Channel: "discord:653", Card: bot.Card{Key: "b", Title: "b"}}
	w.SetChannel(fakediscord.Channel{ID: "653", Guild: guild, Name: "other"})
	expect := func(what string, d bot.Delivery, want bot.Kind) {
		t.Helper()
		if _, err := w.chat.Deliver(w.ctx, d); bot.KindOf(err) != want {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
	}
	for _, scope := range []string{"user", "shared"} {
		w.Fail(post, fakediscord.Outage{Times: 1, Status: http.StatusTooManyRequests, RetryAfter: 300 * time.Millisecond, Scope: scope})
		expect(scope, d, bot.Busy)
		before := len(w.Calls(post))
		expect("asked again", d, bot.Busy)
		if n := len(w.Calls(post)); n != before {
			t.Errorf("%s: asked though it was told to wait", scope)
		}
		expect("elsewhere", other, "")
		time.Sleep(310 * time.Millisecond) // as long as Discord said
		expect("later", d, "")
	}
	w.Fail(post, fakediscord.Outage{Times: 1, Status: http.StatusTooManyRequests, RetryAfter: 300 * time.Millisecond, Scope: "global"})
	expect("global", d, bot.Busy)
	expect("elsewhere, global", other, bot.Busy)
	if _, sent := w.asks(t, dev, ops); !sent.Acked {
		t.Error("interactions are exempt, and were held up")
	}
	time.Sleep(310 * time.Millisecond)
	expect("after global", other, "")
	if _, invalid := w.Limits(); invalid != 2 {
		t.Errorf("%d count as invalid", invalid)
	}
	w.Fail(post, fakediscord.Outage{Times: 1, Status: http.StatusTooManyRequests, RetryAfter: 2 * time.Second, HTML: true})
	expect("a page", d, bot.Busy)
	before := len(w.Calls(""))
	expect("elsewhere, a page", other, bot.Busy)
	if sent, err := w.Slash(w.ctx, fakediscord.Way{Age: 2500 * time.Millisecond}, dev, ops, "whoami"); err != nil || sent.Acked {
		t.Errorf("%+v, %v", sent, err)
	}
	if n := len(w.Calls("")); n != before {
		t.Errorf("%d calls though everything rests", n-before)
	}
}

// A channel's own limit is kept by what Discord says is left of it: nothing is
// refused.
func TestPace(t *testing.T) {
	w := newWorld(t, func(s *setting) { s.fake.PerChannel, s.fake.PerChannelIn = 3, 200*time.Millisecond })
	for n := 0; n < 10; {
		_, err := w.chat.Deliver(w.ctx, bot.Delivery{Channel: opsID, Card: bot.Card{Key: fmt.Sprint("k", n), Title: "x"}})
		var e *bot.Error
		switch {
		case err == nil:
			n++
		case bot.KindOf(err) == bot.Busy:
			e, _ = err.(*bot.Error)
			time.Sleep(e.RetryAfter)
		default:
			t.Fatal(err)
		}
	}
	if limited, _ := w.Limits(); limited != 0 {
		t.Errorf("%d were refused", limited)
	}
}

// Errors of Discord's servers are tried again, and their answers are not told.
func TestOutages(t *testing.T) {
	w := newWorld(t)
	const post = "POST /channels/{channel_id}/messages"
	for name, o := range map[string]fakediscord.Outage{"500": {Status: 500}, "502": {Status: 502}, "503 page": {Status: 503, HTML: true}, "200 page": {Status: 200, HTML: true}} {
		w.Fail(post, o)
		_, err := w.chat.Deliver(w.ctx, bot.Delivery{Channel: opsID, Card: bot.Card{Key: "a", Title: "a"}})
		if bot.KindOf(err) != bot.Unavailable || strings.Contains(fmt.Sprint(err), "<") || strings.Contains(fmt.Sprint(err), "http://") {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.Mend()
	w.delivers(t, bot.Delivery{Channel: opsID, Card: bot.Card{Key: "a", Title: "a"}})
}
