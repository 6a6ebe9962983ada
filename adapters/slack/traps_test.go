package slackchat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"quarterdeck/adapters/slack/fakeslack"
	"quarterdeck/bot"
)

// came waits until so many messages came in, and checks that no more did.
func (w *world) came(t *testing.T, n int) []bot.Message {
	t.Helper()
	if err := w.Until(w.ctx, fmt.Sprint(n, " messages"), func() bool { return len(w.hub.messages()) >= n }); err != nil {
		t.Fatalf("%v: there are %d", err, len(w.hub.messages()))
	}
	got := w.hub.messages()
	if len(got) != n {
		t.Fatalf("%d messages came in, want %d: %+v", len(got), n, got)
	}
	return got
}

// TestTraps has what is known to go wrong with Slack happen, on the receiving
// side: each thing said comes in once, and nothing else does.
func TestTraps(t *testing.T) {
	for name, trap := range map[string]func(t *testing.T, w *world){
		"the same envelope twice": func(t *testing.T, w *world) {
			mustAck(t)(w.Mention(w.ctx, fakeslack.Way{Same: true}, "UDEV", "C1", "status", ""))
			mustAck(t)(w.Slash(w.ctx, fakeslack.Way{Same: true}, "UDEV", "C1", "status"))
			w.came(t, 2)
		},
		"the same event on both sockets": func(t *testing.T, w *world) {
			mustAck(t)(w.Mention(w.ctx, fakeslack.Way{Twice: true}, "UDEV", "C1", "status", ""))
			w.came(t, 1)
		},
		"the same event in a new envelope": func(t *testing.T, w *world) {
			sent := mustAck(t)(w.Mention(w.ctx, fakeslack.Way{}, "UDEV", "C1", "status", ""))
			for n := range sockets {
				mustAck(t)(w.Again(w.ctx, fakeslack.Way{Socket: n}, sent.ID))
			}
			w.came(t, 1)
		},
		"an acknowledgement that was lost": func(t *testing.T, w *world) {
			w.hub.fails(errors.New("the disk is full")) // so none is sent
			done := make(chan fakeslack.Sent, 1)
			go func() {
				sent, _ := w.Mention(w.ctx, fakeslack.Way{}, "UDEV", "C1", "status", "")
				done <- sent
			}()
			w.until(t, "it is refused", func() bool { return w.hub.refused() > 0 })
			w.hub.fails(nil)
			if sent := <-done; !sent.Acked {
				t.Errorf("%+v", sent)
			}
			w.came(t, 1)
		},
		"both sockets end in the middle": func(t *testing.T, w *world) {
			w.hub.stall()
			done := make(chan error, 1)
			go func() {
				_, err := w.Mention(w.ctx, fakeslack.Way{}, "UDEV", "C1", "status", "")
				done <- err
			}()
			w.until(t, "it is under way", func() bool { return w.hub.waiting() > 0 })
			w.Drop()
			w.hub.goOn()
			if err := <-done; err != nil {
				t.Error(err)
			}
			w.came(t, 1)
		},
		"Slack asks to go, with each of its reasons": func(t *testing.T, w *world) {
			for i, reason := range []string{"refresh_requested", "warning", "too_many_websockets", "unheard_of"} {
				w.Disconnect(reason)
				mustAck(t)(w.Mention(w.ctx, fakeslack.Way{}, "UDEV", "C1", "status", ""))
				w.came(t, i+1)
			}
		},
		"an envelope that cannot be decoded": func(t *testing.T, w *world) {
			for _, payload := range []string{`7`, `{"event_id":7,"event":{"type":"app_mention"}}`, `{"type":"event_callback","event_id":"Ev1","event":"app_mention"}`, `null`} {
				mustAck(t)(w.Raw(w.ctx, fakeslack.Way{}, "events_api", json.RawMessage(payload)))
			}
			mustAck(t)(w.Raw(w.ctx, fakeslack.Way{}, "interactive", json.RawMessage(`{"type":7}`)))
			mustAck(t)(w.Raw(w.ctx, fakeslack.Way{}, "brand_new_kind", json.RawMessage(`{}`)))
			if n := w.chat.Connection().Unreadable; n != 6 {
				t.Errorf("%d were counted, want 6", n)
			}
			w.came(t, 0)
		},
		"an event that nobody has heard of": func(t *testing.T, w *world) {
			mustAck(t)(w.Event(w.ctx, fakeslack.Way{}, "", map[string]any{"type": "brand_new_event", "user": "UDEV", "text": "<@UBOT> deploy shop v2 prod", "channel": "C1"}))
			if n := w.chat.Connection().Unreadable; n != 1 {
				t.Errorf("%d were counted, want 1", n)
			}
			w.came(t, 0)
		},
		"a field that the library has never seen": func(t *testing.T, w *world) {
			mustAck(t)(w.Event(w.ctx, fakeslack.Way{}, "", map[string]any{"type": "app_mention", "user": "UDEV", "text": "<@UBOT> status", "channel": "C1", "ts": "1.2",
				"blocks": []any{map[string]any{"type": "brand_new_block", "elements": 7}}, "files": "none", "assistant_thread": 3}))
			if m := w.came(t, 1)[0]; m.Text != "status" {
				t.Errorf("%+v", m)
			}
		},
		"somebody else holds the app token": func(t *testing.T, w *world) {
			for n := range sockets { // so that both have heard their own greeting
				mustAck(t)(w.Slash(w.ctx, fakeslack.Way{Socket: n}, "UDEV", "C1", "status"))
			}
			w.tell(t, `{"type":"hello","num_connections":3}`)
			w.until(t, "the alarm", func() bool { return w.chat.Connection().Others == 1 })
			w.tell(t, `{"type":"hello","num_connections":2}`)
			w.until(t, "the end of it", func() bool { return w.chat.Connection().Others == 0 })
		},
		"replicas hold the app token": func(t *testing.T, w *world) {
			for n := range sockets { // so that both have heard their own greeting
				mustAck(t)(w.Slash(w.ctx, fakeslack.Way{Socket: n}, "UDEV", "C1", "status"))
			}
			w.chat.config.Replicas = 3
			for _, is := range []struct{ connections, others int }{{7, 1}, {6, 0}, {8, 2}, {2, 0}} {
				w.tell(t, fmt.Sprintf(`{"type":"hello","num_connections":%d}`, is.connections))
				w.until(t, fmt.Sprintf("%d others of %d", is.others, is.connections), func() bool { return w.chat.Connection().Others == is.others })
			}
		},
		"the app is uninstalled": func(t *testing.T, w *world) {
			mustAck(t)(w.Slash(w.ctx, fakeslack.Way{}, "UDEV", "C1", "status"))
			w.Fail("users.info", fakeslack.Outage{Error: "account_inactive"})
			mustAck(t)(w.Event(w.ctx, fakeslack.Way{}, "", map[string]any{"type": "app_uninstalled"}))
			if w.chat.Connection().Up {
				t.Error("it is said to be connected")
			}
			// What was learnt before counts no more.
			mustAck(t)(w.Slash(w.ctx, fakeslack.Way{}, "UDEV", "C1", "deploy shop v2 prod"))
			if m := w.came(t, 2)[1]; m.Standing != bot.Unvouched {
				t.Errorf("standing %q", m.Standing)
			}
			w.Mend() // it was installed anew
			mustAck(t)(w.Slash(w.ctx, fakeslack.Way{}, "USRE", "C1", "status"))
			if m := w.came(t, 3)[2]; m.Standing != bot.Member || !w.chat.Connection().Up {
				t.Errorf("standing %q, %+v", m.Standing, w.chat.Connection())
			}
		},
		"tokens are revoked": func(t *testing.T, w *world) {
			mustAck(t)(w.Event(w.ctx, fakeslack.Way{}, "", map[string]any{"type": "tokens_revoked", "tokens": map[string]any{"oauth": []string{"UDEV"}}}))
			if !w.chat.Connection().Up {
				t.Error("somebody's own token is none of the bot's")
			}
			mustAck(t)(w.Event(w.ctx, fakeslack.Way{}, "", map[string]any{"type": "tokens_revoked", "tokens": map[string]any{"bot": []string{"UBOT"}}}))
			if w.chat.Connection().Up {
				t.Error("it is said to be connected")
			}
			w.came(t, 0)
		},
		"the app token is revoked while it runs": func(t *testing.T, w *world) {
			w.Fail("apps.connections.open", fakeslack.Outage{Error: "token_revoked"})
			w.Drop()
			w.until(t, "the loss is noticed", func() bool { return !w.chat.Connection().Up })
			w.until(t, "it is tried", func() bool { return len(w.Calls("apps.connections.open")) > sockets })
			// That Run goes on is seen at the end; newWorld wants it to end well.
		},
		"events are held back": func(t *testing.T, w *world) {
			mustAck(t)(w.Raw(w.ctx, fakeslack.Way{}, "events_api", json.RawMessage(`{"type":"app_rate_limited","team_id":"T1","minute_rate_limited":1790000000}`)))
			w.came(t, 0)
		},
		"bots, workflows, guests and outsiders": func(t *testing.T, w *world) {
			want := map[string]bot.Standing{"UOTHERBOT": bot.Automated, "UFLOW": bot.Automated, "UGUEST": bot.Guest, "USINGLE": bot.Guest, "UCONNECT": bot.External, "UGONE": bot.Disabled}
			n := 0
			for user, standing := range want {
				for _, channel := range []string{"C1", "C3"} {
					n++
					mustAck(t)(w.Mention(w.ctx, fakeslack.Way{}, user, channel, "deploy shop v2 prod", ""))
					m := w.came(t, n)[n-1]
					if channel == "C1" && m.Standing != standing || m.Standing == bot.Member || m.Standing == bot.Unvouched {
						t.Errorf("%s in %s is %q, want %q", user, channel, m.Standing, standing)
					}
					if user == "UCONNECT" && m.Account != "slack:T9/UCONNECT" {
						t.Errorf("an outsider is %s", m.Account)
					}
				}
			}
			// A bot's own event, and what a workflow writes, say so themselves.
			mustAck(t)(w.Event(w.ctx, fakeslack.Way{}, "", map[string]any{"type": "app_mention", "user": "UDEV", "bot_id": "B7", "text": "<@UBOT> deploy shop v2 prod", "channel": "C1"}))
			if m := w.came(t, n+1)[n]; m.Standing != bot.Automated {
				t.Errorf("a bot that writes as somebody is %q", m.Standing)
			}
		},
		"somebody is deactivated": func(t *testing.T, w *world) {
			mustAck(t)(w.Slash(w.ctx, fakeslack.Way{}, "USRE", "C1", "status"))
			w.SetUser(fakeslack.User{ID: "USRE", Kind: fakeslack.Gone})
			mustAck(t)(w.Event(w.ctx, fakeslack.Way{}, "", map[string]any{"type": "user_change", "user": map[string]any{"id": "USRE", "deleted": true}}))
			mustAck(t)(w.Slash(w.ctx, fakeslack.Way{}, "USRE", "C1", "approve 1"))
			if m := w.came(t, 2)[1]; m.Standing != bot.Disabled {
				t.Errorf("standing %q", m.Standing)
			}
		},
		"a button of a stranger's payload": func(t *testing.T, w *world) {
			payload := `{"type":"block_actions","trigger_id":"9.9","team":{"id":"T1"},"user":{"id":"UX","team_id":"T9"},"channel":{"id":"C1"},"actions":[{"action_id":"press/0","value":"tok"}]}`
			mustAck(t)(w.Raw(w.ctx, fakeslack.Way{}, "interactive", json.RawMessage(payload)))
			if m := w.came(t, 1)[0]; m.Standing != bot.External || m.Account != "slack:T9/UX" {
				t.Errorf("%+v", m)
			}
		},
		"two people at once": func(t *testing.T, w *world) {
			if _, err := w.chat.Deliver(w.ctx, bot.Delivery{Channel: "slack:C1", Card: bot.Card{Title: "x", Buttons: []bot.Button{{Label: "Approve", Token: "tok"}}}}); err != nil {
				t.Fatal(err)
			}
			shown := w.Messages("C1")[0]
			var both sync.WaitGroup
			for _, user := range []string{"UDEV", "USRE"} {
				both.Go(func() {
					if sent, err := w.Click(w.ctx, fakeslack.Way{Twice: true}, user, shown, "Approve"); err != nil || !sent.Acked {
						t.Errorf("%s: %+v, %v", user, sent, err)
					}
				})
			}
			both.Wait()
			got := w.came(t, 2)
			if got[0].Account == got[1].Account || got[0].ID == got[1].ID {
				t.Errorf("%+v", got)
			}
		},
		"the response URL is expired": func(t *testing.T, w *world) {
			sent := mustAck(t)(w.Slash(w.ctx, fakeslack.Way{}, "UDEV", "C2", "help"))
			w.Fail("hook", fakeslack.Outage{Status: http.StatusNotFound})
			d := bot.Delivery{Channel: "slack:C2", To: "slack:T1/UDEV", Card: bot.Card{Title: "for you", ReplyTo: "slack:" + once("command", sent.Trigger)}}
			if _, err := w.chat.Deliver(w.ctx, d); err != nil {
				t.Fatal(err)
			}
			if all := w.Messages("DUDEV"); len(all) != 1 || all[0].Text != "for you" || len(w.Messages("C2")) != 0 {
				t.Errorf("it was said %+v", all)
			}
		},
		"an answer to somebody who is not in the channel": func(t *testing.T, w *world) {
			w.SetUser(fakeslack.User{ID: "UAWAY"})
			d := bot.Delivery{Channel: "slack:C1", To: "slack:T1/UAWAY", Card: bot.Card{Title: "for you", ReplyTo: "slack:press/1"}}
			if _, err := w.chat.Deliver(w.ctx, d); err != nil {
				t.Fatal(err)
			}
			if all := w.Messages("DUAWAY"); len(all) != 1 || len(w.Messages("C1")) != 0 {
				t.Errorf("it was said %+v", all)
			}
		},
		"a response URL of another's server": func(t *testing.T, w *world) {
			var stolen atomic.Int64
			thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Add(1) }))
			defer thief.Close()
			defer func() {
				if stolen.Load() > 0 {
					t.Error("an answer went to a server that is not Slack's")
				}
			}()
			payload := `{"command":"/ops","text":"help","team_id":"T1","user_id":"UDEV","channel_id":"C2","trigger_id":"9.9","response_url":"` + thief.URL + `/hook"}`
			mustAck(t)(w.Raw(w.ctx, fakeslack.Way{}, "slash_commands", json.RawMessage(payload)))
			d := bot.Delivery{Channel: "slack:C2", To: "slack:T1/UDEV", Card: bot.Card{Title: "for you", ReplyTo: w.came(t, 1)[0].ID}}
			if _, err := w.chat.Deliver(w.ctx, d); err != nil {
				t.Fatal(err)
			}
			if all := w.Messages("DUDEV"); len(all) != 1 {
				t.Errorf("it was said %+v", all)
			}
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			trap(t, newWorld(t, func(o *fakeslack.Options) { o.AckWithin = 2 * time.Second }))
		})
	}
}

// mustAck wants what somebody did to have been acknowledged.
func mustAck(t *testing.T) func(fakeslack.Sent, error) fakeslack.Sent {
	return func(sent fakeslack.Sent, err error) fakeslack.Sent {
		t.Helper()
		if err != nil || !sent.Acked {
			t.Fatalf("%+v, %v", sent, err)
		}
		return sent
	}
}

// until waits for what nothing tells of.
func (w *world) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for !ok() {
		if !pause(w.ctx, 2*time.Millisecond) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// tell sends a frame on the first socket.
func (w *world) tell(t *testing.T, frame string) {
	t.Helper()
	if err := w.Frame(0, frame); err != nil {
		t.Fatal(err)
	}
}

// The store stands still, far longer than Slack waits, and more comes in than
// the bot will handle at once: the sockets stay up, nobody's command runs late,
// and every event is in the inbox once when it is over.
func TestStall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *fakeslack.Options) { o.AckWithin = 4 * time.Second })
	before := w.Opened()
	mustAck(t)(w.Slash(w.ctx, fakeslack.Way{}, "UDEV", "C1", "status"))
	w.hub.stall()
	const events = handlers + 50
	sent := make([]fakeslack.Sent, events)
	var all sync.WaitGroup
	for i := range events {
		all.Go(func() {
			var err error
			if sent[i], err = w.Mention(w.ctx, fakeslack.Way{}, "UDEV", "C1", fmt.Sprint("status ", i), ""); err != nil {
				t.Error(err)
			}
		})
	}
	w.until(t, "all handlers are held up", func() bool { return w.hub.waiting()+w.hub.refused() >= handlers })
	command := mustAck(t)(w.Slash(w.ctx, fakeslack.Way{Socket: 1}, "UDEV", "C1", "deploy shop v2 prod"))
	if !strings.Contains(string(command.Answer), "not run") {
		t.Errorf("who typed a command hears %s", command.Answer)
	}
	w.until(t, "what was held up is given up", func() bool { return w.hub.refused() >= handlers })
	w.hub.goOn()
	all.Wait()
	for i, s := range sent {
		if !s.Acked {
			t.Errorf("event %d was never acknowledged", i)
		}
	}
	seen := map[string]int{}
	for _, m := range w.came(t, 1+events) {
		seen[m.Text]++
	}
	for i := range events {
		if seen[fmt.Sprint("status ", i)] != 1 {
			t.Errorf("event %d came in %d times", i, seen[fmt.Sprint("status ", i)])
		}
	}
	if now := w.Opened(); now != before {
		t.Errorf("%d connections were made anew", now-before)
	}
}

// A server that ends every connection after its greeting is asked ever more
// seldom, and how often is told.
func TestStorm(t *testing.T) {
	t.Parallel()
	p := newSpacing()
	now := time.Now()
	var at []time.Duration
	for end, clock := now.Add(20*time.Minute), now; clock.Before(end); {
		wait := p.reserve(clock)
		clock = clock.Add(wait) // it is ended at once
		at = append(at, clock.Sub(now))
	}
	if len(at) < 10 || len(at) > 40 {
		t.Errorf("%d connections were asked for in 20 minutes of refusals", len(at))
	}
	for i := 2; i < len(at); i++ {
		if gap, last := at[i]-at[i-1], at[i-1]-at[i-2]; gap < last {
			t.Errorf("the gap shrank from %s to %s", last, gap)
		}
	}
	if wait := p.reserve(now.Add(20*time.Minute + 10*spacingMost)); wait != 0 {
		t.Errorf("after a quiet while the next waits %s", wait)
	}

	w := newWorld(t)
	before := w.chat.Connection().Asked
	if before != sockets {
		t.Errorf("%d connections were asked for at the start", before)
	}
	w.Disconnect("link_disabled")
	w.until(t, "both are there again", func() bool { return w.Opened() == 2*sockets && w.Sockets() == sockets })
	if asked := w.chat.Connection().Asked; asked != 2*sockets {
		t.Errorf("%d are counted, want %d", asked, 2*sockets)
	}
}

// What the receiving side asks of Slack fails in every way that Slack has: the
// bot goes on trying, trusts nobody meanwhile, and is there when it is over.
func TestReceivingThroughOutages(t *testing.T) {
	for name, o := range map[string]fakeslack.Outage{"429": {Status: 429, RetryAfter: time.Second}, "429 without": {Status: 429}, "500": {Status: 500}, "a page": {HTML: true}, "a page and 502": {HTML: true, Status: 502},
		"its own fault": {Error: "internal_error"}} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Fail("users.info", o)
			mustAck(t)(w.Slash(w.ctx, fakeslack.Way{}, "UDEV", "C1", "deploy shop v2 prod"))
			if m := w.came(t, 1)[0]; m.Standing != bot.Unvouched {
				t.Errorf("standing %q", m.Standing)
			}
			w.Fail("apps.connections.open", o)
			w.Drop()
			w.until(t, "it is tried", func() bool { return len(w.Calls("apps.connections.open")) > sockets })
			if w.chat.Connection().Up {
				t.Error("it is said to be connected")
			}
			w.Mend()
			w.chat.gate.forget() // as if the time that Slack asked for were over
			// Of somebody else, for the same question is not put again at once.
			mustAck(t)(w.Slash(w.ctx, fakeslack.Way{}, "USRE", "C1", "status"))
			if m := w.came(t, 2)[1]; m.Standing != bot.Member {
				t.Errorf("standing %q", m.Standing)
			}
		})
	}
}

// Who the bot is is asked until Slack says so.
func TestStartInAnOutage(t *testing.T) {
	t.Parallel()
	fake, err := fakeslack.New(fakeslack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer web.CloseIdleConnections()
	defer fake.Close()
	fake.Fail("", fakeslack.Outage{HTML: true, Status: 503, Times: 1})
	c, err := open(bot.ChatOptions{Raw: table{Config{Teams: []string{"T1"}, APIURL: fake.URL()}}, Clock: bot.SystemClock{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx, &hub{}) }()
	if err := fake.Until(ctx, "both sockets", func() bool { return fake.Sockets() == sockets }); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run ended with %v", err)
	}
}

// Over HTTP nothing but what Slack signed, in the body, within five minutes, is
// anything.
func TestSignedTraps(t *testing.T) {
	w, way := newSigned(t)
	n := 0
	// post gives the status and the answer.
	post := func(path, body string, sign func(r *http.Request, body []byte)) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(w.ctx, http.MethodPost, way.HTTP+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		sign(req, []byte(body))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(answer)
	}
	signed := func(r *http.Request, body []byte) { w.Sign(r, fakeslack.Way{}, body) }
	press := func(user, trigger string) string {
		return url.Values{"payload": {`{"type":"block_actions","trigger_id":"` + trigger + `","team":{"id":"T1"},"user":{"id":"` + user + `","team_id":"T1"},"channel":{"id":"C1"},"actions":[{"action_id":"press/0","value":"tok"}]}`}}.Encode()
	}
	body := press("UDEV", "1.1")
	for name, c := range map[string]struct {
		path, body string
		sign       func(r *http.Request, body []byte)
		status     int
		comes      int
	}{
		"a forged button":              {"/slack/interactivity", body, func(r *http.Request, b []byte) { w.Sign(r, fakeslack.Way{Secret: "guessed"}, b) }, 401, 0},
		"an unsigned one":              {"/slack/interactivity", body, func(*http.Request, []byte) {}, 401, 0},
		"an old one":                   {"/slack/interactivity", body, func(r *http.Request, b []byte) { w.Sign(r, fakeslack.Way{At: time.Now().Add(-6 * time.Minute)}, b) }, 401, 0},
		"a payload in the address":     {"/slack/interactivity?" + press("USRE", "1.2"), "", signed, 200, 0},
		"another in the address":       {"/slack/interactivity?" + press("USRE", "1.3"), press("UDEV", "1.4"), signed, 200, 1},
		"a signature over the query":   {"/slack/interactivity?" + body, "", func(r *http.Request, _ []byte) { w.Sign(r, fakeslack.Way{}, []byte(body)) }, 401, 0},
		"a payload that is no JSON":    {"/slack/interactivity", "payload=%7B", signed, 200, 0},
		"a body that is no form":       {"/slack/commands", "%zz", signed, 200, 0},
		"ssl_check":                    {"/slack/commands", "ssl_check=1&token=x", signed, 200, 0},
		"ssl_check that nobody signed": {"/slack/commands", "ssl_check=1&token=x", func(*http.Request, []byte) {}, 401, 0},
		"an event that is no JSON":     {"/slack/events", "event=1", signed, 200, 0},
		"two signatures":               {"/slack/interactivity", press("UDEV", "1.5"), func(r *http.Request, b []byte) { signed(r, b); r.Header.Add("X-Slack-Signature", "v0=00") }, 200, 1},
	} {
		status, _ := post(c.path, c.body, c.sign)
		if status != c.status {
			t.Errorf("%s: %d, want %d", name, status, c.status)
		}
		n += c.comes
		for _, m := range w.came(t, n) {
			if m.Account != "slack:T1/UDEV" {
				t.Errorf("%s: %+v came in", name, m)
			}
		}
	}
	if is := w.chat.Connection(); is.Forged != 5 || is.Unreadable != 4 || !is.Up {
		t.Errorf("counted %+v", is)
	}
	// The very same request again, as somebody sends it who has overheard it, and
	// again after a restart: the delivery key is the same.
	req := press("UDEV", "1.6")
	stamped := func(r *http.Request, b []byte) { w.Sign(r, fakeslack.Way{At: time.Now().Add(-time.Minute)}, b) }
	for range 3 {
		if status, _ := post("/slack/interactivity", req, stamped); status != http.StatusOK {
			t.Errorf("a replay: %d", status)
		}
	}
	w.came(t, n+1)
	if status, answer := post("/slack/events", `{"type":"url_verification","challenge":"abc"}`, signed); status != http.StatusOK || answer != `{"challenge":"abc"}` {
		t.Errorf("the challenge is answered with %d %s", status, answer)
	}
	if status, _ := post("/slack/events", `{"type":"url_verification","challenge":"abc"}`, func(*http.Request, []byte) {}); status != http.StatusUnauthorized {
		t.Errorf("a challenge that nobody signed is answered with %d", status)
	}
	// A store that takes nothing: an event is to come again, who pressed hears so.
	w.hub.fails(errors.New("the disk is full"))
	sent, err := w.Mention(w.ctx, way, "UDEV", "C1", "status", "")
	if err != nil || sent.Acked || sent.Status != http.StatusServiceUnavailable {
		t.Errorf("an event that was not kept: %+v, %v", sent, err)
	}
	w.hub.fails(nil)
	mustAck(t)(w.Again(w.ctx, way, sent.ID))
	w.came(t, n+2)
}
