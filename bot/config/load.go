package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"unicode/utf8"

	"quarterdeck/bot"
)

// maxFile bounds the size of a configuration file, in bytes: a team of
// thousands fits, and a file that is something else ends soon.
const maxFile = 4 << 20

// Load reads the configuration at path and checks everything that can be
// checked from it alone, offline and without secrets. What it cannot see, such
// as whether a rule names an existing permission, is the policy's and the
// adapters' to check.
//
// A file that cannot be used at all gives a *bot.Error of kind Invalid. Faults
// inside give [Errors] with all of them, which errors.As also finds as a
// *bot.Error of kind Invalid. Safe for concurrent use.
func Load(path string, known Known) (*Config, error) {
	c, _, err := Survey(path, known)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Survey is Load for those who check further: with faults that leave the rest of
// the file as it was meant, it gives beside the error the Config without what is
// faulty. Nothing may be run with that, but what else is wrong with it can be
// said in the same go; except about what told gives true for, a place such as
// "config.toml:41": what is found there may follow from a fault already named.
// Otherwise the Config is nil beside an error.
func Survey(path string, known Known) (c *Config, told func(where string) bool, err error) {
	l, err := readFile(path, known)
	if err != nil {
		return nil, nil, err
	}
	err = l.faults.err()
	if err == nil {
		return &l.out, nil, nil
	}
	faulty := map[string]bool{}
	for _, f := range l.faults {
		switch f.top {
		case "bot", "audit", "auth", "chat", "grant", "deny", "require", "listen", "log", "stop", "heartbeat", "digest", "job":
			faulty[fmt.Sprintf("%s:%d", f.File, f.header)] = true
			l.out.Partial = true
		default: // who there is, and what, is not known, and much follows from it
			return nil, nil, err
		}
	}
	if l.out.Bot.State == "" { // no database to put it beside
		l.out.Bot.State = l.path("state")
	}
	return &l.out, func(where string) bool { return faulty[where] }, err
}

// readFile reads a configuration with all its faults; the error is of a file
// that cannot be used at all.
func readFile(path string, known Known) (*loader, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, bot.Errorf(bot.Invalid, "%s is not a path", path)
	}
	raw, err := contents(path)
	if err != nil {
		return nil, err
	}
	name := filepath.Base(abs)
	values, root, err := read(&source{name: name}, raw)
	if err != nil {
		return nil, err
	}
	l := &loader{dir: filepath.Dir(abs), known: known, root: root, decoder: decoder{file: name, refuseEmpty: true}}
	l.out.Files = []string{name}
	if l.include(abs, values, len(raw)); len(l.faults) > 0 {
		return nil, l.faults.err() // what is missing with a file would be found wrong in the others
	}
	l.templates(values)
	l.table(values, root, reflect.ValueOf(&l.in).Elem())
	l.owned(abs)
	l.out.Path, l.out.settings = abs, func() map[string]string { return settingsOf(values) }
	l.out.common = func() string { return commonOf(values) }
	l.out.at = func(key ...string) string { return root.at(key...).where(name) }
	l.bot()
	l.auth()
	l.audit()
	l.chats()
	l.people()
	l.rules()
	l.panels()
	l.targets()
	l.operations()
	l.actions()
	l.observe()
	l.clock()
	l.pager()
	return l, nil
}

// contents reads the file, once it is known that nobody else could have
// written the rules in it.
func contents(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case os.IsNotExist(err):
		return nil, bot.Errorf(bot.Invalid, "there is no configuration at %s; make one with: quarterdeck init", path)
	case err != nil:
		return nil, unreadable(path, err)
	case info.IsDir():
		return nil, bot.Errorf(bot.Invalid, "%s is a folder; name the configuration file in it", path)
	case !info.Mode().IsRegular(): // reading a pipe could wait for ever
		return nil, bot.Errorf(bot.Invalid, "%s is no regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, unreadable(path, err)
	}
	// Windows has no such bits: Go shows every writable file as 0666 there.
	if info.Mode().Perm()&0o022 != 0 && runtime.GOOS != "windows" {
		return nil, bot.Errorf(bot.Invalid, "%s can be changed by others than its owner; run: chmod go-w %s", filepath.Base(path), path)
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, unreadable(path, err)
	case len(raw) > maxFile:
		return nil, bot.Errorf(bot.Invalid, "%s is larger than %d MiB", path, maxFile>>20)
	case !utf8.Valid(raw):
		return nil, bot.Errorf(bot.Invalid, "%s is not UTF-8 text", path)
	}
	return raw, nil
}

func unreadable(path string, err error) error {
	e := bot.Errorf(bot.Invalid, "%s cannot be read", path)
	e.Err = err
	return e
}

// loader turns a decoded file into a checked Config. Its checks go on after a
// fault, and keep quiet about what follows from a fault already named.
type loader struct {
	decoder
	dir   string
	known Known
	root  *node
	in    file
	out   Config
}

// failf refuses what stands at n.
func (l *loader) failf(n *node, remedy, format string, args ...any) {
	l.fail(n, fmt.Sprintf(format, args...), remedy)
}

// path makes p absolute, from the configuration's folder.
func (l *loader) path(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(l.dir, p)
}

// raw gives a table of the file for its adapter, without the key that is ours.
func (l *loader) raw(n *node, values map[string]any, ours string) bot.Raw {
	theirs := make(map[string]any, len(values))
	for key, v := range values {
		if key != ours {
			theirs[key] = v
		}
	}
	return &table{file: l.file, dir: l.dir, at: n, values: theirs}
}

// Socket gives where the bot of a configuration listens, also of one with
// faults: a bot that serves goes on by what it read before, and people must
// reach it while the file is being mended. It is "" where that cannot be told.
func Socket(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	raw, err := contents(path)
	if err != nil {
		return ""
	}
	values, _, err := read(&source{name: filepath.Base(abs)}, raw)
	if err != nil {
		return ""
	}
	l := loader{dir: filepath.Dir(abs)}
	table, _ := values["bot"].(map[string]any)
	if socket, _ := table["socket"].(string); socket != "" {
		return l.path(socket)
	}
	return l.path(defaultSocket)
}

// defaultSocket is where the bot listens unless it is said.
const defaultSocket = "quarterdeck.sock"
