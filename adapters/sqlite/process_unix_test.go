//go:build unix

package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// children are what the test binary does when it is started as a process of
// its own, by name.
func children() map[string]func(path, arg string) error {
	return map[string]func(path, arg string) error{"append": appendChild, "endless": endlessChild, "file limit": fileLimitChild}
}

// TestBusyProcessLetsOthersIn: beside a process that writes without a pause
// another gets its turn long before it gives up.
func TestBusyProcessLetsOthersIn(t *testing.T) {
	t.Parallel()
	s, path, w := faulty(t)
	w.set(t, "PRAGMA busy_timeout = 250")
	c := child(t, "endless", path, "")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the other process writes nothing")
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for lines.Scan() {
		}
	}()
	for i := range 60 {
		if _, err := appendNext(s, "parent"); err != nil {
			t.Errorf("append %d: %v", i, err)
			break
		}
	}
	c.Process.Kill()
	<-drained
	c.Wait()
	if by := unbroken(t, s); by["child"] < 2 || by["parent"] != 60 {
		t.Errorf("records %v", by)
	}
}

// TestDiskError lets the operating system refuse to grow any file, within a
// process of its own: writes fail in the middle of the log and at the commit.
func TestDiskError(t *testing.T) {
	t.Parallel()
	c := child(t, "file limit", filepath.Join(t.TempDir(), "quarterdeck.db"), "")
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func fileLimitChild(path, _ string) error {
	ctx := context.Background()
	s, err := Open(ctx, path)
	if err != nil {
		return err
	}
	if _, err := appendNext(s, "before"); err != nil {
		return err
	}
	info, err := os.Stat(path + "-wal")
	if err != nil {
		return err
	}
	var free unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &free); err != nil {
		return err
	}
	full := free
	full.Cur = uint64(info.Size()) + 20_000
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &full); err != nil {
		return err
	}
	good, failed := 1, 0
	for range 20 {
		_, err := appendNext(s, "under the limit")
		if err == nil {
			good++
			continue
		}
		failed++
		if bot.KindOf(err) != bot.Unavailable || !strings.Contains(err.Error(), "disk") {
			return fmt.Errorf("a failing disk gives %w", err)
		}
	}
	if failed == 0 {
		return errors.New("no write failed: the limit is not in force")
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &free); err != nil {
		return err
	}
	for range 3 {
		if _, err := appendNext(s, "after"); err != nil {
			return fmt.Errorf("with the disk mended: %w", err)
		}
		good++
	}
	if err := s.Close(); err != nil {
		return err
	}
	if s, err = Open(ctx, path); err != nil {
		return err
	}
	defer s.Close()
	return s.View(ctx, func(r store.Reader) error {
		list, err := r.RecordsFrom(1, 100)
		if err == nil && len(list) != good {
			err = fmt.Errorf("%d records, but %d were promised", len(list), good)
		}
		return err
	})
}
