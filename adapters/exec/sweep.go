package execprovider

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// How long the folder of an operation is kept, and how much one sweep does.
const (
	keepEnded   = 7 * 24 * time.Hour
	keepUnknown = 90 * 24 * time.Hour
	maxSwept    = 20
	maxScanned  = 2000

	sweptPrefix = ".swept-"
)

// sweep removes folders of operations that ended long ago. Failing to is no
// reason to fail anything else: the next operation tries again.
func (d *deployer) sweep() {
	entries, err := os.ReadDir(d.state)
	if err != nil {
		return
	}
	swept := 0
	for i, entry := range entries {
		if i == maxScanned || swept == maxSwept {
			return
		}
		path := filepath.Join(d.state, entry.Name())
		switch {
		case strings.HasPrefix(entry.Name(), sweptPrefix):
			_ = os.RemoveAll(path)
		case entry.IsDir() && d.outlived(folder{path}):
			// Renamed first: half a folder would look like one not claimed yet.
			away := filepath.Join(d.state, sweptPrefix+entry.Name())
			if os.Rename(path, away) == nil {
				_ = os.RemoveAll(away)
			}
			swept++
		}
	}
}

// outlived reports whether the operation ended long ago, or was started so long
// ago that nobody follows it any more.
func (d *deployer) outlived(f folder) bool {
	// Only its age is of interest here, so every boot is as good as another.
	s, err := f.look("")
	if err != nil || s.attempt == 0 {
		return false
	}
	now := d.clock.Now()
	switch s.phase {
	case phaseEnded:
		return now.Sub(s.exit.At) > keepEnded
	case phaseWithdrawn:
		return now.Sub(s.claim.At) > keepEnded
	}
	return now.Sub(s.claim.At) > keepUnknown
}
