//go:build !unix

package terminal

import (
	"errors"
	"os"
)

var errLocked = errors.New("locked by another process")

func lockFile(string) (*os.File, error) {
	return nil, errors.New("the terminal needs a Unix system")
}

func windowSize(*os.File) (columns, rows int, ok bool) { return 0, 0, false }

func redrawPrompt() {}

func openTTY() (*os.File, error) { return nil, errors.ErrUnsupported }
