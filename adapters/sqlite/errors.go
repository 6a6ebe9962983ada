package sqlite

import (
	"errors"
	"fmt"
	"os"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"quarterdeck/bot"
)

// translate says in a sentence what SQLite's code means. What a person may be
// able to mend is Unavailable: the same request works afterwards.
func translate(err error) (bot.Kind, string) {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return bot.Internal, "the database failed"
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_PROTOCOL:
		return bot.Unavailable, "the database is locked by another process; nothing was changed"
	case lib.SQLITE_FULL:
		return bot.Unavailable, "the disk that holds the database is full; nothing was changed"
	case lib.SQLITE_READONLY, lib.SQLITE_PERM, lib.SQLITE_AUTH:
		return bot.Unavailable, "the database can only be read; nothing was changed"
	case lib.SQLITE_IOERR:
		return bot.Unavailable, "the disk that holds the database reports an error"
	case lib.SQLITE_CANTOPEN:
		return bot.Unavailable, "the database file cannot be opened"
	case lib.SQLITE_CORRUPT:
		return bot.Unavailable, "the database file is damaged, so stop the bot and put a backup back with: quarterdeck db restore FILE"
	case lib.SQLITE_NOTADB:
		return bot.Unavailable, "the database file is not a SQLite database, so put a backup back with: quarterdeck db restore FILE"
	case lib.SQLITE_NOMEM:
		return bot.Unavailable, "there is not enough memory for the database"
	case lib.SQLITE_TOOBIG:
		return bot.Invalid, "the value is too large for the database"
	case lib.SQLITE_CONSTRAINT:
		return bot.Conflict, "somebody else changed the same thing meanwhile"
	}
	return bot.Internal, "the database failed"
}

func openError(err error) error {
	var known *bot.Error
	if errors.As(err, &known) {
		return err
	}
	kind, say := translate(err)
	return &bot.Error{Op: "sqlite.open", Kind: kind, Say: say, Err: err}
}

// needsFolder reports whether reading failed because SQLite could not make its
// lock files in the database's folder.
func needsFolder(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code()&0xff == lib.SQLITE_CANTOPEN || e.Code()&0xff == lib.SQLITE_READONLY)
}

// cannotWrite gives err, or a better sentence where it came from a folder in
// which no file can be made: SQLite only says that it cannot open one.
func cannotWrite(folder string, err error) error {
	if !needsFolder(err) {
		return err
	}
	f, probe := os.CreateTemp(folder, ".quarterdeck-*")
	if probe == nil {
		f.Close()
		os.Remove(f.Name())
		return err
	}
	return &bot.Error{Op: "sqlite.open", Kind: bot.Unavailable, Err: errors.Join(err, probe),
		Say: fmt.Sprintf("nothing can be written in %s, the folder of the database: it can only be read, or its disk is full", folder)}
}

// isBusy reports whether another process's lock was in the way.
func isBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code()&0xff == lib.SQLITE_BUSY || e.Code()&0xff == lib.SQLITE_LOCKED)
}

func fileError(path string, err error) error {
	kind, what := bot.Unavailable, "cannot be opened"
	switch {
	case errors.Is(err, os.ErrPermission):
		what = "may not be opened by this user"
	case errors.Is(err, os.ErrNotExist):
		kind, what = bot.NotFound, "does not exist"
	}
	return &bot.Error{Op: "sqlite.open", Kind: kind, Say: fmt.Sprintf("%s %s", path, what), Err: err}
}
