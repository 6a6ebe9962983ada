package backupprovider

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"

	"quarterdeck/bot"
)

// fileTree is a file, or a folder of files: fetching it is restoring it.
type fileTree struct {
	path string
	size map[string]int64 // by path, once restored
}

func (t *fileTree) engine(context.Context) (string, []string, error) {
	return "files need none", nil, nil
}

func (t *fileTree) restore(context.Context) (string, error) {
	t.size = map[string]int64{}
	info, err := os.Lstat(t.path)
	if err != nil {
		return "", err
	}
	if info.Mode().IsRegular() {
		t.size["."] = info.Size()
		return "1 file", nil
	}
	root, err := os.OpenRoot(t.path)
	if err != nil {
		return "", err
	}
	err = walk(root, ".", func(rel string, info fs.FileInfo) error {
		t.size[filepath.ToSlash(rel)] = info.Size()
		return nil
	})
	if err = errors.Join(err, root.Close()); err != nil {
		return "", err
	}
	return counted(int64(len(t.size)), "file"), nil
}

func (t *fileTree) verify(context.Context) (string, error) {
	if len(t.size) == 0 {
		return "", bot.Errorf(bot.Conflict, "there are no files in it")
	}
	return counted(int64(len(t.size)), "file"), nil
}

func (t *fileTree) tables(context.Context) (map[string]int64, error) { return nil, nil }

func (t *fileTree) ask(context.Context, string, int) ([][]string, error) {
	return nil, bot.Errorf(bot.Invalid, "files cannot be asked")
}

func (t *fileTree) close() {}

// agrees compares the files that a database names, a row each with the path and
// perhaps the size, with those that are here; exact says that there are no others.
func (t *fileTree) agrees(rows [][]string, exact bool) error {
	const shown = 3
	named := map[string]bool{}
	var bad []string
	count := 0
	say := func(format string, args ...any) {
		if count++; count <= shown {
			bad = append(bad, fmt.Sprintf(format, args...))
		}
	}
	for _, row := range rows {
		if len(row) == 0 {
			continue
		}
		name := path.Clean(row[0])
		named[name] = true
		size, found := t.size[name]
		switch {
		case !found:
			say("%s is missing", clean(name, 100))
		case len(row) > 1:
			if want, err := strconv.ParseInt(row[1], 10, 64); err != nil || want != size {
				say("%s has %d bytes, not %s", clean(name, 100), size, clean(row[1], 20))
			}
		}
	}
	if exact {
		for name := range t.size {
			if !named[name] {
				say("%s belongs to nothing", clean(name, 100))
			}
		}
	}
	if count == 0 {
		return nil
	}
	text := ""
	for i, b := range bad {
		if i > 0 {
			text += ", "
		}
		text += b
	}
	if more := count - len(bad); more > 0 {
		text += fmt.Sprintf(", and %d more", more)
	}
	return bot.Errorf(bot.Conflict, "%s", text)
}
