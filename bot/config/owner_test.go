//go:build linux || darwin

package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quarterdeck/bot/config"
)

// TestIncludeTakesItsFolderAsItIsCalled has a folder whose name would be a
// pattern, beside the folder which that would match.
func TestIncludeTakesItsFolderAsItIsCalled(t *testing.T) {
	for _, name := range []string{"team[ab]", "te*m", "t?am", `te\am`} {
		top := t.TempDir()
		dir := filepath.Join(top, name)
		write(t, dir, "conf.d/ours.toml", "[environment.ours]\n")
		for _, other := range []string{"teama", "team", "te*mx"} {
			write(t, filepath.Join(top, other), "conf.d/theirs.toml", "[environment.theirs]\n")
		}
		write(t, dir, "config.toml", "include = [\"conf.d/*.toml\"]\n"+good)
		c, err := config.Load(filepath.Join(dir, "config.toml"), known)
		if err != nil {
			t.Errorf("in %s: %v", name, err)
			continue
		}
		if want := []string{"config.toml", "conf.d/ours.toml"}; !slices.Equal(c.Files, want) || !slices.Contains(c.Environments, "ours") {
			t.Errorf("in %s: read %q, want %q", name, c.Files, want)
		}
	}
}

// TestIncludedFileInAnOpenFolder is about who can put another file in the place
// of one that is named, or of the one that it is a link to.
func TestIncludedFileInAnOpenFolder(t *testing.T) {
	load := func(path string) string {
		_, err := config.Load(path, known)
		if err == nil {
			return ""
		}
		return err.Error()
	}
	path := including(t, `"team/a.toml"`, map[string]string{"team/a.toml": ""})
	dir := filepath.Join(filepath.Dir(path), "team")
	chmod := func(mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
	}
	want := fmt.Sprintf(`config.toml:1: include "team/a.toml": others than its owner can replace files in team; run: chmod go-w %s`, dir)
	for _, c := range []struct {
		mode os.FileMode
		say  string
	}{{0o700, ""}, {0o755, ""}, {0o770, want}, {0o777, want}, {0o777 | os.ModeSticky, ""}} {
		chmod(c.mode)
		if say := load(path); say != c.say {
			t.Errorf("a folder with mode %v: %q, want %q", c.mode, say, c.say)
		}
	}
	// A link to it is as safe as where it leads to.
	linked := including(t, `"a.toml"`, nil)
	if err := os.Symlink(filepath.Join(dir, "a.toml"), filepath.Join(filepath.Dir(linked), "a.toml")); err != nil {
		t.Fatal(err)
	}
	if say := load(linked); say != "" {
		t.Errorf("a link: %s", say)
	}
	chmod(0o777)
	if say := load(linked); !strings.Contains(say, "others than its owner can replace files in") {
		t.Errorf("a link to where everybody writes: %q", say)
	}
}

// TestFilesOfSomebodyElse warns of rules that another user can change.
func TestFilesOfSomebodyElse(t *testing.T) {
	path := including(t, `"conf.d/*.toml"`, map[string]string{"conf.d/a.toml": "", "conf.d/b.toml": ""})
	c, err := config.Load(path, known)
	if err != nil || len(c.Warnings) != 0 {
		t.Fatalf("of files of one's own: %q, %v", c.Warnings, err)
	}
	if os.Geteuid() != 0 {
		t.Log("only root can give a file away")
		return
	}
	other := filepath.Join(filepath.Dir(path), "conf.d", "b.toml")
	if err := os.Chown(other, 4711, -1); err != nil {
		t.Fatal(err)
	}
	c, err = config.Load(path, known)
	want := "conf.d/b.toml:1: this file belongs to the user 4711, who can change the rules and is neither root nor whom this runs as; unless that is meant, run: chown root " + other
	if err != nil || len(c.Warnings) != 1 || c.Warnings[0] != want {
		t.Errorf("warns %q (%v), want %q", c.Warnings, err, want)
	}
}
