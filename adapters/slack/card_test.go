package slackchat

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"quarterdeck/adapters/slack/fakeslack"
	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
)

// deliver delivers a card and all that follows it, as the outbox does.
func (w *world) deliver(t *testing.T, d bot.Delivery) (ref string) {
	t.Helper()
	post := func(d bot.Delivery) string {
		w.chat.pace = newPace(bot.SystemClock{})
		ref, err := w.chat.Deliver(w.ctx, d)
		if err != nil {
			t.Errorf("%.60q: %v", d.Card.Title, err)
		}
		return ref
	}
	ref = post(d)
	for _, c := range w.chat.Spill(d.Card, d.To != "") {
		c.Rest = true
		more := bot.Delivery{Channel: d.Channel, To: d.To, Thread: d.Thread, Card: c}
		if more.Thread == "" {
			more.Thread = ref
		}
		post(more)
	}
	return ref
}

// seen walks through everything that a message shows. leaf is given each string
// and the key it stands under, node each object.
func seen(raw any, leaf func(key, s string), node func(m map[string]any)) {
	switch v := raw.(type) {
	case []any:
		for _, e := range v {
			seen(e, leaf, node)
		}
	case map[string]any:
		node(v)
		for key, e := range v {
			if s, ok := e.(string); ok {
				leaf(key, s)
				continue
			}
			seen(e, leaf, node)
		}
	}
}

// harmless checks that a message only shows words.
func harmless(t *testing.T, name string, m fakeslack.Message) {
	t.Helper()
	for _, bad := range []string{"<!", "<@", "<#", "<http", "\u202e", "\u200b"} {
		if strings.Contains(m.Text, bad) {
			t.Errorf("%s: the text for notifications has %q: %.200q", name, bad, m.Text)
		}
	}
	total := 0
	var blocks any
	if err := json.Unmarshal(m.Blocks, &blocks); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	seen(blocks, func(key, s string) {
		if key == "text" || key == "alt_text" || key == "url" {
			total += length(s)
		}
		if i := strings.IndexFunc(s, bot.Unseen); i >= 0 && !strings.HasPrefix(s[i:], "\n") {
			t.Errorf("%s: %s holds what is not seen: %.100q", name, key, s[i:])
		}
	}, func(e map[string]any) {
		switch e["type"] {
		case "mrkdwn", "user", "usergroup", "broadcast", "channel", "date":
			t.Errorf("%s: an element of type %s: %.200v", name, e["type"], e)
		case "link":
			url, _ := e["url"].(string)
			ours := strings.HasPrefix(url, "https://ci.example/") || strings.HasPrefix(url, "https://fake.slack.com/archives/C")
			if e["text"] != nil || !ours || strings.ContainsAny(url, "<>|") {
				t.Errorf("%s: a link %v", name, e)
			}
		case "plain_text":
			if e["emoji"] == true {
				t.Errorf("%s: emoji are read in %v", name, e)
			}
		}
	})
	if total > maxTotal {
		t.Errorf("%s: %d characters", name, total)
	}
}

// TestInjection shows whatever people, programs and names hold, in every place
// that a card has: it fits, is read as it was written, and notifies nobody.
func TestInjection(t *testing.T) {
	w := newWorld(t)
	for name, evil := range bottest.Injections() {
		before, files := len(w.Messages("")), len(w.Files())
		card := bottest.Riddled(evil)
		w.deliver(t, bot.Delivery{Channel: "slack:C1", Card: card})
		w.deliver(t, bot.Delivery{Channel: "slack:C1", To: "slack:T1/UDEV", Card: card})
		all := w.Messages("")[before:]
		for _, m := range all {
			harmless(t, name, m)
		}
		if len(all)+2*(len(w.Files())-files) < 2 || len(all) > 2+2*restPages {
			t.Errorf("%s: %d messages and %d files", name, len(all), len(w.Files())-files)
		}
	}
	for _, f := range w.Files() {
		if i := strings.IndexFunc(string(f.Data), func(r rune) bool { return r != '\n' && r != '\t' && bot.Unseen(r) }); i >= 0 {
			t.Errorf("the file %s holds what is not seen: %.40q", f.Name, f.Data[i:])
		}
	}
	// What is shown is what was written: escaping is Slack's matter, not the reader's.
	w.deliver(t, bot.Delivery{Channel: "slack:C1", Card: bot.Card{Title: "<!channel> & `v2` &lt;x&gt;"}})
	all := w.Messages("")
	last := all[len(all)-1]
	if last.Text != "&lt;!channel&gt; &amp; `v2` &amp;lt;x&amp;gt;" || !strings.Contains(decoded(t, last), "<!channel> & `v2` &lt;x&gt;") {
		t.Errorf("shown as %q, %s", last.Text, last.Blocks)
	}
}

// decoded gives all strings of a message's blocks.
func decoded(t *testing.T, m fakeslack.Message) string {
	t.Helper()
	var blocks any
	var b strings.Builder
	if err := json.Unmarshal(m.Blocks, &blocks); err != nil {
		t.Fatal(err)
	}
	seen(blocks, func(key, s string) {
		if key == "text" {
			b.WriteString(s + "\n")
		}
	}, func(map[string]any) {})
	return b.String()
}

func many(n int, cell string) (rows [][]string) {
	for i := range n {
		rows = append(rows, []string{fmt.Sprintf("row-%04d", i), cell})
	}
	return rows
}

// TestOverflow posts what does not fit a card into its thread: as messages, and
// as one file where it is longer than a few of them. Nothing is lost.
func TestOverflow(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		card     bot.Card
		messages int // in the thread
		files    int
		want     []string // somewhere
	}{
		"fits":             {bot.Card{Title: "x", Text: "y"}, 0, 0, []string{"x", "y"}},
		"a long text":      {bot.Card{Title: "x", Text: strings.Repeat("word ", 2000) + "END"}, 1, 0, []string{"END"}},
		"a longer text":    {bot.Card{Title: "x", Text: strings.Repeat("word ", 5000) + "END"}, 2, 0, []string{"END"}},
		"a very long text": {bot.Card{Title: "x", Text: strings.Repeat("word ", 50000) + "END"}, 0, 1, []string{"END"}},
		"many rows":        {bot.Card{Title: "x", Table: &bot.Table{Columns: []string{"A", "B"}, Rows: many(200, "c")}}, 2, 0, []string{"row-0000", "row-0039", "row-0040", "row-0199"}},
		"very many rows":   {bot.Card{Title: "x", Table: &bot.Table{Columns: []string{"A", "B"}, Rows: many(2000, "c")}}, 0, 1, []string{"row-0000", "row-1999"}},
		"a long cell":      {bot.Card{Title: "x", Table: &bot.Table{Columns: []string{"A", "B"}, Rows: many(1, strings.Repeat("y", 400)+"END")}}, 1, 0, []string{"row-0000", "END"}},
		"many columns":     {bot.Card{Title: "x", Table: &bot.Table{Columns: strings.Split(strings.Repeat("c ", 25), " "), Rows: [][]string{strings.Fields(strings.Repeat("v ", 24) + "END")}}}, 1, 0, []string{"END"}},
		"a long field":     {bot.Card{Title: "x", Fields: []bot.Field{{Name: "why", Value: strings.Repeat("z", 900) + "END"}}}, 1, 0, []string{"END"}},
		"many fields":      {bot.Card{Title: "x", Fields: slices.Repeat([]bot.Field{{Name: "n", Value: "v"}}, 40)}, 1, 0, nil},
		"a long title":     {bot.Card{Title: strings.Repeat("t", 400) + "END"}, 1, 0, []string{"END"}},
		"much output":      {bot.Card{Title: "x", Lines: append(slices.Repeat([]string{strings.Repeat("o", 100)}, 50), "END")}, 1, 0, []string{"END"}},
		"a long line":      {bot.Card{Title: "x", Lines: []string{strings.Repeat("o", 30000) + "END"}}, 3, 0, []string{"END"}},
		"a long footer":    {bot.Card{Title: "x", Footer: strings.Repeat("f", 600) + "END"}, 1, 0, []string{"END"}},
		"an odd link":      {bot.Card{Title: "x", Link: "https://user@evil.example/END"}, 1, 0, []string{"END"}},
		"all at once": {bot.Card{Title: strings.Repeat("&", 500), Text: strings.Repeat("<", 20000), Lines: []string{strings.Repeat(">", 5000)},
			Table: &bot.Table{Columns: []string{"A", "B"}, Rows: many(100, strings.Repeat("&", 100))}}, 0, 1, []string{"row-0099"}},
	} {
		t.Run(name, func(t *testing.T) {
			posted, filed := len(w.Messages("C1")), len(w.Files())
			w.deliver(t, bot.Delivery{Channel: "slack:C1", Card: c.card})
			all, files := w.Messages("C1")[posted:], w.Files()[filed:]
			shown := ""
			for _, m := range all {
				shown += decoded(t, m)
				if m.TS != all[0].TS && m.Thread != all[0].TS {
					t.Errorf("what follows is not in the thread: %+v", m)
				}
			}
			for _, f := range files {
				shown += string(f.Data)
				if f.Channel != "C1" || f.Thread != all[0].TS || f.Name != "answer.txt" {
					t.Errorf("the file is %s in %s, thread %q", f.Name, f.Channel, f.Thread)
				}
			}
			if len(all) != 1+c.messages || len(files) != c.files {
				t.Errorf("%d messages in the thread and %d files, want %d and %d", len(all)-1, len(files), c.messages, c.files)
			}
			if told := strings.Contains(decoded(t, all[0]), "… the rest is in the thread"); told != (c.messages+c.files > 0) {
				t.Errorf("the card says that there is more: %v", told)
			}
			for _, want := range c.want {
				if !strings.Contains(shown, want) {
					t.Errorf("%q is nowhere", want)
				}
			}
		})
	}
}

// TestPrivateOverflow keeps the rest of a private answer private; a file goes to
// the direct conversation, because files are seen by a whole channel.
func TestPrivateOverflow(t *testing.T) {
	w := newWorld(t)
	for _, n := range []int{60, 3000} {
		w.deliver(t, bot.Delivery{Channel: "slack:C1", To: "slack:T1/UDEV", Card: bot.Card{Title: "history", Table: &bot.Table{Columns: []string{"A", "B"}, Rows: many(n, "c")}}})
	}
	for _, m := range w.Messages("C1") {
		if m.For != "UDEV" {
			t.Errorf("others see %.100s", m.Blocks)
		}
	}
	if n := len(w.Messages("C1")); n != 3 {
		t.Errorf("%d messages", n)
	}
	if f := w.Files(); len(f) != 1 || f[0].Channel != "DUDEV" || !strings.Contains(string(f[0].Data), "row-2999") {
		t.Errorf("files: %+v", f)
	}
}

// TestImage shows a card's image in its thread, with words for those who do not
// see it. Where Slack does not take it, the thread says so, and the card stands.
func TestImage(t *testing.T) {
	w := newWorld(t)
	card := bot.Card{Key: "reply/1", Title: "orders of shop/prod", Image: bottest.Picture()}
	ref := w.deliver(t, bot.Delivery{Channel: "slack:C1", Card: card})
	_, ts := split(ref)
	f := w.Files()
	if len(f) != 1 || f[0].Alt != card.Image.Alt || f[0].Thread != ts || f[0].Name != "shop-prod.png" || !slices.Equal(f[0].Data, card.Image.PNG) {
		t.Fatalf("files: %+v", f)
	}
	for i, c := range []struct {
		method string
		o      fakeslack.Outage
		kind   bot.Kind
	}{
		{"files.getUploadURLExternal", fakeslack.Outage{Status: 429}, bot.Busy},
		{"files.completeUploadExternal", fakeslack.Outage{Status: 503}, bot.Unavailable},
		{"files.completeUploadExternal", fakeslack.Outage{HTML: true}, bot.Unavailable},
		{"files.getUploadURLExternal", fakeslack.Outage{Error: "missing_scope"}, ""},
		{"files.completeUploadExternal", fakeslack.Outage{Error: "posting_to_channel_denied"}, ""},
	} {
		w.chat.pace = newPace(bot.SystemClock{})
		before := len(w.Messages("C1"))
		w.Fail(c.method, c.o)
		_, err := w.chat.Deliver(w.ctx, bot.Delivery{Channel: "slack:C1", Thread: ref, Card: bot.Card{Title: "a chart", Rest: true, Image: bottest.Picture()}})
		w.Mend()
		w.chat.gate.forget()
		if (err != nil) != (c.kind != "") || c.kind != "" && bot.KindOf(err) != c.kind {
			t.Errorf("%d: %v is %s, want %q", i, err, bot.KindOf(err), c.kind)
		}
		said := w.Messages("C1")[before:]
		if c.kind == "" && (len(said) != 1 || said[0].Thread != ts || !strings.Contains(decoded(t, said[0]), "shop-prod.png could not be attached") || !strings.Contains(decoded(t, said[0]), card.Image.Alt)) {
			t.Errorf("%d: the thread says %+v", i, said)
		}
	}
}

// TestUploadElsewhere: an upload address that is not Slack's gets neither the file
// nor the token.
func TestUploadElsewhere(t *testing.T) {
	w := newWorld(t, func(o *fakeslack.Options) { o.UploadTo = "https://evil.example/upload/" })
	_, err := w.chat.Deliver(w.ctx, bot.Delivery{Channel: "slack:C1", Thread: "C1/1.2", Card: bot.Card{Title: "a chart", Rest: true, Image: bottest.Picture()}})
	if err == nil || len(w.Files()) > 0 {
		t.Errorf("uploaded %d files; %v", len(w.Files()), err)
	}
}

// TestRefusedBlocks tells a card in bare words where Slack does not take its
// blocks, instead of losing it.
func TestRefusedBlocks(t *testing.T) {
	w := newWorld(t)
	card := bot.Card{Title: "#1 deploy <shop>: confirm?", Fields: []bot.Field{{Name: "now", Value: "v1"}}, Buttons: []bot.Button{{Label: "Confirm", Line: "confirm 1", Token: "t"}}}
	for _, refusal := range []string{"invalid_blocks", "msg_blocks_too_long"} {
		w.chat.pace = newPace(bot.SystemClock{})
		w.Fail("chat.postMessage", fakeslack.Outage{Error: refusal, Times: 1})
		ref, err := w.chat.Deliver(w.ctx, bot.Delivery{Channel: "slack:C1", Card: card})
		if err != nil {
			t.Fatal(err)
		}
		w.Fail("chat.update", fakeslack.Outage{Error: refusal, Times: 1})
		if _, err := w.chat.Deliver(w.ctx, bot.Delivery{Channel: "slack:C1", Ref: ref, Card: card}); err != nil {
			t.Fatal(err)
		}
		all := w.Messages("C1")
		if m := all[len(all)-1]; m.Text != "#1 deploy &lt;shop&gt;: confirm?\nnow: v1\ntype: confirm 1" || string(m.Blocks) != "[]" || m.Edits != 1 {
			t.Errorf("%s: %q, %s", refusal, m.Text, m.Blocks)
		}
	}
}

// TestSecondTap asks once more only where the card says so, in words alone.
func TestSecondTap(t *testing.T) {
	for twice, want := range map[bool]int{true: 1, false: 0} {
		m := render(bot.Card{Title: "#1 deploy shop v2 to prod: done", Buttons: []bot.Button{{Label: "Roll back", Line: "rollback shop prod", Token: "t", Danger: true, Twice: twice}}}, inChannel)
		raw, err := json.Marshal(m.blocks)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(raw), `"confirm":{"title"`); n != want {
			t.Errorf("twice %v: %s", twice, raw)
		}
	}
}
