package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/provider/providertest"
)

// moody is a hostile network whose audit channel fails, besides all else, for
// as long as it is told to.
type moody struct {
	*bottest.HostileChat
	mu  sync.Mutex
	err error
}

// fails has every post to the audit channel fail from now on; nil ends it.
func (m *moody) fails(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

func (m *moody) Deliver(ctx context.Context, d bot.Delivery) (string, error) {
	m.mu.Lock()
	err := m.err
	m.mu.Unlock()
	if err != nil && d.Channel == "x:audit" {
		return "", err
	}
	return m.HostileChat.Deliver(ctx, d)
}

// withAudit makes a World whose audit channel fails from the beginning.
func withAudit(t *testing.T, err error) (*world, *moody) {
	t.Helper()
	var m *moody
	w := start(t, func(c bot.Clock) chat {
		m = &moody{HostileChat: bottest.NewHostileChat("x", c)}
		m.fails(err)
		return m
	}, providertest.NewFriendly)
	return w, m
}

// day has people do a bit of everything; each of it must be answered at once.
func (w *world) day() {
	w.t.Helper()
	w.gets(w.Dev, "deploy shop v2 staging", bot.OutcomeOK)
	w.gets(w.Stranger, "status", bot.OutcomeDenied)
	w.gets(w.Dev, "status shop", bot.OutcomeOK)
	w.gets(w.SRE, "deplyo shop", bot.OutcomeInvalid)
	p := w.gets(w.Dev, "deploy shop v2 prod", bot.OutcomeWaiting)
	w.gets(w.Dev, fmt.Sprintf("confirm %d", p.Card.Run), bot.OutcomeWaiting)
	w.gets(w.Dev, fmt.Sprintf("approve %d", p.Card.Run), bot.OutcomeDenied)
	w.gets(w.SRE, fmt.Sprintf("approve %d", p.Card.Run), bot.OutcomeOK)
	w.gets(w.Dev, "rollback shop staging", bot.OutcomeOK)
	w.gets(w.Guest, "rollback shop prod", bot.OutcomeDenied)
}

// audited gives what the audit channel shows, oldest first.
func (w *world) audited() []bottest.Post {
	var posts []bottest.Post
	for _, p := range w.x.Posts() {
		if p.Channel == "x:audit" {
			posts = append(posts, p)
		}
	}
	return posts
}

// gapList gives the sequences that a gap marker names, as a footer would.
func gapList(title string) string {
	list, ok := strings.CutPrefix(title, "gap: ")
	if !ok {
		return ""
	}
	return strings.TrimSuffix(list, " could not be shown here")
}

// accounted gives the records that the audit channel shows, or says that it
// could not.
func accounted(posts []bottest.Post) (told, missing map[int64]bool) {
	told, missing = map[int64]bool{}, map[int64]bool{}
	note := func(in map[int64]bool, footer string) {
		pairs, _ := audit.Sequences(footer)
		for _, p := range pairs {
			for seq := p[0]; seq <= p[1]; seq++ {
				in[seq] = true
			}
		}
	}
	for _, p := range posts {
		note(told, p.Card.Footer)
		note(missing, gapList(p.Card.Title))
	}
	return told, missing
}

// caughtUp waits until the audit channel accounts for every record, putting the
// clock forward for what waits for its time. Its network's own trouble takes
// some tries.
func (w *world) caughtUp() {
	w.t.Helper()
	w.until("the audit channel to account for every record", func() bool {
		w.clock.forward(20 * time.Second)
		told, missing := accounted(w.audited())
		for _, r := range w.records() {
			if !told[r.Seq] && !missing[r.Seq] {
				return false
			}
		}
		return true
	})
}

// TestAuditChannelDownForAWhile takes the audit channel away while people work.
// Nobody notices; once it is back it is told everything, in order.
func TestAuditChannelDownForAWhile(t *testing.T) {
	for _, kind := range []bot.Kind{bot.Unavailable, bot.Timeout, bot.Busy} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w, m := withAudit(t, bot.Errorf(kind, "the channel is closed for cleaning"))
			w.day()
			if posts := w.audited(); len(posts) != 0 {
				t.Fatalf("%d posts got through", len(posts))
			}
			m.fails(nil)
			w.caughtUp()
			posts := w.audited()
			if _, missing := accounted(posts); len(missing) > 0 {
				t.Errorf("%v are said to be missing", missing)
			}
			last, seen := int64(0), map[string]bool{}
			for _, p := range posts {
				pairs, ok := audit.Sequences(p.Card.Footer)
				again := seen[p.Card.Footer+p.Card.Title]
				seen[p.Card.Footer+p.Card.Title] = true
				if !ok || again || strings.HasPrefix(p.Card.Title, "read — ") {
					continue // a run's first post; one whose answer got lost; what is gathered for a minute
				}
				if pairs[0][0] < last {
					t.Errorf("%q tells of %d after %d", p.Card.Title, pairs[0][0], last)
				}
				last = pairs[0][0]
				if p.Thread != "" && !slices.ContainsFunc(posts, func(q bottest.Post) bool {
					return q.Ref == p.Thread && strings.HasPrefix(q.Card.Key, "audit/run/")
				}) {
					t.Errorf("%q is in the thread %q, which is no run's", p.Card.Title, p.Thread)
				}
			}
			for n := 1; n <= 3; n++ {
				at := slices.IndexFunc(posts, func(p bottest.Post) bool { return p.Card.Key == fmt.Sprintf("audit/run/%d", n) })
				if at < 0 || posts[at].Card.State != bot.Succeeded {
					t.Errorf("the post of #%d does not show how it ended", n)
				}
			}
			w.violations()
		})
	}
}

// TestAuditChannelRefusesForAWhile has the audit channel refuse for good while
// people work, and then take posts again. What it was not told is named in its
// place, there and in the log, and nothing else is lost.
func TestAuditChannelRefusesForAWhile(t *testing.T) {
	t.Parallel()
	w, m := withAudit(t, bot.Errorf(bot.NotFound, "the channel is gone"))
	w.day()
	w.until("the gap to be on record", func() bool {
		return slices.ContainsFunc(w.records(), func(r bot.Record) bool {
			return r.Kind == bot.FailedKind && r.Channel == "x:audit" && r.Error == bot.Unavailable
		})
	})
	m.fails(nil)
	w.gets(w.Dev, "deploy shop v3 staging", bot.OutcomeOK)
	w.caughtUp()
	told, missing := accounted(w.audited())
	if len(missing) == 0 || !missing[1] || told[1] {
		t.Errorf("told %v, said to be missing %v; want the first record missing", told, missing)
	}
	if !slices.ContainsFunc(w.audited(), func(p bottest.Post) bool { return p.Card.Run == 4 && p.Card.State == bot.Succeeded }) {
		t.Error("what was done after the gap is not told")
	}
	w.violations()
}

// TestSecretsAreRedacted types secrets wherever there is room for them. They
// are in no record, on no card, and in nothing that the operator reads.
func TestSecretsAreRedacted(t *testing.T) {
	t.Parallel()
	secrets := []string{"hunter2", "xoxb-123456789012-AbCdEfGhIjKl", "AKIAABCDEFGHIJKLMNOP", "house-4711", "ghp_abcdefghijklmnopqrstuvwxyz0123456789"}
	reason := fmt.Sprintf(`--reason "password=%s %s %s %s %s"`, secrets[0], secrets[1], secrets[2], secrets[3], secrets[4])
	w := start(t, friendly, providertest.NewFriendly)
	w.gets(w.Dev, "deploy shop v2 staging "+reason, bot.OutcomeOK)
	w.gets(w.Dev, "deploy shop v2 staging --dry-run "+reason, bot.OutcomeOK)
	w.gets(w.Dev, "deploy shop v3 prod "+reason, bot.OutcomeWaiting)
	w.gets(w.Dev, "confirm 2", bot.OutcomeWaiting)
	w.gets(w.SRE, "approve 2", bot.OutcomeOK)
	w.gets(w.Dev, "rollback shop staging "+reason, bot.OutcomeOK)
	w.gets(w.Dev, "restart shop prod "+reason, bot.OutcomeOK)
	w.says(w.Dev, "deploy shop v2 staging --override \""+secrets[3]+"\" "+reason) // marked bad
	w.gets(w.Dev, "deploy shop v2 stagign "+reason, bot.OutcomeInvalid)
	w.gets(w.Dev, "deploy token="+secrets[1]+" v2 staging", bot.OutcomeInvalid)
	w.gets(w.Dev, "deploy shop password="+secrets[0]+" staging", bot.OutcomeInvalid)
	w.gets(w.Dev, "deploy shop v2 staging --"+secrets[2], bot.OutcomeInvalid)
	w.gets(w.Dev, "deploy shop "+secrets[3]+" staging", bot.OutcomeInvalid)
	w.gets(w.Stranger, "deploy shop v2 staging "+reason, bot.OutcomeDenied)
	w.gets("x:trainee", "deploy shop v2 staging "+reason, bot.OutcomeDenied)
	for _, line := range []string{"audit", "history", "runs", "run 1", "run 2", "run 3", "status"} {
		w.gets(w.SRE, line, bot.OutcomeOK)
	}
	w.caughtUp()
	places := map[string]string{"the operator's log": w.output.String()}
	for _, p := range w.x.Posts() {
		if p.Card.Outcome == bot.OutcomeInvalid && p.To == w.Dev {
			continue // what somebody typed wrongly is read back to them alone
		}
		places["the card "+p.Card.Title+" in "+string(p.Channel)] = shown(p.Card)
	}
	redacted := 0
	for _, r := range w.records() {
		raw, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		text := string(raw) + fmt.Sprint(r.Text)
		places[fmt.Sprintf("record %d, %s", r.Seq, r.Kind)] = text
		if strings.Contains(text, audit.Redacted) {
			redacted++
		}
	}
	for place, text := range places {
		for _, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("%s holds %s: %.400q", place, s, text)
			}
		}
	}
	if redacted < 8 {
		t.Errorf("in %d records something was redacted: the lines typed are not there", redacted)
	}
}

// TestOneRunInTwoPlaces has a run asked for on one network and approved on
// another. Both show the same version of the same card, to its end.
func TestOneRunInTwoPlaces(t *testing.T) {
	for name, n := range map[string]network{"friendly": friendly, "hostile": hostile} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, n, providertest.NewFriendly)
			w.waiting()
			w.gets(w.Dev, "confirm 1", bot.OutcomeWaiting)
			said, err := w.y.Say(t.Context(), "y:sre", "approve 1")
			if err != nil {
				t.Fatal(err)
			}
			there, err := w.y.Wait(t.Context(), "the end of run 1", func(p bottest.Post) bool { return bottest.Answers(p, said.ID) })
			if err != nil {
				t.Fatal(err)
			}
			here := w.wait("the same version", func(p bottest.Post) bool { return p.Card.Key == there.Card.Key && p.Card.Version == there.Card.Version })
			if here.Card.State != bot.Succeeded || there.Card.State != bot.Succeeded || there.Card.Outcome != bot.OutcomeOK {
				t.Errorf("here it %s, there it %s", here.Card.State, there.Card.State)
			}
			if a, b := shown(here.Card), shown(there.Card); a != b || !strings.Contains(a, "approved by sre") {
				t.Errorf("here\n%s\nthere\n%s", a, b)
			}
			for _, c := range []chat{w.x, w.y} {
				for _, p := range c.Posts() {
					if p.Card.Key == there.Card.Key && slices.ContainsFunc(p.Card.Buttons, func(b bot.Button) bool { return strings.HasPrefix(b.Line, "approve") }) && p.Card.Version == there.Card.Version {
						t.Errorf("%s shows buttons of a run that ended", p.Channel)
					}
				}
			}
			// The same no: an approval by the asker from another place.
			if got := effects(w.far); !slices.Equal(got, []string{"shop/prod v2"}) {
				t.Errorf("effects are %q, want one deployment", got)
			}
			w.violations()
		})
	}
}
