package router_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/store"
)

func TestConversations(t *testing.T) {
	for _, c := range bottest.All() {
		name := strings.ReplaceAll(c.Name, " ", "_")
		t.Run("friendly/"+name, func(t *testing.T) {
			t.Parallel()
			talk, now := friendly()
			if err := c.Run(t.Context(), &start(t, talk, now, "").World); err != nil {
				t.Error(err)
			}
		})
		t.Run("hostile/"+name, func(t *testing.T) {
			t.Parallel()
			talk, now := hostile()
			if err := c.Run(t.Context(), &start(t, talk, now, "").World); err != nil {
				t.Error(err)
			}
			if v := talk.Violations(); len(v) > 0 {
				t.Errorf("the bot broke rules of the network: %q", v)
			}
		})
	}
}

// TestStaleMessageIsNotRun hands over a deployment that lay somewhere for too
// long: nobody expects it to happen now.
func TestStaleMessageIsNotRun(t *testing.T) {
	t.Parallel()
	talk, now := friendly()
	w := start(t, talk, now, "")
	for _, c := range []struct {
		id   string
		age  time.Duration
		want bot.Outcome
	}{{"x:old", 2 * time.Minute, bot.OutcomeFailed}, {"x:older", 24 * time.Hour, bot.OutcomeFailed}, {"x:young", 100 * time.Second, bot.OutcomeOK}} {
		m := bot.Message{ID: c.id, Account: "x:dev", Standing: bot.Member, Channel: "x:main", Text: "deploy shop v2 staging",
			Received: w.clock.Now().Add(-c.age)}
		if _, err := w.chat.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		p := w.answer(t, c.id, c.want)
		if c.want == bot.OutcomeOK {
			continue
		}
		if !strings.HasPrefix(p.Card.Title, "not run: it was received ") || !strings.Contains(p.Card.Title, "please repeat it") {
			t.Errorf("a message %s old was answered %q", c.age, p.Card.Title)
		}
		if got := effects(w.far); len(got) != 0 {
			t.Fatalf("it was run all the same: %q", got)
		}
	}
	if got := effects(w.far); !slices.Equal(got, []string{"shop/staging v2"}) {
		t.Errorf("effects are %q, want the young one's", got)
	}
}

// TestRateLimit has one person send too much: everything is answered, one
// record a minute is enough, and nobody else suffers. The way back is never
// held up.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	talk, now := friendly()
	w := start(t, talk, now, "rate = 1")
	w.gets(t, w.Dev, "status", bot.OutcomeOK)
	for range 3 {
		p := w.gets(t, w.Dev, "deploy shop v2 staging", bot.OutcomeDenied)
		if !strings.Contains(p.Card.Title, "more than 1 commands in a minute") {
			t.Errorf("answered %q", p.Card.Title)
		}
	}
	w.gets(t, w.SRE, "status", bot.OutcomeOK)
	w.far.SetLive(bot.Target{Service: "shop", Environment: "prod"}, "v2")
	w.gets(t, w.Dev, "rollback shop prod v1", bot.OutcomeOK)
	w.gets(t, w.Dev, "rollback shop prod v2 --dry-run", bot.OutcomeDenied) // to look is no way back
	if n := w.records(t, `person = 'dev' AND kind = 'denied'`); n != 1 {
		t.Errorf("%d denials on record, want 1", n)
	}
	if got := effects(w.far); !slices.Equal(got, []string{"shop/prod v1"}) {
		t.Errorf("effects are %q, want the rollback", got)
	}
}

// TestManyStrangers has many unknown accounts send a line each: all are refused,
// few are recorded one by one, and people are served.
func TestManyStrangers(t *testing.T) {
	t.Parallel()
	talk, now := friendly()
	w := start(t, talk, now, "rate = 5")
	for i := range 40 {
		w.gets(t, bot.AccountID(fmt.Sprint("x:nobody", i)), "deploy shop v2 staging", bot.OutcomeDenied)
	}
	if n := w.records(t, `kind = 'denied'`); n < 5 || n > 8 {
		t.Errorf("%d denials on record, want the first five and that there are more", n)
	}
	w.gets(t, w.Dev, "deploy shop v2 staging", bot.OutcomeOK)
}

// TestForgedMessage writes a message of the sre's into the inbox, past the bot:
// it is refused and recorded, and runs nothing.
func TestForgedMessage(t *testing.T) {
	t.Parallel()
	talk, now := friendly()
	w := start(t, talk, now, "")
	m := bot.Message{ID: "x:forged", Account: "x:sre", Standing: bot.Member, Channel: "x:main", Text: "deploy shop v2 staging", Received: w.clock.Now()}
	if err := w.store(t).Update(t.Context(), func(tx store.Tx) error { _, err := tx.Receive(m); return err }); err != nil {
		t.Fatal(err)
	}
	if p := w.answer(t, m.ID, bot.OutcomeDenied); !strings.Contains(p.Card.Title, "was not written by this bot") {
		t.Errorf("answered %q", p.Card.Title)
	}
	if got := effects(w.far); len(got) != 0 {
		t.Errorf("effects are %q", got)
	}
	if n := w.records(t, `kind = 'denied' AND CAST(body AS TEXT) LIKE '%"rule":"forged"%'`); n != 1 {
		t.Errorf("%d denials on record, want 1", n)
	}
}

// TestHugeMessages sends lines of many times what is read: each is refused, and
// none is kept.
func TestHugeMessages(t *testing.T) {
	t.Parallel()
	talk, now := friendly()
	w := start(t, talk, now, "")
	for i := range 20 {
		m := bot.Message{ID: fmt.Sprint("x:huge", i), Account: "x:dev", Standing: bot.Member, Channel: "x:main", Text: "status " + strings.Repeat("é", 500_000), Received: w.clock.Now()}
		if _, err := w.chat.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		w.answer(t, m.ID, bot.OutcomeInvalid)
	}
	var kept, text int
	w.read(t, `SELECT coalesce(sum(length(message)), 0) FROM inbox`, &kept)
	w.read(t, `SELECT max(length(text)) FROM records`, &text)
	if kept != 0 || text > 20_000 {
		t.Errorf("%d bytes are kept in the inbox, %d in a record", kept, text)
	}
}

// TestPanicIsAnInternalError breaks commands from within. The asker gets a
// reference and no detail, the log has it, and the bot goes on.
func TestPanicIsAnInternalError(t *testing.T) {
	broken := func(name string) bot.Command {
		return bot.Command{Name: name, Summary: "break", Permission: bot.MayAskSelf, Resolve: bot.AskSelf}
	}
	read, plan, answer := broken("breakread"), broken("breakplan"), broken("breakanswer")
	read.Read = func(context.Context, bot.Call) (bot.Reply, error) { panic("secret 1234") }
	plan.Plan = func(context.Context, bot.Call) (bot.Plan, error) { panic("secret 1234") }
	answer.Answer = func(context.Context, bot.Call) (bot.Reply, error) { panic("secret 1234") }
	t.Parallel()
	talk, now := friendly()
	w := start(t, talk, now, "", read, plan, answer)
	for _, line := range []string{"breakread", "breakplan", "breakanswer"} {
		p := w.gets(t, w.Dev, line, bot.OutcomeFailed)
		if !strings.Contains(p.Card.Title, "internal error, ref ") || strings.Contains(p.Card.Title+p.Card.Text, "1234") {
			t.Errorf("%s was answered %q %q", line, p.Card.Title, p.Card.Text)
		}
	}
	w.gets(t, w.Dev, "status", bot.OutcomeOK)
	if n := w.records(t, `kind = 'failed' AND CAST(body AS TEXT) LIKE '%"internal"%'`); n != 3 {
		t.Errorf("%d records of kind failed, internal; want 3", n)
	}
}

// read asks the bot's database one thing.
func (w *world) read(t *testing.T, query string, into any) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.dir, "q.db")+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(query).Scan(into); err != nil {
		t.Fatal(err)
	}
}

// records counts records in the bot's database.
func (w *world) records(t *testing.T, where string) (n int) {
	t.Helper()
	w.read(t, `SELECT count(*) FROM records WHERE `+where, &n)
	return n
}

// store opens the bot's database beside it, as somebody else would.
func (w *world) store(t *testing.T) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(w.dir, "q.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// token finds the button of a card that types a verb.
func token(t *testing.T, c bot.Card, verb string) string {
	t.Helper()
	for _, b := range c.Buttons {
		if strings.HasPrefix(b.Line, verb) {
			return b.Token
		}
	}
	t.Fatalf("no button for %q on %q", verb, c.Title)
	return ""
}

// TestExpiredButton presses a button after its run expired.
func TestExpiredButton(t *testing.T) {
	t.Parallel()
	talk, now := friendly()
	w := start(t, talk, now, "")
	p := w.gets(t, w.Dev, "deploy shop v2 prod", bot.OutcomeWaiting)
	confirm := token(t, p.Card, "confirm")
	w.clock.forward(3 * time.Minute)
	if _, err := w.chat.Wait(t.Context(), "run 1 to expire", func(q bottest.Post) bool {
		return q.Card.Run == 1 && q.Card.State == bot.Expired && len(q.Card.Buttons) == 0
	}); err != nil {
		t.Fatal(err)
	}
	p = w.presses(t, w.Dev, confirm, bot.OutcomeFailed)
	if !strings.Contains(p.Card.Title, "expired") {
		t.Errorf("answered %q", p.Card.Title)
	}
	w.gets(t, w.Dev, "confirm 1", bot.OutcomeFailed)
	// A day later even the token is forgotten.
	w.clock.forward(25 * time.Hour)
	p = w.presses(t, w.Dev, confirm, bot.OutcomeFailed)
	if !strings.Contains(p.Card.Title, "that button has expired; type the command instead") {
		t.Errorf("a day later answered %q", p.Card.Title)
	}
	if got := effects(w.far); len(got) != 0 {
		t.Errorf("effects are %q", got)
	}
}

// TestButtonOfAnOlderPlan presses the approval of a plan that was made anew
// since: it was for something else.
func TestButtonOfAnOlderPlan(t *testing.T) {
	t.Parallel()
	talk, now := friendly()
	w := start(t, talk, now, "")
	p := w.gets(t, w.Dev, "deploy shop v2 prod", bot.OutcomeWaiting)
	oldConfirm := token(t, p.Card, "confirm")
	p = w.presses(t, w.Dev, oldConfirm, bot.OutcomeWaiting)
	oldApprove := token(t, p.Card, "approve")
	w.far.SetLive(bot.Target{Service: "shop", Environment: "prod"}, "v3")
	said, err := w.chat.Press(t.Context(), w.SRE, oldApprove)
	if err != nil {
		t.Fatal(err)
	}
	p, err = w.chat.Wait(t.Context(), "the plan made anew", func(q bottest.Post) bool {
		return q.Card.ReplyTo == said.ID && q.Card.State == bot.Waiting && strings.Contains(q.Card.Title, "confirm?")
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, old := range []string{oldConfirm, oldApprove} {
		for _, who := range []bot.AccountID{w.Dev, w.SRE} {
			q := w.presses(t, who, old, bot.OutcomeFailed)
			if !strings.Contains(q.Card.Title, "#1 was planned anew since that button was shown") {
				t.Errorf("answered %q", q.Card.Title)
			}
		}
	}
	p = w.presses(t, w.Dev, token(t, p.Card, "confirm"), bot.OutcomeWaiting)
	w.presses(t, w.Dev, token(t, p.Card, "approve"), bot.OutcomeDenied)
	w.presses(t, w.SRE, token(t, p.Card, "approve"), bot.OutcomeOK)
	if got := effects(w.far); !slices.Equal(got, []string{"shop/prod v2"}) {
		t.Errorf("effects are %q, want one deployment", got)
	}
}

// TestButtonOfAnotherRun presses the button of one run while another waits: it
// answers its own.
func TestButtonOfAnotherRun(t *testing.T) {
	t.Parallel()
	talk, now := friendly()
	w := start(t, talk, now, "")
	first := w.gets(t, w.Dev, "deploy shop v2 prod", bot.OutcomeWaiting)
	w.gets(t, w.SRE, "deploy shop v3 prod", bot.OutcomeWaiting)
	// The second run's asker presses the first run's button: with her own rights.
	p := w.presses(t, w.SRE, token(t, first.Card, "confirm"), bot.OutcomeDenied)
	if !strings.Contains(p.Card.Title, "only dev can confirm #1") {
		t.Errorf("answered %q", p.Card.Title)
	}
	p = w.presses(t, w.Stranger, token(t, first.Card, "confirm"), bot.OutcomeDenied)
	if !strings.Contains(p.Card.Title, "denied") {
		t.Errorf("answered %q", p.Card.Title)
	}
	p = w.presses(t, w.Dev, token(t, first.Card, "confirm"), bot.OutcomeWaiting)
	if p.Card.Run != 1 {
		t.Errorf("the button answered run %d", p.Card.Run)
	}
}

// TestApprovalPressedTwiceAtOnce has a nervous finger press approve: two
// presses, each delivered twice, at the same time. It acts once.
func TestApprovalPressedTwiceAtOnce(t *testing.T) {
	t.Parallel()
	talk, now := hostile()
	w := start(t, talk, now, "")
	p := w.gets(t, w.Dev, "deploy shop v2 prod", bot.OutcomeWaiting)
	w.gets(t, w.Dev, "confirm 1", bot.OutcomeWaiting)
	p, err := w.chat.Wait(t.Context(), "the approve button", func(q bottest.Post) bool {
		return q.Card.Run == 1 && len(q.Card.Buttons) > 0 && strings.HasPrefix(q.Card.Buttons[0].Line, "approve")
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.chat.Press(t.Context(), w.SRE, token(t, p.Card, "approve")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.chat.Wait(t.Context(), "run 1 to succeed", func(q bottest.Post) bool {
		return q.Card.Run == 1 && q.Card.State == bot.Succeeded
	}); err != nil {
		t.Fatal(err)
	}
	if n := w.records(t, `run = 1 AND kind = 'approved' AND person = 'sre'`); n != 1 {
		t.Errorf("%d approvals on record, want 1", n)
	}
	if got := effects(w.far); !slices.Equal(got, []string{"shop/prod v2"}) {
		t.Errorf("effects are %q, want one deployment", got)
	}
	if v := talk.Violations(); len(v) > 0 {
		t.Errorf("violations: %q", v)
	}
}

// TestLostAuditPostLeavesAGap takes one of two audit channels away for good.
// Commands go on, the log has what the channel misses, and the other one says so.
func TestLostAuditPostLeavesAGap(t *testing.T) {
	t.Parallel()
	talk, now := hostile()
	talk.Ban("x:audit")
	w := start(t, talk, now, "")
	w.gets(t, w.Dev, "deploy shop v2 staging", bot.OutcomeOK)
	posts := filepath.Join(w.dir, "audit.txt")
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		raw, err := os.ReadFile(posts)
		if err == nil && strings.Contains(string(raw), "posts to x:audit are missing") && strings.Contains(string(raw), "#1 succeeded") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the other channel does not say that posts are missing:\n%s", raw)
		}
	}
	if n := w.records(t, `CAST(body AS TEXT) LIKE '%x:audit%' AND kind = 'failed'`); n == 0 {
		t.Error("the gap is not on record")
	}
	w.gets(t, w.Dev, "rollback shop staging", bot.OutcomeOK)
}
