package app_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/app"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/config"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/bot/store"
	"quarterdeck/commands"
)

// impatient is a provider that asks to be looked at again at once, since the
// clock of its test stands still.
type impatient struct{ far }

func (i impatient) BindDeploy(t bot.Target, raw provider.Raw) (provider.Deployer, error) {
	d, err := i.far.BindDeploy(t, raw)
	return hurried{d}, err
}

type hurried struct{ provider.Deployer }

func (h hurried) Advance(ctx context.Context, handle bot.Handle) (bot.Handle, bot.Progress, error) {
	handle, p, err := h.Deployer.Advance(ctx, handle)
	p.Next = 1
	return handle, p, err
}

// month is a bot on a clock that stands still between the lines of a script.
type month struct {
	*testing.T
	clock  *bottest.Clock
	chat   *bottest.FakeChat
	tables app.Tables
	path   string
	texts  map[string]string
	stop   func()
}

func newMonth(t *testing.T, script string) *month {
	t.Helper()
	archive, err := txtar.ParseFile(script)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "qd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	clock := bottest.NewClock(time.Time{})
	m := &month{T: t, clock: clock, chat: bottest.NewFakeChat("x", clock), path: filepath.Join(dir, "config.toml"), texts: map[string]string{}}
	for _, f := range archive.Files {
		m.texts[f.Name] = string(f.Data)
	}
	platform := impatient{far{providertest.NewFriendly(clock)}}
	m.tables = app.Tables{
		Chats:     []bot.ChatType{{Name: "x", Open: func(bot.ChatOptions) (bot.Chat, error) { return m.chat, nil }}},
		Providers: []provider.Type{{Name: "far", Open: func(provider.Options) (provider.Provider, error) { return platform, nil }}},
		Stores:    []store.Type{sqlite.Type()},
		Commands:  commands.All,
	}
	m.chat.SetStanding("x:visitor", bot.Guest)
	t.Cleanup(func() {
		if m.stop != nil {
			m.stop()
		}
	})
	return m
}

// loaded gives the configuration as it is now.
func (m *month) loaded() *config.Config {
	m.Helper()
	c, err := app.Load(m.path, m.tables)
	if err != nil {
		m.Fatal(err)
	}
	return c
}

// start starts the bot with a configuration of the script.
func (m *month) start(name string) {
	m.Helper()
	if m.stop != nil {
		m.stop()
	}
	if err := os.WriteFile(m.path, []byte(m.texts[name]), 0o600); err != nil {
		m.Fatal(err)
	}
	a, err := app.New(m.loaded(), m.tables, app.Options{Version: "v9.9.9", Clock: m.clock})
	if err != nil {
		m.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(m.Context()))
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	m.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			m.Errorf("the bot ended with %v", err)
		}
	})
	<-a.Ready()
}

// play has everybody say their lines at their times:
//
//	2026-10-05 10:00 start config.toml
//	2026-10-05 10:00 dev: deploy shop v2 prod => waiting
//	2026-10-05 10:09 passes until #2 expired
func (m *month) play(script string) {
	m.Helper()
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		at, err := time.Parse("2006-01-02 15:04", line[:16])
		if err != nil {
			m.Fatal(err)
		}
		m.clock.Set(at)
		line = line[17:]
		if name, ok := strings.CutPrefix(line, "start "); ok {
			m.start(name)
			continue
		}
		var number int64
		var state bot.RunState
		if n, _ := fmt.Sscanf(line, "passes until #%d %s", &number, &state); n == 2 {
			m.wait(line, func(p bottest.Post) bool { return p.Card.Run == number && p.Card.State == state })
			continue
		}
		who, rest, _ := strings.Cut(line, ": ")
		typed, want, _ := strings.Cut(rest, " => ")
		said, err := m.chat.Say(m.Context(), bot.AccountID("x:"+who), typed)
		if err != nil {
			m.Fatal(err)
		}
		p := m.wait(line, func(p bottest.Post) bool { return bottest.Answers(p, said.ID) })
		if string(p.Card.Outcome) != want {
			m.Fatalf("%s\nanswered %q %q, outcome %q", line, p.Card.Title, p.Card.Text, p.Card.Outcome)
		}
	}
}

func (m *month) wait(what string, ok func(bottest.Post) bool) bottest.Post {
	m.Helper()
	p, err := m.chat.Wait(m.Context(), what, ok)
	if err != nil {
		m.Fatal(err)
	}
	return p
}

// report gives a report on the script's period.
func (m *month) report(format string) (string, audit.Report) {
	m.Helper()
	c := m.loaded()
	scope, err := app.Period("2026-10", "2026-10-31", c.Bot.Location)
	if err != nil {
		m.Fatal(err)
	}
	var out bytes.Buffer
	verified, err := app.Report(m.Context(), c, m.tables, &out, app.ReportOptions{Scope: scope, Format: format, Made: m.clock.Now()})
	if err != nil {
		m.Fatal(err)
	}
	return out.String(), verified
}

// normal puts names in the place of what is drawn by lot: the log's name, its
// head, and what signs it. Each must be where it is said to be.
func (m *month) normal(report string, verified audit.Report) string {
	m.Helper()
	newest := verified.Checkpoints[len(verified.Checkpoints)-1].Checkpoint
	for _, c := range []struct{ is, name string }{{newest.String(), "{CHECKPOINT}"}, {verified.Hash[:12], "{SHORT}"}, {verified.Hash[12:], "{REST}"}, {verified.Log, "{LOG}"}} {
		if !strings.Contains(report, c.is) {
			m.Errorf("the report does not name %s", c.name)
		}
		report = strings.ReplaceAll(report, c.is, c.name)
	}
	report = regexp.MustCompile(`\d+ checkpoints hold`).ReplaceAllString(report, "{N} checkpoints hold") // written by the system's time too
	return strings.ReplaceAll(report, "\r\n", "\n")
}

func (m *month) same(what, got, want string) {
	m.Helper()
	if got == want {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		var gl, wl string
		if i < len(g) {
			gl = g[i]
		}
		if i < len(w) {
			wl = w[i]
		}
		if gl != wl {
			m.Errorf("%s, line %d\ngot  %s\nwant %s", what, i+1, gl, wl)
		}
	}
}

// TestMonth has a team work for a month and an attacker try: the report must be
// the one beside the script, which is kept by hand and never made by a program, to the letter. Then a value
// is erased: it is in no file of the database any more, the log verifies, and
// the report says that one value was erased.
func TestMonth(t *testing.T) {
	t.Parallel()
	m := newMonth(t, filepath.Join("testdata", "month.txtar"))
	m.play(m.texts["month"])
	m.stop()
	report, verified := m.report("csv")
	m.same("the report", m.normal(report, verified), m.texts["report.csv"])
	page, _ := m.report("html")
	m.readable(page, report)

	const secret = "tango-77-whisky"
	if !m.kept(secret) {
		t.Fatal("the value is nowhere to begin with: the test shows nothing")
	}
	m.clock.Set(time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC))
	what := audit.Erasure{Seq: 18, Field: "line", Reason: "a token slipped in"}
	look := what
	look.DryRun = true
	for _, e := range []audit.Erasure{look, what} {
		done, err := app.Erase(t.Context(), m.loaded(), m.tables, app.Options{Clock: m.clock}, e)
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(done.Values) != "[record 18: line]" {
			t.Errorf("erased %v", done.Values)
		}
		hand := strings.Join(done.ByHand, "\n")
		for _, want := range []string{"it was typed in x:main at 2026-10-09 03:12:00 UTC; remove it there by hand",
			"record 18 was posted to x:audit after 2026-10-09 03:12:00 UTC; remove it there by hand"} {
			if !strings.Contains(hand, want) {
				t.Errorf("%q is not in\n%s", want, hand)
			}
		}
		if m.kept(secret) == done.Purged || done.Purged == e.DryRun {
			t.Errorf("dry run %v, purged %v, and the value is there: %v", e.DryRun, done.Purged, m.kept(secret))
		}
	}

	report, verified = m.report("csv")
	if !verified.OK || verified.Erased != 1 || !strings.Contains(verified.Summary(), ", 1 value erased on purpose, ") {
		t.Errorf("after one value was erased: %s", verified.Summary())
	}
	want := strings.NewReplacer(
		`"deploy shop v3 staging --reason ""token tango-77-whisky-12"""`, `[erased]`,
		`values erased on purpose,,,,,,,,,,,,,0,`, `values erased on purpose,,,,,,,,,,,,,1,`,
		`{SHORT}{REST},52`, `{SHORT}{REST},53`,
		`52 records (1 to 52), head {SHORT}…, {N} checkpoints hold`, `53 records (1 to 53), head {SHORT}…, 1 value erased on purpose, {N} checkpoints hold; the last 1 record came after the newest of them`,
		`log,2026-10-31T23:00:00Z`, `log,2026-11-02T09:00:00Z`,
		`made,,,,,,,,,,,,,2026-10-31T23:00:00Z`, `made,,,,,,,,,,,,,2026-11-02T09:00:00Z`,
	).Replace(m.texts["report.csv"])
	m.same("the report after a value was erased", m.normal(report, verified), want)
	if _, err := app.Erase(t.Context(), m.loaded(), m.tables, app.Options{Clock: m.clock}, what); bot.KindOf(err) != bot.Conflict {
		t.Errorf("erasing it twice: %v", err)
	}
}

// TestEraseEverywhere erases what a run repeats in many places: its records, its
// row, its documents. The bot believes what is left, since it is marked anew.
// Then the same again for what lies in the archive.
func TestEraseEverywhere(t *testing.T) {
	t.Parallel()
	m := newMonth(t, filepath.Join("testdata", "month.txtar"))
	m.play(m.texts["month"])
	m.stop()
	erase := func(seq int64, secret, values string) audit.Erased {
		t.Helper()
		if !m.kept(secret) {
			t.Fatalf("%q is nowhere to begin with: the test shows nothing", secret)
		}
		done, err := app.Erase(t.Context(), m.loaded(), m.tables, app.Options{Clock: m.clock}, audit.Erasure{Seq: seq, Field: "reason", Reason: "personal"})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(done.Values, ", "); got != values {
			t.Errorf("erased %s, want %s", got, values)
		}
		if m.kept(secret) {
			t.Errorf("%q is still in the database", secret)
		}
		return done
	}
	done := erase(7, "release train 41", "record 7: reason, record 7: line")
	if !slices.Contains(done.Places, "run #2") {
		t.Errorf("it was erased from %v", done.Places)
	}
	m.start("stricter.toml")
	m.clock.Advance(time.Minute)
	said, err := m.chat.Say(t.Context(), "x:dev", "rollback shop prod")
	if err != nil {
		t.Fatal(err)
	}
	if p := m.wait("the rollback", func(p bottest.Post) bool { return bottest.Answers(p, said.ID) }); p.Card.Outcome != bot.OutcomeOK {
		t.Errorf("after a run's row was changed: %q %q", p.Card.Title, p.Card.Text)
	}
	m.stop()

	dir := filepath.Join(filepath.Dir(m.path), "old")
	if err := os.WriteFile(m.path, []byte(strings.Replace(m.texts["stricter.toml"], "[chat.x]", "archive = \"old\"\n[chat.x]", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	moved, err := app.Archive(t.Context(), m.loaded(), m.tables, app.Options{Clock: m.clock}, dir, audit.ArchiveOptions{Before: m.clock.Now().Add(time.Hour), Purge: true})
	if err != nil || moved.Records < 50 {
		t.Fatalf("moved %+v: %v", moved, err)
	}
	// The record lies in the archive now, the run's row still in the database.
	if _, err := app.Erase(t.Context(), m.loaded(), m.tables, app.Options{Clock: m.clock}, audit.Erasure{Seq: 27, Field: "reasn", Reason: "personal"}); bot.KindOf(err) != bot.NotFound || !strings.Contains(err.Error(), `did you mean "reason"?`) {
		t.Errorf("a misspelt field: %v", err)
	}
	erase(27, "one order in three fails", "record 27: reason (archived), record 27: line (archived)")
	verified, err := app.Verify(t.Context(), m.loaded(), m.tables, nil, dir)
	if err != nil || !verified.OK || verified.Erased != 4 || verified.From != 1 {
		t.Errorf("after four values were erased: %+v %v", verified, err)
	}
	report, _ := m.report("csv")
	for _, gone := range []string{"release train 41", "one order in three fails"} {
		if strings.Contains(report, gone) {
			t.Errorf("the report still holds %q", gone)
		}
	}
	if n := strings.Count(report, ",[erased],"); n != 2 {
		t.Errorf("%d reasons are shown as erased, want 2", n)
	}
}

// kept reports whether text stands anywhere in the database's files, byte for
// byte.
func (m *month) kept(text string) bool {
	m.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.Dir(m.path), "q.db*"))
	if err != nil || len(files) == 0 {
		m.Fatalf("no database: %v", err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			m.Fatal(err)
		}
		if bytes.Contains(raw, []byte(text)) {
			return true
		}
	}
	return false
}

// readable checks that the page holds every cell of the table, as text, and
// nothing that a browser would run or fetch.
func (m *month) readable(page, table string) {
	m.Helper()
	for _, bad := range []string{"<script", "javascript:", "<img", "<link", "src=", "url(", "@import", "href=\"http", " onload", " onclick"} {
		if strings.Contains(strings.ToLower(page), bad) {
			m.Errorf("the page holds %q", bad)
		}
	}
	plain := html.UnescapeString(page)
	if title := "<h1>Changes from 1 October 2026 to 31 October 2026, Europe/Berlin</h1>"; !strings.Contains(plain, title) {
		m.Errorf("the page is not headed %s", title)
	}
	rows, err := csv.NewReader(strings.NewReader(table)).ReadAll()
	if err != nil {
		m.Fatal(err)
	}
	cells := 0
	for _, row := range rows[1:] {
		if len(row) != len(rows[0]) {
			m.Errorf("a row has %d cells, the header %d", len(row), len(rows[0]))
		}
		if row[0] == string(audit.SectionLog) {
			continue
		}
		for i, cell := range row {
			name := rows[0][i]
			if i == 0 || name == "verb" || name == "approved_at" || name == "at" && row[0] == string(audit.SectionRule) {
				continue // said elsewhere: in the heading, in what, beside who approved, on the first page
			}
			cell = strings.TrimPrefix(cell, "'")
			if at, err := time.Parse(time.RFC3339, cell); err == nil {
				cell = at.Format("2006-01-02 15:04:05")
			}
			cells++
			if !strings.Contains(plain, cell) {
				m.Errorf("the page does not show %s %q of the row %q", name, cell, row)
			}
		}
	}
	if cells < 100 {
		m.Errorf("only %d cells were looked for", cells)
	}
	for _, tag := range []string{"section", "table", "tbody", "thead", "tr", "td", "dl", "html", "body"} {
		if open, end := strings.Count(page, "<"+tag+">")+strings.Count(page, "<"+tag+" "), strings.Count(page, "</"+tag+">"); open != end || open == 0 {
			m.Errorf("%d <%s> and %d </%s>", open, tag, end, tag)
		}
	}
}
