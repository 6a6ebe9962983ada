package discordchat

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/getkin/kin-openapi/openapi3"
	"pgregory.net/rapid"

	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
)

// vendors is Discord's own description of its API, loaded once because it is
// large; nil where it is not laid beside the project.
var vendors = func() *openapi3.T {
	dir := os.Getenv("CONTRACTS_DIR")
	if dir == "" {
		return nil
	}
	raw, err := os.ReadFile(filepath.Join(dir, "discord", "openapi.json"))
	if err != nil {
		return nil
	}
	var tree any
	if err := json.Unmarshal(raw, &tree); err != nil {
		panic(err)
	}
	raw, err = json.Marshal(enumerated(tree))
	if err != nil {
		panic(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		panic(err)
	}
	return doc
}()

// enumerated writes a choice of constants, which the library does not check, as an
// enumeration.
func enumerated(tree any) any {
	switch v := tree.(type) {
	case []any:
		for i := range v {
			v[i] = enumerated(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = enumerated(v[key])
		}
		var constants []any
		of, _ := v["oneOf"].([]any)
		for _, o := range of {
			if c, ok := o.(map[string]any); ok && c["const"] != nil {
				constants = append(constants, c["const"])
			}
		}
		if len(of) > 0 && len(constants) == len(of) {
			delete(v, "oneOf")
			v["enum"] = constants
		}
	}
	return tree
}

// fault is how tests and property tests say what is wrong.
type fault interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// conforms checks a value against one of the vendor's schemas, where there are any.
func conforms(t fault, schema string, value any) {
	t.Helper()
	if vendors == nil {
		if os.Getenv("CONTRACTS_REQUIRED") != "" {
			t.Fatalf("the vendor's description is required and not laid beside the project")
		}
		return
	}
	s := vendors.Components.Schemas[schema]
	if s == nil {
		t.Fatalf("the vendor describes no %s", schema)
	}
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatalf("%v", err)
	}
	var plain any
	if err := json.Unmarshal(raw, &plain); err != nil {
		t.Fatalf("%v", err)
	}
	if err := s.Value.VisitJSON(plain); err != nil {
		t.Errorf("%s: %.600v\n%.600s", schema, err, raw)
	}
}

// characters counts as Discord does at most: in UTF-16 units.
func characters(s string) int { return len(utf16.Encode([]rune(s))) }

// sent is a message as its JSON says it, read without the types that wrote it.
type sent struct {
	Content string `json:"content"`
	Embeds  []struct {
		Title, Description string
		Color              int
		Fields             []any
		Image              *struct{ URL string }
		Footer             *struct{ Text string }
	} `json:"embeds"`
	Components []struct {
		Type       int
		Components []struct {
			Type, Style int
			Label       string
			CustomID    string `json:"custom_id"`
		}
	} `json:"components"`
}

// asSent gives the body that a message is sent as, which conforms.
func asSent(t fault, m message) (s sent) {
	t.Helper()
	conforms(t, "MessageCreateRequest", bodyOf(m))
	return parsed(t, m)
}

func bodyOf(m message) map[string]any {
	return map[string]any{"content": m.content, "embeds": m.embeds, "components": m.components, "allowed_mentions": nobody()}
}

func parsed(t fault, m message) (s sent) {
	t.Helper()
	body := bodyOf(m)
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if !strings.Contains(string(raw), `"allowed_mentions":{"parse":[]`) {
		t.Errorf("mentions are read: %.200s", raw)
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatalf("%v", err)
	}
	return s
}

// within checks every limit that the vendor's description lacks.
func within(t fault, name string, s sent) {
	t.Helper()
	if n := characters(s.Content); n > 2000 {
		t.Errorf("%s: content of %d characters", name, n)
	}
	total, shown := 0, s.Content != ""
	for _, e := range s.Embeds {
		size := characters(e.Title) + characters(e.Description)
		if characters(e.Description) > 4096 || characters(e.Title) > 256 || len(e.Fields) > 25 {
			t.Errorf("%s: an embed of %d characters and %d fields", name, size, len(e.Fields))
		}
		if e.Footer != nil {
			size += characters(e.Footer.Text)
			if n := characters(e.Footer.Text); n == 0 || n > 2048 {
				t.Errorf("%s: a footer of %d characters", name, n)
			}
		}
		if size == 0 && e.Image == nil {
			t.Errorf("%s: an empty embed, which Discord refuses", name)
		}
		shown = shown || size > 0 || e.Image != nil
		total += size
	}
	if total > 6000 || len(s.Embeds) > 10 {
		t.Errorf("%s: %d embeds with %d characters", name, len(s.Embeds), total)
	}
	if !shown {
		t.Errorf("%s: an empty message, which Discord refuses", name)
	}
	ids := map[string]bool{}
	if len(s.Components) > 5 {
		t.Errorf("%s: %d rows", name, len(s.Components))
	}
	for _, row := range s.Components {
		if len(row.Components) == 0 || len(row.Components) > 5 {
			t.Errorf("%s: %d buttons in a row", name, len(row.Components))
		}
		for _, b := range row.Components {
			if b.Label == "" || characters(b.Label) > 80 || b.CustomID == "" || characters(b.CustomID) > 100 || ids[b.CustomID] {
				t.Errorf("%s: the button %+v", name, b)
			}
			ids[b.CustomID] = true
		}
	}
}

var (
	backslashed = regexp.MustCompile(`\\[^0-9A-Za-z\s]`)
	fence       = regexp.MustCompile("(?s)```\n.*?\n```")
	ourBold     = regexp.MustCompile(`\*\*[^*]*\*\*`)
	ourItalic   = regexp.MustCompile(`(?m)^\*(…|the picture )[^*\n]*\*$`)
	ourLink     = regexp.MustCompile(`<https://(ci|fake)\.example/[^ <>]*>`)
	ourSmall    = regexp.MustCompile(`(?m)^-# `)
	// markup is what Discord would read of text as more than itself.
	markup = []*regexp.Regexp{regexp.MustCompile("`"), regexp.MustCompile(`<[@#!:a-z/]`), regexp.MustCompile(`@(everyone|here)`), regexp.MustCompile(`\[`),
		regexp.MustCompile(`\|\||~~|\*|_`), regexp.MustCompile(`https?://`), regexp.MustCompile(`(?i)discord(app)?\.(gg|com)`), regexp.MustCompile(`:[a-zA-Z_+-]\w*:`),
		regexp.MustCompile(`(?m)^ *(#{1,3} |>|[-*+] |\d+[.)] )`)}
)

// read gives what is left of a text once what is escaped, and what the bot wrote
// itself, is taken away.
func read(s string) string {
	s = fence.ReplaceAllString(s, "code")
	s = backslashed.ReplaceAllString(s, "¤")
	s = ourLink.ReplaceAllString(s, "link")
	s = ourItalic.ReplaceAllString(s, "notice")
	s = ourBold.ReplaceAllString(s, "bold")
	return ourSmall.ReplaceAllString(s, "small ")
}

// harmless checks that a message only shows words.
func harmless(t fault, name string, s sent) {
	t.Helper()
	texts := []string{s.Content}
	for _, e := range s.Embeds {
		texts = append(texts, e.Description)
		if e.Footer != nil && strings.IndexFunc(e.Footer.Text, bot.Unseen) >= 0 {
			t.Errorf("%s: the footer holds what is not seen: %.100q", name, e.Footer.Text)
		}
	}
	for _, text := range texts {
		if strings.Count(text, "```")%2 != 0 {
			t.Errorf("%s: a block of code is not closed: %.300q", name, text)
		}
		left := read(text)
		for _, m := range markup {
			if at := m.FindStringIndex(left); at != nil {
				t.Errorf("%s: %q would be read as markup near %.120q", name, left[at[0]:at[1]], left[max(0, at[0]-30):])
			}
		}
		if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && bot.Unseen(r) }); i >= 0 {
			t.Errorf("%s: holds what is not seen: %.100q", name, text[i:])
		}
	}
	for _, row := range s.Components {
		for _, b := range row.Components {
			if strings.IndexFunc(b.Label, bot.Unseen) >= 0 {
				t.Errorf("%s: the label %q", name, b.Label)
			}
		}
	}
}

// evils are what Discord alone would read.
func evils() map[string]string {
	all := bottest.Injections()
	for name, s := range map[string]string{
		"discord everyone": "@everyone @here", "discord user": "<@80351110224678912> <@!80351110224678912>", "discord role": "<@&9001>", "discord channel": "<#1234>",
		"discord command": "</deploy:1234>", "discord time": "<t:1618953630:R>", "discord emoji": "<:approved:1234> <a:ok:1>", "discord guide": "<id:customize>",
		"masked link": "[shop](https://evil.example 'prod')", "link in brackets": "<https://evil.example>", "invitation": "discord.gg/evil DiscordApp.com/invite/evil",
		"spoiler": "||hidden|| ~~gone~~ __under__", "headings": "# big\n## less\n-# small\n> quoted\n>>> all\n- item\n* item\n1. one\n7) seven", "backslashes": `\*not\* \\*really\\* \`,
		"end of a fence": "a``````b```\n**out**", "ansi": "```ansi\n\x1b[31mred\n```", "mail": "mailto:a@evil.example tel:+123", "bold in bold": "**x** *y* ***z***", "a name": "shop_prod_eu *.example.com 2*3*4",
		"surrogates": strings.Repeat("𝕏", 5000), "all escaped": strings.Repeat("*_`", 4000),
	} {
		all[name] = s
	}
	return all
}

// TestInjection shows whatever people, programs and names hold, in every place
// that a card has: it fits, is read as it was written, and notifies nobody.
func TestInjection(t *testing.T) {
	for name, evil := range evils() {
		card := bottest.Riddled(evil)
		card.Image = bottest.Picture()
		for _, at := range []place{inChannel, inPrivate} {
			all := []bot.Card{card}
			if at == inChannel { // elsewhere it is the same
				all = append(all, spill(card)...)
			}
			if len(all) > 1+restPages {
				t.Errorf("%s: %d messages follow", name, len(all)-1)
			}
			for i, c := range all {
				c.Rest = i > 0
				if f, ok := attached(c); ok {
					if at := strings.IndexFunc(string(f.data), func(r rune) bool { return r != '\n' && r != '\t' && bot.Unseen(r) }); at >= 0 {
						t.Errorf("%s: the file holds what is not seen: %.40q", name, f.data[at:])
					}
					continue
				}
				m := render(c, at)
				conforms(t, "MessageCreateRequest", bodyOf(m))
				for _, m := range []message{m, m.unpictured(), {content: m.bare}, question("t1", "123", evil, m.content)} {
					s := parsed(t, m)
					within(t, name, s)
					harmless(t, name, s)
				}
			}
		}
	}
	// What is shown is what was written: escaping is Discord's matter, not the reader's.
	m := render(bot.Card{Title: "<@1> & `v2` *x* shop_prod"}, inChannel)
	if want := "**\\<\\@1> & \\`v2\\` \\*x\\* shop\\_prod**"; m.content != want {
		t.Errorf("shown as %s, want %s", m.content, want)
	}
	// What is ordinary is not littered with backslashes, which notifications show.
	for _, s := range []string{"#3 deploy shop v2 to prod: waits for 1 approval from sre", "took 1.5s at 03:00:12 (sha256)", "2/2 up, 3 > 2; a|b ~1", "v1.2.3-rc.1+build -- done."} {
		if got := escaped(s); got != s {
			t.Errorf("%q is shown as %q", s, got)
		}
	}
}

// cards makes cards of every shape.
func cards(t *rapid.T) bot.Card {
	alphabet := []rune("ab 1.\n*_~`|[]()<>@#-:\\/é語👩\u202e\u200b\x1b")
	text := func(label string, most int) string {
		n := rapid.SampledFrom([]int{0, 1, 3, 10, 50, 300, 2500}).Draw(t, label+" length")
		part := rapid.StringOfN(rapid.SampledFrom(alphabet), 0, 12, -1).Draw(t, label)
		if part == "" {
			return ""
		}
		return strings.Repeat(part, min(n, most)/max(1, len([]rune(part)))+1)
	}
	c := bot.Card{Key: "reply/1", Title: text("title", 2500), Text: text("text", 2500) + text("more text", 2500) + text("and more", 2500), Footer: text("footer", 3000), Rest: rapid.Bool().Draw(t, "rest"),
		Tone: rapid.SampledFrom([]bot.Tone{bot.Plain, bot.Working, bot.Good, bot.Warning, bot.Bad, bot.Question}).Draw(t, "tone"), Run: int64(rapid.IntRange(0, 1).Draw(t, "run"))}
	for range rapid.IntRange(0, 35).Draw(t, "fields") {
		c.Fields = append(c.Fields, bot.Field{Name: text("name", 50), Value: text("value", 2500)})
	}
	for range rapid.IntRange(0, 30).Draw(t, "buttons") {
		c.Buttons = append(c.Buttons, bot.Button{Label: text("label", 300), Line: "status", Token: fmt.Sprintf("t%d", len(c.Buttons)), Twice: rapid.Bool().Draw(t, "twice"), Danger: rapid.Bool().Draw(t, "danger")})
	}
	for range rapid.IntRange(0, 6).Draw(t, "lines") {
		c.Lines = append(c.Lines, text("line", 2500))
	}
	if n := rapid.IntRange(0, 25).Draw(t, "columns"); n > 0 {
		c.Table = &bot.Table{}
		for range n {
			c.Table.Columns = append(c.Table.Columns, text("column", 50))
		}
		for range rapid.SampledFrom([]int{0, 1, 5, 60, 120}).Draw(t, "rows") {
			row := make([]string, n)
			row[rapid.IntRange(0, n-1).Draw(t, "cell")] = text("cell text", 300)
			c.Table.Rows = append(c.Table.Rows, row)
		}
	}
	if rapid.Bool().Draw(t, "progress") {
		p := rapid.IntRange(-5, 120).Draw(t, "percent")
		c.Progress = &bot.Gauge{Percent: &p, Text: text("gauge", 2500)}
	}
	if rapid.Bool().Draw(t, "linked") {
		c.Link = "https://ci.example/" + text("link", 300)
	}
	if rapid.Bool().Draw(t, "pictured") {
		c.Image = bottest.Picture()
	}
	return c
}

// TestEveryRenderingFits draws cards of every shape: each message, and all that
// follows it, is within every limit, and nothing in it is read as markup.
func TestEveryRenderingFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := cards(t)
		for i, part := range append([]bot.Card{c}, spill(c)...) {
			part.Rest = part.Rest || i > 0
			if _, file := attached(part); file {
				continue
			}
			m := render(part, place(rapid.IntRange(0, 1).Draw(t, "place")))
			if i == 0 && rapid.IntRange(0, 9).Draw(t, "described") == 0 { // which takes long
				conforms(t, "MessageCreateRequest", bodyOf(m))
			}
			for _, m := range []message{m, m.unpictured(), {content: m.bare}} {
				s := parsed(t, m)
				within(t, "card", s)
				harmless(t, "card", s)
			}
		}
	})
}

func many(n int, cell string) (rows [][]string) {
	for i := range n {
		rows = append(rows, []string{fmt.Sprintf("row-%04d", i), cell})
	}
	return rows
}

// TestOverflow has what does not fit a card follow it: as messages, and as one file
// where it is longer than a few of them. Nothing is lost.
func TestOverflow(t *testing.T) {
	for name, c := range map[string]struct {
		card     bot.Card
		messages int
		file     bool
		want     []string // somewhere
	}{
		"fits":             {bot.Card{Title: "x", Text: "y"}, 0, false, []string{"x", "y"}},
		"a long text":      {bot.Card{Title: "x", Text: strings.Repeat("word ", 1000) + "END"}, 1, false, []string{"END"}},
		"a longer text":    {bot.Card{Title: "x", Text: strings.Repeat("word ", 2500) + "END"}, 3, false, []string{"END"}},
		"a very long text": {bot.Card{Title: "x", Text: strings.Repeat("word ", 50000) + "END"}, 1, true, []string{"END"}},
		"many rows":        {bot.Card{Title: "x", Table: &bot.Table{Columns: []string{"A", "B"}, Rows: many(200, "c")}}, 2, false, []string{"row-0000", "row-0039", "row-0040", "row-0199"}},
		"very many rows":   {bot.Card{Title: "x", Table: &bot.Table{Columns: []string{"A", "B"}, Rows: many(2000, "c")}}, 1, true, []string{"row-0000", "row-1999"}},
		"a long cell":      {bot.Card{Title: "x", Table: &bot.Table{Columns: []string{"A", "B"}, Rows: many(1, strings.Repeat("y", 400)+"END")}}, 1, false, []string{"row-0000", "END"}},
		"many columns":     {bot.Card{Title: "x", Table: &bot.Table{Columns: strings.Split(strings.Repeat("c ", 25), " "), Rows: [][]string{strings.Fields(strings.Repeat("v ", 24) + "END")}}}, 1, false, []string{"END"}},
		"a long field":     {bot.Card{Title: "x", Fields: []bot.Field{{Name: "why", Value: strings.Repeat("z", 900) + "END"}}}, 1, false, []string{"END"}},
		"many fields":      {bot.Card{Title: "x", Fields: append(slices.Repeat([]bot.Field{{Name: "n", Value: "v"}}, 40), bot.Field{Name: "n", Value: "END"})}, 1, false, []string{"END"}},
		"a long title":     {bot.Card{Title: strings.Repeat("t", 400) + "END"}, 1, false, []string{"END"}},
		"much output":      {bot.Card{Title: "x", Lines: append(slices.Repeat([]string{strings.Repeat("o", 100)}, 30), "END")}, 1, false, []string{"END"}},
		"a long footer":    {bot.Card{Title: "x", Footer: strings.Repeat("f", 600) + "END"}, 1, false, []string{"END"}},
		"an odd link":      {bot.Card{Title: "x", Link: "https://user@evil.example/END"}, 1, false, []string{"END"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := render(c.card, inChannel)
			shown := allWords(m)
			if told := strings.Contains(shown, "… the rest is in the thread"); told != (c.messages > 0) {
				t.Errorf("the card says that there is more: %v", told)
			}
			all := spill(c.card)
			for _, part := range all {
				part.Rest = true
				f, ok := attached(part)
				if ok != c.file {
					t.Errorf("a file: %v", ok)
				}
				if ok {
					shown += string(f.data)
					continue
				}
				shown += allWords(render(part, inChannel))
			}
			if len(all) != c.messages {
				t.Errorf("%d messages follow, want %d", len(all), c.messages)
			}
			for _, want := range c.want {
				if !strings.Contains(shown, want) {
					t.Errorf("%q is nowhere", want)
				}
			}
		})
	}
}

// allWords gives all that a message shows.
func allWords(m message) string {
	s := m.content
	for _, e := range m.embeds {
		s += "\n" + e.Description
		if e.Footer != nil {
			s += "\n" + e.Footer.Text
		}
	}
	return s
}

// TestButtonsSayNothing gives buttons ids from which nothing but the token comes
// back, and does not take other ids for a button's.
func TestButtonsSayNothing(t *testing.T) {
	m := render(bot.Card{Title: "x", Buttons: []bot.Button{{Label: "Approve", Line: "approve 3", Token: "tok1"}, {Label: "Roll back", Line: "rollback shop prod", Token: "tok2", Danger: true, Twice: true}, {Label: "none"}}}, inChannel)
	s := asSent(t, m)
	if len(s.Components) != 1 || len(s.Components[0].Components) != 2 {
		t.Fatalf("%+v", s.Components)
	}
	b := s.Components[0].Components
	first, ok := pressed(b[0].CustomID)
	if !ok || first != (pressing{token: "tok1"}) || b[0].Style != 2 {
		t.Errorf("%+v of %+v", first, b[0])
	}
	second, ok := pressed(b[1].CustomID)
	if !ok || second != (pressing{token: "tok2", ask: true}) || b[1].Style != 4 {
		t.Errorf("%+v of %+v", second, b[1])
	}
	q := asSent(t, question("tok2", "123/456", b[1].Label, m.content))
	sure, ok := pressed(q.Components[0].Components[0].CustomID)
	if !ok || sure != (pressing{token: "tok2", on: "123/456"}) {
		t.Errorf("%+v", sure)
	}
	for _, id := range []string{"", "press:", "ask:", "sure:tok", "sure:@1", "sure:tok@", "form:x", "again:x", "tok1"} {
		if p, ok := pressed(id); ok {
			t.Errorf("%q is taken for %+v", id, p)
		}
	}
}

// TestEnrolment shows the address that an authenticator enrols by whole, and says
// of no rest that does not come: what is confided is one message.
func TestEnrolment(t *testing.T) {
	link := "otpauth://totp/Quarterdeck:sre?secret=ABC&issuer=Quarterdeck_1"
	m := render(bot.Card{Title: "add this", Link: link}, inPrivate)
	if got := asSent(t, m).Embeds[0].Description; got != "`"+link+"`" {
		t.Errorf("shown as %s", got)
	}
	m = render(bot.Card{Title: "add this", Link: "otpauth://x`<@1>`"}, inPrivate)
	harmless(t, "no enrolment", asSent(t, m))
}

// TestPicture shows an image in the card's own message, and says in words what it
// shows where it cannot be attached.
func TestPicture(t *testing.T) {
	card := bot.Card{Title: "orders of shop/prod", Image: bottest.Picture()}
	m := render(card, inPrivate)
	if s := asSent(t, m); s.Embeds[0].Image.URL != "attachment://shop-prod.png" || m.image == nil {
		t.Errorf("%+v", s)
	}
	m = m.unpictured()
	if s := asSent(t, m); m.image != nil || s.Embeds[0].Image != nil || !strings.Contains(s.Embeds[0].Description, "12 to 15, then none") {
		t.Errorf("%+v", s)
	}
	card.Image.PNG = []byte("GIF")
	if m := render(card, inChannel); m.image != nil || m.embeds != nil {
		t.Errorf("what is no image is attached: %+v", m)
	}
	if len(spill(bot.Card{Title: "x", Image: bottest.Picture()})) != 0 {
		t.Error("the image is posted twice")
	}
}
