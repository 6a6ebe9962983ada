//go:build linux || darwin

package main

import (
	"bytes"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
)

// holds TEXT looks for bytes in every file of the bot's database, or in every
// row of one on a server.
func holds(ts *testscript.TestScript, neg bool, args []string) {
	db, onServer := behind(ts)
	defer db.Close()
	if onServer {
		if n := bytesIn(ts, db, args[0]); (n > 0) == neg {
			ts.Fatalf("%q is in %d rows of the database", args[0], n)
		}
		return
	}
	files, err := filepath.Glob(ts.MkAbs("quarterdeck.db*"))
	ts.Check(err)
	found := false
	for _, f := range files {
		raw, err := os.ReadFile(f)
		ts.Check(err)
		found = found || bytes.Contains(raw, []byte(args[0]))
	}
	if len(files) == 0 || found == neg {
		ts.Fatalf("%q is in the %d files of the database: %v", args[0], len(files), found)
	}
}

// spoil FOLDER changes one byte in the middle of every file of a folder.
func spoil(ts *testscript.TestScript, _ bool, args []string) {
	files, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "*"))
	ts.Check(err)
	for _, f := range files {
		raw, err := os.ReadFile(f)
		ts.Check(err)
		raw[len(raw)/2] ^= 1
		ts.Check(os.WriteFile(f, raw, 0o600))
	}
	if len(files) == 0 {
		ts.Fatalf("there is nothing to spoil in %s", args[0])
	}
}
