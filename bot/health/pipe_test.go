//go:build linux || darwin

package health_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/health"
)

// A pipe in place of the address's file is refused: reading it would wait for
// ever, and the bot would never start.
func TestHeartbeatFromAPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	err := (&health.Heartbeat{URL: "file:" + pipe, Secrets: &bot.Secrets{}, May: func(string) bool { return true }}).Check()
	if bot.KindOf(err) != bot.Invalid || !strings.Contains(bot.Sentence(err, ""), "it is no regular file") {
		t.Errorf("a pipe gives %v", err)
	}
}
