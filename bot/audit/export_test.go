package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"quarterdeck/bot"
)

func exported(t *testing.T, r *rig) string {
	t.Helper()
	var b bytes.Buffer
	if err := Export(t.Context(), r.store, &b, JSONL); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestExport(t *testing.T) {
	r := newRig(t)
	r.story()
	text := exported(t, r)
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) != 10 {
		t.Fatalf("%d lines", len(lines))
	}
	for _, l := range lines {
		if !json.Valid([]byte(l)) {
			t.Errorf("not JSON: %s", l)
		}
	}
	has(t, lines[2], "fixes <the> cart & more")
	verify := func(text string, o VerifyOptions) (Report, error) {
		o.PublicKey = r.key.Public()
		return VerifyExport(t.Context(), strings.NewReader(text), o)
	}
	if report, err := verify(text, VerifyOptions{Against: []Checkpoint{r.sign()}}); err != nil || !report.OK || report.Records != 8 || report.Log != r.id {
		t.Fatalf("%+v, %v", report, err)
	}
	join := func(l ...string) string { return strings.Join(l, "\n") + "\n" }
	without := func(i int) string { return join(append(append([]string{}, lines[:i]...), lines[i+1:]...)...) }
	for _, c := range []struct {
		name, text string
		kind       ProblemKind
		say        string
	}{
		{"end missing", without(9), CutOff, "the export is cut off after record 8: its last line is missing"},
		{"cut within a line", text[:len(text)-len(lines[9])-30], Edited, "line 9, where record 8 should be, is no record"},
		{"tail missing", join(append(append([]string{}, lines[:7]...), lines[9])...), Removed, "the export holds 6 records, and its last line says 8"},
		{"middle missing", without(4), Removed, "record 4 was removed"},
		{"edited", strings.Replace(text, "2 of 4 replicas", "4 of 4 replicas", 1), Edited, "record 6 was edited: its progress is not what was written"},
		{"added", text + lines[3] + "\n", Edited, "line 11 stands after the end of the export"},
		{"swapped", join(lines[0], lines[2], lines[1], lines[3], lines[4], lines[5], lines[6], lines[7], lines[8], lines[9]), Removed, "record 1 was removed"},
		{"too long", join(lines[0], lines[1], strings.Repeat(" ", maxExportLine)+lines[2]), Edited, "a line after record 1 is longer than any record"},
	} {
		report, err := verify(c.text, VerifyOptions{})
		if err != nil || report.OK || report.Problems[0].Kind != c.kind || !strings.Contains(report.Problems[0].Say, c.say) {
			t.Errorf("%s: %+v, %v", c.name, report.Problems, err)
		}
	}
	edited := strings.Replace(text, `"approved_by":"sre-one"`, `"approved_by":"dev-one"`, 1)
	if report, err := verify(edited, VerifyOptions{}); err != nil || edited == text || report.OK || report.Problems[0].Seq != 5 {
		t.Errorf("edited body: %+v, %v", report, err)
	}
	for _, bad := range []string{"", "hello\n", "{}\n", `{"quarterdeck_audit":2}` + "\n"} {
		if _, err := verify(bad, VerifyOptions{}); bot.KindOf(err) != bot.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := VerifyExport(t.Context(), iotest.ErrReader(errors.New("disk")), VerifyOptions{}); err == nil || bot.KindOf(err) == bot.Invalid {
		t.Errorf("unreadable: %v", err)
	}
	err := Export(t.Context(), r.store, &bytes.Buffer{}, "xml")
	if bot.KindOf(err) != bot.Invalid || bot.Sentence(err, "") != `there is no export format "xml"; use jsonl, ocsf or cloudevents` {
		t.Errorf("format: %v", err)
	}
}

// Tampering shows in the export as it does in the database.
func TestExportOfTamperedLog(t *testing.T) {
	for name, do := range map[string]func(m *memory){
		"body no JSON": func(m *memory) { m.rows[4].Body = []byte("{\nrubbish") },
		"text no JSON": func(m *memory) { m.rows[4].Text = []byte("{rubbish") },
		"body edited":  func(m *memory) { m.rows[4].Body = swap(m.rows[4].Body, "sre-one", "dev-one") },
		"line break":   func(m *memory) { m.rows[4].Body = append([]byte("\n"), m.rows[4].Body...) },
	} {
		r := newRig(t)
		r.story()
		do(r.store)
		report, err := VerifyExport(t.Context(), strings.NewReader(exported(t, r)), VerifyOptions{})
		if err != nil || report.OK || report.Problems[0].Seq != 5 || report.Problems[0].Kind != Edited {
			t.Errorf("%s: %+v, %v", name, report, err)
		}
	}
}

func TestTail(t *testing.T) {
	r := newRig(t)
	r.story()
	r.store.rows[6].Body = []byte("rubbish")
	ctx, cancel := context.WithCancel(t.Context())
	wake := make(chan struct{})
	type got struct {
		seq int64
		bad bool
	}
	seen := make(chan got)
	done := make(chan error)
	go func() {
		done <- Tail(ctx, r.store, TailOptions{Last: 2, Every: time.Hour, Wake: wake}, func(rec bot.Record, err error) error {
			seen <- got{rec.Seq, err != nil}
			return nil
		})
	}()
	if a, b := <-seen, <-seen; a != (got{7, true}) || b != (got{8, false}) {
		t.Errorf("first %v, %v", a, b)
	}
	r.append(bot.Record{Kind: bot.ObservedKind}, bot.Record{Kind: bot.ObservedKind})
	wake <- struct{}{}
	if a, b := <-seen, <-seen; a.seq != 9 || b.seq != 10 {
		t.Errorf("then %v, %v", a, b)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	stop := errors.New("stop")
	if err := Tail(t.Context(), r.store, TailOptions{Last: 100}, func(bot.Record, error) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}
