package platform

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver named "sqlite"

	"quarterdeck/adapters/backup"
)

const (
	keptBackups   = 10
	backupTimeout = 30 * time.Second
	// secondBackup is when the second one is taken: the very first start finds
	// an empty shop, and a copy of that is no use to somebody who tries a restore.
	secondBackup = 10 * time.Second
	backupSuffix = ".db"
	partSuffix   = ".part"
)

// backupDir is where the environment's backups lie.
func (e *environment) backupDir() string {
	return filepath.Join(e.super.cfg.Dir, "backups", fmt.Sprintf("%s-%s", service, e.cfg.Name))
}

// keepBackups copies the orders database now, soon again, and then every interval.
func (e *environment) keepBackups(ctx context.Context) {
	every := e.super.cfg.BackupEvery
	next := time.NewTimer(min(secondBackup, every))
	defer next.Stop()
	for {
		if name, err := e.backup(ctx); err != nil && ctx.Err() == nil {
			e.super.log.Error("backup failed", "env", e.cfg.Name, "error", err)
		} else if err == nil {
			e.super.log.Info("backup taken", "env", e.cfg.Name, "file", name)
		}
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			next.Reset(every)
		}
	}
}

// backup takes one consistent copy while the instances go on writing. It gets
// its name only when it is whole, so what is named can be restored.
func (e *environment) backup(ctx context.Context) (name string, err error) {
	e.copying.Lock()
	defer e.copying.Unlock()
	ctx, cancel := context.WithTimeout(ctx, backupTimeout)
	defer cancel()
	dir := e.backupDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make backup folder: %w", err)
	}
	name = "orders-" + e.super.cfg.Now().UTC().Format("20060102T150405Z") + backupSuffix
	part := filepath.Join(dir, name+partSuffix)
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("remove unfinished backup: %w", err)
	}
	dsn := url.URL{Scheme: "file", Path: filepath.ToSlash(e.database), RawQuery: "_pragma=busy_timeout(5000)"}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return "", fmt.Errorf("open orders database: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, `VACUUM INTO ?`, part); err != nil {
		return "", errors.Join(fmt.Errorf("copy orders database: %w", err), removeIfThere(part))
	}
	if err := errors.Join(os.Chmod(part, 0o600), syncFile(part)); err != nil {
		return "", fmt.Errorf("keep backup: %w", err)
	}
	// Described before it has its name: whoever sees it can hold a copy against that.
	if err := errors.Join(removeIfThere(filepath.Join(dir, backupprovider.ManifestName(name))),
		backupprovider.DescribeFile(ctx, part, dir, name, e.super.cfg.Now().UTC())); err != nil {
		return "", fmt.Errorf("describe backup: %w", err)
	}
	if err := errors.Join(os.Rename(part, filepath.Join(dir, name)), syncDir(dir)); err != nil {
		return "", fmt.Errorf("name backup: %w", err)
	}
	return name, e.pruneBackups(dir)
}

// pruneBackups removes all but the newest backups, and what a crash left half done.
func (e *environment) pruneBackups(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("list backups: %w", err)
	}
	var whole []string
	for _, entry := range entries {
		switch name := entry.Name(); {
		case strings.HasPrefix(name, "orders-") && strings.HasSuffix(name, backupSuffix):
			whole = append(whole, name)
		case strings.HasSuffix(name, partSuffix):
			err = errors.Join(err, removeIfThere(filepath.Join(dir, name)))
		}
	}
	slices.Sort(whole) // the names sort by time
	for len(whole) > keptBackups {
		err = errors.Join(err, removeIfThere(filepath.Join(dir, whole[0])), removeIfThere(filepath.Join(dir, backupprovider.ManifestName(whole[0]))))
		whole = whole[1:]
	}
	return err
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// serveBackup takes a backup now, and answers with the line that ends it.
func (s *Supervisor) serveBackup(w http.ResponseWriter, r *http.Request) {
	in, e, no := s.readRequest(w, r)
	if no != nil {
		s.answer(w, http.StatusBadRequest, no)
		return
	}
	name, err := e.backup(r.Context())
	if err != nil {
		s.log.Error("backup failed", "env", in.Env, "by", in.Actor, "error", err)
		s.answer(w, http.StatusOK, progress{Phase: phaseFailed, Message: "the backup cannot be taken: " + err.Error()})
		return
	}
	s.log.Info("backup taken", "env", in.Env, "by", in.Actor, "file", name)
	s.answer(w, http.StatusOK, progress{Phase: phaseDone, Percent: 100, Message: fmt.Sprintf("%s is in %s", name, e.backupDir())})
}
