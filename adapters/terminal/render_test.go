package terminal

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"quarterdeck/bot"
)

var update = flag.Bool("update", false, "write the golden files anew")

func percent(n int) *int { return &n }

// cards is one of every kind that people meet.
var cards = map[string]bot.Card{
	"reply":  {Title: "shop/prod: v1 live, 2/2 up, 40 req/s, 0.0 % errors"},
	"denied": {Title: "denied: deploy to shop/prod needs the role developer; you are guest-one", Outcome: bot.OutcomeDenied, Tone: bot.Bad},
	"denied-without-the-word": {Title: "you asked for #3 yourself; another person must approve it",
		Outcome: bot.OutcomeDenied, Tone: bot.Bad},
	"invalid": {Title: `there is no command "deplyo"; did you mean "deploy"?`, Outcome: bot.OutcomeInvalid, Tone: bot.Warning},
	"error":   {Title: "internal error, ref 4f2a", Outcome: bot.OutcomeFailed, Tone: bot.Bad},
	"table": {Title: "shop", Table: &bot.Table{
		Columns: []string{"TARGET", "LIVE", "UP", "REQ/S", "ERRORS", "SINCE"},
		Rows: [][]string{{"shop/staging", "v2", "1/1", "5", "0.0 %", "4m"}, {"shop/prod", "v1", "2/2", "40", "0.0 %", "12m"},
			{"payments/prod", "-", "0/2", "", "100.0 %", ""}}}},
	"table-wide": {Table: &bot.Table{
		Columns: []string{"RUN", "TARGET", "WHAT", "BY", "STATE", "RESULT"},
		Rows: [][]string{
			{"#12", "shop/prod", "deploy shop v3 to prod", "dev", "failed", "health check: GET /healthz gave 503 for 30 s, 4 of 5 probes; v1 was kept"},
			{"#11", "shop/staging", "deploy shop v3 to staging", "dev", "succeeded", "done"}}}},
	"table-too-wide": {Title: "inventory", Table: &bot.Table{
		Columns: []string{"SERVICE", "ENVIRONMENT", "LIVE", "PREVIOUS", "REPLICAS", "PROVIDER", "ON CALL", "LAST DEPLOY", "BY", "FREEZE", "LOCK"},
		Rows: [][]string{
			{"shop-frontend", "production-eu", "v2026.11.21", "v2026.11.20", "12/12", "platform", "sre-one", "2026-11-21 04:12", "developer-one", "", "held by sre-one"}}}},
	"help": {Title: "deploy SERVICE VERSION [to] ENVIRONMENT", Text: "Makes a release live. VERSION is a release such as v2, or latest, previous, staging (what is live there), #12 " +
		"(what run 12 deployed).\n\nOptions:\n  --dry-run           shows what would be done\n  --reason \"...\"      is kept in the audit log\n  --override \"...\"    passes a release that is marked bad; for holders of deploy.override, and it is posted\n\nExamples:\n  deploy shop v2 staging",
		Outcome: bot.OutcomeOK},
	"confirm": {Key: "run/3", Version: 1, Run: 3, State: bot.Waiting, Phase: bot.PhaseWaiting, Outcome: bot.OutcomeWaiting, Tone: bot.Question,
		Title: "#3 deploy shop v3 to prod: confirm?",
		Fields: []bot.Field{{Name: "live", Value: "v1 -> v3"}, {Name: "commits", Value: "4, by dev and ops"},
			{Name: "mind", Value: "shop/prod serves 40 req/s; staging has had v3 for 2 minutes only"}, {Name: "undo", Value: "rollback shop prod"}, {Name: "then", Value: "1 approval from sre"}},
		Buttons: []bot.Button{{Label: "Confirm", Line: "confirm 3", Token: "x", Danger: true}, {Label: "Cancel", Line: "cancel 3", Token: "y"}},
		Footer:  "expires in 2m0s; asked by dev"},
	"approve": {Key: "run/3", Version: 2, Run: 3, State: bot.Waiting, Phase: bot.PhaseWaiting, Outcome: bot.OutcomeWaiting, Tone: bot.Question,
		Title:   "#3 deploy shop v3 to prod: waits for 1 approval from sre",
		Fields:  []bot.Field{{Name: "live", Value: "v1 -> v3"}, {Name: "undo", Value: "rollback shop prod"}},
		Buttons: []bot.Button{{Label: "Approve", Line: "approve 3"}, {Label: "Deny", Line: "deny 3"}}, Footer: "expires in 30m0s; asked by dev"},
	"progress": {Key: "run/3", Version: 3, Run: 3, State: bot.Running, Phase: bot.PhaseWorking, Tone: bot.Working, Outcome: bot.OutcomeOK,
		Title: "#3 deploy shop v3 to prod: running", Progress: &bot.Gauge{Percent: percent(45), Text: "1 of 2 processes replaced and healthy"},
		Buttons: []bot.Button{{Label: "Cancel", Line: "cancel 3"}}, Footer: "asked by dev, approved by sre"},
	"progress-unknown": {Key: "run/3", Version: 3, Run: 3, State: bot.Running, Phase: bot.PhaseWorking, Tone: bot.Working, Outcome: bot.OutcomeOK,
		Title: "#3 deploy shop v3 to prod: running", Progress: &bot.Gauge{Text: "waiting for the gate at GitHub"}, Link: "https://github.example.com/acme/shop/actions/runs/1234567890/attempts/1?check_suite_focus=true",
		Footer: "asked by dev"},
	"success": {Key: "run/3", Version: 9, Run: 3, State: bot.Succeeded, Outcome: bot.OutcomeOK, Tone: bot.Good,
		Title: "#3 deploy shop v3 to prod: done", Text: "v3 is live on 2 of 2 processes", Fields: []bot.Field{{Name: "undo", Value: "rollback shop prod"}},
		Buttons: []bot.Button{{Label: "Roll back", Line: "rollback shop prod", Danger: true}}, Footer: "asked by dev, approved by sre, took 6.2s"},
	"failure": {Key: "run/4", Version: 9, Run: 4, State: bot.RolledBack, Outcome: bot.OutcomeFailed, Tone: bot.Bad,
		Title: "#4 deploy shop v4 to prod: failed, the old release is back", Text: "v4 never became healthy: GET /healthz answered 503 for 10 s; v1 is live on 2 of 2 processes",
		Lines: []string{"start 127.0.0.1:40103 pid 4711", "GET /healthz: 503 Service Unavailable: cannot open the orders database: unable to open database file (14)", "stop pid 4711"}, Footer: "asked by dev, took 12.1s"},
	"unknown": {Key: "run/5", Version: 9, Run: 5, State: bot.Unknown, Outcome: bot.OutcomeUnknown, Tone: bot.Bad,
		Title: "#5 deploy shop v2 to prod: unknown, please look", Text: "The host restarted while the command ran. Look at what is live with: status shop prod", Footer: "asked by dev"},
	"unknown-without-the-word": {Title: "the provider's answer makes no sense", Outcome: bot.OutcomeUnknown, Tone: bot.Bad},
	"page": {Key: "page/12", Version: 1, Tone: bot.Bad, Title: "PAGE #12 shop/prod: 31 % of requests fail (more than 5 % for 1m)",
		Text: "Likely cause: #3 deployed v3 6 minutes before, by dev.", Buttons: []bot.Button{{Label: "Acknowledge", Line: "page ack 12"}, {Label: "Roll back", Line: "rollback shop prod"},
			{Label: "Show the chart", Line: "metrics shop prod errors --last 1h --compare 1w"}}, Footer: "for sre on call; escalates to sre-lead in 5m"},
	"long-text": {Text: "The restore test of shop/prod took 41 s and found every order up to 04:12:07, which is 38 s before it began, so the objective of 10 minutes is met; " +
		"the largest table, orders, has 18234 rows and its newest row is the one expected.\n\n  an indented line that is long enough to have to be wrapped keeps its indentation on the lines that follow it\n" +
		strings.Repeat("abcdefghij", 12)},
	"wide-characters": {Title: "配備が完了しました: 支払いサービスの新しいバージョンが本番環境で有効になりました。元に戻すこともできます", Table: &bot.Table{Columns: []string{"名前", "状態"}, Rows: [][]string{{"支払い", "正常"}, {"shop", "ok"}}}},
	"hostile": {Title: "\x1b[2J\x1b]0;owned\x07deploy\nshop\r\u202eevil\u2066", Text: "line one\r\nline two\ttab\x00\u200b\u2028forged\xff", Fields: []bot.Field{{Name: "a\x1b[31m", Value: "b\nc\x9b1m"}},
		Table: &bot.Table{Columns: []string{"A\x1b"}, Rows: [][]string{{"x\ny\u061c"}}}, Lines: []string{"\x1b[1A\x1b[2Kforged"}, Buttons: []bot.Button{{Label: "\x1b", Line: "approve\x1b 1\nconfirm 2"}},
		Footer: "\x1b[8m", Link: "https://x/\x1b]8;;", Progress: &bot.Gauge{Text: "\x1b[5m", Percent: percent(400)}},
}

// TestGolden compares every kind of card with the file that says how it looks.
// After a change that is meant, run the test with -update and read the files.
func TestGolden(t *testing.T) {
	for name, card := range cards {
		t.Run(name, func(t *testing.T) {
			got := Render(card, 80, false) + "\n"
			path := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.MkdirAll("testdata", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("renders as\n%s\nwant\n%s", got, want)
			}
			if colored := stripAll(Render(card, 80, true)) + "\n"; colored != got {
				t.Errorf("with colour the words are\n%s\nwant\n%s", colored, got)
			}
		})
	}
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if _, ok := cards[strings.TrimSuffix(filepath.Base(f), ".txt")]; !ok {
			t.Errorf("%s belongs to no card", f)
		}
	}
}

func stripAll(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = stripColor(l)
	}
	return strings.Join(lines, "\n")
}

func TestColorIsDecoration(t *testing.T) {
	for tone, code := range map[bot.Tone]string{bot.Good: "32", bot.Bad: "31", bot.Warning: "33", bot.Question: "33"} {
		card := bot.Card{Title: "words", Tone: tone}
		if got := Render(card, 80, true); got != "\x1b[1;"+code+"mwords\x1b[0m" {
			t.Errorf("tone %q renders as %q", tone, got)
		}
		if got := Render(card, 80, false); got != "words" {
			t.Errorf("tone %q without colour renders as %q", tone, got)
		}
	}
}

// drawText gives text with everything in it that could do harm.
func drawText(t *rapid.T, label string) string {
	parts := rapid.SliceOfN(rapid.OneOf(
		rapid.SampledFrom([]string{"\x1b[2J", "\x1b]8;;", "\r", "\n", "\t", "\x00", "\x7f", "\x9b", "\u202e", "\u2066", "\u061c", "\u2028", "\ufeff", "\U000e0041", "\xff", " ", "  ", "配備", "👩‍👩‍👧", "é", "a-very-long-word-without-any-space-in-it-at-all"}),
		rapid.String()), 0, 6).Draw(t, label)
	return strings.Join(parts, "")
}

// TestAnyCardIsHarmless: whatever a card holds, printing it does nothing but
// show lines that fit.
func TestAnyCardIsHarmless(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.IntRange(1, 3).Draw(t, "columns")
		table := &bot.Table{}
		for range columns {
			table.Columns = append(table.Columns, drawText(t, "column"))
		}
		for range rapid.IntRange(0, 3).Draw(t, "rows") {
			var row []string
			for range rapid.IntRange(0, columns).Draw(t, "cells") { // short rows too
				row = append(row, drawText(t, "cell"))
			}
			table.Rows = append(table.Rows, row)
		}
		card := bot.Card{Title: drawText(t, "title"), Text: drawText(t, "text"), Footer: drawText(t, "footer"), Table: table,
			Fields: []bot.Field{{Name: drawText(t, "name"), Value: drawText(t, "value")}}, Lines: []string{drawText(t, "line")},
			Progress: &bot.Gauge{Text: drawText(t, "progress")},
			Outcome:  rapid.SampledFrom([]bot.Outcome{"", bot.OutcomeDenied, bot.OutcomeUnknown}).Draw(t, "outcome")}
		width := rapid.IntRange(20, 120).Draw(t, "width")
		for _, line := range strings.Split(Render(card, width, false), "\n") {
			if w := measure(line); w > width {
				t.Fatalf("a line has %d columns of %d: %q", w, width, line)
			}
			if !utf8.ValidString(line) {
				t.Fatalf("a line is not UTF-8: %q", line)
			}
			for _, r := range line {
				if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
					t.Fatalf("a line has %U in it: %q", r, line)
				}
			}
		}
		card.Buttons = []bot.Button{{Label: drawText(t, "label"), Line: drawText(t, "press")}}
		card.Link = drawText(t, "link")
		if out := Render(card, width, false); strings.ContainsFunc(strings.ReplaceAll(out, "\n", ""), steers) {
			t.Fatalf("steering characters in %q", out)
		}
	})
}

func TestNarrowAndEmpty(t *testing.T) {
	if got := Render(bot.Card{}, 80, true); got != "" {
		t.Errorf("an empty card renders as %q", got)
	}
	for name, card := range cards {
		for line := range strings.SplitSeq(Render(card, 1, false), "\n") { // too narrow to be true: 20 is the least
			if measure(line) > 20 && !strings.Contains(line, "https:") && !strings.Contains(line, "type:") && !strings.Contains(line, "or:") {
				t.Errorf("%s: %q does not fit 20 columns", name, line)
			}
		}
	}
}
