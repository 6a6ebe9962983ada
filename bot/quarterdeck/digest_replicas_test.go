//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// TestDigestOfThreeReplicas: what was due while every replica was down is posted
// by one of the three that come back together, once; and not again when all of
// them are killed and come back once more.
func TestDigestOfThreeReplicas(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	due := time.Now().UTC().Add(-2 * time.Minute)
	for _, r := range f.replicas {
		raw, err := os.ReadFile(f.path(r.name + ".toml"))
		if err != nil {
			t.Fatal(err)
		}
		f.write(r.name+".toml", strings.Replace(string(raw), `at = "0 9 29 2 *"`, fmt.Sprintf(`at = "%d %d * * *"`, due.Minute(), due.Hour()), 1))
	}
	db, err := f.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	// at reads, or with a time sets, when the digest was last due.
	at := func(set time.Time) (was time.Time) {
		err := db.Update(t.Context(), func(tx store.Tx) error {
			d, found, err := tx.Document("schedule", "digest:daily")
			if err != nil || !found {
				return err
			}
			body := map[string]any{}
			if err := json.Unmarshal(d.Body, &body); err != nil {
				return err
			}
			if was, err = time.Parse(time.RFC3339, fmt.Sprint(body["last"])); err != nil || set.IsZero() {
				return err
			}
			body["last"] = set
			if d.Body, err = json.Marshal(body); err == nil {
				_, err = tx.PutDocument(d)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return was
	}
	f.start(f.replicas[0], f.builds[0])
	f.until("the digest is known", func() bool { return !at(time.Time{}).IsZero() })
	f.end(f.replicas[0], syscall.SIGKILL)
	at(due.AddDate(0, 0, -1).Add(time.Minute)) // as if all of them had been down since yesterday
	together := func() {
		var all sync.WaitGroup
		for _, r := range f.replicas {
			all.Go(func() { f.start(r, f.builds[0]) })
		}
		all.Wait()
	}
	posted := func() string {
		raw, _ := os.ReadFile(f.path("channels/digests.txt")) // may not be there yet
		return string(raw)
	}
	see := func(look func(r store.Reader) error) {
		if err := db.View(t.Context(), look); err != nil {
			t.Fatal(err)
		}
	}
	title := "daily digest of " + due.Format("Mon 2006-01-02 15:04")
	together()
	f.until("the digest is posted", func() bool { return strings.Contains(posted(), title) })
	// A crash between the post and its note could repeat it, under the same title.
	f.until("that is noted", func() (noted bool) {
		see(func(r store.Reader) error {
			waiting, err := r.OutgoingDue(time.Now().Add(time.Hour), "", nil, 1000)
			noted = err == nil && !slices.ContainsFunc(waiting, func(o store.Outgoing) bool { return o.Channel == "file:digests.txt" })
			return err
		})
		return noted
	})
	for _, r := range f.replicas {
		f.end(r, syscall.SIGKILL)
	}
	together()
	for _, r := range f.replicas { // whoever answers has looked what is due
		cmd := exec.Command(f.builds[0], "run", "--as", "sre", "--config", f.path(r.name+".toml"), "--", "digest daily --dry-run")
		cmd.Env = f.environ(databaseVar + "=" + r.near)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", r.name, err, out)
		}
	}
	if n := strings.Count(posted(), "daily digest"); n != 1 {
		t.Errorf("it was posted %d times:\n%s", n, posted())
	}
	asked := 0
	see(func(r store.Reader) error {
		records, err := r.Records(bot.RecordFilter{Person: "digest:daily", Limit: 10})
		asked = len(records)
		return err
	})
	if asked != 1 {
		t.Errorf("the clock asked for it %d times", asked)
	}
}
