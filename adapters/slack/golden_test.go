package slackchat

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"quarterdeck/adapters/slack/fakeslack"
	"quarterdeck/adapters/terminal"
	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
)

var update = flag.Bool("update", false, "write the renderings anew")

// TestRenderings keeps how every kind of card looks, in Slack and in a terminal
// side by side, made by the whole bot from what people do. Run with -update after
// a change, and read the difference aloud as the one who is on call.
func TestRenderings(t *testing.T) {
	w := newWhole(t)
	drawn := map[string]bool{}
	keep := func(name string, d bot.Delivery) {
		t.Helper()
		drawn[name+".txt"] = true
		compare(t, name, sideBySide(t, d))
	}
	ops := bot.ChannelID("slack:COPS")

	keep("help", w.types(t, "UDEV", "COPS", "help"))
	keep("help-of-a-verb", w.types(t, "UDEV", "COPS", "help deploy"))
	keep("who-am-i", w.types(t, "UDEV", "COPS", "whoami"))
	keep("denied", w.types(t, "UGUEST", "COPS", "deploy shop v2 prod"))
	keep("denied-stranger", w.types(t, "USTRANGER", "COPS", "deploy shop v2 prod"))
	keep("not-understood", w.types(t, "UDEV", "COPS", "deplyo shop v2 prod"))
	keep("dry-run", w.types(t, "UDEV", "COPS", "deploy shop v2 prod --dry-run"))

	release := w.far.Hold()
	sent, err := w.Slash(w.ctx, fakeslack.Way{}, "UDEV", "COPS", "deploy shop v2 staging --reason 'fixes the basket'")
	if err != nil || !sent.Acked {
		t.Fatal(sent, err)
	}
	running := w.chat.await(t, "the run's progress", func(d bot.Delivery) bool {
		return d.Card.State == bot.Running && d.Card.Progress != nil && strings.Contains(d.Card.Progress.Text, "rolling")
	})
	keep("running", running)
	percent := 40
	running.Card.Progress = &bot.Gauge{Percent: &percent, Text: "2 of 5 instances are new"}
	keep("running-percent", running)
	if sent, err = w.Slash(w.ctx, fakeslack.Way{}, "USRE", "COPS", "deploy shop v3 staging"); err != nil || !sent.Acked {
		t.Fatal(sent, err)
	}
	keep("queued", w.run(t, 2, ops, bot.Queued))
	release()
	keep("succeeded", w.run(t, 1, ops, bot.Succeeded))
	w.run(t, 2, ops, bot.Succeeded)

	keep("confirmation", w.types(t, "UDEV", "COPS", "deploy shop v2 prod --reason 'fixes the basket'"))
	keep("approval", w.clicks(t, "UDEV", w.message(t, w.run(t, 3, ops, bot.Waiting)), "Confirm"))
	w.clicks(t, "USRE", w.message(t, w.chat.await(t, "the approval", func(d bot.Delivery) bool {
		return strings.Contains(d.Card.Title, "#3") && strings.Contains(d.Card.Title, "waits for")
	})), "Approve")
	keep("succeeded-approved", w.run(t, 3, ops, bot.Succeeded))
	release = w.half.Hold()
	if sent, err = w.Slash(w.ctx, fakeslack.Way{}, "UDEV", "COPS", "deploy half v2 staging"); err != nil || !sent.Acked {
		t.Fatal(sent, err)
	}
	w.chat.await(t, "#4 to roll out", func(d bot.Delivery) bool {
		return d.Card.Run == 4 && d.Card.Progress != nil && strings.Contains(d.Card.Progress.Text, "rolling")
	})
	keep("failed", w.types(t, "UDEV", "COPS", "cancel 4"))
	release()
	keep("rolled-back", w.types(t, "UDEV", "COPS", "deploy torn v2 staging"))
	keep("unknown", w.types(t, "UDEV", "COPS", "deploy lost v2 staging"))
	keep("way-back", w.types(t, "UDEV", "COPS", "rollback shop prod"))
	w.types(t, "UDEV", "COPS", "deploy shop v3 prod")
	keep("cancelled", w.types(t, "UDEV", "COPS", "cancel"))

	keep("status", w.types(t, "UDEV", "COPS", "status"))
	keep("status-of-one", w.types(t, "UDEV", "COPS", "status shop prod"))
	keep("history", w.types(t, "UDEV", "COPS", "history shop"))
	keep("runs", w.types(t, "UDEV", "COPS", "runs"))
	keep("run", w.types(t, "UDEV", "COPS", "run 3"))
	keep("lock", w.types(t, "UDEV", "COPS", "lock shop staging --for 2h --reason 'load test'"))
	keep("denied-by-a-lock", w.types(t, "USRE", "COPS", "deploy shop v1 staging"))
	keep("freeze", w.types(t, "USRE", "COPS", "freeze add prod --for 12h --reason 'the weekend'"))
	keep("freeze-list", w.types(t, "USRE", "COPS", "freeze list"))
	keep("break-glass", w.types(t, "UONCALL", "COPS", "deploy shop v3 prod --break-glass 'checkout is down, nobody answers'"))
	keep("review", w.types(t, "USRE", "COPS", "review --reason 'right call; add it to the runbook'"))
	keep("halt", w.types(t, "USRE", "COPS", "halt --reason 'the network is down'"))
	keep("audit", w.types(t, "UDEV", "COPS", "audit --last 1h"))
	keep("audit-post", w.chat.await(t, "the audit channel to tell of #3", func(d bot.Delivery) bool {
		return d.Card.Link != "" && d.Channel == "slack:CAUDIT" && strings.HasPrefix(d.Card.Key, "audit/run/3") && strings.Contains(d.Card.Title, "succeeded")
	}))
	keep("audit-thread", w.chat.await(t, "the approval of #3 in the audit channel", func(d bot.Delivery) bool {
		return d.Channel == "slack:CAUDIT" && d.Thread != "" && strings.Contains(d.Card.Title+d.Card.Text, "#3 approved by sre")
	}))
	keep("chart", bot.Delivery{Channel: ops, Card: bot.Card{Title: "orders of shop/prod, last hour", Fields: []bot.Field{{Name: "now", Value: "14 a second"}}, Image: bottest.Picture()}})
	rest := w.chat.Spill(bot.Card{Title: "orders of shop/prod, last hour", Image: bottest.Picture()}, false)[0]
	rest.Rest = true
	keep("chart-in-the-thread", bot.Delivery{Card: rest, Channel: ops})

	there, err := filepath.Glob("testdata/cards/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range there {
		if !drawn[filepath.Base(path)] {
			t.Errorf("%s is of no card any more", path)
		}
	}
}

// unsteady finds what differs between two runs of the bot: times and how long
// something took.
var unsteady = []struct {
	find *regexp.Regexp
	put  string
}{
	{regexp.MustCompile(`\b(0[0-9]|1[0-9]):0\d:\d\d\b`), "$1:00:00"},
	{regexp.MustCompile(`\b(0[0-9]|1[0-9]):0\d\b`), "$1:00"},
	{regexp.MustCompile(`took [\d.]+m?s`), "took 1s"},
	{regexp.MustCompile(`expires in \w+`), "expires in 10m"},
	{regexp.MustCompile(`\b\d+(\.\d+)?m?s ago`), "1s ago"},
	{regexp.MustCompile(`for \d+(\.\d+)?m?s\b`), "for 1s"},
	{regexp.MustCompile(`( *)\b\d+ s\b`), "  9 s"},
	{regexp.MustCompile(`(?m)^( *|\| )\d+( \| |  )(11-21 )?03:`), "${1}9$2${3}03:"}, // how many records there are before
	{regexp.MustCompile(`\baudit \d+`), "audit 9"},
	{regexp.MustCompile(`ref [0-9a-f]+`), "ref 4f2a"},
	{regexp.MustCompile(`/archives/(\w+)/p\d+`), "/archives/$1/p1790000000000001"},
	{regexp.MustCompile(`(/\S*)?shop-prod(-[0-9a-f]{8})?\.png`), "/tmp/shop-prod.png"},
}

func sideBySide(t *testing.T, d bot.Delivery) string {
	t.Helper()
	var b strings.Builder
	d.Card.Version = 0
	where := "in " + string(d.Channel)
	if d.To != "" {
		where = "to " + string(d.To) + " alone"
	}
	if u, ok := attached(d.Card); ok {
		fmt.Fprintf(&b, "--- Slack, %s\n[file %s] %s\nalt: %s\n", where, u.name, u.title, u.alt)
	} else {
		m := render(d.Card, placeOf(d))
		fmt.Fprintf(&b, "--- Slack, %s\n%s--- its notification\n%s\n", where, readable(t, m), m.text)
	}
	fmt.Fprintf(&b, "--- terminal\n%s\n", terminal.Render(d.Card, 80, false))
	text := b.String()
	for _, u := range unsteady {
		text = u.find.ReplaceAllString(text, u.put)
	}
	return regexp.MustCompile(`(?m) +$`).ReplaceAllString(text, "")
}

// readable writes a message's blocks as they look.
func readable(t *testing.T, m message) string {
	t.Helper()
	raw, err := json.Marshal(m.blocks)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []map[string]any
	if err := json.Unmarshal(raw, &blocks); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, block := range blocks {
		switch block["type"] {
		case "rich_text", "context":
			b.WriteString(rich(block))
			if block["type"] == "context" {
				b.WriteString("\n")
			}
		case "table":
			for _, row := range block["rows"].([]any) {
				b.WriteString("|")
				for _, cell := range row.([]any) {
					fmt.Fprintf(&b, " %v |", cell.(map[string]any)["text"])
				}
				b.WriteString("\n")
			}
		case "actions":
			for _, e := range block["elements"].([]any) {
				e := e.(map[string]any)
				fmt.Fprintf(&b, "[%v", e["text"].(map[string]any)["text"])
				if e["style"] == "danger" {
					b.WriteString(", red")
				}
				if c, ok := e["confirm"].(map[string]any); ok {
					fmt.Fprintf(&b, ", asks %q", c["text"].(map[string]any)["text"])
				}
				b.WriteString("] ")
			}
			b.WriteString("\n")
		default:
			fmt.Fprintf(&b, "%v\n", block)
		}
	}
	return b.String()
}

func rich(e map[string]any) string {
	text, _ := e["text"].(string)
	style, _ := e["style"].(map[string]any)
	switch e["type"] {
	case "emoji":
		return fmt.Sprintf(":%v:", e["name"])
	case "link":
		return fmt.Sprintf("<%v>", e["url"])
	case "plain_text":
		return "(small) " + text
	}
	if style["bold"] == true {
		text = "**" + text + "**"
	}
	if style["italic"] == true {
		text = "_" + text + "_"
	}
	elements, _ := e["elements"].([]any)
	for _, inner := range elements {
		text += rich(inner.(map[string]any))
	}
	if e["type"] == "rich_text_preformatted" {
		text = "```\n" + text + "\n```\n"
	}
	return text
}

func compare(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "cards", name+".txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s looks different; it is now\n%s", name, got)
	}
}
