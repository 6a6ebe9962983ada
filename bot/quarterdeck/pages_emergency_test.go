//go:build linux

package main

import (
	"os"
	"strings"
	"testing"
)

// TestPageWithoutTheLog: while another process keeps the database locked, a page
// that nobody takes goes on to the next level from memory, and an acknowledgement
// goes through the emergency journal; once the log can be written, it is in it.
func TestPageWithoutTheLog(t *testing.T) {
	if os.Getenv("QUARTERDECK_TEST_ALL") == "" {
		t.Skip("it waits for a locked database as long as the bot does; make test-all runs it, and package page has it without the waiting")
	}
	t.Parallel()
	s := newStage(t)
	raw, err := os.ReadFile(s.path("config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	s.write("config.toml", strings.Replace(string(raw), "[auth]\n", strings.ReplaceAll(stagePager, "WAIT", "4s"), 1))
	s.write("monitor-token", "let-me-in")
	if err := os.Chmod(s.path("monitor-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	holds := func(file, text string) func() bool {
		return func() bool {
			raw, err := os.ReadFile(s.path(file))
			return err == nil && strings.Contains(string(raw), text)
		}
	}
	s.serve("config.toml", "q.sock", "")
	s.end(s.ask("page open shop prod the checkout is down"), 0)
	s.end(s.ask("page list"), 0)
	s.until("the page is told", holds("channels/pages.txt", "page 1 (shop/prod)"))
	unlock := s.lockDatabase()
	s.until("the next level is asked from memory", holds("channels/pages.txt", "no answer; sre, please type: page ack 1"))
	s.end(s.ask("page ack 1"), 0)
	s.until("the audit channel hears of it", holds("channels/audit-channel.txt", "ack page 1"))
	unlock()
	s.until("the page has followed", holds("channels/pages.txt", "dev: has it, as the emergency journal tells"))
	s.wantLog(2, "requested", "started", "succeeded")
}
