package flagsprovider_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"quarterdeck/adapters/flags"
	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/bot/store"
)

// table is one table of a configuration.
type table string

func (t table) Decode(dst any) error {
	d := toml.NewDecoder(strings.NewReader(string(t)))
	d.DisallowUnknownFields()
	if err := d.Decode(dst); err != nil {
		return bot.Errorf(bot.Invalid, "%s: %v", t.Where(), err)
	}
	return nil
}
func (t table) Dir() string   { return "." }
func (t table) Where() string { return "config.toml:9" }

func open(t *testing.T) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "q.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func attach(t *testing.T, s store.Store, target bot.Target) provider.Flagger {
	t.Helper()
	p, err := flagsprovider.Open(provider.Options{Name: "embedded", Raw: table(""), Secrets: &bot.Secrets{}, Clock: bottest.NewClock(time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC))})
	if err != nil {
		t.Fatal(err)
	}
	p.(store.User).Use(s)
	f, err := p.(provider.FlagBinder).BindFlags(target, table(""))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// commit writes documents as the engine does.
func commit(ctx context.Context, s store.Store, docs []bot.Document) error {
	return s.Update(ctx, func(tx store.Tx) error {
		for _, d := range docs {
			if _, err := tx.PutDocument(d); err != nil {
				return err
			}
		}
		return nil
	})
}

var target = bot.Target{Service: "shop", Environment: "prod"}

func TestConformance(t *testing.T) {
	providertest.Flaggers(t, func(t *testing.T) providertest.FlagHarness {
		s := open(t)
		return providertest.FlagHarness{Target: target, Attach: func() provider.Flagger { return attach(t, s, target) },
			Commit: func(docs []bot.Document) error { return commit(t.Context(), s, docs) }}
	})
}

// TestNothingIsWrittenAlone: what Advance wants is in its Documents, and two that
// read the same state cannot both be committed.
func TestNothingIsWrittenAlone(t *testing.T) {
	s := open(t)
	h := providertest.FlagHarness{Target: target}
	f := h.Sample("new-checkout")
	var both [][]bot.Document
	for _, key := range []string{"a", "b"} {
		b := attach(t, s, target)
		handle, err := b.Begin(provider.FlagChange{Target: target, Key: f.Key, From: provider.NoFlag, To: &f, Text: "made"}, bot.Task{Key: key, Actor: "dev"})
		if err != nil {
			t.Fatal(err)
		}
		_, p, err := b.Advance(t.Context(), handle)
		if err != nil || p.State != bot.OpSucceeded || len(p.Documents) != 2 {
			t.Fatalf("%+v (%v)", p, err)
		}
		both = append(both, p.Documents)
	}
	if _, err := attach(t, s, target).Get(t.Context(), f.Key); bot.KindOf(err) != bot.NotFound {
		t.Errorf("it is there before the commit: %v", err)
	}
	if err := commit(t.Context(), s, both[0]); err != nil {
		t.Fatal(err)
	}
	if err := commit(t.Context(), s, both[1]); bot.KindOf(err) != bot.Conflict {
		t.Errorf("the second is committed too: %v", err)
	}
}

// TestAnothersFlag: a flag belongs to one service, and its name is taken for the
// others of the environment.
func TestAnothersFlag(t *testing.T) {
	s := open(t)
	h := providertest.FlagHarness{Target: target}
	f := h.Sample("new-checkout")
	cart := bot.Target{Service: "cart", Environment: "prod"}
	make := func(at bot.Target, key string) bot.Progress {
		b, to := attach(t, s, at), f.Copy()
		to.Target = at
		handle, err := b.Begin(provider.FlagChange{Target: at, Key: f.Key, From: provider.NoFlag, To: &to, Text: "made"}, bot.Task{Key: key, Actor: "dev"})
		if err != nil {
			t.Fatal(err)
		}
		_, p, err := b.Advance(t.Context(), handle)
		if err != nil {
			t.Fatal(err)
		}
		if err := commit(t.Context(), s, p.Documents); err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := make(target, "a"); p.State != bot.OpSucceeded {
		t.Fatal(p.Text)
	}
	if p := make(cart, "b"); p.State != bot.OpFailed || !strings.Contains(p.Text, "belongs to shop") {
		t.Errorf("cart gets it: %s %q", p.State, p.Text)
	}
	if _, err := attach(t, s, cart).Get(t.Context(), f.Key); bot.KindOf(err) != bot.NotFound {
		t.Errorf("cart sees it: %v", err)
	}
}

func TestSound(t *testing.T) {
	h := providertest.FlagHarness{Target: target}
	for name, spoil := range map[string]func(*provider.Flag){
		"a/key":        func(f *provider.Flag) { f.Key = "a/b" },
		"no type":      func(f *provider.Flag) { f.Type = "date" },
		"wrong value":  func(f *provider.Flag) { f.Variants[0].Value = json.RawMessage(`"no"`) },
		"two values":   func(f *provider.Flag) { f.Variants[0].Value = json.RawMessage(`true false`) },
		"no JSON":      func(f *provider.Flag) { f.Variants[0].Value = json.RawMessage(`tru`) },
		"twice":        func(f *provider.Flag) { f.Variants[1].Name = "off" },
		"a name":       func(f *provider.Flag) { f.Variants[1].Name = `on"` },
		"no variants":  func(f *provider.Flag) { f.Variants = nil },
		"unknown":      func(f *provider.Flag) { f.Variant = "blue" },
		"unknown rule": func(f *provider.Flag) { f.Rules = []provider.FlagRule{{Variant: "blue"}} },
		"too much":     func(f *provider.Flag) { f.Description = strings.Repeat("x", 70<<10) },
		"a large value": func(f *provider.Flag) {
			f.Type = provider.StringFlag
			f.Variants = []provider.FlagVariant{{Name: "on", Value: json.RawMessage(`"` + strings.Repeat("x", 17<<10) + `"`)}}
			f.Off = "on"
		},
	} {
		f := h.Sample("x").Copy()
		spoil(&f)
		if err := flagsprovider.Sound(f); bot.KindOf(err) != bot.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := flagsprovider.Sound(h.Sample("x")); err != nil {
		t.Error(err)
	}
}

func TestConfiguration(t *testing.T) {
	for text, want := range map[string]string{
		`rings = [{ name = "Internal", attribute = "email", in = ["x"] }]`:                                           `a ring of provider embedded is named "Internal"`,
		`rings = [{ name = "a", attribute = "email", in = ["x"] }, { name = "a", attribute = "email", in = ["x"] }]`: `two rings named "a"`,
		`rings = [{ name = "on", attribute = "email", in = ["x"] }]`:                                                 `means something else`,
		`rings = [{ name = "a", in = ["x"] }]`:                                                                       `does not say which attribute`,
		`rings = [{ name = "a", attribute = "email" }]`:                                                              `holds nobody`,
		`ring = []`: "strict",
	} {
		_, err := flagsprovider.Open(provider.Options{Name: "embedded", Raw: table(text), Secrets: &bot.Secrets{}})
		if bot.KindOf(err) != bot.Invalid || !strings.Contains(bot.Sentence(err, ""), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	p, err := flagsprovider.Open(provider.Options{Name: "embedded", Raw: table(""), Secrets: &bot.Secrets{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.(provider.FlagBinder).BindFlags(target, table(`keys = ["hunter2hunter2hunter2"]`)); bot.KindOf(err) != bot.Invalid || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a key in the open: %v", err)
	}
}
