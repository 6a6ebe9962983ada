package bot

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Secrets gives secrets by reference and remembers every value that it gave, so
// that none of them is shown: neither the one of today nor the one before it was
// rotated. One is made for a process and given to everything that reads or hides
// secrets. Its zero value is ready, and it is safe for concurrent use.
type Secrets struct {
	mu     sync.Mutex
	values []string // oldest first
	hide   atomic.Pointer[[]*regexp.Regexp]
}

// Secret is a reference to a value that must not be shown: "env:NAME", read from
// the process's environment, or "file:PATH". However it is printed, logged or
// encoded it shows "redacted"; its value is had from Value alone. The zero value
// is no secret.
type Secret struct {
	// A function, so that fmt, which cannot call methods on what is not exported
	// in a struct around it, prints an address whatever the verb.
	value func() (string, error)
}

// Redacted stands where a secret was, in whatever is recorded, stored or shown.
const Redacted = "[redacted]"

const (
	// maxSecret bounds the value of a secret, in bytes.
	maxSecret = 64 << 10
	// minHidden is the length from which a value is hidden wherever it stands:
	// shorter ones would blank out ordinary words.
	minHidden = 8
	// maxHidden bounds how many values are remembered; past it the oldest go.
	maxHidden = 1000
)

// IsSecret reports whether the text of a configuration is a reference to a
// secret.
func IsSecret(ref string) bool {
	kind, name, _ := strings.Cut(ref, ":")
	return (kind == "env" || kind == "file") && name != ""
}

// Open gives the secret that ref names; a path is taken from dir unless it is
// absolute. It reads nothing, so that a configuration is checked without its
// secrets. An Error of kind Invalid does not repeat ref, which may be the secret
// itself.
func (s *Secrets) Open(ref, dir string) (Secret, error) {
	if !IsSecret(ref) {
		return Secret{}, Errorf(Invalid, `a secret is written "env:NAME" or "file:PATH", and never as itself`)
	}
	kind, name, _ := strings.Cut(ref, ":")
	if kind == "file" && !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	return Secret{func() (string, error) {
		v, err := readSecret(kind, name)
		if err == nil {
			s.learn(v)
		}
		return v, err
	}}, nil
}

// Value reads the secret as it is now: a file is read again every time, which
// costs little beside what secrets are used for, so that a rotated one is in use
// from the next call on. Line ends at its end are left out. Before it returns the
// value is among those that are hidden.
//
// Errors are of kind Unavailable. A file that everybody may read, or that others
// than its owner may write, is refused.
func (s Secret) Value() (string, error) {
	if s.value == nil {
		return "", Errorf(Unavailable, "no secret is configured")
	}
	return s.value()
}

// readSecret reads a secret as it is now.
func readSecret(kind, name string) (string, error) {
	if kind == "env" {
		v, ok := os.LookupEnv(name)
		if !ok || v == "" {
			return "", Errorf(Unavailable, "the environment variable %s is not set", name)
		}
		return v, nil
	}
	unusable := func(why string, err error) (string, error) {
		e := Errorf(Unavailable, "the secret in %s cannot be used: %s", filepath.Base(name), why)
		e.Op, e.Err = "secret.Value", err
		return "", e
	}
	info, err := os.Stat(name)
	if err != nil {
		return unusable("the file cannot be read", err)
	}
	if !info.Mode().IsRegular() { // reading a pipe could wait for ever
		return unusable("it is no regular file", nil)
	}
	f, err := os.Open(name)
	if err != nil {
		return unusable("the file cannot be read", err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return unusable("the file cannot be read", err)
	}
	// Windows has no such bits: Go shows every writable file as 0666 there.
	if info.Mode().Perm()&0o026 != 0 && runtime.GOOS != "windows" {
		return unusable("everybody can read it, or others can write it; run: chmod 600 "+name, nil)
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	v := strings.TrimRight(string(raw), "\r\n")
	switch {
	case err != nil:
		return unusable("the file cannot be read", err)
	case len(raw) > maxSecret:
		return unusable(fmt.Sprintf("it is larger than %d KiB", maxSecret>>10), nil)
	case v == "":
		return unusable("it is empty", nil)
	case strings.ContainsRune(v, 0):
		return unusable("it is no text", nil)
	}
	return v, nil
}

// learn has v hidden from now on, and each line of it, since output is often
// shown by lines.
func (s *Secrets) learn(v string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := false
	for line := range strings.Lines(v) {
		if line = strings.TrimSpace(line); len(line) >= minHidden && !slices.Contains(s.values, line) {
			s.values = append(s.values, line)
			fresh = true
		}
	}
	if !fresh {
		return
	}
	if len(s.values) > maxHidden {
		s.values = slices.Clone(s.values[len(s.values)-maxHidden:])
	}
	longest := slices.Clone(s.values) // first, so that one within another leaves nothing
	slices.SortStableFunc(longest, func(a, b string) int { return len(b) - len(a) })
	patterns := make([]*regexp.Regexp, len(longest))
	for i, v := range longest {
		patterns[i] = regexp.MustCompile(regexp.QuoteMeta(v))
	}
	s.hide.Store(&patterns)
}

// Patterns match every value that was given, the longest first. It is cheap and
// for whoever hides secrets; the patterns themselves are secret.
func (s *Secrets) Patterns() []*regexp.Regexp {
	if s == nil {
		return nil
	}
	if p := s.hide.Load(); p != nil {
		return *p
	}
	return nil
}

// Set reports whether there is a secret to read.
func (s Secret) Set() bool { return s.value != nil }

// String gives "redacted".
func (Secret) String() string { return "redacted" }

// Format writes String for every verb.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// MarshalText gives String, for JSON and TOML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue gives String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
