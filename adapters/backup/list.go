package backupprovider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

const (
	// maxEntries bounds how many names of the folder are looked at.
	maxEntries = 20_000
	// maxFiles bounds the files of one backup that is a folder.
	maxFiles = 200_000
	// maxDepth bounds the folders in one another.
	maxDepth = 40
)

// backupName is what a backup may be called: what can be typed, and is no path.
var backupName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+@=-]{0,199}$`)

// open opens the folder of the backups. Nothing outside of it is reached through
// what is opened.
func (b *tester) open() (*os.Root, error) {
	root, err := os.OpenRoot(b.path)
	if err != nil {
		e := bot.Errorf(bot.Unavailable, "the folder of the backups of %s cannot be read; look at its path and its permissions", b.target)
		e.Err = err
		return nil, e
	}
	return root, nil
}

// named reports whether an entry of the folder is a backup by its name.
func (b *tester) named(name string) bool {
	matches, err := filepath.Match(b.table.Match, name)
	return err == nil && matches && backupName.MatchString(name) && !strings.HasSuffix(name, manifestSuffix) && !strings.HasSuffix(name, ".part")
}

// Backups implements provider.RestoreTester. When a backup was made is what its
// manifest says, and otherwise when it was last written to.
func (b *tester) Backups(ctx context.Context, limit int) ([]provider.Backup, error) {
	root, err := b.open()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	folder, err := root.Open(".")
	if err != nil {
		return nil, unreadable(b.target, err)
	}
	defer folder.Close()
	entries, err := folder.ReadDir(maxEntries + 1)
	if err != nil && len(entries) == 0 && !isEOF(err) {
		return nil, unreadable(b.target, err)
	}
	if len(entries) > maxEntries {
		return nil, bot.Errorf(bot.Unavailable, "there are more than %d files beside the backups of %s; give them a folder of their own", maxEntries, b.target)
	}
	names := map[string]bool{}
	var all []provider.Backup
	for _, e := range entries {
		names[e.Name()] = true
	}
	for _, e := range entries {
		if !b.named(e.Name()) || !e.Type().IsRegular() && !e.IsDir() {
			continue // a link is none: what it leads to may lie anywhere
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was removed meanwhile
		}
		if err != nil {
			return nil, unreadable(b.target, err)
		}
		all = append(all, provider.Backup{ID: e.Name(), Created: info.ModTime().UTC(), Bytes: info.Size(), Described: names[e.Name()+manifestSuffix]})
	}
	byTime := func(x, y provider.Backup) int {
		return cmp.Or(y.Created.Compare(x.Created), strings.Compare(y.ID, x.ID))
	}
	slices.SortFunc(all, byTime)
	// A manifest may know better when a backup was made; the newest ones' are read.
	all = all[:min(len(all), max(limit, maxManifests))]
	for i := range all {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		dated(root, &all[i])
	}
	slices.SortFunc(all, byTime)
	all = all[:min(len(all), limit)]
	for i := range all {
		if err := b.measure(root, &all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// maxManifests bounds how many manifests one list reads beyond what it shows.
const maxManifests = 200

// dated has x made when its manifest says.
func dated(root *os.Root, x *provider.Backup) {
	if !x.Described {
		return
	}
	if m, err := readManifest(root, x.ID); err == nil && !m.Created.IsZero() {
		x.Created = m.Created
	} // what is wrong with one is said when it is used
}

// measure gives x the size of what it holds.
func (b *tester) measure(root *os.Root, x *provider.Backup) error {
	info, err := root.Lstat(x.ID)
	if err == nil && info.IsDir() {
		x.Bytes = 0
		err = walk(root, x.ID, func(_ string, info fs.FileInfo) error {
			x.Bytes += info.Size()
			return nil
		})
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // removed meanwhile, as whoever wants it learns
	case bot.KindOf(err) == bot.Invalid:
		x.Bytes = 0 // one that is no good must not hide the others; its test says why
		return nil
	case err != nil:
		return unreadable(b.target, err)
	}
	return nil
}

// find gives one backup as it is now, or NotFound.
func (b *tester) find(root *os.Root, id string) (provider.Backup, error) {
	if !b.named(id) {
		return provider.Backup{}, bot.Errorf(bot.NotFound, "%s has no backup %q", b.target, id)
	}
	info, err := root.Lstat(id)
	if err != nil || !info.Mode().IsRegular() && !info.IsDir() {
		return provider.Backup{}, bot.Errorf(bot.NotFound, "the backup %s of %s is not there any more", id, b.target)
	}
	_, err = root.Lstat(id + manifestSuffix)
	x := provider.Backup{ID: id, Created: info.ModTime().UTC(), Bytes: info.Size(), Described: err == nil}
	dated(root, &x)
	return x, b.measure(root, &x)
}

func unreadable(t bot.Target, err error) error {
	e := bot.Errorf(bot.Unavailable, "the backups of %s cannot be read", t)
	var said *bot.Error
	if errors.As(err, &said) && said.Say != "" {
		e = bot.Errorf(said.Kind, "%s", said.Say)
	}
	e.Err = err
	return e
}

// walk calls f for every regular file at or below name, with its path relative to
// that ("." for itself), in order. What is neither file nor folder is refused: a
// copy of a link or a device says nothing of what it stands for.
func walk(root *os.Root, name string, f func(rel string, info fs.FileInfo) error) error {
	count := 0
	var visit func(at, rel string, depth int) error
	visit = func(at, rel string, depth int) error {
		info, err := root.Lstat(at)
		if err != nil {
			return err
		}
		if count++; count > maxFiles || depth > maxDepth {
			return bot.Errorf(bot.Invalid, "%s holds more than %d files, or more than %d folders in one another", name, maxFiles, maxDepth)
		}
		switch {
		case info.Mode().IsRegular():
			return f(rel, info)
		case !info.IsDir():
			return bot.Errorf(bot.Invalid, "%s is neither a file nor a folder, so it was not followed", clean(path.Join(name, rel), maxSaid))
		}
		folder, err := root.Open(at)
		if err != nil {
			return err
		}
		entries, err := folder.ReadDir(maxFiles + 1)
		if err = errors.Join(ignoreEOF(err), folder.Close()); err != nil {
			return fmt.Errorf("list %s: %w", at, err)
		}
		slices.SortFunc(entries, func(x, y fs.DirEntry) int { return strings.Compare(x.Name(), y.Name()) })
		for _, e := range entries {
			if err := visit(path.Join(at, e.Name()), path.Join(rel, e.Name()), depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return visit(name, ".", 0)
}
