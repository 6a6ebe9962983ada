package backupprovider

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

const setTable = `match = "shop-*"
members.db = { engine = "sqlite", file = "orders.db", not_empty = ["orders"] }
members.mounts = { engine = "files", file = "mounts" }
across = [{ name = "every order's invoice", member = "db", sql = "SELECT invoice, 8 FROM orders", files = "mounts", exact = true }]
`

// invoices makes a set: a database, and the files that it speaks of.
func invoices(t testing.TB, w world, id string) {
	t.Helper()
	for _, dir := range []string{id, id + "/mounts", id + "/mounts/invoices"} {
		if err := os.Mkdir(w.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	orders(t, w.path(id+"/orders.db"))
	for i := range 500 {
		if err := os.WriteFile(w.path(fmt.Sprintf("%s/mounts/invoices/%d.txt", id, i+1)), []byte("invoice\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// The members of a set were each backed up well, and do not belong together.
func TestSet(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, w world)
		rung  provider.RungName // "" for one that is good
		says  string
	}{
		{name: "good", spoil: func(t *testing.T, w world) {}},
		{name: "a file that the database names is missing", rung: provider.RungAcross,
			says:  `db and mounts disagree on "every order's invoice": invoices/7.txt is missing`,
			spoil: func(t *testing.T, w world) { mustRemove(t, w.path("shop-1/mounts/invoices/7.txt")) }},
		{name: "many are", rung: provider.RungAcross, says: `and 4 more`, spoil: func(t *testing.T, w world) {
			for i := range 7 {
				mustRemove(t, w.path(fmt.Sprintf("shop-1/mounts/invoices/%d.txt", i+1)))
			}
		}},
		{name: "a file belongs to nothing", rung: provider.RungAcross, says: `invoices/500.txt belongs to nothing`,
			spoil: func(t *testing.T, w world) {
				change(t, w.path("shop-1/orders.db"), "DELETE FROM orders WHERE id = 500")
			}},
		{name: "a file is shorter", rung: provider.RungAcross, says: `invoices/9.txt has 3 bytes, not 8`,
			spoil: func(t *testing.T, w world) {
				spoil(t, w.path("shop-1/mounts/invoices/9.txt"), func([]byte) []byte { return []byte("inv") })
			}},
		{name: "a member is missing", rung: provider.RungSpace, says: `mounts: there is no shop-1/mounts in the backup`,
			spoil: func(t *testing.T, w world) {
				w.describeAfter(t)
				if err := os.RemoveAll(w.path("shop-1/mounts")); err != nil {
					t.Fatal(err)
				}
			}},
		{name: "a file came later", rung: provider.RungIntact, says: `mounts: new.txt was not there when the backup was made`,
			spoil: func(t *testing.T, w world) {
				w.describeAfter(t)
				if err := os.WriteFile(w.path("shop-1/mounts/new.txt"), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}},
		{name: "a link leads out of it", rung: provider.RungSpace, says: `shop-1/mounts/out is neither a file nor a folder, so it was not followed`,
			spoil: func(t *testing.T, w world) {
				w.describeAfter(t)
				if err := os.Symlink("/etc", w.path("shop-1/mounts/out")); err != nil {
					t.Fatal(err)
				}
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "", setTable)
			invoices(t, w, "shop-1")
			c.spoil(t, w)
			if _, err := os.Stat(w.path("shop-1" + manifestSuffix)); err != nil {
				w.describe(t, "shop-1")
			}
			f, p := w.try(t, "run-1-a", "shop-1")
			if c.rung == "" {
				wantPassed(t, f, p)
				return
			}
			wantFailed(t, f, p, c.rung, c.says)
		})
	}
}

// describeAfter describes the set as it is, before it is spoiled.
func (w world) describeAfter(t *testing.T) { w.describe(t, "shop-1") }

// Whoever may write to the folder of the backups cannot have anything else read.
func TestNothingOutsideIsRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "engine = \"files\"\nwithout_manifest = true\n")
	secret := filepath.Join(w.Dir, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, w.path("link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.path("good"), []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.path("bad name; rm -rf"), []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := w.tester(t)
	all, err := b.Backups(t.Context(), 10)
	if err != nil || len(all) != 1 || all[0].ID != "good" {
		t.Errorf("listed: %v, %v", all, err)
	}
	for _, id := range []string{"../secret", "/etc/passwd", "", ".", "..", "bad name; rm -rf", "a/b", "-rf", strings.Repeat("a", 300)} {
		_, err := b.Begin(provider.Trial{Target: shop, Backup: provider.Backup{ID: id}}, bot.Task{Key: "k", Actor: "dev"})
		if bot.KindOf(err) != bot.Invalid {
			t.Errorf("%q was begun: %v", id, err)
		}
	}
	// A link that takes the place of a backup after it was listed.
	h, err := b.Begin(provider.Trial{Target: shop, Backup: provider.Backup{ID: "link"}}, bot.Task{Key: "k", Actor: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	h, p := advance(t, b, h)
	f, err := b.Findings(h)
	if err != nil {
		t.Fatal(err)
	}
	wantFailed(t, f, p, provider.RungSpace, "neither a file nor a folder")
	if err := b.Destroy(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	w.empty(t)
}
