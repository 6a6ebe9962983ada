package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"quarterdeck/bot"
)

// copyTo writes a consistent copy of the database at path into the new file to.
// VACUUM INTO reads one snapshot and holds no writer up
// (https://www.sqlite.org/lang_vacuum.html); what was erased is not in the copy.
func copyTo(ctx context.Context, path, to string) (schema int64, err error) {
	// Made here, so that it never was readable for others; VACUUM INTO takes an
	// empty file.
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return 0, &bot.Error{Op: "sqlite.copy", Kind: bot.Conflict, Say: fmt.Sprintf("%s is there already, and is not written over", to)}
	case err != nil:
		return 0, fileError(to, err)
	}
	defer func() {
		if err != nil {
			os.Remove(to)
		}
	}()
	defer f.Close()
	db, err := connect(path, nil, "mode=rw")
	if err != nil {
		return 0, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", to); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, fileError(to, err)
	}
	if err := syncFolder(to); err != nil {
		return 0, err
	}
	made, err := connect(to, nil, "mode=ro", "immutable=1")
	if err != nil {
		return 0, err
	}
	defer made.Close()
	return version(ctx, made)
}

// syncFolder makes durable that a file is in its folder.
func syncFolder(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fileError(filepath.Dir(path), err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// files gives the files of a database.
func files(dsn string) ([]string, error) {
	path, err := pathOf(dsn)
	if err != nil {
		return nil, err
	}
	return []string{path, path + "-wal", path + "-shm"}, nil
}
