package execprovider

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"quarterdeck/bot/provider"
)

// maxInterpreter bounds how much of a script's first line is read.
const maxInterpreter = 4 << 10

// obstacle says why the program at path cannot be run in dir, as far as that can
// be seen without running it; "" when nothing is in its way.
func obstacle(path, dir string) string {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return fmt.Sprintf("the folder %s, in which it is to run, does not exist", plain(dir))
	}
	shown := plain(path)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return shown + " does not exist"
	case err != nil:
		return fmt.Sprintf("%s cannot be looked at: %s", shown, systemWords(err))
	case info.IsDir():
		return shown + " is a folder"
	case info.Mode().Perm()&0o111 == 0:
		return fmt.Sprintf("%s is not executable; run: chmod +x %s", shown, shown)
	}
	if by := interpreter(path); by != "" {
		if !filepath.IsAbs(by) {
			by = filepath.Join(dir, by)
		}
		if _, err := os.Stat(by); errors.Is(err, fs.ErrNotExist) {
			return fmt.Sprintf("%s is to be run by %s, as its first line says, which does not exist", shown, plain(by))
		}
	}
	return ""
}

// interpreter gives what the first line of a script names, "" for what is none.
func interpreter(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	line, err := bufio.NewReader(io.LimitReader(f, maxInterpreter)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	rest, script := strings.CutPrefix(line, "#!")
	words := strings.Fields(rest)
	if !script || len(words) == 0 {
		return ""
	}
	return words[0]
}

// notStarted says why the system did not start the program at path.
func notStarted(path, dir string, err error) string {
	if why := obstacle(path, dir); why != "" {
		return why
	}
	if errors.Is(err, syscall.ENOEXEC) {
		return plain(path) + ` is nothing that the system can run; a script begins with a line such as "#!/bin/sh"`
	}
	return plain(path) + ": " + systemWords(err)
}

// systemWords gives the system's own words of an error, without a path.
func systemWords(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return "the system refuses it"
}

func notInPath(name string) string { return fmt.Sprintf("there is no program %q in PATH", plain(name)) }

// Inspect implements provider.Inspected.
func (d *deployer) Inspect() []string {
	var all []string
	look := func(key string, argv []string) {
		if len(argv) == 0 {
			return
		}
		path, err := d.program(argv)
		why := notInPath(argv[0])
		if err == nil {
			why = obstacle(path, d.dir)
		}
		if why != "" {
			all = append(all, key+": "+why)
		}
	}
	look("argv", d.table.Argv)
	look("argv", d.step)
	look("current", d.table.Current)
	look("releases", d.table.Releases)
	if !slices.Equal(d.table.Rollback, d.table.Argv) {
		look("rollback", d.table.Rollback)
	}
	look("restart", d.table.Restart)
	return all
}

var _ provider.Inspected = (*deployer)(nil)
