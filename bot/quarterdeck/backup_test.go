package main

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"os"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// keepers gives the commands about backups.
func keepers() map[string]command {
	return map[string]command{"take-backup": takeBackup, "not-restored": notRestored, "digest-of": digestOf, "spoil-backup": spoilBackup}
}

// takeBackup NAME [AGE] makes a backup of a shop's orders, perhaps some time ago.
func takeBackup(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(filepath.Join("backups", args[0]))
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o700))
	db, err := sql.Open("sqlite", "file:"+path)
	ts.Check(err)
	for _, s := range []string{
		`CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT NOT NULL, at INTEGER NOT NULL)`,
		`INSERT INTO orders VALUES (1, 'tea', unixepoch()), (2, 'cup', unixepoch())`,
	} {
		_, err := db.Exec(s)
		ts.Check(err)
	}
	ts.Check(db.Close())
	if len(args) > 1 {
		age, err := time.ParseDuration(args[1])
		ts.Check(err)
		at := time.Now().Add(-age)
		ts.Check(os.Chtimes(path, at, at))
	}
}

// spoilBackup NAME flips one byte of it.
func spoilBackup(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(filepath.Join("backups", args[0]))
	raw, err := os.ReadFile(path)
	ts.Check(err)
	raw[len(raw)/2] ^= 1
	ts.Check(os.WriteFile(path, raw, 0o600))
}

// notRestored asserts that nothing lies where backups are restored; negated, that
// something does, for which it waits.
func notRestored(ts *testscript.TestScript, neg bool, _ []string) {
	there := func() []os.DirEntry {
		entries, err := os.ReadDir(ts.MkAbs("state/restore-tests/backups"))
		if err != nil && !os.IsNotExist(err) {
			ts.Fatalf("%v", err)
		}
		return entries
	}
	if neg {
		eventually(ts, "something that is being restored", func() bool { return len(there()) > 0 })
		return
	}
	if left := there(); len(left) > 0 {
		ts.Fatalf("%s is left where backups are restored", left[0].Name())
	}
}

// digestOf RUN puts the digest of the run's evidence into DIGEST, and the evidence
// and its page into evidence.json and evidence.md.
func digestOf(ts *testscript.TestScript, _ bool, args []string) {
	for _, kind := range []string{".md", ".json"} {
		all, err := filepath.Glob(ts.MkAbs("state/restore-test-evidence/*-run-" + args[0] + "-*" + kind))
		ts.Check(err)
		if len(all) != 1 {
			ts.Fatalf("there are %d files of evidence %s about #%s", len(all), kind, args[0])
		}
		raw, err := os.ReadFile(all[0])
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs("evidence"+kind), raw, 0o600))
		sum := sha256.Sum256(raw)
		ts.Setenv("DIGEST", "sha256:"+hex.EncodeToString(sum[:]))
	}
}
