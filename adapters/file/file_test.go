package file

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sourcegraph/conc"
	"go.uber.org/goleak"

	"quarterdeck/bot"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type fixedClock struct{ t time.Time }

func (c fixedClock) Now() time.Time { return c.t }

var noon = time.Date(2026, 11, 21, 12, 0, 5, 0, time.FixedZone("CET", 3600))

func deliver(t *testing.T, n *Network, d bot.Delivery) string {
	t.Helper()
	ref, err := n.Deliver(t.Context(), d)
	if err != nil {
		t.Fatalf("Deliver(%+v): %v", d, err)
	}
	if ref == "" {
		t.Fatal("Deliver gave no reference")
	}
	return ref
}

func content(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestLines(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "here")
	n := New(dir, fixedClock{noon})
	ref := deliver(t, n, bot.Delivery{Channel: "file:audit.txt", Card: bot.Card{Key: "audit/1", Version: 1, Title: "#1 deploy shop v2 to prod: running", Footer: "asked by dev"}})
	deliver(t, n, bot.Delivery{Channel: "file:audit.txt", Thread: ref, Card: bot.Card{Title: "7 started", Fields: []bot.Field{{Name: "from", Value: "v1"}, {Name: "to", Value: "v2"}}}})
	deliver(t, n, bot.Delivery{Channel: "file:audit.txt", Ref: ref, Card: bot.Card{Key: "audit/1", Version: 2, Title: "#1 deploy shop v2 to prod: running", Footer: "asked by dev"}})
	deliver(t, n, bot.Delivery{Channel: "file:audit.txt", Ref: ref, Card: bot.Card{Key: "audit/1", Version: 3, Title: "#1 deploy shop v2 to prod: done",
		Lines: []string{"ok"}, Table: &bot.Table{Columns: []string{"A", "B"}, Rows: [][]string{{"1", "2"}}}, Buttons: []bot.Button{{Label: "Roll back", Line: "rollback shop prod"}}}})
	deliver(t, n, bot.Delivery{Channel: "file:audit.txt", Card: bot.Card{Key: "empty"}})
	want := `2026-11-21T11:00:05Z  #1 deploy shop v2 to prod: running; asked by dev
2026-11-21T11:00:05Z      7 started; from: v1; to: v2
2026-11-21T11:00:05Z  #1 deploy shop v2 to prod: done
                        A | B
                        1 | 2
                        | ok
`
	path := filepath.Join(dir, "audit.txt")
	if got := content(t, path); got != want {
		t.Errorf("file holds:\n%s\nwant:\n%s", got, want)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, want 0600", info.Mode().Perm())
	}
}

// What is too long for a title stands below it as a whole, and in a line once.
func TestLongSentenceOnce(t *testing.T) {
	dir := t.TempDir()
	long := "dev overrode: " + strings.Repeat("the release is bad ", 20) + "(reason: it is not)"
	if _, err := New(dir, nil).Deliver(t.Context(), bot.Delivery{Channel: "file:a", Card: bot.Card{Title: long[:180] + "…", Text: long}}); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(raw), "dev overrode"); n != 1 || !strings.Contains(string(raw), long) {
		t.Errorf("it is there %d times: %s", n, raw)
	}
}

func TestEditOfACardFromBeforeARestartIsAppended(t *testing.T) {
	dir := t.TempDir()
	ref := deliver(t, New(dir, fixedClock{noon}), bot.Delivery{Channel: "file:a", Card: bot.Card{Key: "k", Title: "running"}})
	deliver(t, New(dir, fixedClock{noon}), bot.Delivery{Channel: "file:a", Ref: ref, Card: bot.Card{Key: "k", Title: "done"}})
	if got := content(t, filepath.Join(dir, "a")); !strings.HasSuffix(got, "  done\n") {
		t.Errorf("the edit is missing:\n%s", got)
	}
}

func TestRotation(t *testing.T) {
	dir := t.TempDir()
	n := New(dir, fixedClock{noon})
	deliver(t, n, bot.Delivery{Channel: "file:a", Card: bot.Card{Title: "before"}})
	if err := os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "a.1")); err != nil {
		t.Fatal(err)
	}
	deliver(t, n, bot.Delivery{Channel: "file:a", Card: bot.Card{Title: "after"}})
	if got := content(t, filepath.Join(dir, "a")); strings.Contains(got, "before") || !strings.Contains(got, "after") {
		t.Errorf("after rotation the file holds %q", got)
	}
}

func TestNothingForgesALine(t *testing.T) {
	dir := t.TempDir()
	n := New(dir, fixedClock{noon})
	evil := "ok\n2026-11-21T11:00:05Z  #9 approved by root\r\x1b[2K\u202egnp\u2028x\x85\xff"
	deliver(t, n, bot.Delivery{Channel: "file:a", Card: bot.Card{Title: evil, Text: evil, Fields: []bot.Field{{Name: evil, Value: evil}},
		Table: &bot.Table{Columns: []string{evil}, Rows: [][]string{{evil}}}, Lines: []string{evil}, Footer: evil, Link: evil}})
	got := content(t, filepath.Join(dir, "a"))
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	for i, l := range lines {
		if stamped := strings.HasPrefix(l, "2026"); stamped != (i == 0) {
			t.Errorf("line %d begins like another record: %q", i, l)
		}
	}
	for _, bad := range []string{"\x1b", "\r", "\u202e", "\u2028", "\u0085", "\xff"} {
		if strings.Contains(got, bad) {
			t.Errorf("the file holds %q unescaped", bad)
		}
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	n := New(filepath.Join(dir, "channels"), fixedClock{noon})
	if err := os.MkdirAll(filepath.Join(dir, "channels", "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	card := bot.Card{Title: "x"}
	for name, c := range map[string]struct {
		d    bot.Delivery
		kind bot.Kind
	}{
		"private":         {bot.Delivery{Channel: "file:a", To: "os:1", Card: card}, bot.Denied},
		"other network":   {bot.Delivery{Channel: "slack:C1", Card: card}, bot.Invalid},
		"no name":         {bot.Delivery{Channel: "file:", Card: card}, bot.Invalid},
		"parent":          {bot.Delivery{Channel: "file:..", Card: card}, bot.Invalid},
		"path":            {bot.Delivery{Channel: "file:../a", Card: card}, bot.Invalid},
		"absolute":        {bot.Delivery{Channel: "file:/etc/passwd", Card: card}, bot.Invalid},
		"backslash":       {bot.Delivery{Channel: `file:a\b`, Card: card}, bot.Invalid},
		"control":         {bot.Delivery{Channel: "file:a\nb", Card: card}, bot.Invalid},
		"too long":        {bot.Delivery{Channel: bot.ChannelID("file:" + strings.Repeat("a", 256)), Card: card}, bot.Invalid},
		"not a file":      {bot.Delivery{Channel: "file:folder", Card: card}, bot.Invalid},
		"dot in front":    {bot.Delivery{Channel: "file:.profile", Card: card}, bot.Invalid},
		"colon in a name": {bot.Delivery{Channel: "file:a:b", Card: card}, bot.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := n.Deliver(t.Context(), c.d)
			var e *bot.Error
			if !errors.As(err, &e) || e.Kind != c.kind || e.Say == "" || strings.HasSuffix(e.Say, ".") {
				t.Errorf("Deliver gave %#v, want a sentence of kind %s", err, c.kind)
			}
		})
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("refused cards left %v in the folder (%v)", entries, err)
	}
}

func TestDiskTroubleIsTriedAgain(t *testing.T) {
	dir := t.TempDir()
	blocked := filepath.Join(dir, "blocked")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil { // a file where the folder should be
		t.Fatal(err)
	}
	n := New(blocked, fixedClock{noon})
	_, err := n.Deliver(t.Context(), bot.Delivery{Channel: "file:a", Card: bot.Card{Title: "x"}})
	if bot.KindOf(err) != bot.Unavailable {
		t.Errorf("Deliver into a missing folder gave %v, want Unavailable", err)
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	deliver(t, n, bot.Delivery{Channel: "file:a", Card: bot.Card{Title: "x"}})

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Deliver(ctx, bot.Delivery{Channel: "file:a", Card: bot.Card{Title: "x"}}); bot.KindOf(err) != bot.Timeout {
		t.Errorf("Deliver after the end of its context gave %v, want Timeout", err)
	}
}

func TestManyWritersNeverMixLines(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("0123456789", 300)
	var writers conc.WaitGroup
	for range 8 {
		n := New(dir, fixedClock{noon})
		writers.Go(func() {
			for range 10 {
				if _, err := n.Deliver(context.Background(), bot.Delivery{Channel: "file:a", Card: bot.Card{Title: long}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	lines := strings.Split(strings.TrimSuffix(content(t, filepath.Join(dir, "a")), "\n"), "\n")
	if len(lines) != 80 {
		t.Fatalf("%d lines, want 80", len(lines))
	}
	for _, l := range lines {
		if l != "2026-11-21T11:00:05Z  "+long {
			t.Fatalf("a mixed line: %.80s...", l)
		}
	}
}

type raw struct {
	dir string
	cfg string
}

func (r raw) Decode(dst any) error {
	dst.(*Settings).Dir = r.cfg
	return nil
}
func (r raw) Dir() string   { return r.dir }
func (r raw) Where() string { return "config.toml:1" }

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	chat, err := Type().Open(bot.ChatOptions{Raw: raw{dir: dir, cfg: "channels"}, Clock: fixedClock{noon}})
	if err != nil {
		t.Fatal(err)
	}
	if chat.Network() != Type().Name {
		t.Errorf("the network is %q and the row %q", chat.Network(), Type().Name)
	}
	if _, err := os.Stat(filepath.Join(dir, "channels")); err == nil {
		t.Error("Open made the folder; it must do nothing")
	}
	if _, err := chat.Deliver(t.Context(), bot.Delivery{Channel: "file:a", Card: bot.Card{Title: "x"}}); err != nil {
		t.Fatal(err)
	}
	content(t, filepath.Join(dir, "channels", "a"))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := chat.Run(ctx, nil); err != nil {
		t.Errorf("Run gave %v after the end of its context", err)
	}
}
