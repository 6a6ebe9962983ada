//go:build linux || darwin

package main

import (
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBehindTheBotsBack deploys with the platform's own program, as somebody
// does who does not know the bot: it is noticed, once, and said aloud.
func TestBehindTheBotsBack(t *testing.T) {
	s := begin(t)
	s.expect(`TARGET`)
	channel := filepath.Join(s.dir, "audit-channel.txt")
	told := func() int {
		raw, err := os.ReadFile(channel)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return strings.Count(string(raw), "v2 is live in shop/staging now, no longer v1")
	}
	// The first look must have been: without one there is nothing to compare with.
	deployed := false
	for end := time.Now().Add(patience); told() == 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("nobody noticed; it said:\n%s", s.all())
		}
		if !deployed && s.seenLive() {
			deployed = true
			cmd := exec.Command("./platform", "deploy")
			cmd.Dir = filepath.Join(s.dir, "platform")
			cmd.Env = append(os.Environ(), "OP_ID=by-hand", "OP_ACTOR=somebody", "OP_SERVICE=shop", "OP_ENV=staging", "OP_VERSION=v2")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("deploy by hand: %v\n%s", err, out)
			}
		}
	}
	s.types("history shop staging")
	s.expect(`shop/staging: v1 -> v2 +outside +observed`)
	if n := told(); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// seenLive reports whether the bot has looked at what is live in staging.
func (s *session) seenLive() bool {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.dir, "quarterdeck.db")+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		return false
	}
	defer db.Close()
	var n int
	err = db.QueryRow(`SELECT count(*) FROM documents WHERE kind = 'observed' AND id = 'release/shop/staging'`).Scan(&n)
	return err == nil && n == 1
}
