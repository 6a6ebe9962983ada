//go:build linux || darwin

package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
)

// anywhere TEXT FOLDER... looks for a text in every file below the folders.
func anywhere(ts *testscript.TestScript, neg bool, args []string) {
	var found []string
	for _, dir := range args[1:] {
		ts.Check(filepath.WalkDir(ts.MkAbs(dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			raw, err := os.ReadFile(path)
			if bytes.Contains(raw, []byte(args[0])) {
				found = append(found, path)
			}
			return err
		}))
	}
	if (len(found) > 0) == neg {
		ts.Fatalf("%q is in %d files: %q", args[0], len(found), found)
	}
}
