package audit

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// telling is one round of posts to one channel, in the order in which they
// will be enqueued.
type telling struct {
	tx      store.Tx
	channel bot.ChannelID
	now     time.Time
	cursor  *cursor

	posts  []any // bot.Card or *runRecords
	runs   map[int64]*runRecords
	posted int
}

// runRecords is what is to be told of one run.
type runRecords struct {
	number  int64
	records []bot.Record
}

func (t *telling) single(c bot.Card) { t.posts = append(t.posts, c) }

// record sorts one record to where it is told.
func (t *telling) record(s store.Sealed) {
	r, err := Decode(s)
	if err != nil {
		t.single(bot.Card{Tone: bot.Bad, Title: fmt.Sprintf("record %d cannot be read", s.Seq),
			Text: "Somebody changed the database. Run: quarterdeck audit verify", Footer: spans{{s.Seq, s.Seq}}.footer()})
		return
	}
	r.Seq = s.Seq // where it stands, whatever it says
	t.flush(r.At)
	switch {
	case r.Detail[detailGap] != "":
		// The channel that has the gap shows its marker instead.
		if r.Detail[detailGap] != string(t.channel) {
			c := own(r, bot.Bad)
			c.Key = keyGap + strconv.FormatInt(r.Seq, 10)
			t.single(c)
		}
	case r.Read || r.Run == 0 && r.Kind == bot.FailedKind && (r.Error == bot.Invalid || r.Error == bot.NotFound):
		t.read(r)
	case r.Run != 0:
		t.ofRun(r)
		if loud(r) {
			t.single(own(r, bot.Warning))
		}
	case r.Kind == bot.DeniedRecord:
		t.denied(r)
	case r.Kind == bot.FailedKind || r.Kind == bot.UnknownKind || r.Kind == bot.ConfiguredKind && r.Error != "":
		t.single(own(r, bot.Bad))
	case r.Kind == bot.ObservedKind:
		t.single(own(r, bot.Warning))
	default:
		t.single(own(r, bot.Plain))
	}
}

// loud reports whether a record of a run is posted by itself too.
func loud(r bot.Record) bool {
	return r.Kind == bot.OverriddenKind || r.Kind == bot.DeniedRecord && r.Error == bot.Denied
}

// maxTitle is how long a title may be for every network to show it whole, in
// bytes.
const maxTitle = 200

// post makes a card of one sentence. One too long for a title goes on below.
func post(say string, tone bot.Tone, seqs spans) bot.Card {
	c := bot.Card{Tone: tone, Title: bounded(say, maxTitle), Footer: seqs.footer()}
	if c.Title != say {
		c.Text = say
	}
	return c
}

// own is the post of one record by itself.
func own(r bot.Record, tone bot.Tone) bot.Card {
	c := post(Say(r), tone, spans{{r.Seq, r.Seq}})
	if head, rest, found := strings.Cut(c.Text, ": "); found && r.Kind == bot.ConfiguredKind {
		c.Title, c.Text = head, rest
	}
	c.Run = r.Run
	add := func(name, value string) {
		if value = flat(value); value != "" {
			c.Fields = append(c.Fields, bot.Field{Name: name, Value: value})
		}
	}
	add("target", r.Target)
	add("in", string(r.Channel))
	add("rule", r.Rule)
	if r.Kind == bot.OverriddenKind {
		add("permission", string(r.Permission))
	}
	return c
}

// reads is what was read, or typed wrongly, since Since.
type reads struct {
	Since time.Time `json:"since"`
	Seqs  spans     `json:"seqs"`
	N     int64     `json:"n"`
	Lines []readBy  `json:"lines"`
	Rest  int64     `json:"rest,omitempty"` // beyond Lines
}

type readBy struct {
	Who  string `json:"who"`
	What string `json:"what"`
	N    int64  `json:"n"`
}

// read gathers one read.
func (t *telling) read(r bot.Record) {
	g := t.cursor.Reads
	if g == nil {
		g = &reads{Since: r.At}
		t.cursor.Reads = g
	}
	g.N++
	g.Seqs = g.Seqs.with(r.Seq)
	what := orElse(value(r, "line"), strings.TrimSpace(r.Verb+" "+r.Target))
	if r.Kind != bot.SucceededKind {
		what = `"` + what + `" (not understood)`
	}
	what = bounded(what, 80)
	who := Actor(r)
	for i := range g.Lines {
		if g.Lines[i].Who == who && g.Lines[i].What == what {
			g.Lines[i].N++
			return
		}
	}
	if len(g.Lines) >= maxReaders {
		g.Rest++
	} else {
		g.Lines = append(g.Lines, readBy{Who: who, What: what, N: 1})
	}
	if len(g.Seqs) >= maxSpans {
		t.flushReads()
	}
}

func (g *reads) card() bot.Card {
	var people []string
	said := map[string][]string{}
	for _, l := range g.Lines {
		what := l.What
		if l.N > 1 {
			what += fmt.Sprintf(" (%d times)", l.N)
		}
		if said[l.Who] == nil {
			people = append(people, l.Who)
		}
		said[l.Who] = append(said[l.Who], what)
	}
	var parts []string
	for _, who := range people {
		parts = append(parts, who+": "+strings.Join(said[who], ", "))
	}
	if g.Rest > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", g.Rest))
	}
	return post("read — "+strings.Join(parts, "; "), bot.Plain, g.Seqs)
}

// burst is the denials of one kind since Since.
type burst struct {
	Since  time.Time `json:"since"`
	Posted int       `json:"posted"`
	Held   spans     `json:"held,omitempty"`
	N      int64     `json:"n,omitempty"`    // held
	Line   string    `json:"line,omitempty"` // the last one held
	Who    string    `json:"who"`
	Why    string    `json:"why"`
}

// denied posts a denial, or holds it when there were many of its kind.
func (t *telling) denied(r bot.Record) {
	who, why := Actor(r), orElse(r.Rule, string(r.Error))
	key := who + "\n" + why
	b, known := t.cursor.Bursts[key]
	if !known {
		if len(t.cursor.Bursts) >= maxBursts {
			// So many different ones at once are somebody's flood.
			key, who, why = "", "many accounts", "too many at once to tell apart"
			b, known = t.cursor.Bursts[key]
		}
		if !known {
			b = burst{Since: r.At, Who: who, Why: orElse(value(r, "result"), why)}
			if key == "" {
				b.Why, b.Posted = why, singly
			}
		}
	}
	if b.Posted < singly {
		b.Posted++
		t.single(own(r, bot.Warning))
	} else {
		b.N++
		b.Held = b.Held.with(r.Seq)
		b.Line = asked(r)
	}
	if t.cursor.Bursts == nil {
		t.cursor.Bursts = map[string]burst{}
	}
	if len(b.Held) >= maxSpans {
		t.single(b.card())
		b.Held, b.N = nil, 0
	}
	t.cursor.Bursts[key] = b
}

func (b burst) card() bot.Card {
	return post(fmt.Sprintf("denied: %s was refused %s more within a minute, last for %s: %s", b.Who, times(b.N), b.Line, b.Why), bot.Warning, b.Held)
}

func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// flush posts what was gathered for its full time at the time of at.
func (t *telling) flush(at time.Time) {
	if g := t.cursor.Reads; g != nil && !at.Before(g.Since.Add(gather)) {
		t.flushReads()
	}
	for _, key := range sortedKeys(t.cursor.Bursts) {
		b := t.cursor.Bursts[key]
		if at.Before(b.Since.Add(gather)) {
			continue
		}
		if b.N > 0 {
			t.single(b.card())
		}
		delete(t.cursor.Bursts, key)
	}
}

func (t *telling) flushReads() {
	t.single(t.cursor.Reads.card())
	t.cursor.Reads = nil
}

// ofRun adds a record to what is told of its run, at the place of the first.
func (t *telling) ofRun(r bot.Record) {
	run := t.runs[r.Run]
	if run == nil {
		run = &runRecords{number: r.Run}
		if t.runs == nil {
			t.runs = map[int64]*runRecords{}
		}
		t.runs[r.Run] = run
		t.posts = append(t.posts, run)
	}
	run.records = append(run.records, r)
}

// enqueue hands the posts to the outbox. A gap that is still owed comes first.
func (t *telling) enqueue() error {
	if g := t.cursor.Gap; g != nil && g.Owed && len(t.posts) > 0 {
		g.Owed = false
		if err := t.put("", g.card()); err != nil {
			return err
		}
	}
	for _, p := range t.posts {
		switch p := p.(type) {
		case bot.Card:
			if err := t.put("", p); err != nil {
				return err
			}
		case *runRecords:
			if err := t.putRun(p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *telling) put(under string, c bot.Card) error {
	t.posted++
	return enqueue(t.tx, t.channel, under, c, t.now)
}

func enqueue(tx store.Tx, channel bot.ChannelID, under string, c bot.Card, now time.Time) error {
	body, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode audit post: %w", err)
	}
	_, err = tx.Enqueue(store.Outgoing{Channel: channel, Under: under, Key: c.Key, Version: c.Version, Ordered: true, Card: body, Created: now, NextAt: now})
	return err
}

// putRun enqueues the run's first post, as it stands now, and its new records
// in the thread.
func (t *telling) putRun(run *runRecords) error {
	root, err := t.root(run)
	if err != nil {
		return err
	}
	if err := t.put("", root); err != nil {
		return err
	}
	for part := range slices.Chunk(run.records, threadLines) {
		var seqs spans
		var lines []string
		for _, r := range part {
			seqs = seqs.with(r.Seq)
			lines = append(lines, r.At.UTC().Format("15:04:05 ")+Say(r))
		}
		c := bot.Card{Run: run.number, Text: strings.Join(lines, "\n"), Footer: seqs.footer()}
		if err := t.put(root.Key, c); err != nil {
			return err
		}
	}
	return nil
}
