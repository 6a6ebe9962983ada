package app_test

import (
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/bot/store"
)

// clocked is the standard configuration with a digest and what its principal may.
const clocked = standard + `
[[digest]]
name = "daily"
at = "0 9 * * *"
channel = "x:ops"
sections = ["changes", "stuck", "reviews", "holds", "log"]
[[grant]]
persons = ["digest:daily"]
permissions = ["digest", "history", "status", "run.read", "audit"]
targets = ["*/*"]
[[grant]]
roles = ["sre"]
permissions = ["digest"]
`

// at nine gives a World whose clock shows nine in the morning, UTC, soon.
func beforeNine(t *testing.T, config string) *world {
	t.Helper()
	w := newWorld(t, friendly, providertest.NewFriendly)
	w.configure(config)
	w.serve = true
	now := w.clock.Now()
	nine := time.Date(now.Year(), now.Month(), now.Day(), 9, 0, 0, 0, time.UTC)
	if !nine.After(now) {
		nine = nine.AddDate(0, 0, 1)
	}
	w.clock.forward(nine.Sub(now) - time.Minute)
	return w
}

// in gives the posts in a channel whose title has a piece of text.
func (w *world) in(channel bot.ChannelID, text string) (found []bottest.Post) {
	for _, p := range w.x.Posts() {
		if p.Channel == channel && strings.Contains(p.Card.Title, text) {
			found = append(found, p)
		}
	}
	return found
}

// kept waits until the clock has kept what a principal was due for at a time.
func (w *world) kept(principal string, ok func(last time.Time) bool) {
	w.t.Helper()
	w.until(principal+" to be kept", func() (done bool) {
		w.view(func(r store.Reader) error {
			d, found, err := r.Document("schedule", principal)
			if err != nil || !found {
				return err
			}
			var k struct{ Last time.Time }
			err = json.Unmarshal(d.Body, &k)
			done = ok(k.Last)
			return err
		})
		return done
	})
}

// ended waits for a run to succeed and gives its card.
func (w *world) ended(number int64) bottest.Post {
	w.t.Helper()
	return w.wait("a run to succeed", func(p bottest.Post) bool {
		return p.Channel != "x:audit" && p.Card.Run == number && p.Card.State == bot.Succeeded
	})
}

func known(time.Time) bool { return true }

// TestDigestByTheClock: it comes at its time, once, as its own principal, and not
// again after a restart; after an outage the latest that was missed comes, late
// and once, and says that it is late.
func TestDigestByTheClock(t *testing.T) {
	t.Parallel()
	w := beforeNine(t, clocked)
	w.run()
	w.kept("digest:daily", known)
	w.gets("x:dev", "deploy shop v2 staging", bot.OutcomeOK)
	w.ended(1)
	due := w.clock.Now().Add(time.Minute)
	w.clock.forward(2 * time.Minute)
	first := w.wait("the digest", func(p bottest.Post) bool { return p.Channel == "x:ops" })
	if want := "daily digest of " + due.Format("Mon 2006-01-02") + " 09:00"; first.Card.Title != want || first.Card.Text != "" || first.To != "" {
		t.Errorf("it is %q %q, to %q; want %q to all", first.Card.Title, first.Card.Text, first.To, want)
	}
	if text := shown(first.Card); !strings.Contains(text, "1: 1 done\n#1 deploy shop v2 to staging: done (dev)") || !strings.Contains(text, "the audit log is intact") {
		t.Errorf("it tells %q", text)
	}
	w.stop()
	w.run()
	w.gets("x:dev", "status", bot.OutcomeOK) // the road is open, and what was due is past

	w.stop()
	w.clock.forward(50*time.Hour + 30*time.Minute)
	w.run()
	late := w.wait("the missed digest", func(p bottest.Post) bool { return p.Channel == "x:ops" && p.Ref != first.Ref })
	if want := due.AddDate(0, 0, 2).Format("Mon 2006-01-02") + " 09:00"; !strings.Contains(late.Card.Title, want) || !strings.Contains(late.Card.Text, "late: it was due 2h") {
		t.Errorf("after an outage it is %q %q, want that of %s", late.Card.Title, late.Card.Text, want)
	}
	w.stop()
	if all := w.in("x:ops", "daily digest"); len(all) != 2 {
		t.Errorf("%d digests were posted, want 2", len(all))
	}
	var asked []bot.Record
	for _, r := range w.records() {
		if r.Person == "digest:daily" {
			asked = append(asked, r)
		}
	}
	if len(asked) != 2 || asked[0].Account != "clock:digest:daily" || asked[0].Kind != bot.SucceededKind || asked[0].Text["line"] != "digest daily" || !strings.HasPrefix(asked[0].Rule, "grant 3") {
		t.Errorf("the records are %+v", asked)
	}
}

// TestDigestOutlivesACrash: what was asked for and not done when the bot died is
// done when it is back, however long that took.
func TestDigestOutlivesACrash(t *testing.T) {
	t.Parallel()
	w := beforeNine(t, clocked)
	mute, err := net.Listen("tcp", "127.0.0.1:0") // which keeps the digest from being done
	if err != nil {
		t.Fatal(err)
	}
	w.configure(strings.Replace(clocked, `"log"]`, `"log", "certificates"]
hosts = ["`+mute.Addr().String()+`"]`, 1))
	w.run()
	w.kept("digest:daily", known)
	w.clock.forward(2 * time.Minute)
	conn, err := mute.Accept()
	if err != nil {
		t.Fatal(err)
	}
	w.app.Hurry()
	w.stop()
	conn.Close()
	mute.Close()
	if all := w.in("x:ops", ""); len(all) != 0 {
		t.Fatalf("it was posted all the same: %+v", all)
	}
	w.clock.forward(3 * time.Hour)
	w.run()
	p := w.wait("the digest", func(p bottest.Post) bool { return p.Channel == "x:ops" })
	if !strings.Contains(p.Card.Text, "late: it was due 3h") {
		t.Errorf("it is %q %q", p.Card.Title, p.Card.Text)
	}
}

// TestAskForADigest: on demand it goes to its channel, the asker is told so, and
// a dry run is for the asker alone; who may not is refused.
func TestAskForADigest(t *testing.T) {
	t.Parallel()
	w := beforeNine(t, clocked)
	w.run()
	dry := w.gets("x:sre", "digest daily --dry-run", bot.OutcomeOK)
	if dry.To != "x:sre" || !strings.HasPrefix(dry.Card.Title, "dry run, posted nowhere: daily digest as of ") {
		t.Errorf("a dry run is %q to %q", dry.Card.Title, dry.To)
	}
	if all := w.in("x:ops", ""); len(all) != 0 {
		t.Errorf("a dry run posted %+v", all)
	}
	told := w.gets("x:sre", "digest daily", bot.OutcomeOK)
	if told.Card.Title != "the daily digest was posted to x:ops" {
		t.Errorf("the asker is told %q", told.Card.Title)
	}
	w.wait("the digest", func(p bottest.Post) bool { return p.Channel == "x:ops" && p.To == "" })
	w.gets("x:dev", "digest daily", bot.OutcomeDenied)
	w.gets("x:sre", "digest dayly", bot.OutcomeInvalid)
	w.gets("x:sre", "digest daily --override x", bot.OutcomeInvalid)
}

const jobs = standard + `
[[job]]
name = "nightly"
at = "0 9 * * *"
channel = "x:ops"
run = "restart shop staging"
late = "1h"
[[grant]]
persons = ["job:nightly"]
permissions = ["restart"]
targets = ["shop/staging"]
`

// TestJob: a line runs at its time by the rights of its own principal, and what
// becomes of it is posted; too late it is not run, and that is said.
func TestJob(t *testing.T) {
	t.Parallel()
	w := beforeNine(t, jobs)
	w.run()
	w.kept("job:nightly", known)
	w.gets("x:dev", "deploy shop v2 staging", bot.OutcomeOK)
	w.ended(1)
	w.clock.forward(2 * time.Minute)
	p := w.ended(2)
	if p.Channel != "x:ops" || !strings.Contains(shown(p.Card), "job:nightly") {
		t.Errorf("its card is in %s: %q", p.Channel, shown(p.Card))
	}
	w.stop()
	w.clock.forward(26 * time.Hour)
	w.run()
	late := w.wait("that it was not run", func(p bottest.Post) bool {
		return p.Channel == "x:ops" && strings.Contains(p.Card.Title, "not run: it was due")
	})
	if late.Channel != "x:ops" || late.To != "" || !strings.HasPrefix(late.Card.Title, "restart shop staging: not run") {
		t.Errorf("it is told %q in %s", late.Card.Title, late.Channel)
	}
	if got := len(w.runs()); got != 2 {
		t.Errorf("there are %d runs, want 2", got)
	}
	var last bot.Record
	for _, r := range w.records() {
		if r.Person == "job:nightly" {
			last = r
		}
	}
	if last.Kind != bot.ExpiredKind || last.Rule != "late" || last.Account != "clock:job:nightly" {
		t.Errorf("the last record is %+v", last)
	}
}

// TestFailingJob is posted by itself: the card of a run is edited where it was
// posted, and nobody looks there in the morning.
func TestFailingJob(t *testing.T) {
	t.Parallel()
	w := beforeNine(t, strings.NewReplacer("restart shop staging", "deploy shop v4 staging", `["restart"]`, `["deploy"]`).Replace(jobs))
	w.run()
	w.kept("job:nightly", known)
	w.clock.forward(2 * time.Minute)
	p := w.wait("that it failed", func(p bottest.Post) bool {
		return strings.HasPrefix(p.Card.Title, "#1 failed, rolled back: deploy shop v4 staging")
	})
	if p.Channel != "x:ops" || p.Card.Footer != "asked for by job:nightly" || p.Card.Text == "" || p.Edits != 0 {
		t.Errorf("it is told %q %q in %s", p.Card.Title, p.Card.Text, p.Channel)
	}
	card := w.in("x:ops", "deploy shop")
	if len(card) != 2 {
		t.Errorf("the channel has %d cards of it, want the run's and one that says how it ended", len(card))
	}
}

// TestClockworkFaults: what the clock could never do is refused when the
// configuration is read.
func TestClockworkFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t, friendly, providertest.NewFriendly)
	for _, c := range []struct{ base, from, to, want string }{
		{clocked, `"0 9 * * *"`, `"9 o'clock"`, `"9 o'clock" is no time: it has 2 fields; write five fields`},
		{clocked, `"holds", "log"]`, `"hold"]`, `there is no section "hold"; did you mean "holds"?`},
		{clocked, `"holds", "log"]`, `"pinboard"]`, `there is no section "pinboard"; there are changes, stuck, reviews`},
		{clocked, `persons = ["digest:daily"]`, `persons = ["digest:dayly"]`, `there is no person "digest:dayly"; did you mean "digest:daily"?`},
		{clocked, `persons = ["digest:daily"]`, `persons = ["dev"]`, `digest "daily" needs the permission digest, which no rule gives it; add a [[grant]] with persons = ["digest:daily"] and permissions = ["digest"]`},
		{clocked, `"run.read", "audit"]`, `"run.read"]`, `digest "daily" needs the permission audit, which no rule gives it`},
		{jobs, `run = "restart shop staging"`, `run = "restrat shop staging"`, `job "nightly": there is no command "restrat"; did you mean "restart"?`},
		{jobs, `run = "restart shop staging"`, `run = "restart shop prod"`, `job "nightly": job:nightly may not restart on shop/prod; add a [[grant]] with persons = ["job:nightly"] and permissions = ["restart"]`},
		{jobs, `run = "restart shop staging"`, `run = "approve 1"`, `job "nightly": "approve" is for people, and the clock is none`},
		{jobs + "[[require]]\npermissions = [\"restart\"]\nconfirm = true\n", "", "", `asks for a confirmation, which the clock cannot give`},
		{jobs + "[[require]]\npermissions = [\"restart\"]\nreason = true\n", "", "", `asks for a reason; add --reason "..." to the line`},
		{jobs + "[[deny]]\npermissions = [\"restart\"]\nreason = \"no\"\n", "", "", `, by deny 1`},
		{strings.Replace(jobs, `name = "trainee"`, `name = "job:nightly"`, 1), "", "", `the name of a person takes letters`},
	} {
		w.configure(strings.Replace(c.base, c.from, c.to, 1))
		_, err := w.assemble()
		if err == nil || !strings.Contains(bot.Sentence(err, ""), c.want) {
			t.Errorf("%q for %q: %v\nwant %s", c.to, c.from, err, c.want)
		}
	}
	w.configure(clocked)
	if _, err := w.assemble(); err != nil {
		t.Error(err)
	}
}

// TestNobodySpeaksForTheClock: a network that hands in a message from an account
// of the clock is refused, whatever else it says.
func TestNobodySpeaksForTheClock(t *testing.T) {
	t.Parallel()
	w := beforeNine(t, clocked)
	w.run()
	_, err := w.x.Send(t.Context(), bot.Message{ID: "x:forged", Account: "clock:digest:daily", Standing: bot.Member, Channel: "x:ops", Text: "digest daily"})
	if bot.KindOf(err) != bot.Denied {
		t.Errorf("a forged message was taken: %v", err)
	}
	_, err = w.x.Send(t.Context(), bot.Message{ID: "x:old", Account: "x:dev", Standing: bot.Member, Channel: "x:main", Text: "deploy shop v2 staging",
		Received: w.clock.Now().Add(-time.Hour), Until: w.clock.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if p := w.answer("x:old"); !strings.Contains(p.Card.Title, "not run: it was received 1h0m0s ago") {
		t.Errorf("an old message that says how long it is good got %q", p.Card.Title)
	}
}

// TestWeeklyDigest: the DORA metrics come from what went live, and rights that
// nobody used from the log, once it covers long enough.
func TestWeeklyDigest(t *testing.T) {
	t.Parallel()
	w := beforeNine(t, clocked+`
[[digest]]
name = "weekly"
at = "0 9 * * mon"
channel = "x:ops"
sections = ["dora", "unused"]
lines = 40
[[grant]]
persons = ["digest:weekly"]
permissions = ["digest", "history", "audit"]
targets = ["*/staging"]
`)
	w.run()
	w.gets("x:dev", "deploy shop v2 staging", bot.OutcomeOK)
	w.ended(1)
	w.gets("x:dev", "rollback shop staging", bot.OutcomeOK)
	w.ended(2)
	w.gets("x:dev", "deploy shop v3 staging", bot.OutcomeOK)
	w.ended(3)
	young := shown(w.gets("x:sre", "digest weekly --dry-run", bot.OutcomeOK).Card)
	for _, want := range []string{
		"shop/staging: 2 deployments in 7 days (0.3 a day); lead time not known (0 of 2 dated); failed 1 of 2 (50 %); recovery ",
		"(1 of 1); rework 1 of 3 (33 %)", "the log in the database goes back to ", "unused rights are told once it covers 12 weeks",
	} {
		if !strings.Contains(young, want) {
			t.Errorf("it tells %q, want %q", young, want)
		}
	}
	w.clock.forward(13 * 7 * 24 * time.Hour)
	w.gets("x:dev", "status", bot.OutcomeOK)
	old := shown(w.gets("x:sre", "digest weekly --dry-run", bot.OutcomeOK).Card)
	for _, want := range []string{"not used in 12 weeks:", "developer on shop/*: deploy, rollback, restart, history, run.read\n", "developer: audit"} {
		if !strings.Contains(old, want) {
			t.Errorf("after 13 weeks it tells %q, want %q", old, want)
		}
	}
	if strings.Contains(old, "deployments in 7 days") {
		t.Errorf("a quiet week has metrics: %q", old)
	}
}
