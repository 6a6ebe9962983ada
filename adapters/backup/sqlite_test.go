package backupprovider

import (
	"os"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

const ordersTable = `match = "*.db"
engine = "sqlite"
not_empty = ["orders"]
newest = "SELECT max(at) FROM orders"
queries = [
  { name = "every order has a customer", sql = "SELECT count(*) FROM orders WHERE customer NOT IN (SELECT id FROM customers)", want = "0" },
  { name = "there are orders", sql = "SELECT count(*) FROM orders", want = ">=500" },
]
`

func TestSQLite(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", ordersTable)
	orders(t, w.path("one.db"))
	w.describe(t, "one.db")
	f, p := w.try(t, "run-1-a", "one.db")
	wantPassed(t, f, p)
	if got := f.Newest.Format("15:04:05"); got != "11:59:30" {
		t.Errorf("the newest order is of %s", got)
	}
	for _, name := range []provider.RungName{provider.RungSpace, provider.RungIntact, provider.RungEngine, provider.RungRestored, provider.RungContent, provider.RungQueries} {
		if r := rungOf(t, f, name); r.State != provider.RungPassed || r.Text == "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if r := rungOf(t, f, provider.RungContent); !strings.Contains(strings.Join(r.Checks, ";"), "orders: 500 rows") {
		t.Errorf("the rows are not in evidence: %v", r.Checks)
	}
	if r := rungOf(t, f, provider.RungAcross); r.State != provider.RungNotAsked {
		t.Errorf("across: %+v", r)
	}
}

// Each way in which a backup can be no good is found at its own rung.
func TestSQLiteFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		settings string
		table    string
		before   func(t *testing.T, w world) // the manifest is written
		after    func(t *testing.T, w world)
		rung     provider.RungName
		says     string
	}{
		{name: "truncated", rung: provider.RungIntact, says: "bytes, and had",
			after: func(t *testing.T, w world) { spoil(t, w.path("one.db"), truncated) }},
		{name: "one byte flipped", rung: provider.RungIntact, says: "it has as many bytes as when the backup was made, but not the same: its SHA-256 is",
			after: func(t *testing.T, w world) { spoil(t, w.path("one.db"), flipped) }},
		{name: "no manifest", rung: provider.RungIntact, says: "write one when the backup is made, with quarterdeck backup-manifest",
			after: func(t *testing.T, w world) { mustRemove(t, w.path("one.db"+manifestSuffix)) }},
		{name: "another's manifest", rung: provider.RungIntact, says: `is a manifest of version 1 about "two.db"`,
			after: func(t *testing.T, w world) {
				spoil(t, w.path("one.db"+manifestSuffix), func(raw []byte) []byte { return []byte(strings.ReplaceAll(string(raw), `"one.db"`, `"two.db"`)) })
			}},
		{name: "no database", rung: provider.RungRestored, says: "it does not open",
			before: func(t *testing.T, w world) {}, table: "without_manifest = true\n",
			after: func(t *testing.T, w world) {
				spoil(t, w.path("one.db"), func([]byte) []byte { return []byte(strings.Repeat("no database at all ", 1000)) })
			}},
		{name: "a table missing", rung: provider.RungContent, says: "the table orders is missing; it had 500 rows when the backup was made",
			after: func(t *testing.T, w world) {
				change(t, w.path("one.db"), "DROP TABLE orders")
				resum(t, w, "one.db")
			}},
		{name: "rows missing", rung: provider.RungContent, says: "the table orders has 499 rows, and had 500 when the backup was made",
			after: func(t *testing.T, w world) {
				change(t, w.path("one.db"), "DELETE FROM orders WHERE id = 7")
				resum(t, w, "one.db")
			}},
		{name: "an empty table", rung: provider.RungContent, says: "the table orders is empty, and must not be",
			before: func(t *testing.T, w world) { change(t, w.path("one.db"), "DELETE FROM orders") }},
		{name: "a broken reference", rung: provider.RungContent, says: "a row of orders refers to one of customers that is not there",
			before: func(t *testing.T, w world) { change(t, w.path("one.db"), "DELETE FROM customers WHERE id = 1") }},
		{name: "a wrong answer", rung: provider.RungQueries, says: `"there are orders" gives "400", not >=500`,
			before: func(t *testing.T, w world) { change(t, w.path("one.db"), "DELETE FROM orders WHERE id > 400") }},
		{name: "no answer", rung: provider.RungQueries, says: `"every order has a customer" cannot be answered`,
			before: func(t *testing.T, w world) {
				change(t, w.path("one.db"), "ALTER TABLE orders RENAME COLUMN customer TO client")
			}},
		{name: "no room", settings: "reserve = \"900TiB\"\n", rung: provider.RungSpace, says: "there is not enough room: it may take"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "", ordersTable+c.table)
			if c.settings != "" {
				w.Settings = c.settings
			}
			orders(t, w.path("one.db"))
			if c.before != nil {
				c.before(t, w)
			}
			w.describe(t, "one.db")
			if c.after != nil {
				c.after(t, w)
			}
			f, p := w.try(t, "run-1-a", "one.db")
			wantFailed(t, f, p, c.rung, c.says)
		})
	}
}

func mustRemove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// resum has the manifest say the checksums of now, and the row counts of then: as
// though the backup itself had gone wrong before it was described.
func resum(t testing.TB, w world, id string) {
	t.Helper()
	b := w.tester(t)
	root, err := b.open()
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	m, err := readManifest(root, id)
	if err != nil {
		t.Fatal(err)
	}
	for name, one := range m.Members {
		at := id
		if x := b.member(name); x.File != "" {
			at += "/" + x.File
		}
		if one.Files, err = sums(t.Context(), root, at); err != nil {
			t.Fatal(err)
		}
		m.Members[name] = one
	}
	if err := os.Remove(w.path(id + manifestSuffix)); err != nil {
		t.Fatal(err)
	}
	if _, err := write(w.path(""), id, m); err != nil {
		t.Fatal(err)
	}
}

// A backup that was described is not described again: the second time it would
// say what is there, and not what was.
func TestDescribeOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", ordersTable)
	orders(t, w.path("one.db"))
	w.describe(t, "one.db")
	if _, err := w.tester(t).Describe(t.Context(), "one.db"); bot.KindOf(err) != bot.Conflict {
		t.Errorf("described again: %v", err)
	}
	for _, id := range []string{"two.db", "../one.db", "/etc/passwd", "one.db.manifest.json", ""} {
		if _, err := w.tester(t).Describe(t.Context(), id); bot.KindOf(err) != bot.NotFound {
			t.Errorf("%q: %v", id, err)
		}
	}
}
