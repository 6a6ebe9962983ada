package bot_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"quarterdeck/bot"
)

func keep(t *testing.T, path, value string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
		t.Fatal(err)
	}
}

// hidden reports whether a value is among those that are hidden, whole.
func hidden(s *bot.Secrets, value string) bool {
	for _, p := range s.Patterns() {
		if p.FindString(value) == value {
			return true
		}
	}
	return false
}

// TestSecretIsNeverPrinted in any verb, structure or encoding, and neither is
// where it comes from.
func TestSecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keep(t, filepath.Join(dir, "hush-path"), "hush-value\n")
	var all bot.Secrets
	s, err := all.Open("file:hush-path", dir)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := s.Value(); err != nil || v != "hush-value" {
		t.Fatalf("value is %q, %v", v, err)
	}
	type settings struct {
		Token  bot.Secret
		hidden bot.Secret
		list   []bot.Secret
	}
	within := settings{s, s, []bot.Secret{s}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T%[1]v", "%p", "%t", "%o"} {
		for _, what := range []any{s, &s, within, &within, map[string]any{"k": within}, []any{s, within}} {
			fmt.Fprintf(&out, verb+"\n", what)
		}
	}
	fmt.Fprintln(&out, s, within)
	for _, what := range []any{s, &s, within, map[string]bot.Secret{"k": s}} {
		raw, err := json.Marshal(what)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(raw)
	}
	for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(h).Info("m", "s", s, "p", &s, "in", within, slog.Group("g", "s", s))
	}
	if text := out.String(); strings.Contains(text, "hush") || strings.Count(text, "redacted") < 20 {
		t.Errorf("printed:\n%s", text)
	}
}

// TestSecretIsReadAgain when its file changes: the new value is given, and from
// then on both are hidden.
func TestSecretIsReadAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	keep(t, path, "first-value\r\n")
	var all bot.Secrets
	s, err := all.Open("file:"+path, "/elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	if len(all.Patterns()) > 0 {
		t.Error("the file was read before its value was asked for")
	}
	for _, value := range []string{"first-value", "other-value", "first-value", "line-one\nline-two"} {
		keep(t, path, value+"\n") // of the same length, perhaps within one tick of the file system
		if got, err := s.Value(); err != nil || got != value {
			t.Errorf("value is %q, %v; want %q", got, err, value)
		}
		for line := range strings.Lines(value) {
			if !hidden(&all, strings.TrimSpace(line)) {
				t.Errorf("%q is not hidden", line)
			}
		}
	}
	if !hidden(&all, "other-value") || hidden(&all, "another") {
		t.Error("the value before is shown, or everything is hidden")
	}
}

func TestSecretFromTheEnvironment(t *testing.T) {
	t.Setenv("SECRET_TEST_TOKEN", "from-outside")
	var all bot.Secrets
	s, err := all.Open("env:SECRET_TEST_TOKEN", "")
	if err != nil {
		t.Fatal(err)
	}
	if v, err := s.Value(); err != nil || v != "from-outside" || !hidden(&all, v) {
		t.Errorf("value is %q, %v", v, err)
	}
	t.Setenv("SECRET_TEST_TOKEN", "")
	if _, err := s.Value(); bot.KindOf(err) != bot.Unavailable || bot.Sentence(err, "") != "the environment variable SECRET_TEST_TOKEN is not set" {
		t.Errorf("error is %v", err)
	}
}

// TestSecretIsRefused as itself, without being repeated, and where the file is
// open to others or no value.
func TestSecretIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var all bot.Secrets
	for _, ref := range []string{"", "hunter2", "env:", "file:", "exec:hunter2", "ENV:hunter2"} {
		if _, err := all.Open(ref, dir); bot.KindOf(err) != bot.Invalid || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: error is %v", ref, err)
		}
	}
	path := filepath.Join(dir, "token")
	s, err := all.Open("file:token", dir)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(want string) {
		t.Helper()
		v, err := s.Value()
		if v != "" || bot.KindOf(err) != bot.Unavailable || !strings.Contains(bot.Sentence(err, ""), want) {
			t.Errorf("value is %q, %v; want %q", v, err, want)
		}
	}
	refused("the file cannot be read")
	keep(t, path, "\n")
	refused("it is empty")
	keep(t, path, "a\x00b")
	refused("it is no text")
	keep(t, path, strings.Repeat("x", 64<<10+1))
	refused("it is larger than 64 KiB")
	if runtime.GOOS != "windows" {
		keep(t, path, "a-value")
		for _, mode := range []os.FileMode{0o604, 0o620, 0o602} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			refused("run: chmod 600 " + path)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	refused("it is no regular file")
	s = bot.Secret{}
	refused("no secret is configured")
	if s.Set() || len(all.Patterns()) > 0 {
		t.Error("something was learnt from nothing")
	}
}

// TestSecretsAreBounded and still know the newest; many may be read at once.
func TestSecretsAreBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var all bot.Secrets
	var readers sync.WaitGroup
	for side := range 4 {
		readers.Go(func() {
			path := filepath.Join(dir, fmt.Sprint(side))
			s, err := all.Open("file:"+path, "")
			if err != nil {
				t.Error(err)
				return
			}
			for i := range 300 {
				value := fmt.Sprintf("value-%d-%d.", side, i)
				if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
					t.Error(err)
					return
				}
				if got, err := s.Value(); err != nil || got != value || !hidden(&all, value) {
					t.Errorf("value is %q, %v", got, err)
					return
				}
			}
		})
	}
	readers.Wait()
	if n := len(all.Patterns()); n != 1000 {
		t.Errorf("%d values are kept", n)
	}
}
