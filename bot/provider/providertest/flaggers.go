package providertest

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// FlagHarness is what the suite needs to know of one far side. Every FlagHarness is
// a far side of its own, without flags.
type FlagHarness struct {
	Target bot.Target
	// Attach gives a Flagger as after a restart of the bot.
	Attach func() provider.Flagger
	// Commit writes what an operation keeps with the bot, as the engine does; nil
	// for a far side that keeps everything itself.
	Commit func(docs []bot.Document) error
}

// Flaggers runs the conformance suite for the Flagger port. make gives a new
// FlagHarness; the tests run in parallel.
func Flaggers(t *testing.T, make func(t *testing.T) FlagHarness) {
	for _, topic := range []struct {
		name string
		test func(*testing.T, FlagHarness)
	}{
		{"made, read and out of use", testFlagLife},
		{"nobody overwrites another", testFlagCompared},
		{"a kill is meant whatever there is", testFlagKill},
		{"once for a key", testFlagOnce},
		{"begin refuses", testFlagBegin},
		{"cancelled before", testFlagCancel},
		{"ended context", testFlagContext},
	} {
		t.Run(topic.name, func(t *testing.T) {
			t.Parallel()
			topic.test(t, make(t))
		})
	}
}

// Sample gives a boolean flag that is off.
func (h FlagHarness) Sample(key string) provider.Flag {
	return provider.Flag{Key: key, Target: h.Target, Type: provider.BooleanFlag, Off: "off", Variant: "on", Percent: 100, Owner: "dev",
		Created:  time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC),
		Variants: []provider.FlagVariant{{Name: "off", Value: json.RawMessage("false")}, {Name: "on", Value: json.RawMessage("true")}}}
}

// drive takes a change to its end, through crashes and lost answers.
func (h FlagHarness) drive(t *testing.T, c provider.FlagChange, task bot.Task) bot.Progress {
	t.Helper()
	handle, err := h.Attach().Begin(c, task)
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	return h.follow(t, handle)
}

func (h FlagHarness) follow(t *testing.T, handle bot.Handle) bot.Progress {
	t.Helper()
	for range maxCalls {
		next, p, err := h.Attach().Advance(t.Context(), handle)
		if kind := bot.KindOf(err); kind == bot.Timeout || kind == bot.Unavailable || kind == bot.Busy {
			handle.Interrupted = true
			continue
		}
		if err != nil {
			t.Fatalf("Advance: %v", err)
		}
		if h.Commit != nil {
			if err := h.Commit(p.Documents); err != nil {
				t.Fatalf("commit: %v", err)
			}
		} else if len(p.Documents) > 0 {
			t.Fatal("it keeps documents, and the harness does not say where")
		}
		if handle = next; p.State.Settled() {
			return p
		}
	}
	t.Fatal("the operation does not end")
	return bot.Progress{}
}

// made gives a new flag as it is then.
func (h FlagHarness) made(t *testing.T, key string) provider.Flag {
	t.Helper()
	f := h.Sample(key)
	p := h.drive(t, provider.FlagChange{Target: h.Target, Key: key, From: provider.NoFlag, To: &f, Text: "made"}, bot.Task{Key: "make-" + key, Actor: "dev"})
	if p.State != bot.OpSucceeded {
		t.Fatalf("making %s ends as %s: %s", key, p.State, p.Text)
	}
	got, err := h.Attach().Get(t.Context(), key)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return got
}

func (h FlagHarness) changed(f provider.Flag, change func(*provider.Flag)) provider.FlagChange {
	to := f.Copy()
	change(&to)
	return provider.FlagChange{Target: h.Target, Key: f.Key, From: f.Revision, To: &to, Text: f.Reach() + " -> " + to.Reach()}
}

func testFlagLife(t *testing.T, h FlagHarness) {
	h.made(t, "theme")
	f := h.made(t, "new-checkout")
	if f.Revision == "" || f.Revision == provider.NoFlag || f.On || f.Target != h.Target || f.Changed.Person != "dev" {
		t.Errorf("the new flag is %+v", f)
	}
	_, err := h.Attach().Get(t.Context(), "new-chekout")
	if bot.KindOf(err) != bot.NotFound || !strings.Contains(bot.Sentence(err, ""), "new-checkout") {
		t.Errorf("a misspelt flag: %v, want NotFound with the nearest name", err)
	}
	p := h.drive(t, h.changed(f, func(f *provider.Flag) { f.On, f.Percent = true, 25 }), bot.Task{Key: "k1", Actor: "sre", Reason: "why"})
	got, err := h.Attach().Get(t.Context(), f.Key)
	if p.State != bot.OpSucceeded || err != nil || !got.On || got.Percent != 25 || got.Revision == f.Revision {
		t.Fatalf("%s %q, then %+v (%v)", p.State, p.Text, got, err)
	}
	list, err := h.Attach().Flags(t.Context())
	if err != nil || len(list) != 2 || list[0].Key != "new-checkout" || list[1].Key != "theme" {
		t.Errorf("the flags are %+v (%v), want both, sorted", list, err)
	}
	if h, keeps := h.Attach().(provider.FlagHistorian); keeps {
		all, err := h.Versions(t.Context(), f.Key, 10)
		if err != nil || len(all) != 2 || !all[0].On || all[1].On || all[0].Changed.Person != "sre" || all[0].Changed.Reason != "why" {
			t.Errorf("the versions are %+v (%v)", all, err)
		}
	}
	if !h.Attach().Powers().Create {
		return
	}
	h.drive(t, h.changed(got, func(f *provider.Flag) { f.Archived = true }), bot.Task{Key: "k2", Actor: "dev"})
	if _, err := h.Attach().Get(t.Context(), f.Key); bot.KindOf(err) != bot.NotFound {
		t.Errorf("Get of an archived flag: %v", err)
	}
	if list, err := h.Attach().Flags(t.Context()); err != nil || slices.ContainsFunc(list, func(f provider.Flag) bool { return f.Key == "new-checkout" }) {
		t.Errorf("an archived flag is among %+v (%v)", list, err)
	}
}

func testFlagCompared(t *testing.T, h FlagHarness) {
	f := h.made(t, "new-checkout")
	one := h.changed(f, func(f *provider.Flag) { f.On = true })
	two := h.changed(f, func(f *provider.Flag) { f.Percent = 10 })
	if p := h.drive(t, one, bot.Task{Key: "one", Actor: "oncall"}); p.State != bot.OpSucceeded {
		t.Fatalf("the first ends as %s", p.State)
	}
	p := h.drive(t, two, bot.Task{Key: "two", Actor: "dev"})
	if p.State != bot.OpFailed || !strings.Contains(p.Text, "oncall") || !strings.Contains(p.Text, one.Text) {
		t.Errorf("the second ends as %s: %q, want failed, with who changed what", p.State, p.Text)
	}
	if got, err := h.Attach().Get(t.Context(), f.Key); err != nil || !got.On || got.Percent != 100 {
		t.Errorf("there is %+v (%v)", got, err)
	}
	again := h.Sample(f.Key)
	p = h.drive(t, provider.FlagChange{Target: h.Target, Key: f.Key, From: provider.NoFlag, To: &again, Text: "made"}, bot.Task{Key: "three", Actor: "dev"})
	if p.State != bot.OpFailed {
		t.Errorf("a flag that is there is made again: %s", p.State)
	}
}

func testFlagKill(t *testing.T, h FlagHarness) {
	f := h.made(t, "new-checkout")
	h.drive(t, h.changed(f, func(f *provider.Flag) { f.On, f.Percent = true, 25 }), bot.Task{Key: "on", Actor: "dev"})
	p := h.drive(t, provider.FlagChange{Target: h.Target, Key: f.Key, Text: "off"}, bot.Task{Key: "kill", Actor: "sre"})
	got, err := h.Attach().Get(t.Context(), f.Key)
	if p.State != bot.OpSucceeded || err != nil || got.On || got.Percent != 25 {
		t.Errorf("killed: %s %q, then %+v (%v)", p.State, p.Text, got, err)
	}
	p = h.drive(t, provider.FlagChange{Target: h.Target, Key: "nothing", Text: "off"}, bot.Task{Key: "kill2", Actor: "sre"})
	if p.State != bot.OpFailed {
		t.Errorf("killing what is not there ends as %s", p.State)
	}
}

// testFlagOnce: after a crash between the act and its note, the same key finds what
// it did, even when somebody looked at it by an older handle.
func testFlagOnce(t *testing.T, h FlagHarness) {
	f := h.made(t, "new-checkout")
	handle, err := h.Attach().Begin(h.changed(f, func(f *provider.Flag) { f.On = true }), bot.Task{Key: "once", Actor: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	h.follow(t, handle)
	first, err := h.Attach().Get(t.Context(), f.Key)
	if err != nil {
		t.Fatal(err)
	}
	handle.Interrupted = true
	if p := h.follow(t, handle); p.State != bot.OpSucceeded {
		t.Errorf("the second time it ends as %s: %s", p.State, p.Text)
	}
	if again, err := h.Attach().Get(t.Context(), f.Key); err != nil || again.Revision != first.Revision {
		t.Errorf("it was done twice: revision %s, then %s (%v)", first.Revision, again.Revision, err)
	}
}

func testFlagBegin(t *testing.T, h FlagHarness) {
	good := provider.FlagChange{Target: h.Target, Key: "x", From: provider.NoFlag}
	for name, spoil := range map[string]func(*provider.FlagChange, *provider.Flag){
		"another target":      func(c *provider.FlagChange, _ *provider.Flag) { c.Target.Environment += "-other" },
		"another flag":        func(_ *provider.FlagChange, f *provider.Flag) { f.Key = "y" },
		"no revision":         func(c *provider.FlagChange, _ *provider.Flag) { c.From = "" },
		"more than everybody": func(_ *provider.FlagChange, f *provider.Flag) { f.Percent = 101 },
		"less than nobody":    func(_ *provider.FlagChange, f *provider.Flag) { f.Percent = -1 },
	} {
		c, f := good, h.Sample("x")
		c.To = &f
		spoil(&c, &f)
		if _, err := h.Attach().Begin(c, bot.Task{Key: "refused", Actor: "dev"}); bot.KindOf(err) != bot.Invalid {
			t.Errorf("Begin with %s: %v, want an error of kind Invalid", name, err)
		}
	}
}

func testFlagCancel(t *testing.T, h FlagHarness) {
	f := h.made(t, "new-checkout")
	handle, err := h.Attach().Begin(h.changed(f, func(f *provider.Flag) { f.On = true }), bot.Task{Key: "c", Actor: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	if handle, err = h.Attach().Cancel(t.Context(), handle); err != nil {
		t.Fatal(err)
	}
	if p := h.follow(t, handle); p.State != bot.OpCancelled {
		t.Errorf("it ends as %s", p.State)
	}
	if got, err := h.Attach().Get(t.Context(), f.Key); err != nil || got.On {
		t.Errorf("there is %+v (%v)", got, err)
	}
}

func testFlagContext(t *testing.T, h FlagHarness) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Attach().Get(ctx, "x"); err == nil || bot.KindOf(err) == bot.NotFound {
		t.Errorf("Get with an ended context: %v", err)
	}
	if _, err := h.Attach().Flags(ctx); err == nil {
		t.Error("Flags with an ended context gives no error")
	}
}
