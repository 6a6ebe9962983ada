package page_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/notify"
	"quarterdeck/bot/oncall"
	"quarterdeck/bot/page"
	"quarterdeck/bot/store"
)

var prod = bot.Target{Service: "shop", Environment: "prod"}

// world is a pager over a real store, with a clock that stands.
type world struct {
	*page.Keeper
	t        *testing.T
	clock    *bottest.Clock
	settings *page.Settings
	store    store.Store
	path     string
}

func noon() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

func settings() *page.Settings {
	return &page.Settings{Channel: "file:pages", Wider: "file:everybody", Escalation: "default", NotifyDelay: 30 * time.Second, AckTimeout: 30 * time.Minute,
		Schedules: map[string]oncall.Schedule{"primary": {Name: "primary", Zone: time.UTC, Rotations: []oncall.Rotation{{Persons: []string{"ann"}, Start: noon(), Days: 7}}},
			"empty": {Name: "empty", Zone: time.UTC, Rotations: []oncall.Rotation{{Persons: []string{"ann"}, Start: noon(), Days: 7, Hours: []oncall.Window{{From: 0, To: 1}}}}}},
		Policies: map[string]page.Policy{"default": {Name: "default", Repeat: 1, Levels: []page.Level{{Schedule: "primary", Wait: 5 * time.Minute}, {Schedule: "empty", Wait: time.Minute}, {Persons: []string{"bob"}, Wait: 10 * time.Minute}}}},
		Ways:     map[string]notify.Way{}, Services: []page.Service{{Target: prod, Match: map[string]string{"service": "shop", "env": "prod"}, Back: true, Escalation: "default"}},
		Persons: map[string]page.Person{"ann": {Accounts: []bot.AccountID{"slack:T1/UANN"}, Email: "ann@example.com"}, "bob": {Accounts: []bot.AccountID{"slack:T1/UBOB"}}}}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: bottest.NewClock(noon()), settings: settings(), path: filepath.Join(t.TempDir(), "test.db")}
	w.start("one")
	return w
}

// start opens the store as a process does that begins.
func (w *world) start(owner string) {
	w.t.Helper()
	s, err := sqlite.Open(w.t.Context(), w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { s.Close() })
	w.store, w.Keeper = s, w.keeper(s, owner)
}

func (w *world) keeper(s store.Store, owner string) *page.Keeper {
	log := audit.New(audit.Config{Store: s, Clock: w.clock})
	return page.New(page.Config{Store: s, Recorder: log, Clock: w.clock, IDs: bottest.NewIDs(owner), Logger: slog.New(slog.DiscardHandler), Owner: owner,
		Settings: func() *page.Settings { return w.settings }})
}

func (w *world) tick() {
	w.t.Helper()
	if _, err := w.Tick(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) take(n page.Notification) {
	w.t.Helper()
	if err := w.Take(w.t.Context(), n); err != nil {
		w.t.Fatal(err)
	}
}

// firing is one alert of a group.
func firing(name string, labels ...string) page.Notification {
	m := map[string]string{"alertname": name}
	for i := 0; i+1 < len(labels); i += 2 {
		m[labels[i]] = labels[i+1]
	}
	return page.Notification{Source: "alertmanager", Key: name, Labels: m, Complete: true, Alerts: []page.Alert{{Fingerprint: "f" + name, Labels: m, StartsAt: noon()}}}
}

func resolved(n page.Notification) page.Notification {
	n.Alerts = append([]page.Alert(nil), n.Alerts...)
	for i := range n.Alerts {
		n.Alerts[i].Resolved = true
	}
	return n
}

// pages gives all pages, newest first, a line each.
func (w *world) pages() (lines []string) {
	w.t.Helper()
	all, err := w.Latest(w.t.Context(), 100)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range all {
		lines = append(lines, fmt.Sprintf("%d %s %s %s", p.Number, p.Title, p.State, strings.Join(p.Asked, ",")))
	}
	return lines
}

func (w *world) want(lines ...string) {
	w.t.Helper()
	if got := strings.Join(w.pages(), "\n"); got != strings.Join(lines, "\n") {
		w.t.Fatalf("pages are\n%s\nwant\n%s", got, strings.Join(lines, "\n"))
	}
}

// do has a person do something, as the engine drives it.
func (w *world) do(key, person string, c page.Change) bot.Progress {
	w.t.Helper()
	wf := page.NewWorkflow(w.Keeper)
	spec, err := bot.NewSpec(page.Kind, "page", bot.Target{}, []bot.Resource{bot.TheBot}, c)
	if err != nil {
		w.t.Fatal(err)
	}
	h, err := wf.Begin(spec, bot.Task{Key: key, Actor: person})
	if err != nil {
		w.t.Fatal(err)
	}
	_, p, err := wf.Advance(w.t.Context(), h)
	if err != nil {
		return bot.Progress{State: bot.OpFailed, Text: bot.Sentence(err, "test")}
	}
	return p
}

// TestResolvedInTime: what resolves itself within the notify delay pages nobody,
// and is counted.
func TestResolvedInTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.take(firing("Flap"))
	w.clock.Advance(29 * time.Second)
	w.tick()
	w.take(resolved(firing("Flap")))
	w.clock.Advance(time.Hour)
	w.tick()
	w.want()
	if n, err := w.Calmed(t.Context(), noon()); n != 1 || err != nil {
		t.Errorf("%d were calm (%v)", n, err)
	}
	// News of its beginning that comes late begins nothing.
	w.take(firing("Flap"))
	w.clock.Advance(time.Hour)
	w.tick()
	w.want()
}

// TestEscalation goes through all levels, over one at which nobody is on call, as
// often as the policy says, and into the wider channel.
func TestEscalation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.take(firing("Down", "service", "shop", "env", "prod"))
	for _, step := range []struct {
		after time.Duration
		want  string
	}{
		{30 * time.Second, "1 Down triggered ann"},
		{4*time.Minute + 59*time.Second, "1 Down triggered ann"},
		{time.Second, "1 Down triggered bob"},
		{10 * time.Minute, "1 Down triggered ann"}, // the second round
		{5 * time.Minute, "1 Down triggered bob"},
		{10 * time.Minute, "1 Down triggered "}, // everybody was asked
	} {
		w.clock.Advance(step.after)
		w.tick()
		w.want(step.want)
	}
	if got := w.posted("file:everybody"); !strings.Contains(got, "nobody answers: page 1 (shop/prod): Down") {
		t.Errorf("the wider channel reads %q", got)
	}
	before := strings.Count(w.posted("file:everybody"), "nobody answers")
	w.clock.Advance(15 * time.Minute)
	w.tick()
	if again := strings.Count(w.posted("file:everybody"), "nobody answers"); again <= before {
		t.Error("the wider channel hears of it once, and then there is silence")
	}
}

// posted gives the cards that wait for a channel.
func (w *world) posted(c bot.ChannelID) string {
	w.t.Helper()
	var b strings.Builder
	err := w.store.View(w.t.Context(), func(r store.Reader) error {
		out, err := r.OutgoingDue(w.clock.Now(), "test", nil, 10_000)
		for _, o := range out {
			if o.Channel == c {
				b.Write(o.Card)
				b.WriteByte('\n')
			}
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return b.String()
}

// TestKilledBetween: the store is all that is needed: a process that begins long
// after the next level was due asks it at once, and only once.
func TestKilledBetween(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.take(firing("Down", "service", "shop", "env", "prod"))
	w.clock.Advance(time.Minute)
	w.start("two") // the first one is gone before it did anything
	w.tick()
	w.want("1 Down triggered ann")
	w.clock.Advance(time.Hour)
	w.start("three")
	w.tick()
	w.want("1 Down triggered bob")
	w.tick()
	w.want("1 Down triggered bob")
}

// TestReplicas: several processes that do what is due side by side do it once.
func TestReplicas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.take(firing("Down", "service", "shop", "env", "prod"))
	for range 3 {
		w.clock.Advance(5 * time.Minute)
		var all sync.WaitGroup
		for n := range 4 {
			k := w.keeper(w.store, fmt.Sprint("r", n))
			all.Add(1)
			go func() {
				defer all.Done()
				if _, err := k.Tick(context.Background()); err != nil {
					t.Error(err)
				}
			}()
		}
		all.Wait()
	}
	events, err := w.Events(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, e := range events {
		kinds = append(kinds, string(e.Kind))
	}
	if got := strings.Join(kinds, ", "); got != "opened, notified, escalated" {
		t.Errorf("what happened is %s", got)
	}
}

// TestAnswers: an acknowledgement stops the clock until its timeout; a snooze comes
// back; doing the same operation again changes nothing.
func TestAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.take(firing("Down", "service", "shop", "env", "prod"))
	w.clock.Advance(time.Minute)
	w.tick()
	w.do("run-1-a", "ann", page.Change{Action: page.ActAck, Page: 1})
	w.clock.Advance(29 * time.Minute)
	w.do("run-1-a", "ann", page.Change{Action: page.ActAck, Page: 1}) // as after a crash
	w.tick()
	w.want("1 Down acknowledged ann")
	w.clock.Advance(time.Minute)
	w.tick()
	w.want("1 Down triggered ann")
	w.do("run-2-a", "ann", page.Change{Action: page.ActSnooze, Page: 1, For: 2 * time.Hour})
	w.clock.Advance(119 * time.Minute)
	w.tick()
	w.want("1 Down snoozed ann")
	w.clock.Advance(time.Minute)
	w.tick()
	w.want("1 Down triggered ann")
	w.do("run-3-a", "bob", page.Change{Action: page.ActResolve, Page: 1})
	w.want("1 Down resolved ann")
	if p := w.do("run-4-a", "ann", page.Change{Action: page.ActAck, Page: 1}); p.State != bot.OpFailed || p.Text != "page 1 is resolved already" {
		t.Errorf("an acknowledgement reopens it: %+v", p)
	}
	// It still fires, and its monitor says so: that is another page.
	w.take(firing("Down", "service", "shop", "env", "prod"))
	w.clock.Advance(time.Minute)
	w.tick()
	w.want("2 Down triggered ann", "1 Down resolved ann")
	w.take(resolved(firing("Down", "service", "shop", "env", "prod")))
	w.want("2 Down resolved ann", "1 Down resolved ann")
}

// TestRecords: each change of a page stands in the log, which holds.
func TestRecords(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.take(firing("Down", "service", "shop", "env", "prod"))
	w.clock.Advance(time.Minute)
	w.tick()
	w.do("run-7-a", "ann", page.Change{Action: page.ActAck, Page: 1})
	w.take(resolved(firing("Down", "service", "shop", "env", "prod")))
	records, err := audit.New(audit.Config{Store: w.store, Clock: w.clock}).Records(t.Context(), bot.RecordFilter{Target: "shop/prod"})
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, r := range records {
		said = append(said, fmt.Sprintf("%s by %s in #%d", r.Detail["event"], audit.Actor(r), r.Run))
	}
	if got := strings.Join(said, "; "); got != "resolved by the bot in #0; acknowledged by ann in #7; notified by the bot in #0; opened by the bot in #0" {
		t.Errorf("the log has %s", got)
	}
}

// TestStorm: 10,000 alerts of 50 groups are all stored, and become few pages.
func TestStorm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const groups, each, rounds = 50, 20, 10
	for round := range rounds {
		for g := range groups {
			n := page.Notification{Source: "alertmanager", Key: fmt.Sprint("g", g), Labels: map[string]string{"alertname": fmt.Sprint("Storm", g)}}
			for i := range each {
				n.Alerts = append(n.Alerts, page.Alert{Fingerprint: fmt.Sprintf("%d-%d-%d", g, round, i), StartsAt: noon(), Labels: n.Labels})
			}
			w.take(n)
		}
		w.clock.Advance(6 * time.Second)
		w.tick()
	}
	w.clock.Advance(time.Minute)
	w.tick()
	stored, after := 0, ""
	err := w.store.View(t.Context(), func(r store.Reader) error {
		for {
			bodies, err := r.Bodies(store.DocumentShelf, after, 1000)
			if err != nil || len(bodies) == 0 {
				return err
			}
			for _, b := range bodies {
				if strings.HasPrefix(b.ID, "alert\n") {
					stored++
				}
				after = b.ID
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := w.Latest(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	fire := 0
	for _, p := range pages {
		fire += p.Firing()
	}
	if stored != groups*each*rounds || fire != stored || len(pages) > 10 {
		t.Errorf("%d alerts are stored, %d fire in %d pages", stored, fire, len(pages))
	}
}

// TestOneTarget: what goes wrong together at one target is one page.
func TestOneTarget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	errors, slow := firing("Errors", "service", "shop", "env", "prod"), firing("Slow", "service", "shop", "env", "prod")
	w.take(errors)
	w.clock.Advance(time.Minute)
	w.tick()
	w.take(slow)
	w.clock.Advance(time.Minute)
	w.tick()
	w.want("1 Errors triggered ann")
	w.take(resolved(errors))
	w.want("1 Errors triggered ann")
	w.take(resolved(slow))
	w.want("1 Errors resolved ann")
}

// TestWatchdog: a monitor that falls silent is paged of, and that ends when it is
// heard again. The alert that always fires pages nobody.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings.Monitor.Watchdog, w.settings.Monitor.Within = "Watchdog", 10*time.Minute
	for range 3 {
		w.take(firing("Watchdog"))
		w.clock.Advance(9 * time.Minute)
		w.tick()
	}
	w.want()
	w.clock.Advance(time.Minute)
	w.tick()
	w.want("1 alertmanager is silent triggered ann")
	w.take(firing("Watchdog"))
	w.want("1 alertmanager is silent resolved ann")
}

// TestWebhook takes what Alertmanager sends, from whoever has the token, and says
// that it has it only once that is so.
func TestWebhook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	handler := w.Routes()[0].Handler
	post := func(body, token string) int {
		q := httptest.NewRequest(http.MethodPost, "/webhooks/alertmanager", strings.NewReader(body))
		q.RemoteAddr = "192.0.2.1:1"
		if token != "" {
			q.Header.Set("Authorization", "Bearer "+token)
		}
		r := httptest.NewRecorder()
		handler.ServeHTTP(r, q)
		return r.Code
	}
	const body = `{"version":"4","groupKey":"{}","status":"firing","future":{"x":1},"commonLabels":{"alertname":"Down"},"alerts":[{"status":"firing","labels":{"alertname":"Down"},"startsAt":"2026-11-21T12:00:00Z"}]}`
	if code := post(body, ""); code != http.StatusForbidden {
		t.Errorf("somebody from elsewhere gets %d", code)
	}
	w.settings.Monitor.Bearer = secret(t, "let-me-in")
	for token, want := range map[string]int{"": 401, "let-me-i": 401, "let-me-in": 200} {
		if code := post(body, token); code != want {
			t.Errorf("with %q it answers %d, want %d", token, code, want)
		}
	}
	for _, bad := range []string{"", "{", "[]", `{"alerts":[]}`, `{"alerts":"none"}`} {
		if code := post(bad, "let-me-in"); code != http.StatusBadRequest {
			t.Errorf("%q gets %d", bad, code)
		}
	}
	w.store.Close()
	if code := post(body, "let-me-in"); code != http.StatusServiceUnavailable {
		t.Errorf("what was not stored gets %d, so that it is not sent again", code)
	}
}

func secret(t *testing.T, value string) bot.Secret {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := (&bot.Secrets{}).Open("file:"+path, "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}
