// Package sqlite keeps everything that survives a restart in one SQLite file,
// for one machine. Several processes of that machine may use the file at once;
// it must lie on a local disk.
package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
	"quarterdeck/bot/store/sqlstore"
)

// busyTimeout is how long a statement waits for another process's lock.
const busyTimeout = 5 * time.Second

// Type gives this store's row in the table of stores.
func Type() store.Type {
	return store.Type{Scheme: "sqlite", Open: Open, OpenCopy: OpenReadOnly, Files: files}
}

// Open opens the database file that dsn names, with all directories above it,
// creating what is missing with access for the owner alone, and brings its
// tables up to date. A relative path is taken from the working directory. The
// Errors it gives have a sentence: for a path that names no file, a network
// file system, a damaged file, a database of a newer version. ctx bounds the
// opening alone.
func Open(ctx context.Context, dsn string) (store.Store, error) {
	return opener{filesystem: filesystemOf}.open(ctx, dsn)
}

// OpenReadOnly opens an existing database file, such as a copy that is to be
// verified, without changing it. Update is refused. Where its folder cannot be
// written, the file must be one that nobody writes.
func OpenReadOnly(ctx context.Context, dsn string) (store.Store, error) {
	return opener{filesystem: filesystemOf}.openReadOnly(ctx, dsn)
}

// opener holds what tests replace.
type opener struct {
	// filesystem names the kind of network file system that holds a folder,
	// "" for a local one.
	filesystem func(folder string) (string, error)
	// onWriter and onReader are called on every new connection and give the
	// one to use in its place; may be nil.
	onWriter, onReader func(c driver.Conn) (driver.Conn, error)
	// migrations are the steps of another release; nil for this one's.
	migrations fs.FS
}

func (o opener) open(ctx context.Context, dsn string) (store.Store, error) {
	path, err := pathOf(dsn)
	if err != nil {
		return nil, err
	}
	if err := o.prepare(path); err != nil {
		return nil, err
	}
	write, err := connect(path, o.onWriter, "mode=rw", "_txlock=immediate", "_pragma=journal_mode(WAL)", "_pragma=synchronous(FULL)",
		"_pragma=cache_size(-8192)", "_pragma=wal_autocheckpoint(8000)", "_pragma=journal_size_limit(67108864)")
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	err = patiently(ctx, func() error {
		if err := prove(ctx, write, path); err != nil {
			return err
		}
		return o.migrate(ctx, write)
	})
	if err != nil {
		write.Close()
		return nil, cannotWrite(filepath.Dir(path), err)
	}
	turn, err := newTurnstile(filepath.Dir(path))
	if err != nil {
		write.Close()
		return nil, err
	}
	read, err := connect(path, o.onReader, "mode=rw", "_pragma=query_only(1)")
	if err != nil {
		write.Close()
		turn.close()
		return nil, err
	}
	d := dialect()
	d.Turn = turn.pass
	return sqlstore.New(sqlstore.Options{Write: write, Read: read, Dialect: d, Closed: turn.close,
		Purge: func(ctx context.Context) error { return purge(ctx, path) },
		Copy:  func(ctx context.Context, to string) (int64, error) { return copyTo(ctx, path, to) }}), nil
}

// patiently tries again for as long as another process's lock is waited for.
// SQLite answers some of what opening does, such as the change to a write-ahead
// log, without waiting (https://www.sqlite.org/c3ref/busy_handler.html).
func patiently(ctx context.Context, f func() error) error {
	const pause = 50 * time.Millisecond
	for tries := busyTimeout / pause; ; tries-- {
		err := f()
		if err == nil || !isBusy(err) || tries <= 1 {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

func (o opener) openReadOnly(ctx context.Context, dsn string) (store.Store, error) {
	path, err := pathOf(dsn)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fileError(path, err)
	}
	if err := o.refuseNetwork(filepath.Dir(path)); err != nil {
		return nil, err
	}
	modes := [][]string{{"mode=ro", "_pragma=query_only(1)"}}
	if info, err := os.Stat(path + "-wal"); errors.Is(err, os.ErrNotExist) || err == nil && info.Size() == 0 {
		// Nothing is left in a log beside the file, so the file is all there
		// is to read, and that works in a folder where no lock can be kept.
		modes = append(modes, []string{"mode=ro", "immutable=1"})
	}
	for i, mode := range modes {
		read, err := connect(path, nil, mode...)
		if err != nil {
			return nil, err
		}
		err = o.compatible(ctx, read)
		if err == nil {
			return sqlstore.New(sqlstore.Options{Read: read, Dialect: dialect()}), nil
		}
		read.Close()
		if i == len(modes)-1 || !needsFolder(err) {
			return nil, err
		}
	}
	return nil, nil // not reached: the last mode returns
}

func dialect() sqlstore.Dialect {
	return sqlstore.Dialect{
		Name:       "sqlite",
		BeginWrite: []string{"BEGIN IMMEDIATE"},
		BeginRead:  []string{"BEGIN"},
		Translate:  translate,
	}
}

// pathOf reads what follows "sqlite:" in the configuration.
func pathOf(dsn string) (string, error) {
	refuse := func(format string, args ...any) error {
		return &bot.Error{Op: "sqlite.open", Kind: bot.Invalid, Say: fmt.Sprintf(format, args...)}
	}
	path := dsn
	if rest, ok := strings.CutPrefix(dsn, "//"); ok {
		if !strings.HasPrefix(rest, "/") {
			return "", refuse("the database sqlite:%s has a host where none belongs; did you mean \"sqlite:%s\"?", dsn, rest)
		}
		path = rest
	}
	switch {
	case strings.TrimSpace(path) == "":
		return "", refuse("the database names no file; write sqlite:PATH, such as \"sqlite:data/quarterdeck.db\"")
	case strings.HasPrefix(path, ":memory:"):
		return "", refuse("the database must be a file, because it has to survive a restart; write sqlite:PATH, such as \"sqlite:data/quarterdeck.db\"")
	case strings.HasPrefix(path, "file:"):
		return "", refuse("the database is written as a plain path; did you mean \"sqlite:%s\"?", strings.TrimPrefix(path, "file:"))
	case strings.HasSuffix(path, "/"):
		return "", refuse("the database %s names a folder; did you mean \"sqlite:%squarterdeck.db\"?", path, path)
	case strings.ContainsRune(path, 0):
		return "", refuse("the name of the database file holds a zero byte")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", &bot.Error{Op: "sqlite.open", Kind: bot.Invalid, Say: "the database file has no absolute path", Err: err}
	}
	return abs, nil
}

// prepare sees to it that the file exists, is local and is its owner's alone.
func (o opener) prepare(path string) error {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fileError(folder, err)
	}
	if err := o.refuseNetwork(folder); err != nil {
		return err
	}
	// SQLite gives the files beside it the same rights. The file is opened
	// here only when it is new: closing it would take away the locks that this
	// process holds on it.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err == nil {
		return errors.Join(f.Chmod(0o600), f.Close())
	}
	if !errors.Is(err, os.ErrExist) {
		return fileError(path, err)
	}
	for _, p := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(p)
		switch {
		case errors.Is(err, os.ErrNotExist):
			continue
		case err != nil:
			return fileError(p, err)
		case !info.Mode().IsRegular():
			return &bot.Error{Op: "sqlite.open", Kind: bot.Invalid, Say: fmt.Sprintf("the database %s is not a file", p)}
		case info.Mode().Perm()&0o077 != 0:
			if err := os.Chmod(p, info.Mode().Perm()&^0o077); err != nil {
				return fileError(p, err)
			}
		}
	}
	return nil
}

func (o opener) refuseNetwork(folder string) error {
	kind, err := o.filesystem(folder)
	if err != nil {
		return fileError(folder, err)
	}
	if kind != "" {
		return &bot.Error{Op: "sqlite.open", Kind: bot.Invalid,
			Say: fmt.Sprintf("the database folder %s is on %s, where SQLite's locks do not hold; put it on a local disk, or use postgres://", folder, kind)}
	}
	return nil
}

// connector hands every new connection to hook.
type connector struct {
	driver.Connector
	hook func(c driver.Conn) (driver.Conn, error)
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	hooked, err := c.hook(conn)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return hooked, nil
}

func connect(path string, hook func(driver.Conn) (driver.Conn, error), params ...string) (*sql.DB, error) {
	all := append([]string{
		fmt.Sprintf("_pragma=busy_timeout(%d)", busyTimeout.Milliseconds()),
		"_pragma=foreign_keys(1)", "_pragma=temp_store(MEMORY)", "_pragma=trusted_schema(0)", "_dqs=0", "_error_rc=1",
	}, params...)
	dsn := "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + strings.Join(all, "&")
	c, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, openError(err)
	}
	if hook != nil {
		c = connector{c, hook}
	}
	return sql.OpenDB(c), nil
}

// prove checks that the settings on which durability rests are in force, not
// only asked for.
func prove(ctx context.Context, db *sql.DB, path string) error {
	for _, want := range []struct{ pragma, value, why string }{
		{"journal_mode", "wal", "readers and the writer would stop one another"},
		{"synchronous", "2", "a power cut could lose records"},
		{"foreign_keys", "1", "references would not be checked"},
	} {
		var got string
		if err := db.QueryRowContext(ctx, "PRAGMA "+want.pragma).Scan(&got); err != nil {
			return openError(err)
		}
		if got != want.value {
			return &bot.Error{Op: "sqlite.open", Kind: bot.Unavailable,
				Say: fmt.Sprintf("the database %s keeps %s at %s instead of %s, so %s", path, want.pragma, got, want.value, want.why)}
		}
	}
	return nil
}
