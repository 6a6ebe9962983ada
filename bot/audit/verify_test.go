package audit

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// rechain makes the chain whole again from row i on, as somebody would who can
// write to the database.
func rechain(t *testing.T, rows []store.Sealed, i int) {
	t.Helper()
	for ; i < len(rows); i++ {
		var r bot.Record
		if err := json.Unmarshal(rows[i].Body, &r); err != nil {
			t.Fatal(err)
		}
		r.Seq, r.Prev = int64(i+1), ""
		if i > 0 {
			r.Prev = rows[i-1].Hash
		}
		body, err := encode(r)
		if err != nil {
			t.Fatal(err)
		}
		rows[i].Seq, rows[i].Body, rows[i].Hash = r.Seq, body, hashOf(body)
	}
}

func swap(b []byte, from, to string) []byte { return bytes.Replace(b, []byte(from), []byte(to), 1) }

func TestIntactLog(t *testing.T) {
	r := newRig(t)
	r.story()
	for _, chunk := range []int{1, 3, 8, 1000} {
		report := r.verify(VerifyOptions{Against: []Checkpoint{r.sign()}, Chunk: chunk})
		if !report.OK || report.Records != 8 || report.From != 1 || report.To != 8 || !report.Checkpoints[0].OK {
			t.Errorf("chunk %d: %+v", chunk, report)
		}
		has(t, report.Summary(), "the audit log is intact: 8 records (1 to 8)")
	}
	if empty := newRig(t).verify(VerifyOptions{}); !empty.OK || empty.Records != 0 {
		t.Errorf("empty log: %+v", empty)
	}
}

func TestTampering(t *testing.T) {
	cases := []struct {
		name string
		do   func(t *testing.T, m *memory)
		kind ProblemKind
		seq  int64
		say  string
	}{
		{"body", func(t *testing.T, m *memory) { m.rows[1].Body = swap(m.rows[1].Body, "dev-one", "dev-two") },
			Edited, 2, "record 2 was edited: its text no longer matches its hash"},
		{"body and its hash", func(t *testing.T, m *memory) {
			m.rows[1].Body = swap(m.rows[1].Body, "deploy shop v2", "deploy shop v9")
			m.rows[1].Hash = hashOf(m.rows[1].Body)
		}, Edited, 2, "record 2 was edited: record 3 was chained to another text of it"},
		{"last body and its hash", func(t *testing.T, m *memory) {
			m.head = &store.Head{Seq: 8, Hash: m.rows[7].Hash}
			m.rows[7].Body = swap(m.rows[7].Body, "status", "statue")
			m.rows[7].Hash = hashOf(m.rows[7].Body)
		}, Edited, 8, "the log's head was edited: it no longer holds the hash of record 8"},
		{"first record replaced by a later log", func(t *testing.T, m *memory) {
			m.rows[0].Body = swap(m.rows[0].Body, `"prev":""`, `"prev":"00"`)
			rehash := m.rows[0].Body
			m.rows[0].Hash = hashOf(rehash)
			rechain(t, m.rows, 1)
		}, Edited, 1, "record 1 is not the first"},
		{"text value", func(t *testing.T, m *memory) {
			m.rows[1].Text = swap(m.rows[1].Text, "deploy shop v2", "deploy shop v1")
		},
			Edited, 2, "record 2 was edited: its line is not what was written"},
		{"text value taken away", func(t *testing.T, m *memory) { m.rows[1].Text = json.RawMessage("{}") },
			Edited, 2, "record 2 was edited: its line was taken away"},
		{"text value added", func(t *testing.T, m *memory) {
			m.rows[2].Text = json.RawMessage(`{"line":{"salt":"AAAA","value":"x"}}`)
		},
			Edited, 3, `record 3 was edited: a value "line" was added to it`},
		{"text erased in silence", func(t *testing.T, m *memory) {
			m.rows[3].Text = json.RawMessage(`{"line":{"salt":"","erased":true},` + string(m.rows[3].Text[strings.Index(string(m.rows[3].Text), `"result"`):]))
		}, Edited, 4, "record 4 was edited: its line was erased, and no record says by whom"},
		{"search column person", func(t *testing.T, m *memory) { m.rows[2].Person = "nobody" },
			Edited, 3, `record 3 was edited: it is searched by person "nobody", and its text says "sre-one"`},
		{"search column time", func(t *testing.T, m *memory) { m.rows[2].At = m.rows[2].At.AddDate(0, 0, -1) },
			Edited, 3, "record 3 was edited: it is searched by time 2026-11-20 03:00:00 UTC"},
		{"removed", func(t *testing.T, m *memory) { m.rows = append(m.rows[:3:3], m.rows[4:]...) },
			Removed, 4, "record 4 was removed: record 5 stands where record 4 should"},
		{"several removed", func(t *testing.T, m *memory) { m.rows = append(m.rows[:2:2], m.rows[5:]...) },
			Removed, 3, "records 3 to 5 were removed"},
		{"first removed", func(t *testing.T, m *memory) { m.rows = m.rows[1:] },
			Removed, 1, "record 1 was removed: record 2 stands where record 1 should"},
		{"removed and closed up", func(t *testing.T, m *memory) {
			m.rows = append(m.rows[:3:3], m.rows[4:]...)
			for i := range m.rows[3:] {
				m.rows[3+i].Seq--
			}
		}, Reordered, 4, "record 4 was moved: what stands in its place was written as record 5"},
		{"swapped", func(t *testing.T, m *memory) {
			m.rows[2], m.rows[3] = m.rows[3], m.rows[2]
			m.rows[2].Seq, m.rows[3].Seq = 3, 4
		}, Reordered, 3, "record 3 was moved: what stands in its place was written as record 4"},
		{"tail", func(t *testing.T, m *memory) {
			m.head = &store.Head{Seq: 8, Hash: m.rows[7].Hash}
			m.rows = m.rows[:6]
		}, CutOff, 7, "records 7 to 8 were cut off: the log's head is record 8"},
		{"everything", func(t *testing.T, m *memory) {
			m.head = &store.Head{Seq: 8, Hash: m.rows[7].Hash}
			m.rows = nil
		}, CutOff, 1, "records 1 to 8 were cut off"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.story()
			c.do(t, r.store)
			report := r.verify(VerifyOptions{})
			if report.OK || len(report.Problems) == 0 {
				t.Fatalf("not found: %+v", report)
			}
			p := report.Problems[0]
			if p.Kind != c.kind || p.Seq != c.seq || !strings.HasPrefix(p.Say, c.say) {
				t.Errorf("got  %s %d %q\nwant %s %d %q", p.Kind, p.Seq, p.Say, c.kind, c.seq, c.say)
			}
			has(t, report.Summary(), "the audit log is not intact")
		})
	}
}

// A thorough attacker leaves a chain that is whole in itself. Only what left
// the database finds it.
func TestCheckpointsFindARewrittenLog(t *testing.T) {
	early := func(r *rig) []Checkpoint {
		head := r.store.rows[2]
		return []Checkpoint{r.key.Sign(r.id, head.Seq, head.Hash, r.clock.Now()), r.sign()}
	}
	t.Run("recomputed", func(t *testing.T) {
		r := newRig(t)
		r.story()
		against := early(r)
		r.store.rows[4].Body = swap(r.store.rows[4].Body, "sre-one", "nobody!")
		rechain(t, r.store.rows, 4)
		if report := r.verify(VerifyOptions{}); !report.OK {
			t.Fatalf("the chain was meant to be whole: %+v", report.Problems)
		}
		report := r.verify(VerifyOptions{Against: against})
		if report.OK || len(report.Problems) != 1 || report.Problems[0].Kind != Rewritten || report.Problems[0].Seq != 8 {
			t.Fatalf("got %+v", report.Problems)
		}
		has(t, report.Problems[0].Say, "the log was rewritten at record 8 or earlier, after record 3, which an earlier checkpoint still holds")
		if !report.Checkpoints[0].OK || report.Checkpoints[1].OK {
			t.Errorf("checkpoints %+v", report.Checkpoints)
		}
	})
	t.Run("end cut off", func(t *testing.T) {
		r := newRig(t)
		r.story()
		against := early(r)
		r.store.rows = r.store.rows[:5]
		if report := r.verify(VerifyOptions{}); !report.OK {
			t.Fatalf("nothing shows that anything is missing: %+v", report.Problems)
		}
		report := r.verify(VerifyOptions{Against: against})
		if report.OK || report.Problems[0].Kind != CutOff || report.Problems[0].Seq != 6 {
			t.Fatalf("got %+v", report.Problems)
		}
		has(t, report.Problems[0].Say, "records 6 to 8 were cut off: record 8 was signed at 2026-11-21 03:00:00 UTC")
	})
	t.Run("forged", func(t *testing.T) {
		r := newRig(t)
		r.story()
		other, err := OpenKey(t.TempDir() + "/other.key")
		if err != nil {
			t.Fatal(err)
		}
		head := r.sign()
		head.Hash = strings.Repeat("0", 64)
		foreign := r.key.Sign("elsewhere", 8, head.Hash, r.clock.Now())
		report := r.verify(VerifyOptions{Against: []Checkpoint{head, other.Sign(r.id, 8, r.store.rows[7].Hash, r.clock.Now()), foreign}})
		if report.OK || len(report.Problems) != 3 {
			t.Fatalf("got %+v", report.Problems)
		}
		for i, want := range []struct {
			kind ProblemKind
			say  string
		}{{Forged, "is forged: its signature is not that of the audit key"}, {Forged, "was signed with key " + KeyID(other.Public())}, {Foreign, "is of another log: it names log elsewhere"}} {
			if p := report.Problems[i]; p.Kind != want.kind || !strings.Contains(p.Say, want.say) {
				t.Errorf("got %+v, want %+v", p, want)
			}
		}
	})
	t.Run("no key", func(t *testing.T) {
		r := newRig(t)
		r.story()
		report, err := Verify(t.Context(), r.store, VerifyOptions{Against: []Checkpoint{r.sign()}})
		if err != nil || report.OK || report.Problems[0].Kind != Unread {
			t.Fatalf("got %+v, %v", report, err)
		}
	})
	t.Run("identity taken away", func(t *testing.T) {
		r := newRig(t)
		r.story()
		against := early(r)
		clear(r.store.docs)
		if report := r.verify(VerifyOptions{Against: against}); report.OK || report.Problems[0].Kind != Foreign {
			t.Fatalf("got %+v", report)
		}
	})
	t.Run("covered record edited", func(t *testing.T) {
		r := newRig(t)
		r.story()
		against := []Checkpoint{r.sign()}
		r.store.rows[7].Body = swap(r.store.rows[7].Body, "status", "statue")
		report := r.verify(VerifyOptions{Against: against})
		if report.OK || len(report.Problems) != 1 || report.Checkpoints[0].OK {
			t.Fatalf("got %+v", report)
		}
		has(t, report.Checkpoints[0].Say, "record 8 is no longer the one that was signed")
	})
	t.Run("covered record removed", func(t *testing.T) {
		r := newRig(t)
		r.story()
		against := early(r)
		r.store.rows = append(r.store.rows[:2:2], r.store.rows[3:]...)
		report := r.verify(VerifyOptions{Against: against})
		has(t, report.Checkpoints[0].Say, "record 3, which was signed at 2026-11-21 03:00:00 UTC, is missing")
	})
}

func TestErase(t *testing.T) {
	r := newRig(t)
	r.story()
	against := []Checkpoint{r.sign()}
	erase := func(seq int64, name string) error {
		return r.store.Update(t.Context(), func(tx store.Tx) error {
			_, err := r.log.Erase(tx, seq, name, bot.Identity{Person: "admin", Account: "os:1000", Standing: bot.Member})
			return err
		})
	}
	for _, c := range []struct {
		seq  int64
		name string
		kind bot.Kind
		say  string
	}{{99, "line", bot.NotFound, "the log has no record 99"}, {2, "lien", bot.NotFound, `record 2 has no value "lien"; did you mean "line"?`},
		{3, "zzz", bot.NotFound, `record 3 has no value "zzz"; it has none`}} {
		if err := erase(c.seq, c.name); bot.KindOf(err) != c.kind || bot.Sentence(err, "") != c.say {
			t.Errorf("got %v, want %s", err, c.say)
		}
	}
	if err := erase(2, "line"); err != nil {
		t.Fatal(err)
	}
	if err := erase(2, "line"); bot.KindOf(err) != bot.Conflict {
		t.Errorf("erased twice: %v", err)
	}
	report := r.verify(VerifyOptions{Against: append(against, r.sign())})
	if !report.OK || report.Erased != 1 || report.Records != 9 {
		t.Fatalf("got %+v", report)
	}
	has(t, report.Summary(), "1 value erased on purpose, 2 checkpoints hold")
	list, err := r.log.Records(t.Context(), bot.RecordFilter{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	if got := list[7]; got.Seq != 2 || len(got.Erased) != 1 || got.Erased[0] != "line" || got.Text["reason"] != "fixes <the> cart & more" {
		t.Errorf("got %+v", got)
	}
	if strings.Contains(string(r.store.rows[1].Body)+string(r.store.rows[1].Text), "deploy shop v2 prod") {
		t.Error("the erased line is still stored")
	}
	has(t, Say(list[0]), "admin erased line of record 2")
}

// A log that was cut off is noticed without a checkpoint too, when an audit
// channel was told more than there is.
func TestVerifyAsksTheMirror(t *testing.T) {
	r := newRig(t)
	r.story()
	r.mirror(newMirror(r))
	if report := r.verify(VerifyOptions{}); !report.OK {
		t.Fatalf("%+v", report)
	}
	against := []Checkpoint{r.sign()}
	r.store.rows = r.store.rows[:6]
	for _, o := range []VerifyOptions{{}, {Against: against}} {
		report := r.verify(o)
		if report.OK || len(report.Problems) != 1 || report.Problems[0].Kind != CutOff {
			t.Fatalf("%+v", report)
		}
		has(t, report.Problems[0].Say, "records 7 to 8 were cut off: slack:C0AUDIT was told up to record 8")
	}
}

func TestProblemsAreBounded(t *testing.T) {
	r := newRig(t)
	for range maxProblems + 20 {
		r.append(bot.Record{Kind: bot.ObservedKind, Verb: "x"})
	}
	for i := range r.store.rows {
		r.store.rows[i].Target = "y"
	}
	report := r.verify(VerifyOptions{})
	if len(report.Problems) != maxProblems || report.More != 20 {
		t.Errorf("got %d and %d more", len(report.Problems), report.More)
	}
}

// A sequence changed to the largest there is must not make the verification go
// round in circles.
func TestVerifyEnds(t *testing.T) {
	r := newRig(t)
	r.story()
	r.store.rows[7].Seq = 1<<63 - 1
	report := r.verify(VerifyOptions{Chunk: 1})
	if report.OK || report.Problems[0].Kind != Removed {
		t.Errorf("got %+v", report)
	}
}
