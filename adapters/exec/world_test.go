//go:build linux || darwin

package execprovider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

var shop = bot.Target{Service: "shop", Environment: "prod"}

// table is a configuration table in memory.
type table struct {
	dir  string
	text string
}

func (r table) Dir() string   { return r.dir }
func (r table) Where() string { return "config.toml:41" }

func (r table) Decode(dst any) error {
	dec := toml.NewDecoder(bytes.NewReader([]byte(r.text))).DisallowUnknownFields()
	if err := dec.Decode(dst); err != nil {
		e := bot.Errorf(bot.Invalid, "%s: %v", r.Where(), err)
		e.Err = err
		return e
	}
	return nil
}

// tableFor gives a deploy table whose commands are the test binary.
func tableFor(dir string) string {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	argv := func(verb string) string { return `["` + self + `", "platform", "` + verb + `"]` }
	return "argv = " + argv("deploy") + "\ncurrent = " + argv("current") + "\nreleases = " + argv("releases") +
		"\nrollback = " + argv("rollback") + "\nrestart = " + argv("restart") + "\n" + extra(dir, "table.toml")
}

// extra is what one test adds; the bot that it starts reads it too.
func extra(dir, name string) string {
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return string(raw)
}

func bind(dir string, t bot.Target, deploy string, redact func(string) string) (provider.Deployer, error) {
	settings := "dir = \"work\"\nhost = \"host-a\"\nretry_after = \"5ms\"\nboot_id = \"boot_id\"\n" + extra(dir, "provider.toml")
	p, err := Type().Open(provider.Options{
		Name: "platform", Raw: table{dir, settings}, State: filepath.Join(dir, "state"),
		Clock: bot.SystemClock{}, Redact: redact,
	})
	if err != nil {
		return nil, err
	}
	return p.(provider.DeployBinder).BindDeploy(t, table{dir, deploy})
}

// world is one far side with everything it needs in a folder of its own.
type world struct {
	t   *testing.T
	dir string
}

// newWorld makes the folder. table and settings are added to the deploy and
// provider tables.
func newWorld(t *testing.T, deploy, settings string) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "exec")
	if err != nil {
		t.Fatal(err)
	}
	// A shim may still be writing its last words when its end was seen.
	t.Cleanup(func() { eventually(t, "the folder is removed", func() bool { return os.RemoveAll(dir) == nil }) })
	w := &world{t, dir}
	t.Cleanup(w.wantNoRace)
	w.write("boot_id", "boot-1")
	w.write("table.toml", deploy)
	w.write("provider.toml", settings)
	if err := os.Mkdir(filepath.Join(w.dir, "work"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.write("work/live", "v1")
	return w
}

// wantNoRace looks at what the shims said to nobody.
func (w *world) wantNoRace() {
	logs, err := filepath.Glob(filepath.Join(w.dir, "state", "*", shimLog))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, name := range logs {
		raw, err := os.ReadFile(name)
		if err != nil || bytes.Contains(raw, []byte("DATA RACE")) || bytes.Contains(raw, []byte("panic:")) {
			w.t.Errorf("%s: %s (%v)", name, raw, err)
		}
	}
}

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) deployer() *deployer {
	w.t.Helper()
	d, err := bind(w.dir, shop, tableFor(w.dir), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return d.(*deployer)
}

// acts reads the platform's own log.
func (w *world) acts(key string) []act {
	raw, err := os.ReadFile(filepath.Join(w.dir, "work", "acts.jsonl"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	var out []act
	for line := range strings.Lines(string(raw)) {
		var a act
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			w.t.Fatalf("acts.jsonl: %q: %v", line, err)
		}
		if a.Op == key {
			out = append(out, a)
		}
	}
	return out
}

func (w *world) wantActs(key string, want int) {
	w.t.Helper()
	if got := len(w.acts(key)); got != want {
		w.t.Errorf("the platform acted %d times, want %d", got, want)
	}
}

func (w *world) live() string {
	w.t.Helper()
	raw, err := os.ReadFile(filepath.Join(w.dir, "work", "live"))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(raw)
}

func deployment(version string) provider.Deployment {
	return provider.Deployment{
		Action: provider.Deploy, Target: shop,
		From: provider.Artefact{ID: artefactID("v1"), Version: "v1"},
		To:   provider.Artefact{ID: artefactID(version), Version: version},
	}
}

func (w *world) begin(d *deployer, version, key string) bot.Handle {
	w.t.Helper()
	h, err := d.Begin(deployment(version), bot.Task{Key: key, Actor: "dev-one", Reason: "because"})
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

// until advances until done says so, and returns that progress and all lines.
func (w *world) until(d *deployer, h bot.Handle, done func(bot.Progress) bool) (bot.Handle, bot.Progress, []string) {
	w.t.Helper()
	var lines []string
	end := time.Now().Add(time.Minute)
	for time.Now().Before(end) {
		ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Minute)
		next, p, err := d.Advance(ctx, h)
		cancel()
		if err != nil {
			w.t.Fatalf("Advance: %v", err)
		}
		h = next
		lines = append(lines, p.Lines...)
		if done(p) {
			return h, p, lines
		}
		if p.State.Settled() {
			w.t.Fatalf("settled too early: %+v", p)
		}
		time.Sleep(min(p.Next, 10*time.Millisecond))
	}
	w.t.Fatal("no end within a minute")
	return h, bot.Progress{}, nil
}

func settled(p bot.Progress) bool { return p.State.Settled() }

func working(p bot.Progress) bool { return p.State == bot.OpWorking && p.Percent != nil }

func (w *world) run(d *deployer, h bot.Handle) (bot.Progress, []string) {
	w.t.Helper()
	_, p, lines := w.until(d, h, settled)
	return p, lines
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	end := time.Now().Add(time.Minute)
	for !holds() {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
