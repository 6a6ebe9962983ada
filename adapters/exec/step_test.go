//go:build linux || darwin

package execprovider

import (
	"os"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// A step runs its program once, as OP_ACTION before or after, and does nothing
// else; a rollback table takes back and nothing else.
func TestSteps(t *testing.T) {
	w := newWorld(t, "", "")
	p, err := Type().Open(provider.Options{Name: "platform", State: w.dir + "/state", Clock: bot.SystemClock{},
		Raw: table{w.dir, "dir = \"work\"\nboot_id = \"boot_id\"\n"}})
	if err != nil {
		t.Fatal(err)
	}
	raw := table{w.dir, `argv = ["sh", "-c", "echo $OP_ACTION $OP_VERSION $OP_ID >> did"]`}
	step, err := p.(provider.StepBinder).BindStep(shop, raw)
	if err != nil {
		t.Fatal(err)
	}
	back, err := p.(provider.RollbackBinder).BindRollback(shop, raw)
	if err != nil {
		t.Fatal(err)
	}
	run := func(op provider.Step, a provider.Action, key string) bot.Progress {
		t.Helper()
		d := deployment("v2")
		d.Action = a
		h, err := op.Begin(d, bot.Task{Key: key, Actor: "dev-one"})
		if err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			next, progress, err := op.Advance(t.Context(), h)
			if err != nil {
				t.Fatal(err)
			}
			h = next
			h.Interrupted = true // every answer but the last is lost
			if progress.State.Settled() {
				return progress
			}
		}
		t.Fatal("it never ended")
		return bot.Progress{}
	}
	for _, c := range []struct {
		op     provider.Step
		action provider.Action
		key    string
	}{{step, provider.Before, "run-1.before"}, {step, provider.After, "run-1.after"}, {back, provider.Rollback, "run-2"}} {
		if got := run(c.op, c.action, c.key); got.State != bot.OpSucceeded {
			t.Errorf("%s ended as %s: %s", c.action, got.State, got.Text)
		}
	}
	did, err := os.ReadFile(w.dir + "/work/did")
	if want := "before v2 run-1.before\nafter v2 run-1.after\nrollback v2 run-2\n"; err != nil || string(did) != want {
		t.Errorf("did %q (%v), want %q", did, err, want)
	}
	for op, refused := range map[provider.Step][]provider.Action{
		step: {provider.Deploy, provider.Rollback, provider.Restart}, back: {provider.Deploy, provider.Before, provider.Restart}} {
		for _, a := range refused {
			d := deployment("v2")
			d.Action = a
			if _, err := op.Begin(d, bot.Task{Key: "k"}); bot.KindOf(err) != bot.Invalid {
				t.Errorf("%s of what is not for that: %v", a, err)
			}
		}
	}
	for text, want := range map[string]string{
		``:                                "needs argv",
		`argv = [""]`:                     "needs argv",
		`argv = ["a", "b\u0000"]`:         "NUL",
		"argv = [\"a\"]\ncurrent = ['x']": "strict",
	} {
		if _, err := p.(provider.StepBinder).BindStep(shop, table{w.dir, text}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %v, want %q in it", text, err, want)
		}
	}
}
