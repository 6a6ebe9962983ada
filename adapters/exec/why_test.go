//go:build linux || darwin

package execprovider

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Whatever is in a program's way is named with its path and what to do.
func TestInspect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "")
	work := filepath.Join(w.dir, "work")
	for name, text := range map[string]string{"plain": "#!/bin/sh\n", "orphan": "#! /nowhere/sh -e\n", "whole": "#!/bin/sh\n"} {
		w.write(filepath.Join("work", name), text)
	}
	for _, name := range []string{"orphan", "whole"} {
		if err := os.Chmod(filepath.Join(work, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	bound, err := bind(w.dir, shop, `argv = ["./absent"]
current = ["./plain"]
releases = ["./orphan"]
rollback = ["no-such-program-anywhere"]
restart = ["./whole"]`, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := bound.(*deployer)
	at := func(name string) string { return filepath.Join(work, name) }
	want := []string{
		"argv: " + at("absent") + " does not exist",
		"current: " + at("plain") + " is not executable; run: chmod +x " + at("plain"),
		"releases: " + at("orphan") + " is to be run by /nowhere/sh, as its first line says, which does not exist",
		`rollback: there is no program "no-such-program-anywhere" in PATH`,
	}
	if got := d.Inspect(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	d.table.Argv = []string{"./"}
	if got := d.Inspect(); !strings.Contains(got[0], "is a folder") {
		t.Errorf("got %q", got)
	}
	d.dir = filepath.Join(w.dir, "gone")
	if got := d.Inspect(); !strings.Contains(got[0], "the folder "+d.dir+", in which it is to run, does not exist") {
		t.Errorf("got %q", got)
	}
}
