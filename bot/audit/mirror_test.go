package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

const auditChannel bot.ChannelID = "slack:C0AUDIT"

func newMirror(r *rig, channels ...bot.ChannelID) *Mirror {
	if channels == nil {
		channels = []bot.ChannelID{auditChannel}
	}
	return &Mirror{Store: r.store, Log: r.log, Channels: channels, Clock: r.clock, Logger: logTo(r.T.Output())}
}

func (r *rig) mirror(m *Mirror) {
	r.Helper()
	for _, c := range m.Channels {
		for more := true; more; {
			var err error
			if more, err = m.pass(r.Context(), c); err != nil {
				r.Fatal(err)
			}
		}
	}
}

// take gives the cards enqueued to a channel and takes them away, as the outbox
// does once they are delivered.
func (r *rig) take(channel bot.ChannelID) (cards []bot.Card, unders []string) {
	r.Helper()
	var rest []store.Outgoing
	for _, o := range r.store.out {
		if o.Channel != channel {
			rest = append(rest, o)
			continue
		}
		c := decoded(r.T, o)
		if !o.Ordered || o.Key != c.Key || o.Version != c.Version {
			r.Errorf("enqueued %+v", o)
		}
		cards, unders = append(cards, c), append(unders, o.Under)
	}
	r.store.out = rest
	return cards, unders
}

// told gives the sequences that cards tell of, in the order of the posts.
func told(cards []bot.Card) (seqs []int64) {
	for _, c := range cards {
		pairs, _ := Sequences(c.Footer)
		for _, p := range pairs {
			for s := p[0]; s <= p[1]; s++ {
				seqs = append(seqs, s)
			}
		}
	}
	return seqs
}

func upTo(n int64) (seqs []int64) {
	for s := int64(1); s <= n; s++ {
		seqs = append(seqs, s)
	}
	return seqs
}

func sorted(s []int64) []int64 { s = slices.Clone(s); slices.Sort(s); return s }

func text(c bot.Card) string {
	s := c.Title
	for _, f := range c.Fields {
		s += "\n" + f.Name + ": " + f.Value
	}
	if c.Text != "" {
		s += "\n" + c.Text
	}
	return s + "\n-- " + c.Footer
}

func TestMirrorTellsTheStory(t *testing.T) {
	r := newRig(t)
	m := newMirror(r)
	r.story()
	r.mirror(m)
	cards, unders := r.take(auditChannel)
	if len(cards) != 3 {
		t.Fatalf("%d posts", len(cards))
	}
	want := []string{
		"#12 dev-one: deploy shop v2 to prod — succeeded\ntarget: shop/prod\nasked in: slack:C1\nrule: grant 1 (config.toml:41)\n" +
			"reason: fixes <the> cart & more\napproved by: sre-one\nv2 is live\n-- as of audit 7",
		"\n03:00:00 #12 dev-one: deploy shop v2 to prod — requested (reason: fixes <the> cart & more)\n03:00:00 #12 approved by sre-one\n" +
			"03:00:00 #12 started: deploy shop v2 to prod, approved by sre-one\n03:00:00 #12 running: 2 of 4 replicas\n03:00:00 #12 succeeded: v2 is live\n-- audit 2-3, 5-7",
		"denied: guest slack:T1/U9 tried \"deploy shop v2 prod\": guests never run anything\nin: slack:C1\nrule: guests\n-- audit 4",
	}
	for i, w := range want {
		if got := text(cards[i]); got != w {
			t.Errorf("post %d\n got %q\nwant %q", i, got, w)
		}
	}
	if cards[0].Key != "audit/run/12" || cards[0].Version != 7 || cards[0].State != bot.Succeeded || unders[0] != "" || unders[1] != "audit/run/12" || unders[2] != "" {
		t.Errorf("addressed %+v under %q", cards[0], unders)
	}
	r.clock.move(gather)
	r.mirror(m)
	cards, _ = r.take(auditChannel)
	if len(cards) != 1 || text(cards[0]) != "read — dev-one: status shop (2 times)\n-- audit 1, 8" {
		t.Fatalf("reads: %+v", cards)
	}
}

// The run's first post is edited as the run goes on, and its thread grows.
func TestMirrorStepByStep(t *testing.T) {
	r := newRig(t)
	m := newMirror(r)
	source := newRig(t)
	source.story()
	var states, threads []string
	var seqs []int64
	for _, s := range source.store.rows {
		rec, err := Decode(s)
		if err != nil {
			t.Fatal(err)
		}
		r.append(rec)
		r.mirror(m)
		cards, unders := r.take(auditChannel)
		seqs = append(seqs, told(cards)...)
		for i, c := range cards {
			switch {
			case c.Key == "audit/run/12":
				states = append(states, fmt.Sprintf("%d %s", c.Version, c.State))
			case unders[i] != "":
				threads = append(threads, c.Text)
			}
		}
	}
	if want := []string{"2 waiting", "3 waiting", "5 running", "6 running", "7 succeeded"}; !slices.Equal(states, want) {
		t.Errorf("first post %q, want %q", states, want)
	}
	if len(threads) != 5 {
		t.Errorf("thread %q", threads)
	}
	r.clock.move(gather)
	r.mirror(m)
	cards, _ := r.take(auditChannel)
	if all := sorted(append(seqs, told(cards)...)); !slices.Equal(all, upTo(8)) {
		t.Errorf("told %v", all)
	}
}

func TestMirrorPosts(t *testing.T) {
	run := bot.Record{Run: 3, Account: "slack:T1/U1", Standing: bot.Member, Person: "dev-one", Verb: "rollback", Target: "shop/prod"}
	with := func(r bot.Record, kind bot.RecordKind, detail, text map[string]string) bot.Record {
		r.Kind, r.Detail, r.Text = kind, detail, text
		return r
	}
	for _, c := range []struct {
		name string
		rec  bot.Record
		want []string // beginnings of the titles, or texts, of the posts
	}{
		{"override", with(run, bot.OverriddenKind, map[string]string{"passed": "v3 is marked bad"}, map[string]string{"override": "nothing else works"}),
			[]string{"#3 dev-one: rollback shop/prod — running", "03:00:00 #3 dev-one overrode: v3 is marked bad (reason: nothing else works)", "#3 dev-one overrode: v3 is marked bad"}},
		{"answered no", with(run, bot.DeniedRecord, map[string]string{"answer": "deny", "state": "cancelled"}, map[string]string{"reason": "not today"}),
			[]string{"#3 dev-one: rollback shop/prod — cancelled", "03:00:00 #3 denied by dev-one: not today"}},
		{"confirmed", with(run, bot.ConfirmedKind, map[string]string{"answer": "confirm"}, nil), []string{"#3 dev-one: rollback shop/prod — waiting", "03:00:00 #3 confirmed by dev-one"}},
		{"unknown", with(run, bot.UnknownKind, map[string]string{"state": "unknown"}, map[string]string{"result": "no answer for 10m"}),
			[]string{"#3 dev-one: rollback shop/prod — unknown", "03:00:00 #3 UNKNOWN: a person must look: no answer for 10m"}},
		{"cancelled", with(run, bot.CancelledKind, map[string]string{"answer": "cancel", "state": "cancelled"}, nil), []string{"#3 ", "03:00:00 #3 cancelled by dev-one"}},
		{"asked to cancel", with(run, bot.Step, map[string]string{"answer": "cancel", "state": "cancelling"}, nil), []string{"#3 dev-one: rollback shop/prod — cancelling", "03:00:00 #3 asked to cancel by dev-one"}},
		{"waits again", with(run, bot.Step, map[string]string{"state": "waiting", "why": "v2 is live now", "needs": "1 approval"}, nil),
			[]string{"#3 ", "03:00:00 #3 waiting: v2 is live now; needs 1 approval"}},
		{"failed command", bot.Record{Kind: bot.FailedKind, Person: "dev-one", Error: bot.Unavailable, Text: map[string]string{"line": "deploy shop v2 prod", "result": "the platform does not answer"}},
			[]string{`failed: dev-one asked for "deploy shop v2 prod": the platform does not answer`}},
		{"configured", bot.Record{Kind: bot.ConfiguredKind, Detail: map[string]string{"added": "grant 4", "removed": "deny 1"}}, []string{"configured by the bot: added grant 4, removed deny 1"}},
		{"observed", bot.Record{Kind: bot.ObservedKind, Target: "shop/prod", Text: map[string]string{"result": "v9 went live outside of the bot"}}, []string{"observed by the bot: v9 went live outside of the bot"}},
		{"line break", bot.Record{Kind: bot.DeniedRecord, Account: "slack:T1/U9", Standing: bot.Member, Text: map[string]string{"line": "deploy\n#9 sre-one: all is well"}},
			[]string{`denied: unknown slack:T1/U9 tried "deploy #9 sre-one: all is well"`}},
		{"long", bot.Record{Kind: bot.DeniedRecord, Account: "x:1", Text: map[string]string{"line": strings.Repeat("é", 500)}}, []string{"denied: unvouched x:1 tried \"éé"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.append(c.rec)
			r.mirror(newMirror(r))
			cards, _ := r.take(auditChannel)
			if len(cards) != len(c.want) {
				t.Fatalf("%d posts: %+v", len(cards), cards)
			}
			for i, card := range cards {
				if got := orElse(card.Title, card.Text); !strings.HasPrefix(got, c.want[i]) || strings.Contains(card.Title, "\n") || len(card.Title) > maxTitle {
					t.Errorf("post %d: got %q, want %q", i, got, c.want[i])
				}
				if card.Footer == "" {
					t.Errorf("post %d has no sequence", i)
				}
			}
		})
	}
}

func guest(i int) bot.Record {
	return bot.Record{Kind: bot.DeniedRecord, Account: bot.AccountID(fmt.Sprintf("slack:T1/U%d", i)), Standing: bot.Guest, Rule: "guests", Error: bot.Denied,
		Text: map[string]string{"line": "deploy shop v2 prod", "result": "guests never run anything"}}
}

func TestMirrorGathersDenials(t *testing.T) {
	r := newRig(t)
	m := newMirror(r)
	for range 40 {
		r.append(guest(9))
	}
	r.append(guest(8))
	r.mirror(m)
	cards, _ := r.take(auditChannel)
	if len(cards) != singly+1 {
		t.Fatalf("%d posts", len(cards))
	}
	seqs := told(cards)
	r.mirror(m)
	if cards, _ := r.take(auditChannel); len(cards) != 0 {
		t.Fatalf("posted before the minute was over: %+v", cards)
	}
	r.clock.move(gather)
	m = newMirror(r) // what is held survives a restart
	r.mirror(m)
	cards, _ = r.take(auditChannel)
	if len(cards) != 1 || !strings.HasPrefix(cards[0].Title, `denied: guest slack:T1/U9 was refused 35 times more within a minute, last for "deploy shop v2 prod": guests never run anything`) || cards[0].Footer != "audit 6-40" {
		t.Fatalf("%+v", cards)
	}
	if all := sorted(append(seqs, told(cards)...)); !slices.Equal(all, upTo(41)) {
		t.Errorf("told %v", all)
	}
	r.append(guest(9))
	r.mirror(m)
	if cards, _ := r.take(auditChannel); len(cards) != 1 || cards[0].Footer != "audit 42" {
		t.Errorf("a new minute starts afresh: %+v", cards)
	}
}

// A flood from ever new accounts fills neither the channel nor the store.
func TestMirrorBoundsAFlood(t *testing.T) {
	r := newRig(t)
	m := newMirror(r)
	const n = maxBursts + 300
	for i := range n {
		r.append(guest(i))
	}
	r.store.docs[kindAudit+"\n"+mirrorDoc+string(auditChannel)] = bot.Document{Kind: kindAudit, ID: mirrorDoc + string(auditChannel), Body: []byte(`{"next":1}`)}
	r.mirror(m)
	cards, _ := r.take(auditChannel)
	if len(cards) != maxBursts {
		t.Errorf("%d posts", len(cards))
	}
	seqs := told(cards)
	r.clock.move(gather)
	r.mirror(m)
	cards, _ = r.take(auditChannel)
	if all := sorted(append(seqs, told(cards)...)); !slices.Equal(all, upTo(n)) || len(cards) != 1 {
		t.Errorf("%d posts tell of %d records", len(cards), len(all))
	}
	has(t, cards[0].Title, "denied: many accounts was refused 300 times more")
}

func TestMirrorGathersReads(t *testing.T) {
	r := newRig(t)
	m := newMirror(r)
	read := func(who, line string) bot.Record {
		return bot.Record{Kind: bot.SucceededKind, Read: true, Person: who, Text: map[string]string{"line": line}}
	}
	bad := bot.Record{Kind: bot.FailedKind, Read: true, Error: bot.Invalid, Person: "sre-one", Text: map[string]string{"line": "deply shop", "result": `did you mean "deploy"?`}}
	r.append(read("dev-one", "status"), read("sre-one", "audit"), read("dev-one", "history shop"), bad, read("dev-one", "status"))
	r.mirror(m)
	r.clock.move(gather - time.Second)
	r.mirror(m)
	if cards, _ := r.take(auditChannel); len(cards) != 0 {
		t.Fatalf("posted before the minute was over: %+v", cards)
	}
	r.clock.move(2 * time.Second)
	// One that comes after the minute belongs to the next line.
	r.append(read("dev-one", "runs"))
	r.mirror(m)
	cards, _ := r.take(auditChannel)
	if len(cards) != 1 || text(cards[0]) != "read — dev-one: status (2 times), history shop; sre-one: audit, \"deply shop\" (not understood)\n-- audit 1-5" {
		t.Fatalf("%+v", cards)
	}
	for i := range 60 {
		r.append(read("dev-one", fmt.Sprintf("run %d", i)))
	}
	r.clock.move(gather)
	r.mirror(m)
	cards, _ = r.take(auditChannel)
	if len(cards) != 1 || cards[0].Footer != "audit 6-66" || !strings.HasSuffix(cards[0].Title, "and 41 more") {
		t.Fatalf("%+v", cards)
	}
}

// Whatever is written, and however often the mirror is stopped or its commit
// fails, every record is told of once: the thread, single posts and gathered
// lines together hold each sequence.
func TestMirrorLosesAndDoublesNothing(t *testing.T) {
	r := newRig(t)
	var cards []bot.Card
	m := newMirror(r)
	for round := range 12 {
		r.story()
		for i := range 30 {
			r.append(guest(i % 3))
		}
		switch round % 3 {
		case 0:
			m = newMirror(r)
		case 1:
			r.store.refuse = errors.New("disk full")
			if _, err := m.pass(t.Context(), auditChannel); err == nil {
				t.Fatal("the failed commit was not noticed")
			}
		}
		r.mirror(m)
		r.clock.move(17 * time.Second)
		more, _ := r.take(auditChannel)
		cards = append(cards, more...)
	}
	r.clock.move(gather)
	r.mirror(m)
	more, _ := r.take(auditChannel)
	cards = append(cards, more...)
	var seqs []int64
	for _, c := range cards {
		if c.Key == "" {
			seqs = append(seqs, told([]bot.Card{c})...)
		}
	}
	if !slices.Equal(sorted(seqs), upTo(int64(len(r.store.rows)))) {
		t.Errorf("told %d of %d records", len(seqs), len(r.store.rows))
	}
	last := int64(0)
	for _, c := range cards {
		if strings.HasPrefix(c.Text, "03:") && c.Title == "" { // threads: each run's records in order
			s := told([]bot.Card{c})
			if s[0] < last || !slices.IsSorted(s) {
				t.Errorf("thread out of order: %v after %d", s, last)
			}
			last = s[len(s)-1]
		}
	}
}

// A run with more records than one post holds is told in several.
func TestMirrorLongRun(t *testing.T) {
	r := newRig(t)
	r.append(bot.Record{Kind: bot.Requested, Run: 5, Person: "dev-one", Detail: map[string]string{"summary": "deploy shop v2 to prod"}})
	for i := range 2*mirrorBatch + 6 {
		r.append(bot.Record{Kind: bot.Step, Run: 5, Person: "dev-one", Verb: "deploy", Target: "shop/prod", Text: map[string]string{"progress": fmt.Sprint(i)}})
	}
	r.mirror(newMirror(r))
	cards, _ := r.take(auditChannel)
	if !slices.Equal(told(cards[1:]), upTo(2*mirrorBatch+7)) {
		t.Errorf("told %v", told(cards[1:]))
	}
	if cards[0].Title != "#5 dev-one: deploy shop v2 to prod — running" {
		t.Errorf("first post %+v", cards[0])
	}
	for _, c := range cards {
		if n := strings.Count(c.Text, "\n"); n >= threadLines {
			t.Errorf("%d lines in one post", n+1)
		}
	}
}

func TestMirrorStartsAtTheEndOfALongLog(t *testing.T) {
	r := newRig(t)
	for range backlog + 1 {
		r.append(bot.Record{Kind: bot.ObservedKind})
	}
	m := newMirror(r)
	r.mirror(m)
	r.append(bot.Record{Kind: bot.ObservedKind, Text: map[string]string{"result": "new"}})
	r.mirror(m)
	cards, _ := r.take(auditChannel)
	if len(cards) != 2 || cards[0].Title != "the audit log is written here from record 502 on" || cards[1].Footer != "audit 502" {
		t.Errorf("%+v", cards)
	}
}

// The mirror knows how far it got, so it sees when the log was shortened or a
// record is gone before anybody verifies.
func TestMirrorAlarms(t *testing.T) {
	r := newRig(t)
	m := newMirror(r)
	r.story()
	r.mirror(m)
	r.take(auditChannel)
	r.store.rows = r.store.rows[:5]
	r.mirror(m)
	r.append(bot.Record{Kind: bot.ObservedKind}, bot.Record{Kind: bot.ObservedKind}, bot.Record{Kind: bot.ObservedKind})
	r.store.rows = slices.Delete(r.store.rows, 5, 7)
	r.store.rows[5].Body = []byte("rubbish")
	r.mirror(m)
	cards, _ := r.take(auditChannel)
	want := []string{"the audit log was cut off: it ends with record 5, and this channel was told up to record 8",
		"the audit log has a hole: records 6 to 7 were removed", "record 8 cannot be read"}
	if len(cards) != 3 {
		t.Fatalf("%+v", cards)
	}
	for i, w := range want {
		if cards[i].Title != w || cards[i].Tone != bot.Bad {
			t.Errorf("got %+v, want %q", cards[i], w)
		}
	}
}

// Run tells every channel what is there, and what comes when it is woken.
func TestMirrorRun(t *testing.T) {
	r := newRig(t)
	other := bot.ChannelID("file:audit-channel.txt")
	m := newMirror(r, auditChannel, other)
	posted := make(chan struct{}, 100)
	m.Posted = func() { posted <- struct{}{} }
	r.story()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- m.Run(ctx) }()
	<-posted
	<-posted
	r.append(guest(1))
	m.Wake()
	<-posted
	<-posted
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for _, c := range m.Channels {
		cards, _ := r.take(c)
		if len(cards) != 4 || cards[3].Footer != "audit 9" {
			t.Errorf("%s: %+v", c, cards)
		}
	}
}
