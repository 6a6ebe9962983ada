package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"quarterdeck/bot"
)

// The bounds of what one configuration may be spread over.
const (
	maxFiles = 1000     // files
	maxBytes = 32 << 20 // of all files together
)

// include adds the files that the configuration at abs names to values, so that
// what follows sees one configuration. size is the configuration's own, in
// bytes. Included files include no others: which files there are is said in one
// place, and there are no circles.
func (l *loader) include(abs string, values map[string]any, size int) {
	patterns, _ := values["include"].([]any) // what is no list is refused when it is decoded
	taken := map[string]bool{abs: true}
	for i, v := range patterns {
		pattern, _ := v.(string)
		if pattern == "" {
			continue
		}
		n := l.root.at("include").elem(i)
		paths := l.matching(n, pattern)
		for _, path := range paths {
			switch {
			case path == abs:
				l.failf(n, "keep included files in a folder of their own", "include %q takes in %s itself", pattern, l.file)
				continue
			case taken[path]:
				continue
			case len(l.out.Files) > maxFiles:
				l.failf(n, "join some of them", "include takes in more than %d files", maxFiles)
				return
			}
			taken[path] = true
			raw, err := contents(path)
			if err != nil {
				l.failf(n, "", "include %q: %s", pattern, sentence(err))
				continue
			}
			if size += len(raw); size > maxBytes {
				l.failf(n, "", "the included files are larger than %d MiB together", maxBytes>>20)
				return
			}
			l.owned(path)
			l.join(path, raw, values)
		}
	}
}

func sentence(err error) string {
	var e *bot.Error
	if errors.As(err, &e) && e.Say != "" {
		if e.Err != nil {
			return e.Say + " (" + e.Err.Error() + ")"
		}
		return e.Say
	}
	return err.Error()
}

// matching gives the files that a pattern matches, sorted. One that matches
// nothing is refused: what was to be included may have been the rules that deny.
func (l *loader) matching(n *node, pattern string) []string {
	full := l.path(pattern)
	if !filepath.IsAbs(pattern) { // the folder is called what it is called
		full = filepath.Join(literally(l.dir), pattern)
	}
	found, err := filepath.Glob(full)
	if err != nil {
		l.failf(n, `write such as "conf.d/*.toml"`, "include %q is not a pattern of file names", pattern)
		return nil
	}
	// As in a shell, "*" leaves out what is hidden, such as an editor's files.
	if !strings.HasPrefix(filepath.Base(full), ".") {
		found = slices.DeleteFunc(found, func(p string) bool { return strings.HasPrefix(filepath.Base(p), ".") })
	}
	if len(found) == 0 {
		l.failf(n, "write the file or take the pattern away", "include %q matches no file", pattern)
		return nil
	}
	slices.Sort(found)
	if runtime.GOOS == "windows" {
		return found
	}
	// Whoever can add a file to a folder that is included whole can add rules, and
	// whoever can put another in a file's place can change them. A link is as safe
	// as the folders of both its ends.
	whole, checked := strings.ContainsAny(pattern, "*?["), map[string]bool{}
	for _, path := range found {
		dirs := []string{filepath.Dir(path)}
		if real, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
		for i, dir := range dirs {
			if checked[dir] {
				continue
			}
			checked[dir] = true
			switch adds := whole && i == 0; {
			case !open(dir, !adds):
			case adds:
				l.failf(n, "run: chmod go-w "+dir, "include %q: others than its owner can add files to %s", pattern, l.told(dir))
			default:
				l.failf(n, "run: chmod go-w "+dir, "include %q: others than its owner can replace files in %s", pattern, l.told(dir))
			}
		}
	}
	return found
}

// literally writes a path as a pattern that matches nothing else.
func literally(path string) string {
	if runtime.GOOS != "windows" {
		path = strings.ReplaceAll(path, `\`, `\\`)
	}
	return strings.NewReplacer("[", "[[]", "*", "[*]", "?", "[?]").Replace(path)
}

// open reports whether others than its owner can change what is in a folder: not
// where nobody can, as with what a container is given read-only, whatever its
// mode says. With replace it is only asked whether they can replace files that
// are not theirs, which a sticky folder does not let them.
func open(dir string, replace bool) bool {
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm()&0o022 == 0 || replace && info.Mode()&os.ModeSticky != 0 {
		return false
	}
	return !readOnly(dir)
}

// owned warns of a file of rules that belongs to somebody else than root and
// whom the bot runs as: its owner can change it. It is no fault, because who owns
// what a container is given is often only a number there.
func (l *loader) owned(path string) {
	if uid, known := ownerOf(path); known && uid != 0 && uid != os.Geteuid() {
		l.out.Warnings = append(l.out.Warnings, fmt.Sprintf("%s:1: this file belongs to the user %d, who can change the rules and is neither root nor whom this runs as; unless that is meant, run: chown root %s", l.told(path), uid, path))
	}
}

// told gives a path as messages call it: as seen from the configuration.
func (l *loader) told(path string) string {
	if short, err := filepath.Rel(l.dir, path); err == nil {
		return filepath.ToSlash(short)
	}
	return path
}

// join adds what an included file holds.
func (l *loader) join(path string, raw []byte, values map[string]any) {
	src := &source{name: l.told(path), index: len(l.out.Files)}
	l.out.Files = append(l.out.Files, src.name)
	more, root, err := read(src, raw)
	if err != nil {
		var faults Errors
		if errors.As(err, &faults) {
			l.faults = append(l.faults, faults...)
		}
		return
	}
	if root.has("include") {
		l.failf(root.at("include"), "name the files in the include of "+l.file, "an included file includes no others")
		delete(more, "include")
	}
	l.merge(values, l.root, more, root, nil)
}

// merge adds the tables of an included file to those there are: lists of tables
// are joined, and tables of named things take further names. Nothing that is
// written in one file is changed by another.
func (l *loader) merge(into map[string]any, at *node, from map[string]any, n *node, path []string) {
	for _, key := range inOrder(from, n) {
		child := n.at(key)
		had, twice := into[key]
		if !twice {
			into[key] = from[key]
			at.adopt(key, child)
			continue
		}
		here := at.at(key)
		below := append(slices.Clip(path), key)
		mine, isTable := had.(map[string]any)
		theirs, areTables := from[key].(map[string]any)
		switch {
		case here.listsTables() && child.listsTables():
			into[key] = append(slices.Clip(had.([]any)), from[key].([]any)...)
			for _, e := range child.elems {
				e.parent = here
				here.elems = append(here.elems, e)
			}
		case isTable && areTables && ofNames(below):
			l.merge(mine, here, theirs, child, below)
		default:
			l.failf(child, "leave one", "%s stands in %s already", child.pathOr(key), here.where(l.file))
		}
	}
}

// ofNames reports whether the table at path holds named things, of which every
// file may declare some.
func ofNames(path []string) bool {
	switch path[0] {
	case "service":
		return len(path) <= 2
	case "chat", "environment", "provider", "template":
		return len(path) == 1
	}
	return false
}

// adopt makes child the node of a key below n.
func (n *node) adopt(key string, child *node) {
	child.parent = n
	if n.children == nil {
		n.children = map[string]*node{}
	}
	n.children[key] = child
}

// listsTables reports whether n is a list of [[tables]].
func (n *node) listsTables() bool { return len(n.elems) > 0 && n.elems[0].header == "[[" }

// pathOr gives how a person would point at n.
func (n *node) pathOr(key string) string {
	if s := n.table(); s != "" {
		return s
	}
	return key
}
