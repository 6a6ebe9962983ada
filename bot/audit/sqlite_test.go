package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"database/sql"

	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/outbox"
	"quarterdeck/bot/store"
)

func open(t *testing.T, path string) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func newLog(s store.Store) *audit.Log {
	return audit.New(audit.Config{Store: s, Clock: bot.SystemClock{}})
}

// write appends n records, each in a transaction of its own.
func write(ctx context.Context, s store.Store, log *audit.Log, n int, who string) error {
	for i := range n {
		err := s.Update(ctx, func(tx store.Tx) error {
			_, err := log.Append(tx, bot.Record{Kind: bot.Requested, Run: int64(i + 1), Person: who, Verb: "deploy", Target: "shop/prod",
				Text: map[string]string{"line": fmt.Sprintf("deploy shop v%d prod", i)}, Detail: map[string]string{"summary": "deploy <shop> & co"}})
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

const (
	envWriter = "QUARTERDECK_TEST_AUDIT_WRITER"
	perWriter = 150
)

// Two processes, each with several writers, append to one database at once.
// The chain does not fork, and none of what they wrote is missing.
func TestProcessesDoNotFork(t *testing.T) {
	if path := os.Getenv(envWriter); path != "" {
		s := open(t, path)
		if err := writeAtOnce(t.Context(), s, "child"); err != nil {
			t.Fatal(err)
		}
		return
	}
	path := filepath.Join(t.TempDir(), "quarterdeck.db")
	s := open(t, path)
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProcessesDoNotFork$", "-test.count=1")
	child.Env = append(os.Environ(), envWriter+"="+path)
	var out bytes.Buffer
	child.Stdout, child.Stderr = &out, &out
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	err := writeAtOnce(t.Context(), s, "parent")
	if childErr := child.Wait(); err != nil || childErr != nil {
		t.Fatalf("parent: %v; child: %v\n%s", err, childErr, out.String())
	}
	report, err := audit.Verify(t.Context(), s, audit.VerifyOptions{Chunk: 37})
	if err != nil || !report.OK || report.Records != 2*perWriter {
		t.Fatalf("%+v, %v", report, err)
	}
	for _, who := range []string{"parent", "child"} {
		list, err := newLog(s).Records(t.Context(), bot.RecordFilter{Person: who, Limit: 1000})
		if err != nil || len(list) != perWriter {
			t.Errorf("%s wrote %d records, %v", who, len(list), err)
		}
	}
}

func writeAtOnce(ctx context.Context, s store.Store, who string) error {
	const writers = 3
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() { errs[i] = write(ctx, s, newLog(s), perWriter/writers, who) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// What somebody does to the file with SQL is named.
func TestTamperingWithTheFile(t *testing.T) {
	for _, c := range []struct {
		name, sql string
		args      []any
		kind      audit.ProblemKind
		say       string
	}{
		{"edited", `UPDATE records SET body = replace(body, 'shop/prod', 'shop/test') WHERE seq = 4`, nil, audit.Edited, "record 4 was edited: its text no longer matches its hash"},
		{"text", `UPDATE records SET text = replace(text, 'v3', 'v9') WHERE seq = 4`, nil, audit.Edited, "record 4 was edited: its line is not what was written"},
		{"column", `UPDATE records SET person = 'nobody' WHERE seq = 4`, nil, audit.Edited, `record 4 was edited: it is searched by person "nobody", and its text says "dev-one"`},
		{"time", `UPDATE records SET at = at + 1 WHERE seq = 4`, nil, audit.Edited, "record 4 was edited: it is searched by time"},
		{"hidden from what is searched by time", `UPDATE records SET latest = 0 WHERE seq = 4`, nil, audit.Edited, "record 4 was edited: it is searched by the latest time"},
		{"removed", `DELETE FROM records WHERE seq = 4`, nil, audit.Removed, "record 4 was removed"},
		{"cut off", `DELETE FROM records WHERE seq > 4`, nil, audit.CutOff, "records 5 to 9 were cut off"},
		{"swapped", `UPDATE records SET seq = CASE seq WHEN 4 THEN -5 ELSE -4 END WHERE seq IN (4, 5); UPDATE records SET seq = -seq WHERE seq < 0`, nil,
			audit.Reordered, "record 4 was moved: what stands in its place was written as record 5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "quarterdeck.db")
			s := open(t, path)
			log := newLog(s)
			if err := write(t.Context(), s, log, 9, "dev-one"); err != nil {
				t.Fatal(err)
			}
			c9 := checkpoint(t, s, log)
			raw, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: path}).String())
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			if _, err := raw.ExecContext(t.Context(), c.sql, c.args...); err != nil {
				t.Fatal(err)
			}
			report, err := audit.Verify(t.Context(), s, audit.VerifyOptions{Against: []audit.Checkpoint{c9.cp}, PublicKey: c9.key.Public()})
			if err != nil || report.OK || len(report.Problems) == 0 {
				t.Fatalf("%+v, %v", report, err)
			}
			if p := report.Problems[0]; p.Kind != c.kind || !strings.HasPrefix(p.Say, c.say) {
				t.Errorf("got %s %q, want %s %q", p.Kind, p.Say, c.kind, c.say)
			}
		})
	}
}

type signed struct {
	cp  audit.Checkpoint
	key audit.Key
}

func checkpoint(t *testing.T, s store.Store, log *audit.Log) signed {
	t.Helper()
	dir := t.TempDir()
	key, err := audit.OpenKey(filepath.Join(dir, "audit.key"))
	if err != nil {
		t.Fatal(err)
	}
	c := &audit.Checkpointer{Store: s, Log: log, Key: key, Clock: bot.SystemClock{}, IDs: bot.RandomIDs{}, File: filepath.Join(dir, "checkpoints"),
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	cp, err := c.Write(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return signed{cp, key}
}

// channel is a chat network whose audit channel fails for a while and refuses
// some posts for good.
type channel struct {
	mu    sync.Mutex
	down  int // deliveries that still fail
	cards []bot.Delivery
	ref   int
	got   chan struct{}
}

func (c *channel) Network() string                        { return "slack" }
func (c *channel) Run(context.Context, bot.Inbound) error { return nil }
func (c *channel) delivered() []bot.Delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.cards)
}
func (c *channel) Deliver(_ context.Context, d bot.Delivery) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down > 0 {
		c.down--
		return "", &bot.Error{Kind: bot.Unavailable, Say: "the network is down", RetryAfter: time.Millisecond}
	}
	if strings.Contains(d.Card.Title, "unspeakable") {
		return "", bot.Errorf(bot.Invalid, "the network refuses the word")
	}
	c.cards = append(c.cards, d)
	select {
	case c.got <- struct{}{}:
	default:
	}
	if d.Ref != "" {
		return d.Ref, nil
	}
	c.ref++
	return fmt.Sprint(c.ref), nil
}

// Through the real store and outbox: the channel is down for a while and then
// is told everything in order, once; what it refuses leaves a gap that is named.
func TestMirrorThroughTheOutbox(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "quarterdeck.db"))
	log := newLog(s)
	quiet := slog.New(slog.DiscardHandler)
	chat := &channel{down: 5, got: make(chan struct{}, 1)}
	mirror := &audit.Mirror{Store: s, Log: log, Channels: []bot.ChannelID{"slack:C0AUDIT"}, Clock: bot.SystemClock{}, Logger: quiet}
	out := &outbox.Deliverer{Store: s, Chats: func(string) (bot.Chat, bool) { return chat, true }, Clock: bot.SystemClock{}, Gap: mirror.Gap, Logger: quiet}
	mirror.Posted = out.Wake
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { mirror.Run(ctx) })
	wg.Go(func() { out.Run(ctx) })
	defer wg.Wait()
	defer cancel()

	const n = 40
	if err := write(ctx, s, log, n, "dev-one"); err != nil {
		t.Fatal(err)
	}
	say := func(text string) {
		t.Helper()
		err := s.Update(ctx, func(tx store.Tx) error {
			_, err := log.Append(tx, bot.Record{Kind: bot.ObservedKind, Text: map[string]string{"result": text}})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		mirror.Wake()
	}
	say("unspeakable")
	for { // until the marker of the gap is there
		cards := chat.delivered()
		if len(cards) > 0 && cards[len(cards)-1].Card.Title == fmt.Sprintf("gap: audit %d could not be shown here", n+1) {
			break
		}
		select {
		case <-chat.got:
		case <-time.After(2 * time.Minute):
			t.Fatalf("%d posts, no marker", len(cards))
		}
	}
	roots, thread := map[string]string{}, int64(0)
	ref := 0
	for _, d := range chat.delivered() {
		if d.Ref == "" {
			ref++
		}
		if strings.HasPrefix(d.Card.Key, "audit/run/") {
			roots[d.Card.Key] = fmt.Sprint(ref)
			continue
		}
		pairs, ok := audit.Sequences(d.Card.Footer)
		if !ok {
			t.Fatalf("no sequence on %+v", d.Card)
		}
		for _, p := range pairs {
			if p[0] != thread+1 && d.Card.Tone != bot.Bad {
				t.Errorf("%d follows %d", p[0], thread)
			}
			thread = p[1]
		}
		if d.Card.Run > 0 && d.Thread != roots[fmt.Sprintf("audit/run/%d", d.Card.Run)] {
			t.Errorf("run %d in thread %q, not %q", d.Card.Run, d.Thread, roots[fmt.Sprintf("audit/run/%d", d.Card.Run)])
		}
	}
	if thread != n+2 { // the marker names the record of the gap
		t.Errorf("told up to %d", thread)
	}
	list, err := log.Records(ctx, bot.RecordFilter{Kind: bot.FailedKind})
	if err != nil || len(list) != 1 || list[0].Detail["audit"] != fmt.Sprint(n+1) {
		raw, _ := json.Marshal(list)
		t.Errorf("%s, %v", raw, err)
	}
}
