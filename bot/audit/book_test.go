package audit

import (
	"bytes"
	"encoding/csv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
)

// compiled makes a Book of all of a rig's log.
func (r *rig) compiled(target string) *Book {
	r.Helper()
	b, err := Compile(r.Context(), r.store, CompileOptions{Scope: Scope{From: time.Unix(0, 0), To: r.clock.Now().Add(time.Hour), Target: target},
		Verify: VerifyOptions{PublicKey: r.key.Public()}, Made: r.clock.Now()})
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(b.Close)
	return b
}

// rows gives the cells of a section that matter to a test, by name.
func rows(t *testing.T, b *Book, s Section) []Row {
	t.Helper()
	var list []Row
	if err := b.Each(s, func(r Row) error { list = append(list, r); return nil }); err != nil {
		t.Fatal(err)
	}
	return list
}

// TestBookReviews: what was done first stands as open until another person has
// looked; an observed change stands by itself.
func TestBookReviews(t *testing.T) {
	r := newRig(t)
	run := func(kind bot.RecordKind, n int64, person string, detail, text map[string]string) bot.Record {
		return bot.Record{Kind: kind, Run: n, Person: person, Account: bot.AccountID("x:" + person), Standing: bot.Member, Target: "shop/prod", Verb: "deploy",
			Detail: detail, Text: text, At: r.clock.Now()}
	}
	for n := int64(1); n <= 2; n++ {
		r.append(run(bot.Requested, n, "oncall", map[string]string{"summary": "deploy shop v2 to prod"}, nil),
			run(bot.OverriddenKind, n, "oncall", map[string]string{"passed": "an approval", "break_glass": "true"}, map[string]string{"override": "the site is down"}),
			run(bot.Started, n, "oncall", nil, nil))
		if n == 1 {
			r.append(run(bot.SucceededKind, n, "oncall", map[string]string{"state": "succeeded"}, map[string]string{"result": "v2 is live"}),
				run(bot.ReviewedKind, n, "sre", nil, map[string]string{"reason": "it was right"}))
		}
	}
	r.append(bot.Record{Kind: bot.ObservedKind, Target: "shop/prod", Detail: map[string]string{"from": "v2", "to": "v3"}, Text: map[string]string{"result": "v3 is live, and nobody asked for it"}},
		bot.Record{Kind: bot.ObservedKind, Target: "pay/prod", Detail: map[string]string{"from": "v8", "to": "v9"}})
	b := r.compiled("shop/*")
	changes, reviews, observed := rows(t, b, SectionChange), rows(t, b, SectionReview), rows(t, b, SectionObserved)
	if len(changes) != 2 || changes[0].BreakGlass != "the site is down (without an approval)" || changes[0].Override != "" || changes[0].State != "succeeded" || changes[1].State != "running" || !changes[1].Ended.IsZero() {
		t.Errorf("changes: %+v", changes)
	}
	if len(reviews) != 2 || reviews[0].State != "done" || !strings.HasPrefix(reviews[0].Approved, "sre (x:sre) ") || reviews[0].Records != "2, 5" ||
		reviews[0].Result != "it was right" || reviews[1].State != "open" || reviews[1].Run != 2 {
		t.Errorf("reviews: %+v", reviews)
	}
	if len(observed) != 1 || observed[0].From != "v2" || observed[0].To != "v3" {
		t.Errorf("observed: %+v", observed)
	}
	var page bytes.Buffer
	if err := b.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"break-glass: the site is down", ">open<", ">done<", "v2 → v3"} {
		has(t, page.String(), want)
	}
}

// TestBookTampered: a log that was changed is reported all the same, and the
// report says so on its first page.
func TestBookTampered(t *testing.T) {
	r := newRig(t)
	r.story()
	r.store.rows[4].Body = bytes.Replace(r.store.rows[4].Body, []byte("sre-one"), []byte("sre-two"), 1)
	b := r.compiled("")
	var table, page bytes.Buffer
	if err := b.WriteCSV(&table); err != nil {
		t.Fatal(err)
	}
	if err := b.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{table.String(), page.String()} {
		has(t, text, "the audit log is not intact")
		has(t, text, "record 5 was edited")
	}
}

// TestHarmless: no cell that people filled can become a formula, and every
// table reads back as RFC 4180 with as many cells in each row.
func TestHarmless(t *testing.T) {
	r := newRig(t)
	random := rand.New(rand.NewPCG(1, 2))
	const letters = "=+-@\t\r\n\",';|%aé\u202e <>&"
	word := func() string {
		var s strings.Builder
		for range random.IntN(12) {
			s.WriteRune([]rune(letters)[random.IntN(len([]rune(letters)))])
		}
		return s.String()
	}
	for range 200 {
		r.append(bot.Record{Kind: bot.DeniedRecord, Error: bot.Denied, Account: bot.AccountID(word()), Person: word(), Target: word(), Verb: word(), Rule: word(),
			Text: map[string]string{"line": word(), "result": word(), "reason": word()}})
	}
	b := r.compiled("")
	if n := len(rows(t, b, SectionDenial)); n != 200 {
		t.Fatalf("%d rows", n)
	}
	var table, page bytes.Buffer
	if err := b.WriteCSV(&table); err != nil {
		t.Fatal(err)
	}
	all, err := csv.NewReader(&table).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	quoted := 0
	for _, row := range all {
		if len(row) != len(columns()) {
			t.Errorf("a row has %d cells", len(row))
		}
		for _, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
				t.Errorf("the cell %q is a formula", cell)
			}
			if strings.HasPrefix(cell, "'") {
				quoted++
			}
		}
	}
	if quoted < 50 {
		t.Errorf("only %d cells needed a mark: the test shows little", quoted)
	}
	for _, first := range []string{"=1", "+1", "-1", "@x", "\tx", "\rx", "\nx", "\r\n=1", "＝1", "＋1", "－1", "＠x", "−1", " =1", "\u00a0=1", "\ufeff=1", "\u200b＝1"} {
		if got := harmless(first); got[0] != '\'' {
			t.Errorf("%q stays %q", first, got)
		}
	}
	if err := b.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	if strings.Count(page.String(), "<tr>") != strings.Count(page.String(), "</tr>") || strings.Contains(page.String(), "\u202e") {
		t.Error("what people typed changed the page's form")
	}
}

// TestScope: patterns compare whole segments.
func TestScope(t *testing.T) {
	for _, c := range []struct {
		pattern, target string
		want            bool
	}{{"", "", true}, {"shop/prod", "shop/prod", true}, {"*/prod", "shop/prod", true}, {"shop/*", "shop/prod", true}, {"*/*", "shop/prod", true},
		{"shop/prod", "shop/prod2", false}, {"sh*/prod", "shop/prod", false}, {"*", "shop/prod", false}, {"*/prod", "", false}} {
		if got := (Scope{Target: c.pattern}).about(c.target); got != c.want {
			t.Errorf("%q about %q: %v", c.pattern, c.target, got)
		}
	}
}

// TestBookIsBounded: a long log costs a few bytes of memory a run, the rest
// waits in a file that is gone afterwards.
func TestBookIsBounded(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	r := newRig(t)
	r.story()
	b := r.compiled("")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const many = 100_000
	wide := strings.Repeat("x", 500)
	for i := range int64(many) {
		if err := b.add(Row{Section: SectionChange, Run: many - i, What: wide}); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 40*many {
		t.Errorf("%d rows of %d bytes keep %d bytes in memory", many, len(wide), grown)
	}
	if list, _ := filepath.Glob(filepath.Join(folder, "*")); len(list) != 1 {
		t.Errorf("temporary files: %v", list)
	}
	b.Close()
	if list, _ := filepath.Glob(filepath.Join(folder, "*")); len(list) != 0 {
		t.Errorf("left behind: %v", list)
	}
	if _, err := os.Stat(b.file.Name()); err == nil {
		t.Error("the temporary file is still there")
	}
}
