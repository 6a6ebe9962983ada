package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// said checks that err is an Error of a kind whose sentence holds every part.
func said(t *testing.T, err error, kind bot.Kind, parts ...string) {
	t.Helper()
	var e *bot.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Fatalf("got %v, want an Error of kind %s", err, kind)
	}
	for _, p := range parts {
		if !strings.Contains(e.Say, p) {
			t.Errorf("%q does not say %q", e.Say, p)
		}
	}
	if strings.HasSuffix(e.Say, ".") {
		t.Errorf("%q ends with a full stop", e.Say)
	}
}

func TestPathMustNameAFile(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{
		"":                "names no file",
		"  ":              "names no file",
		":memory:":        "survive a restart",
		"file:data/q.db":  `did you mean "sqlite:data/q.db"`,
		"//data/q.db":     `did you mean "sqlite:data/q.db"`,
		"data/":           `did you mean "sqlite:data/quarterdeck.db"`,
		"data/q\x00.db":   "zero byte",
		"//host:1/a/b.db": "host where none belongs",
	} {
		_, err := Open(context.Background(), dsn)
		said(t, err, bot.Invalid, want)
		_, err = OpenReadOnly(context.Background(), dsn)
		said(t, err, bot.Invalid, want)
	}
	for dsn, want := range map[string]string{"///a/b.db": "/a/b.db", "/a/./b.db": "/a/b.db", "/a/x?mode=memory#%41": "/a/x?mode=memory#%41"} {
		if got, err := pathOf(dsn); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", dsn, got, err, want)
		}
	}
}

// TestFilesAreTheOwnersAlone looks at what Open makes, also under a permissive
// umask, and at what it finds.
func TestFilesAreTheOwnersAlone(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("permissions are not kept as bits here")
	}
	root := t.TempDir()
	path := filepath.Join(root, "new", "deeper", "50% off?#.db")
	s := opened(t, path)
	if _, err := appendNext(s, "dev"); err != nil {
		t.Fatal(err)
	}
	mode := func(p string) fs.FileMode {
		t.Helper()
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	for _, p := range []string{path, path + "-wal", path + "-shm"} {
		if got := mode(p); got != 0o600 {
			t.Errorf("%s has mode %o", p, got)
		}
	}
	for _, p := range []string{filepath.Dir(path), filepath.Join(root, "new")} {
		if got := mode(p); got != 0o700 {
			t.Errorf("%s has mode %o", p, got)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	s = opened(t, path)
	if got := mode(path); got != 0o600 {
		t.Errorf("a database found with mode 644 has mode %o", got)
	}
	unbroken(t, s)
	entries, err := os.ReadDir(root)
	if err != nil || len(entries) != 1 {
		t.Errorf("files beside the database's folder: %v (%v)", entries, err)
	}
}

func TestNetworkFileSystemIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "q.db")
	o := opener{filesystem: func(folder string) (string, error) {
		if folder != filepath.Dir(path) {
			t.Errorf("looked at %s", folder)
		}
		return "an NFS file system", nil
	}}
	_, err := o.open(context.Background(), path)
	said(t, err, bot.Invalid, "NFS", "local disk", filepath.Dir(path))
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file was made all the same (%v)", err)
	}
	o.filesystem = func(string) (string, error) { return "", errors.New("cannot tell") }
	_, err = o.open(context.Background(), path)
	said(t, err, bot.Unavailable)
	if kind, err := filesystemOf(t.TempDir()); err != nil || kind != "" {
		t.Errorf("a local folder is on %q (%v)", kind, err)
	}
	if _, err := filesystemOf(filepath.Join(path, "missing")); err == nil && runtime.GOOS == "linux" {
		t.Error("a missing folder is on a file system")
	}
}

func TestForeignFilesAreRefused(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	folder := t.TempDir()
	text := filepath.Join(folder, "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(ctx, text)
	said(t, err, bot.Unavailable, "not a SQLite database")
	_, err = OpenReadOnly(ctx, text)
	said(t, err, bot.Unavailable, "not a SQLite database")
	_, err = Open(ctx, filepath.Join(text, "q.db"))
	said(t, err, bot.Unavailable, "cannot be opened")
	if err := os.Mkdir(filepath.Join(folder, "d.db"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = Open(ctx, filepath.Join(folder, "d.db"))
	said(t, err, bot.Invalid, "is not a file")
	_, err = OpenReadOnly(ctx, filepath.Join(folder, "missing.db"))
	said(t, err, bot.NotFound, "does not exist")
	empty := filepath.Join(folder, "empty.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = OpenReadOnly(ctx, empty)
	said(t, err, bot.Invalid, "no log")

	// A database of a newer version is left alone.
	newer := filepath.Join(folder, "newer.db")
	if err := opened(t, newer).Close(); err != nil {
		t.Fatal(err)
	}
	db, err := connect(newer, nil, "mode=rw")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Open(ctx, newer)
	said(t, err, bot.Invalid, "version 99", "newer program")
	_, err = OpenReadOnly(ctx, newer)
	said(t, err, bot.Invalid, "version 99")
}

// TestReadOnly opens a database beside its writer, and copies of it.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	folder := t.TempDir()
	path := filepath.Join(folder, "q.db")
	s := opened(t, path)
	if _, err := appendNext(s, "dev"); err != nil {
		t.Fatal(err)
	}
	beside, err := OpenReadOnly(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := appendNext(s, "dev"); err != nil {
		t.Fatal(err)
	}
	if by := unbroken(t, beside); by["dev"] != 2 {
		t.Errorf("%d records seen beside the writer", by["dev"])
	}
	said(t, beside.Update(ctx, func(tx store.Tx) error { return nil }), bot.Unavailable, "reading only")
	if err := beside.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	locked := filepath.Join(t.TempDir(), "copies")
	if err := os.Mkdir(locked, 0o700); err != nil {
		t.Fatal(err)
	}
	duplicate := filepath.Join(locked, "copy.db")
	if err := os.WriteFile(duplicate, raw, 0o400); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(locked, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(locked, 0o700) })
	c, err := OpenReadOnly(ctx, duplicate)
	if err != nil {
		t.Fatal(err)
	}
	if by := unbroken(t, c); by["dev"] != 2 {
		t.Errorf("%d records in the copy", by["dev"])
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	after, err := os.ReadFile(duplicate)
	if err != nil || string(after) != string(raw) {
		t.Errorf("reading changed the copy (%v)", err)
	}
}

// TestOpenAtOnce opens a new database from many sides at once, each with tables
// to make.
func TestOpenAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "q.db")
	type result struct {
		s   store.Store
		err error
	}
	results := make(chan result)
	const n = 6
	for range n {
		go func() {
			s, err := Open(context.Background(), path)
			results <- result{s, err}
		}()
	}
	var all []store.Store
	for range n {
		r := <-results
		if r.err != nil {
			t.Errorf("open: %v", r.err)
			continue
		}
		all = append(all, r.s)
	}
	for _, s := range all {
		if _, err := appendNext(s, "dev"); err != nil {
			t.Errorf("append: %v", err)
		}
	}
	for i, s := range all {
		if by := unbroken(t, s); by["dev"] != n {
			t.Errorf("store %d sees %d records", i, by["dev"])
		}
	}
	for _, s := range all {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestDamageIsSaid breaks pages of a database that is in use later.
func TestDamageIsSaid(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "q.db")
	s := opened(t, path)
	for range 200 {
		if _, err := appendNext(s, "dev"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Every page but the first few loses its beginning.
	for page := 30; page*4096 < len(raw); page++ {
		clear(raw[page*4096 : page*4096+100])
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err = Open(context.Background(), path)
	if err == nil {
		defer s.Close()
		err = s.View(context.Background(), func(r store.Reader) error {
			_, err := r.RecordsFrom(1, 1000)
			return err
		})
	}
	said(t, err, bot.Unavailable, "damaged")
}
