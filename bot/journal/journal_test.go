package journal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/journal"
	"quarterdeck/bot/store"
)

var seal = store.NewSeal([]byte("a secret of the tests"))

func open(t *testing.T, path string, s store.Seal) (*journal.Journal, journal.Found) {
	t.Helper()
	j, found, err := journal.Open(path, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j, found
}

func entry(i int) journal.Entry {
	return journal.Entry{Kind: "intent", ID: fmt.Sprint(i), Body: json.RawMessage(fmt.Sprintf(`{"n":%d,"pad":"%s"}`, i, bytes.Repeat([]byte("x"), i*37%2000)))}
}

func ids(f journal.Found) (list []string) {
	for _, e := range f.Entries {
		list = append(list, e.ID)
	}
	return list
}

func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "journal")
	j, found := open(t, path, seal)
	if len(found.Entries) != 0 {
		t.Fatalf("a new journal holds %v", found)
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() != journal.Size || info.Mode().Perm() != 0o600 {
		t.Fatalf("a new journal is %v, %v; want %d bytes for its owner alone", info.Size(), info.Mode(), journal.Size)
	}
	if _, _, err := journal.Open(path, seal); bot.KindOf(err) != bot.Busy {
		t.Fatalf("a second opening gives %v, want busy", err)
	}
	for i := range 5 {
		if err := j.Write(entry(i), 0); err != nil {
			t.Fatal(err)
		}
	}
	j.Close()
	j, found = open(t, path, seal)
	if got := ids(found); !slices.Equal(got, []string{"0", "1", "2", "3", "4"}) {
		t.Fatalf("holds %v", got)
	}
	if err := j.Empty(); err != nil {
		t.Fatal(err)
	}
	j.Close()
	j, found = open(t, path, seal)
	if len(found.Entries) != 0 || found.Missing+found.Forged != 0 {
		t.Fatalf("an emptied journal holds %+v", found)
	}
	if err := j.Write(entry(9), 0); err != nil {
		t.Fatal(err)
	}
	j.Close()
	if _, found = open(t, path, seal); !slices.Equal(ids(found), []string{"9"}) {
		t.Fatalf("after it was emptied and written to it holds %v", ids(found))
	}
}

// TestFull: each use leaves what those that matter more need, and what does not
// fit is refused with a sentence and harms nothing.
func TestFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, _ := open(t, path, seal)
	reserves := []int64{journal.ReserveRefusal, journal.ReserveIntent, journal.ReserveStep, journal.ReserveOutcome}
	wrote := make([]int, len(reserves))
	for i, reserve := range reserves {
		for {
			err := j.Write(entry(wrote[i]), reserve)
			if err == nil {
				wrote[i]++
				continue
			}
			var e *bot.Error
			if !errors.As(err, &e) || e.Kind != bot.Unavailable || e.Say == "" {
				t.Fatalf("a full journal gives %v", err)
			}
			break
		}
		if wrote[i] == 0 {
			t.Fatalf("with %d bytes reserved nothing went in", reserve)
		}
	}
	j.Close()
	_, found := open(t, path, seal)
	if want := wrote[0] + wrote[1] + wrote[2] + wrote[3]; len(found.Entries) != want || found.Missing != 0 {
		t.Fatalf("holds %d entries, %d missing; want %d", len(found.Entries), found.Missing, want)
	}
}

// TestTorn: however much of the last entry reached the disk, what was
// acknowledged before is there, and the next one goes on from there.
func TestTorn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, _ := open(t, path, seal)
	must(t, j.Write(entry(1), 0))
	before, err := os.ReadFile(path)
	must(t, err)
	must(t, j.Write(entry(50), 0))
	j.Close()
	after, err := os.ReadFile(path)
	must(t, err)
	end := len(bytes.TrimRight(after, "\x00"))
	from := len(bytes.TrimRight(before, "\x00"))
	for cut := from; cut < end; cut += 1 + (end-from)/50 {
		torn := slices.Clone(before)
		copy(torn, after[:cut])
		must(t, os.WriteFile(path, torn, 0o600))
		j, found := open(t, path, seal)
		if !slices.Equal(ids(found), []string{"1"}) || found.Missing+found.Forged != 0 {
			t.Fatalf("cut at %d it holds %v", cut, ids(found))
		}
		must(t, j.Write(entry(2), 0))
		j.Close()
		j, found = open(t, path, seal)
		if !slices.Equal(ids(found), []string{"1", "2"}) {
			t.Fatalf("cut at %d and written to it holds %v", cut, ids(found))
		}
		j.Close()
	}
}

// TestForged: what somebody without the key wrote, moved or took away is noticed
// and never given as an entry.
func TestForged(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "journal")
	j, _ := open(t, path, store.NewSeal([]byte("another")))
	must(t, j.Write(entry(1), 0))
	j.Close()
	if _, found := open(t, path, seal); len(found.Entries) != 0 || found.Forged != 1 {
		t.Fatalf("an entry of another key: %+v", found)
	}
	path = filepath.Join(dir, "second")
	j, _ = open(t, path, seal)
	for i := range 3 {
		must(t, j.Write(journal.Entry{Kind: "intent", ID: fmt.Sprint(i)}, 0))
	}
	j.Close()
	raw, err := os.ReadFile(path)
	must(t, err)
	clear(raw[512:1024])
	must(t, os.WriteFile(path, raw, 0o600))
	if _, found := open(t, path, seal); !slices.Equal(ids(found), []string{"0", "2"}) || found.Missing != 1 {
		t.Fatalf("with the middle taken away: %+v", found)
	}
}

// TestNoise: no bytes make opening panic or give an entry that nobody wrote.
func TestNoise(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, _ := open(t, path, seal)
	for i := range 20 {
		must(t, j.Write(entry(i), 0))
	}
	j.Close()
	clean, err := os.ReadFile(path)
	must(t, err)
	for range 30 {
		raw := slices.Clone(clean)
		for range 40 {
			raw[rand.IntN(40_000)] = byte(rand.Int())
		}
		must(t, os.WriteFile(path, raw, 0o600))
		j, found := open(t, path, seal)
		for _, e := range found.Entries {
			var n int
			if fmt.Sscan(e.ID, &n); n > 20 || !bytes.Equal(e.Body, entry(n).Body) {
				t.Fatalf("gives %+v", e)
			}
		}
		j.Close()
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
