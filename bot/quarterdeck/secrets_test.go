//go:build linux || darwin

package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

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

// hostile FILE [huge] writes lines that somebody with no more than an account would try
// on the database and on what reads it, each a command of its own.
func hostile(ts *testscript.TestScript, _ bool, args []string) {
	lines := []string{
		"status shop'/**/OR/**/1=1;DROP/**/TABLE/**/runs;-- staging",
		"status shop' staging'; UPDATE runs SET state='succeeded'; --",
		"lock shop staging --reason \"x'); DELETE FROM records; --\"",
		"unlock shop staging --reason '$1 $2 ? :name %s %00 \\x00 \\u0000 {{.}}'",
		"lock shop staging --reason \"a\x00b\"",
		"unlock shop staging --reason \"\xff\xfe\xc0\x80\xed\xa0\x80\"",
		"lock shop staging --reason \"" + strings.Repeat("a", 60_000) + "\"",
		"history shop\x00 staging",
		"deploy shop v2\x00 staging",
		"deploy shop \xff staging",
		"deploy shop \"v2'; --\" staging",
		"run 99999999999999999999999999",
		"run -1",
		"audit --by \"dev' OR '1'='1\"",
		"audit --target \"%\"",
		strings.Repeat("\x00", 1000),
		strings.Repeat("'", 4000),
		"\xff\xff\xff\xff",
		"lock shop staging --reason \"" + strings.Repeat("\U0010FFFF", 900) + "\"",
		"unlock shop staging",
	}
	if len(args) > 1 {
		lines = []string{"lock shop staging --reason " + strings.Repeat("a", 1<<20)}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(lines, "\n")+"\n"), 0o600))
}
