package app_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/app"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/config"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/bot/store"
)

func (w *world) loaded() *config.Config {
	w.t.Helper()
	c, err := config.Load(w.path, w.tables().Known())
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) backup(name string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if _, err := app.Backup(w.t.Context(), w.loaded(), w.tables(), app.Options{Clock: w.clock}, path); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// forget closes what looked at a database that is replaced now.
func (w *world) forget() {
	if w.store != nil {
		w.store.Close()
		w.store = nil
	}
}

// TestYesterdaysBackup: a bot on a database from yesterday says what it cannot
// know, resumes nothing blindly, runs nothing again, and goes on.
func TestYesterdaysBackup(t *testing.T) {
	t.Parallel()
	w := newWorld(t, friendly, providertest.NewFriendly)
	w.configure(standard + "[stop]\nwithin = \"1s\"\n")
	w.run()
	w.gets(w.Dev, "deploy shop v2 prod", bot.OutcomeWaiting) // #1
	w.gets(w.Dev, "deploy shop v2 staging", bot.OutcomeOK)   // #2
	release := w.far.Hold()
	if _, err := w.x.Say(t.Context(), w.Dev, "deploy shop v3 staging"); err != nil { // #3
		t.Fatal(err)
	}
	w.until("#3 is under way", func() bool { return len(effects(w.far)) == 2 })
	made := w.backup("yesterday.db")
	if info, err := os.Stat(made); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup is %v, %v; want it for its owner alone", info, err)
	}
	release()
	w.until("#3 is done", func() bool { return w.runs()[2] == bot.Succeeded })
	w.clock.forward(24 * time.Hour)
	w.gets(w.Dev, "deploy shop v1 staging", bot.OutcomeOK) // #4
	w.gets(w.Dev, "status shop", bot.OutcomeOK)
	did := effects(w.far)

	_, err := app.Restore(t.Context(), w.loaded(), w.tables(), app.Options{Clock: w.clock}, made)
	if bot.KindOf(err) != bot.Busy || !strings.Contains(err.Error(), "stop it first") {
		t.Fatalf("restoring under a bot that serves gives %v", err)
	}
	w.stop()
	w.forget()
	done, err := app.Restore(t.Context(), w.loaded(), w.tables(), app.Options{Clock: w.clock}, made)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(done.Kept); err != nil {
		t.Errorf("the replaced database is gone: %v", err)
	}
	w.run()
	if want := []bot.RunState{bot.Cancelled, bot.Succeeded, bot.Unknown}; !slices.Equal(w.runs(), want) {
		t.Errorf("the runs are %v, want %v", w.runs(), want)
	}
	var said bot.Record
	for _, r := range w.records() {
		if r.Kind == bot.ConfiguredKind && r.Detail["restored"] != "" {
			said = r
		}
	}
	for _, want := range []string{"restored from a backup", "checkpoint", "not known", "#3", "to be asked for again: #1", "numbers are given again"} {
		if !strings.Contains(said.Text["notice"], want) {
			t.Errorf("the log does not say %q: %q", want, said.Text["notice"])
		}
	}
	if said.Account != bot.AccountID(fmt.Sprintf("os:%d", os.Getuid())) {
		t.Errorf("the log says that %q put it back", said.Account)
	}
	if !slices.Equal(effects(w.far), did) {
		t.Errorf("after the restore the platform did %q, before it %q", effects(w.far), did)
	}
	w.gets(w.Dev, "deploy shop v2 staging", bot.OutcomeOK)
	w.stop()
	// It was noticed once.
	w.run()
	n := 0
	for _, r := range w.records() {
		if r.Detail["restored"] != "" && r.Kind == bot.ConfiguredKind {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d records say that it was restored, want 1", n)
	}
}

// TestCutOff: a database that somebody put back by hand, behind the bot's back, is
// noticed by the checkpoint that lies outside.
func TestCutOff(t *testing.T) {
	t.Parallel()
	w := start(t, friendly, providertest.NewFriendly)
	w.gets(w.Dev, "deploy shop v2 staging", bot.OutcomeOK)
	made := w.backup("copy.db")
	w.gets(w.Dev, "deploy shop v3 staging", bot.OutcomeOK)
	w.stop()
	w.forget()
	for _, suffix := range []string{"-wal", "-shm"} {
		os.Remove(filepath.Join(w.dir, "q.db"+suffix))
	}
	if err := os.Rename(made, filepath.Join(w.dir, "q.db")); err != nil {
		t.Fatal(err)
	}
	w.run()
	if !strings.Contains(w.output.String(), "records are lost") {
		t.Error("nothing was said of the lost records")
	}
	if !slices.ContainsFunc(w.records(), func(r bot.Record) bool { return strings.Contains(r.Text["notice"], "put back to an earlier state") }) {
		t.Error("no record says so")
	}
}

// TestBackupIsChecked: what is not the file that was made is not put back, and
// the database stays as it is.
func TestBackupIsChecked(t *testing.T) {
	t.Parallel()
	w := start(t, friendly, providertest.NewFriendly)
	w.gets(w.Dev, "deploy shop v2 staging", bot.OutcomeOK)
	made := w.backup("b.db")
	if _, err := app.Backup(t.Context(), w.loaded(), w.tables(), app.Options{}, made); bot.KindOf(err) != bot.Conflict {
		t.Errorf("writing over a backup gives %v", err)
	}
	w.stop()
	w.forget()
	clean, err := os.ReadFile(made)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := os.ReadFile(audit.ManifestOf(made))
	if err != nil {
		t.Fatal(err)
	}
	if key, err := os.ReadFile(filepath.Join(w.dir, "audit.key")); err != nil || strings.Contains(string(clean), strings.TrimSpace(string(key))) {
		t.Errorf("the audit key is in the backup, or cannot be read: %v", err)
	}
	before, err := os.ReadFile(filepath.Join(w.dir, "q.db"))
	if err != nil {
		t.Fatal(err)
	}
	put := func(path string, raw []byte) {
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, spoil := range map[string]func(){
		"cut":     func() { put(made, clean[:len(clean)/2]) },
		"one bit": func() { raw := slices.Clone(clean); raw[len(raw)/2] ^= 1; put(made, raw) },
		"another head": func() {
			put(audit.ManifestOf(made), []byte(strings.Replace(string(manifest), `"seq": `, `"seq": 1`, 1)))
		},
		"no description": func() { os.Remove(audit.ManifestOf(made)) },
		"no backup":      func() { os.Remove(made) },
		"something else": func() { put(audit.ManifestOf(made), []byte("hello")) },
	} {
		put(made, clean)
		put(audit.ManifestOf(made), manifest)
		spoil()
		_, err := app.Restore(t.Context(), w.loaded(), w.tables(), app.Options{}, made)
		var e *bot.Error
		if !errors.As(err, &e) || e.Say == "" || e.Kind == bot.Internal {
			t.Errorf("%s: restoring gives %v, want a sentence", name, err)
		}
		if now, err := os.ReadFile(filepath.Join(w.dir, "q.db")); err != nil || !slices.Equal(now, before) {
			t.Errorf("%s: the database was changed: %v", name, err)
		}
	}
}

// TestDamaged: a database that was overwritten in its middle is not served from;
// the sentence names what mends it, and that does.
func TestDamaged(t *testing.T) {
	t.Parallel()
	w := start(t, friendly, providertest.NewFriendly)
	w.gets(w.Dev, "deploy shop v2 staging", bot.OutcomeOK)
	made := w.backup("b.db")
	w.stop()
	w.forget()
	path := filepath.Join(w.dir, "q.db")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 8192; i < len(raw); i++ { // the schema stays, so that it opens
		raw[i] = byte(i * 7)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := w.assemble()
	if err != nil {
		t.Fatal(err)
	}
	err = a.Run(t.Context())
	if say := bot.Sentence(err, "ref"); !strings.Contains(say, "damaged") || !strings.Contains(say, "quarterdeck db restore") {
		t.Fatalf("starting on a damaged database says %q (%v)", say, err)
	}
	if _, err := app.Restore(t.Context(), w.loaded(), w.tables(), app.Options{}, made); err != nil {
		t.Fatal(err)
	}
	w.run()
	w.gets(w.Dev, "status shop", bot.OutcomeOK)
	w.view(func(r store.Reader) error { _, err := r.Head(); return err })
}
