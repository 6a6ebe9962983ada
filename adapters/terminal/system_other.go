//go:build !unix

package terminal

import (
	"errors"
	"io/fs"
	"os"
)

var (
	errLocked  = errors.New("locked by another process")
	errNotOurs = errors.New("not a file of its own")
)

func lockFile(string) (*os.File, error) {
	return nil, errors.New("the terminal needs a Unix system")
}

func ownersOf(fs.FileInfo) (uid, gid uint32, ok bool) { return 0, 0, false }

func windowSize(*os.File) (columns, rows int, ok bool) { return 0, 0, false }

func redrawPrompt() {}

func openTTY() (*os.File, error) { return nil, errors.ErrUnsupported }
