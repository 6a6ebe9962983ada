package execprovider

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// The bot has no child left once an operation is over, and none that is dead
// while it runs. Not parallel: other tests have children of their own.
func TestNoChildIsLeft(t *testing.T) {
	w := newWorld(t, "", "")
	d := w.deployer()
	h, _, _ := w.until(d, w.begin(d, "slow", "run-1"), working)
	wantNoChildren(t)
	w.write("work/finish", "")
	w.run(d, h)
	if _, err := d.Current(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantNoChildren(t)
}

func wantNoChildren(t *testing.T) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	own := fmt.Append(nil, os.Getpid())
	for _, name := range stats {
		raw, err := os.ReadFile(name)
		if err != nil {
			continue // it has just ended
		}
		fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
		if bytes.Equal(fields[1], own) {
			t.Errorf("a child is left: %s", raw)
		}
	}
}
