package audit

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// year appends n records, a day after the other, from a configured one on.
func (r *rig) year(n int) {
	r.Helper()
	for i := range n {
		r.clock.move(24 * time.Hour)
		switch {
		case i == 0:
			rec, err := Rules{Lines: []string{"+ grant: everything"}}.Describe(bot.Record{Kind: bot.ConfiguredKind, Text: map[string]string{"difference": "+ grant: everything"}})
			if err != nil {
				r.Fatal(err)
			}
			r.append(rec)
		default:
			r.append(bot.Record{Kind: bot.SucceededKind, Read: true, Account: "x:dev", Person: "dev", Verb: "status", Channel: "x:main",
				Text: map[string]string{"line": fmt.Sprintf("status number %d of the year", i)}})
		}
	}
}

func (r *rig) archiver(dir string) *Archiver {
	return &Archiver{Store: r.store, Key: r.key, Clock: r.clock, IDs: &names{}, Dir: dir, Logger: logTo(io.Discard)}
}

// move archives what is older than so many days.
func (r *rig) move(dir string, days int) Moved {
	r.Helper()
	moved, err := r.archiver(dir).Move(r.Context(), r.clock.Now().AddDate(0, 0, -days))
	if err != nil {
		r.Fatal(err)
	}
	return moved
}

func (r *rig) files(dir string) []string {
	r.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		r.Fatal(err)
	}
	return list
}

// TestArchive moves records out in several passes; the chain verifies in the
// database alone, in the archive alone, and in both together.
func TestArchive(t *testing.T) {
	r := newRig(t)
	dir := filepath.Join(t.TempDir(), "archive")
	r.year(100)
	early := r.sign()
	if m := r.move(dir, 200); m.Records != 0 || len(r.files(dir)) != 0 {
		t.Errorf("nothing is that old: %+v", m)
	}
	for _, c := range []struct {
		days        int
		records, to int64
	}{{60, 39, 39}, {60, 0, 39}, {30, 30, 69}, {-1, 30, 99}} {
		if m := r.move(dir, c.days); m.Records != c.records || m.Through != c.to {
			t.Errorf("older than %d days: %+v, want %d records up to %d", c.days, m, c.records, c.to)
		}
	}
	if len(r.store.rows) != 1 || r.store.rows[0].Seq != 100 {
		t.Fatalf("the newest record must stay; left are %d", len(r.store.rows))
	}
	r.year(3)
	late := r.sign()

	alone := r.verify(VerifyOptions{Against: []Checkpoint{early, late}})
	if !alone.OK || alone.From != 100 || alone.To != 103 || alone.Archived != 99 {
		t.Errorf("the database alone: %+v", alone)
	}
	has(t, alone.Summary(), "the 99 before are in the archive")
	both := r.verify(VerifyOptions{Archive: dir, Against: []Checkpoint{early, late}})
	if !both.OK || both.Records != 103 || both.From != 1 {
		t.Errorf("both together: %+v", both)
	}
	files, err := VerifyArchive(t.Context(), dir, VerifyOptions{PublicKey: r.key.Public(), Against: []Checkpoint{late}})
	if err != nil || !files.OK || files.Records != 99 || files.To != 99 {
		t.Errorf("the archive alone: %+v %v", files, err)
	}
	var export bytes.Buffer
	if err := Export(t.Context(), r.store, &export, JSONL); err != nil {
		t.Fatal(err)
	}
	for _, key := range []VerifyOptions{{}, {PublicKey: r.key.Public(), Against: []Checkpoint{late}}} {
		if report, err := VerifyExport(t.Context(), bytes.NewReader(export.Bytes()), key); err != nil || !report.OK || report.From != 100 {
			t.Errorf("an export of what is left: %+v %v", report, err)
		}
	}
	mark, err := r.log.Archived(t.Context())
	if err != nil || mark.Seq != 99 {
		t.Errorf("the mark is %+v (%v)", mark, err)
	}
	for _, f := range r.files(dir) {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(plain), "\n"), "\n")
		var m Manifest
		if err := json.Unmarshal([]byte(lines[0]), &m); err != nil || m.Log != r.id || int64(len(lines)-1) != m.Count || m.Last-m.First+1 != m.Count {
			t.Errorf("%s says %+v (%v) over %d lines", f, m, err, len(lines))
		}
	}
}

// TestArchiveAttacked changes an archive and a database with one; each must be
// found out, by whoever holds the key's public half alone.
func TestArchiveAttacked(t *testing.T) {
	repack := func(t *testing.T, path string, change func(plain string) string) {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		changed := change(string(plain))
		if changed == string(plain) {
			t.Fatal("nothing was changed: the test shows nothing")
		}
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		io.WriteString(w, changed)
		w.Close()
		if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		attack func(t *testing.T, r *rig, files []string)
		want   ProblemKind
	}{
		{"a segment in the middle is gone", func(t *testing.T, r *rig, f []string) { os.Remove(f[1]) }, Removed},
		{"the first segment is gone", func(t *testing.T, r *rig, f []string) { os.Remove(f[0]) }, Removed},
		{"the last segment is gone", func(t *testing.T, r *rig, f []string) { os.Remove(f[2]) }, Removed},
		{"a value is edited", func(t *testing.T, r *rig, f []string) {
			repack(t, f[1], func(s string) string { return strings.Replace(s, "status number 50", "status number 51", 1) })
		}, Edited},
		{"a record is edited", func(t *testing.T, r *rig, f []string) {
			repack(t, f[1], func(s string) string { return strings.Replace(s, `"person":"dev"`, `"person":"ops"`, 1) })
		}, Edited},
		{"two records are swapped", func(t *testing.T, r *rig, f []string) {
			repack(t, f[1], func(s string) string {
				l := strings.Split(s, "\n")
				l[3], l[4] = l[4], l[3]
				return strings.Join(l, "\n")
			})
		}, Reordered},
		{"a line is taken out", func(t *testing.T, r *rig, f []string) {
			repack(t, f[1], func(s string) string { l := strings.Split(s, "\n"); return strings.Join(slices.Delete(l, 5, 6), "\n") })
		}, Removed},
		{"the manifest is edited", func(t *testing.T, r *rig, f []string) {
			repack(t, f[1], func(s string) string { return strings.Replace(s, `"count":30`, `"count":31`, 1) })
		}, Forged},
		{"a file is cut", func(t *testing.T, r *rig, f []string) { os.Truncate(f[1], 700) }, Edited},
		{"a file is no segment", func(t *testing.T, r *rig, f []string) { os.WriteFile(f[1], []byte("x"), 0o600) }, Unread},
		{"a copy lies beside it", func(t *testing.T, r *rig, f []string) {
			raw, _ := os.ReadFile(f[1])
			os.WriteFile(filepath.Join(filepath.Dir(f[1]), "copy.jsonl.gz"), raw, 0o600)
		}, Reordered},
		{"the anchor is taken away", func(t *testing.T, r *rig, f []string) { delete(r.store.docs, kindAudit+"\n"+anchorID) }, Removed},
		{"the anchor is moved on", func(t *testing.T, r *rig, f []string) {
			key := kindAudit + "\n" + anchorID
			d := r.store.docs[key]
			d.Body = bytes.Replace(d.Body, []byte(`"seq":99`), []byte(`"seq":101`), 1)
			r.store.docs[key] = d
			r.store.rows = r.store.rows[2:]
		}, Forged},
		{"the anchor is garbled", func(t *testing.T, r *rig, f []string) {
			r.store.docs[kindAudit+"\n"+anchorID] = bot.Document{Kind: kindAudit, ID: anchorID, Rev: 9, Body: []byte("{")}
		}, Edited},
		{"records after the anchor are gone", func(t *testing.T, r *rig, f []string) { r.store.rows = r.store.rows[1:] }, Removed},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			r := newRig(t)
			dir := t.TempDir()
			r.year(100)
			r.move(dir, 60)
			r.move(dir, 30)
			r.move(dir, -1)
			r.year(5)
			files := r.files(dir)
			if len(files) != 3 {
				t.Fatalf("%d segments", len(files))
			}
			c.attack(t, r, files)
			report := r.verify(VerifyOptions{Archive: dir})
			found := slices.ContainsFunc(report.Problems, func(p Problem) bool { return p.Kind == c.want })
			if strings.Contains(c.name, "anchor is taken") || c.name == "the anchor is garbled" {
				// With the archive at hand the chain is whole all the same.
				report = r.verify(VerifyOptions{})
				found = found || slices.ContainsFunc(report.Problems, func(p Problem) bool { return p.Kind == c.want })
			}
			if report.OK || !found {
				t.Errorf("want %q among %+v", c.want, report.Problems)
			}
			for _, p := range report.Problems {
				if p.Say == "" || strings.HasSuffix(p.Say, ".") {
					t.Errorf("%q is no sentence without a full stop", p.Say)
				}
			}
		})
	}
}

// TestArchiveKeepsWhatIsNeeded: records of an open run, of a review that is owed
// and what a channel was not told yet stay, and what comes after them.
func TestArchiveKeepsWhatIsNeeded(t *testing.T) {
	loud := bot.Record{Kind: bot.OverriddenKind, Run: 7, Person: "dev", Account: "x:dev", Detail: map[string]string{"break_glass": "true"}, Text: map[string]string{"override": "the site is down"}}
	for _, c := range []struct {
		name string
		do   func(r *rig)
		to   int64
		says string
	}{
		{"nothing", func(r *rig) {}, 29, "it is the newest one"},
		{"an open run", func(r *rig) {
			r.store.rows[10].Run = 4
			r.store.open = []store.RunRow{{Number: 4, State: bot.Waiting}}
		}, 10, "run #4, which it tells of, has not ended"},
		{"what an open run follows", func(r *rig) {
			r.append(bot.Record{Kind: bot.Requested, Run: 4, Person: "dev", Account: "x:dev"},
				bot.Record{Kind: bot.SucceededKind, Run: 4, Person: "dev", Account: "x:dev"},
				bot.Record{Kind: bot.Requested, Run: 5, Person: "dev", Account: "x:dev", Detail: map[string]string{"parent": "4"}})
			r.store.open = []store.RunRow{{Number: 5, State: bot.Queued}}
		}, 30, "run #5, which follows what it tells of, has not ended"},
		{"a review", func(r *rig) { r.append(loud, bot.Record{Kind: bot.SucceededKind, Run: 7}) }, 30, "run #7, which it tells of, is to be reviewed"},
		{"a review that was made", func(r *rig) {
			r.append(loud, bot.Record{Kind: bot.ReviewedKind, Run: 7, Person: "ops", Account: "x:ops"})
		}, 31, "it is the newest one"},
		{"a channel behind", func(r *rig) {
			body, _ := json.Marshal(cursor{Next: 20})
			r.store.docs[kindAudit+"\n"+mirrorDoc+"x:audit"] = bot.Document{Kind: kindAudit, ID: mirrorDoc + "x:audit", Rev: 1, Body: body}
		}, 19, "x:audit was not told it yet"},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			r := newRig(t)
			r.year(30)
			c.do(r)
			a := r.archiver(t.TempDir())
			if c.name == "a channel behind" {
				a.Channels = []bot.ChannelID{"x:audit"}
			}
			// The copies for searching are not the record; only they were changed here.
			if c.name == "an open run" {
				limit, why, err := a.keep(&session{state: &r.store.state}, 0)
				if err != nil || limit != c.to+1 || why != c.says {
					t.Errorf("kept from %d (%s, %v)", limit, why, err)
				}
				return
			}
			moved, err := a.Move(t.Context(), r.clock.Now().Add(time.Hour))
			if err != nil || moved.Through != c.to || moved.Kept != c.to+1 || moved.KeptSays != c.says {
				t.Errorf("%+v (%v), want up to %d, because %s", moved, err, c.to, c.says)
			}
		})
	}
}

// TestArchiveCrash stops a pass at every place where it hurts; the next one
// mends it, and nothing is lost or doubled.
func TestArchiveCrash(t *testing.T) {
	for _, place := range []string{"written", "removed", "the commit"} {
		t.Run(strings.ReplaceAll(place, " ", "_"), func(t *testing.T) {
			r := newRig(t)
			dir := t.TempDir()
			r.year(50)
			whole := r.store.state.clone()
			a := r.archiver(dir)
			died := errors.New("died")
			a.reach = func(at string) {
				if place == "the commit" && at == "written" {
					r.store.refuse = died // of the next transaction
				} else if at == place {
					panic(died)
				}
			}
			func() {
				defer func() { recover() }()
				_, err := a.Move(t.Context(), r.clock.Now().AddDate(0, 0, -20))
				if err == nil {
					t.Error("the pass did not die: the test shows nothing")
				}
			}()
			if report := r.verify(VerifyOptions{Archive: dir}); !report.OK || report.Records != 50 {
				t.Errorf("after the crash: %+v", report)
			}
			r.clock.move(time.Hour) // the dead one's claim ends
			r.move(dir, 10)
			r.move(dir, 10)
			report := r.verify(VerifyOptions{Archive: dir})
			if !report.OK || report.Records != 50 || report.From != 1 {
				t.Errorf("after the next pass: %+v", report)
			}
			files, err := VerifyArchive(t.Context(), dir, VerifyOptions{PublicKey: r.key.Public()})
			if err != nil || !files.OK || files.Records+int64(len(r.store.rows)) != int64(len(whole.rows)) {
				t.Errorf("%d archived and %d kept (%v): %+v", files.Records, len(r.store.rows), err, files.Problems)
			}
		})
	}
}

// TestArchiveRefuses what would destroy evidence.
func TestArchiveRefuses(t *testing.T) {
	conflict := func(t *testing.T, r *rig, dir, say string) {
		t.Helper()
		before := len(r.files(dir))
		_, err := r.archiver(dir).Move(t.Context(), r.clock.Now())
		if bot.KindOf(err) != bot.Conflict || !strings.Contains(err.Error(), say) {
			t.Errorf("got %v, want a conflict that says %q", err, say)
		}
		if n := len(r.files(dir)); n < before {
			t.Errorf("of %d files %d are left", before, n)
		}
	}
	t.Run("a log that was edited", func(t *testing.T) {
		r := newRig(t)
		r.year(30)
		r.store.rows[5].Body = bytes.Replace(r.store.rows[5].Body, []byte(`"dev"`), []byte(`"ops"`), 1)
		conflict(t, r, t.TempDir(), "the log is not intact")
	})
	t.Run("an archive beyond a restored database", func(t *testing.T) {
		r := newRig(t)
		dir := t.TempDir()
		r.year(30)
		backup := r.store.state.clone()
		r.year(30)
		r.move(dir, 5)
		r.store.state = backup
		r.year(2) // life goes on after the backup
		conflict(t, r, dir, "it may have been restored from a backup")
	})
	t.Run("another log's folder", func(t *testing.T) {
		r, other := newRig(t), newRig(t)
		dir := t.TempDir()
		other.year(30)
		other.move(dir, 5)
		d := r.store.docs[kindAudit+"\n"+identityID]
		d.Body = []byte(`{"log":"id9"}`)
		r.store.docs[kindAudit+"\n"+identityID] = d
		r.year(30)
		conflict(t, r, dir, "of another log")
	})
	t.Run("two at a time", func(t *testing.T) {
		r := newRig(t)
		dir := t.TempDir()
		r.year(30)
		a, b := r.archiver(dir), r.archiver(dir)
		b.IDs = &names{n: 40}
		a.reach = func(place string) {
			if place == "written" {
				if _, err := b.Move(t.Context(), r.clock.Now()); bot.KindOf(err) != bot.Conflict {
					t.Errorf("the second got %v", err)
				}
				// Long asleep, the first one's claim has ended: the second goes on.
				r.clock.move(time.Hour)
				if _, err := b.Move(t.Context(), r.clock.Now().Add(-240*time.Hour)); err != nil {
					t.Error(err)
				}
			}
		}
		if _, err := a.Move(t.Context(), r.clock.Now().Add(-48*time.Hour)); bot.KindOf(err) != bot.Conflict && bot.KindOf(err) != bot.Unavailable {
			t.Errorf("the sleeper got %v", err)
		}
		if report := r.verify(VerifyOptions{Archive: dir}); !report.OK || report.Records != 30 {
			t.Errorf("%+v", report)
		}
	})
}

// TestArchiverRuns by itself, at once.
func TestArchiverRuns(t *testing.T) {
	r := newRig(t)
	r.year(50)
	a := r.archiver(filepath.Join(t.TempDir(), "a", "b"))
	a.Retain = 30 * 24 * time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	a.reach = func(place string) {
		if place == "removed" {
			cancel()
		}
	}
	if err := a.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if report := r.verify(VerifyOptions{Archive: a.Dir}); !report.OK || report.Archived != 19 {
		t.Errorf("%+v", report)
	}
}

// TestMirrorAfterArchive: a channel that is new is not told of a hole where the
// archive begins.
func TestMirrorAfterArchive(t *testing.T) {
	r := newRig(t)
	r.year(30)
	r.move(t.TempDir(), 5)
	m := &Mirror{Store: r.store, Log: r.log, Channels: []bot.ChannelID{"x:new"}, Clock: r.clock, Logger: logTo(io.Discard)}
	if _, err := m.pass(t.Context(), "x:new"); err != nil {
		t.Fatal(err)
	}
	for _, o := range r.store.out {
		if c := decoded(t, o); c.Tone == bot.Bad {
			t.Errorf("it was told %q", c.Title)
		}
	}
}
