package backupprovider

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

var shop = bot.Target{Service: "shop", Environment: "prod"}

// table is a configuration table in memory.
type table struct {
	dir  string
	text string
}

func (r table) Dir() string   { return r.dir }
func (r table) Where() string { return "config.toml:41" }

func (r table) Decode(dst any) error {
	dec := toml.NewDecoder(bytes.NewReader([]byte(r.text))).DisallowUnknownFields()
	if err := dec.Decode(dst); err != nil {
		var said *bot.Error
		if errors.As(err, &said) {
			return said
		}
		return bot.Errorf(bot.Invalid, "%s: %v", r.Where(), err)
	}
	return nil
}

// world is a folder with backups and a scratch folder.
type world struct {
	Dir      string
	Settings string // of the provider, TOML
	Table    string // of the target, TOML
}

func newWorld(t testing.TB, settings, table string) world {
	t.Helper()
	// Short, because a database server has its socket below it.
	dir, err := os.MkdirTemp("/tmp", "qd-rt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = removeTree(dir) })
	if err := os.Mkdir(filepath.Join(dir, "backups"), 0o700); err != nil {
		t.Fatal(err)
	}
	return world{dir, "reserve = \"1MiB\"\n" + settings, "path = \"backups\"\n" + table}
}

func (w world) path(name string) string { return filepath.Join(w.Dir, "backups", name) }

// attach gives a tester as after a start of the bot.
func (w world) attach() (*tester, error) {
	p, err := Open(provider.Options{Name: "files", Raw: table{w.Dir, w.Settings}, State: filepath.Join(w.Dir, "s"), Secrets: &bot.Secrets{}})
	if err != nil {
		return nil, err
	}
	b, err := p.(*backups).BindBackup(shop, table{w.Dir, w.Table})
	if err != nil {
		return nil, err
	}
	return b.(*tester), nil
}

func (w world) tester(t testing.TB) *tester {
	t.Helper()
	b, err := w.attach()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// backup gives the backup with an id as it is listed, the newest for "".
func (w world) backup(t testing.TB, id string) provider.Backup {
	t.Helper()
	all, err := w.tester(t).Backups(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range all {
		if id == "" || b.ID == id {
			return b
		}
	}
	t.Fatalf("there is no backup %q among %v", id, all)
	return provider.Backup{}
}

func (w world) describe(t testing.TB, id string) {
	t.Helper()
	if _, err := w.tester(t).Describe(t.Context(), id); err != nil {
		t.Fatalf("describe %s: %v", id, err)
	}
}

// patience bounds every wait; it is far more than a loaded machine needs.
const patience = 2 * time.Minute

// try runs one trial to its end, and has its place removed.
func (w world) try(t testing.TB, key, id string) (provider.Findings, bot.Progress) {
	t.Helper()
	b := w.tester(t)
	h, err := b.Begin(provider.Trial{Target: shop, Backup: w.backup(t, id)}, bot.Task{Key: key, Actor: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	h, p := advance(t, b, h)
	if err := b.Destroy(t.Context(), h); err != nil {
		t.Fatalf("the place is not removed: %v", err)
	}
	w.empty(t)
	f, err := b.Findings(h)
	if err != nil {
		t.Fatal(err)
	}
	return f, p
}

// advance follows a trial to its end.
func advance(t testing.TB, b provider.RestoreTester, h bot.Handle) (bot.Handle, bot.Progress) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		next, p, err := b.Advance(ctx, h)
		switch bot.KindOf(err) {
		case "":
			h = next
		case bot.Busy:
		default:
			t.Fatalf("advance: %v", err)
		}
		if err == nil && p.State.Settled() {
			return h, p
		}
		select {
		case <-ctx.Done():
			t.Fatal("the trial does not end")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// empty asserts that nothing is left in the scratch folder.
func (w world) empty(t testing.TB) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(w.Dir, "s", "restore-tests", "files"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("%s is left in the scratch folder", e.Name())
	}
}

func task(key string) bot.Task { return bot.Task{Key: key, Actor: "dev"} }

// rungOf gives one rung of what was found.
func rungOf(t testing.TB, f provider.Findings, name provider.RungName) provider.Rung {
	t.Helper()
	for _, r := range f.Rungs {
		if r.Name == name {
			return r
		}
	}
	return provider.Rung{Name: name, State: provider.RungNotRun}
}

// wantFailed asserts that the trial failed at exactly this rung, in these words.
func wantFailed(t testing.TB, f provider.Findings, p bot.Progress, name provider.RungName, says string) {
	t.Helper()
	if p.State != bot.OpFailed {
		t.Fatalf("it ended as %s (%s), with %+v", p.State, p.Text, f.Rungs)
	}
	last := f.Rungs[len(f.Rungs)-1]
	t.Logf("%s: %s", last.Name, last.Text)
	if last.Name != name || last.State != provider.RungFailed || !bytes.Contains([]byte(last.Text), []byte(says)) {
		t.Errorf("it failed at %s: %q; want %s: ...%q...", last.Name, last.Text, name, says)
	}
}

func wantPassed(t testing.TB, f provider.Findings, p bot.Progress) {
	t.Helper()
	if p.State != bot.OpSucceeded {
		t.Fatalf("it ended as %s: %s", p.State, p.Text)
	}
	if f.Ready <= 0 || f.Began.IsZero() || f.Source == "" {
		t.Errorf("nothing was measured: %+v", f)
	}
}

// helperEnv makes the test binary a bot that is killed in the middle of a trial.
const helperEnv = "QUARTERDECK_TEST_TRIAL"

type helperOrder struct {
	World  world
	Key    string
	Backup provider.Backup
	At     provider.RungName // says so and waits there for its end; "" runs it to its own
}

// TestMain lets the test binary be a watcher, and a bot.
func TestMain(m *testing.M) {
	if code, handled := Main(os.Args[1:]); handled {
		os.Exit(code)
	}
	if raw := os.Getenv(helperEnv); raw != "" {
		if err := helper(raw); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func helper(raw string) error {
	var o helperOrder
	if err := json.Unmarshal([]byte(raw), &o); err != nil {
		return err
	}
	b, err := o.World.attach()
	if err != nil {
		return err
	}
	b.reached = func(name provider.RungName) {
		if name == o.At {
			fmt.Println("reached")
			select {} // until it is killed
		}
	}
	h, err := b.Begin(provider.Trial{Target: shop, Backup: o.Backup}, bot.Task{Key: o.Key, Actor: "dev"})
	if err != nil {
		return err
	}
	for {
		next, p, err := b.Advance(context.Background(), h)
		if err != nil {
			return err
		}
		if p.State.Settled() && o.At == "" {
			fmt.Printf("%s: %s\n", p.State, p.Text)
			return b.Destroy(context.Background(), next)
		}
		if p.State.Settled() {
			return fmt.Errorf("it ended as %s before it reached %s: %s", p.State, o.At, p.Text)
		}
		h = next
		time.Sleep(5 * time.Millisecond)
	}
}

// orders makes a database as a shop's: customers with orders, the newest now.
func orders(t testing.TB, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range []string{
		`CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL)`,
		`CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers(id), invoice TEXT NOT NULL, at TEXT NOT NULL)`,
		`INSERT INTO customers VALUES (1, 'ada'), (2, 'bob')`,
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 500) INSERT INTO orders SELECT i, 1 + i % 2, 'invoices/' || i || '.txt', '2026-11-21T11:59:30Z' FROM n`,
	} {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
}

// change runs a statement on a database.
func change(t testing.TB, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// spoil changes a file in place, its time apart.
func spoil(t testing.TB, path string, f func([]byte) []byte) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, f(raw), 0o600); err != nil {
		t.Fatal(err)
	}
}

func flipped(raw []byte) []byte {
	raw[len(raw)/2] ^= 1
	return raw
}

func truncated(raw []byte) []byte { return raw[:len(raw)*2/3] }
