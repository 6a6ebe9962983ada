package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAppendStampsAndChains(t *testing.T) {
	r := newRig(t)
	given := bot.Record{Kind: bot.Requested, V: 9, Seq: 77, Prev: "zz", Text: map[string]string{"line": "deploy\x1b[31m shop", "empty": ""},
		Detail: map[string]string{"to": "a\u202Eb", "none": ""}}
	first := r.append(given)
	second := r.append(bot.Record{Kind: bot.Started, At: time.Date(2026, 1, 2, 3, 4, 5, 678_901_234, time.FixedZone("", 3600))})
	if first.Seq != 1 || second.Seq != 2 || given.Seq != 77 || given.Text["line"] != "deploy\x1b[31m shop" {
		t.Fatalf("heads %+v %+v, given %+v", first, second, given)
	}
	list, err := r.log.Records(t.Context(), bot.RecordFilter{})
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	a, b := list[1], list[0]
	if a.V != bot.RecordVersion || a.Seq != 1 || a.Prev != "" || !a.At.Equal(r.clock.at) || b.Prev != first.Hash {
		t.Errorf("stamped %+v then %+v", a, b)
	}
	if b.At.Format(time.RFC3339Nano) != "2026-01-02T02:04:05.678901Z" {
		t.Errorf("time %s", b.At.Format(time.RFC3339Nano))
	}
	if a.Text["line"] != "deploy[31m shop" || a.Detail["to"] != "ab" || len(a.Text) != 1 || len(a.Detail) != 1 || len(a.Commit) != 1 {
		t.Errorf("cleaned to %q %q", a.Text, a.Detail)
	}
}

func TestAppendBoundsAndRedacts(t *testing.T) {
	r := newRig(t)
	r.log = New(Config{Store: r.store, Clock: r.clock, Redact: []*regexp.Regexp{regexp.MustCompile(`(?i)customer-\d+`)}})
	long := strings.Repeat("é", maxText)
	r.append(bot.Record{Kind: bot.Step, Verb: strings.Repeat("v", 2000), Text: map[string]string{"long": long, "secret": "password=hunter2 for Customer-17"},
		Detail: map[string]string{"long": long, "secret": "xoxb-1234567890-abcdefghij"}})
	list, err := r.log.Records(t.Context(), bot.RecordFilter{})
	if err != nil {
		t.Fatal(err)
	}
	got := list[0]
	for value, limit := range map[string]int{got.Text["long"]: maxText, got.Detail["long"]: maxDetail, got.Verb: maxField} {
		if len(value) > limit || len(value) < limit-4 || !strings.HasSuffix(value, cutMark) {
			t.Errorf("%d bytes of at most %d, ending in %q", len(value), limit, value[len(value)-20:])
		}
	}
	if got.Text["secret"] != "password=[redacted] for [redacted]" || got.Detail["secret"] != "[redacted]" {
		t.Errorf("got %q and %q", got.Text["secret"], got.Detail["secret"])
	}
	if s := string(r.store.rows[0].Body) + string(r.store.rows[0].Text); strings.Contains(s, "hunter2") || strings.Contains(s, "xoxb") {
		t.Errorf("a secret is stored: %s", s)
	}
	if report := r.verify(VerifyOptions{}); !report.OK {
		t.Errorf("%+v", report)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

func TestAppendFailsWithoutSalts(t *testing.T) {
	r := newRig(t)
	log := New(Config{Store: r.store, Clock: r.clock, Salts: broken{}})
	err := r.store.Update(t.Context(), func(tx store.Tx) error {
		_, err := log.Append(tx, bot.Record{Kind: bot.Requested, Text: map[string]string{"line": "x"}})
		return err
	})
	if err == nil || len(r.store.rows) != 0 {
		t.Errorf("appended without salts: %v, %d records", err, len(r.store.rows))
	}
}

// The same value never gives the same commitment, so that a commitment of an
// erased value cannot be searched for.
func TestSaltsDiffer(t *testing.T) {
	r := newRig(t)
	r.log = New(Config{Store: r.store, Clock: r.clock})
	seen := map[string]bool{}
	for range 50 {
		r.append(bot.Record{Kind: bot.Step, Text: map[string]string{"a": "same", "b": "same"}})
	}
	for _, s := range r.store.rows {
		rec, err := Decode(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range rec.Commit {
			if seen[c] {
				t.Fatal("a commitment occurs twice")
			}
			seen[c] = true
		}
	}
}

func word(t *rapid.T, label string) string {
	return rapid.OneOf(rapid.StringN(0, 20, -1), rapid.SampledFrom([]string{"shop/prod", "<&>", "\u2028", "\xff", "a\nb", "=", "\\u003c", `"`})).Draw(t, label)
}

func anyRecord(t *rapid.T) bot.Record {
	values := rapid.MapOfN(rapid.SampledFrom([]string{"line", "reason", "result", "progress"}), rapid.StringN(0, 40, -1), 0, 4)
	return bot.Record{
		At:   time.Unix(rapid.Int64Range(0, 4_000_000_000).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")),
		Kind: rapid.SampledFrom([]bot.RecordKind{bot.Requested, bot.Step, bot.FailedKind}).Draw(t, "kind"),
		Run:  rapid.Int64Range(0, 5).Draw(t, "run"), Account: bot.AccountID(word(t, "account")), Person: word(t, "person"), Verb: word(t, "verb"),
		Target: word(t, "target"), Rule: word(t, "rule"), Read: rapid.Bool().Draw(t, "read"),
		Resources: []bot.Resource{bot.Resource(rapid.StringMatching(`[a-z:/]{0,9}`).Draw(t, "resource"))},
		Text:      values.Draw(t, "text"), Detail: values.Draw(t, "detail"),
	}
}

// Whatever is appended verifies, survives its export, and reads back as what
// was committed to.
func TestAnyRecordVerifies(t *testing.T) {
	rapid.Check(t, func(q *rapid.T) {
		r := newRig(t)
		n := rapid.IntRange(1, 6).Draw(q, "n")
		for range n {
			r.append(anyRecord(q))
		}
		report := r.verify(VerifyOptions{Against: []Checkpoint{r.sign()}, Chunk: rapid.IntRange(1, 4).Draw(q, "chunk")})
		if !report.OK || report.Records != int64(n) {
			q.Fatalf("%+v", report)
		}
		var out bytes.Buffer
		if err := Export(t.Context(), r.store, &out, JSONL); err != nil {
			q.Fatal(err)
		}
		report, err := VerifyExport(t.Context(), &out, VerifyOptions{Against: []Checkpoint{r.sign()}, PublicKey: r.key.Public()})
		if err != nil || !report.OK || report.Records != int64(n) {
			q.Fatalf("export: %+v, %v", report, err)
		}
		for _, s := range r.store.rows {
			var rec bot.Record
			if err := json.Unmarshal(s.Body, &rec); err != nil {
				q.Fatal(err)
			}
			again, err := encode(rec)
			if err != nil || !bytes.Equal(again, s.Body) {
				q.Fatalf("not canonical: %s then %s", s.Body, again)
			}
		}
	})
}

// Any byte of any stored field, changed to any other, is found.
func TestAnyChangedByteIsFound(t *testing.T) {
	rapid.Check(t, func(q *rapid.T) {
		r := newRig(t)
		if rapid.Bool().Draw(q, "story") {
			r.story()
		}
		for range rapid.IntRange(1, 3).Draw(q, "n") {
			r.append(anyRecord(q))
		}
		row := &r.store.rows[rapid.IntRange(0, len(r.store.rows)-1).Draw(q, "row")]
		change := func(b []byte) []byte {
			if len(b) == 0 {
				return []byte{'x'}
			}
			b = bytes.Clone(b)
			b[rapid.IntRange(0, len(b)-1).Draw(q, "at")] ^= byte(rapid.IntRange(1, 255).Draw(q, "xor"))
			return b
		}
		field := rapid.SampledFrom([]string{"seq", "at", "kind", "run", "target", "person", "body", "hash", "text"}).Draw(q, "field")
		head := store.Head{Seq: int64(len(r.store.rows)), Hash: r.store.rows[len(r.store.rows)-1].Hash}
		switch field {
		case "seq":
			row.Seq ^= 1 << rapid.IntRange(0, 62).Draw(q, "bit")
		case "at":
			row.At = row.At.Add(time.Microsecond << rapid.IntRange(0, 40).Draw(q, "bit"))
		case "kind":
			row.Kind = bot.RecordKind(change([]byte(row.Kind)))
		case "run":
			row.Run ^= 1 << rapid.IntRange(0, 62).Draw(q, "bit")
		case "target":
			row.Target = string(change([]byte(row.Target)))
		case "person":
			row.Person = string(change([]byte(row.Person)))
		case "body":
			row.Body = change(row.Body)
		case "hash":
			row.Hash = string(change([]byte(row.Hash)))
		case "text":
			row.Text = change(row.Text)
		}
		if rapid.Bool().Draw(q, "stored head") {
			r.store.head = &head
		}
		if report := r.verify(VerifyOptions{}); report.OK {
			q.Fatalf("a changed %s was not found", field)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	log := New(Config{Clock: bot.SystemClock{}})
	tx := &session{state: &state{}}
	rec := bot.Record{Kind: bot.Requested, Request: "abcdefghijklmnop", Run: 12, Account: "slack:T1/U1", Standing: bot.Member, Person: "dev-one",
		Channel: "slack:C1", Message: "slack:1700000000.000100", Verb: "deploy", Permission: bot.MayDeploy, Target: "shop/prod",
		Resources: []bot.Resource{"target:shop/prod"}, Rule: "grant 3 (config.toml:41)", Spec: "sha256:" + strings.Repeat("ab", 32),
		Text:   map[string]string{"line": "deploy shop v2 prod --reason \"fixes the cart\"", "reason": "fixes the cart"},
		Detail: map[string]string{"summary": "deploy shop v2 to prod", "state": "waiting", "message": "slack:1700000000.000100"}}
	b.ReportAllocs()
	for b.Loop() {
		tx.rows = tx.rows[:0]
		if _, err := log.Append(tx, rec); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRedact(b *testing.B) {
	log := New(Config{})
	b.ReportAllocs()
	for b.Loop() {
		log.Redact("deploy shop v2 prod --reason \"fixes the cart\"")
	}
}
