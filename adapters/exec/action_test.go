//go:build linux || darwin

package execprovider

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
)

// given is what the action's program notes of one call: the arguments it was
// called with, as it received them.
type given struct {
	Op   string
	Args []string
	Env  []string
}

// toolArg makes the test binary the program of an action.
const toolArg = "tool"

// tool notes how it was called, and works a little.
func tool(args []string) int {
	log, err := os.OpenFile("calls.jsonl", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return say(1, "failed", 0, err.Error())
	}
	line, _ := json.Marshal(given{os.Getenv("OP_ID"), args, os.Environ()})
	if _, err := log.Write(append(line, '\n')); err != nil {
		return say(1, "failed", 0, err.Error())
	}
	if slices.Contains(args, "--index=broken") {
		return say(1, "failed", 10, "the index is broken")
	}
	say(0, "working", 50, "half way")
	time.Sleep(20 * time.Millisecond)
	return say(0, "done", 100, "reindexed")
}

var reindex = provider.ActionShape{Name: "reindex", Arguments: []provider.ActionArgument{
	{Name: "target", Target: true}, {Name: "index"}, {Name: "note"}, {Name: "by", Signed: true, Optional: true}, {Name: "force"},
}}

func invocation(index string) provider.Invocation {
	return provider.Invocation{Action: "reindex", Target: shop, Values: map[string]string{"index": index, "note": "n", "force": "false"}}
}

func (w *world) bindAction(shape provider.ActionShape, run string) (provider.Actor, error) {
	p, err := Type().Open(provider.Options{Name: "platform", Raw: table{w.dir, "dir = \"work\"\nhost = \"host-a\"\nboot_id = \"boot_id\"\n"},
		State: filepath.Join(w.dir, "state"), Clock: bot.SystemClock{}})
	if err != nil {
		w.t.Fatal(err)
	}
	return p.(provider.ActionBinder).BindAction(shape, table{w.dir, run})
}

func (w *world) actor() provider.Actor {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	a, err := w.bindAction(reindex, `argv = ["`+self+`", "tool", "--index={index}", "--by={by}", "--force={force}", "{note}", "end"]`)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) calls(key string) []given {
	w.t.Helper()
	raw, err := os.ReadFile(filepath.Join(w.dir, "work", "calls.jsonl"))
	if err != nil && !os.IsNotExist(err) {
		w.t.Fatal(err)
	}
	var all []given
	for line := range strings.Lines(string(raw)) {
		var g given
		if err := json.Unmarshal([]byte(line), &g); err != nil {
			w.t.Fatal(err)
		}
		if g.Op == key {
			all = append(all, g)
		}
	}
	return all
}

func TestActorConformance(t *testing.T) {
	for _, by := range []string{"note", "index"} { // an element of its own, and the value of an option
		t.Run(by, func(t *testing.T) {
			providertest.Actors(t, func(t *testing.T) providertest.ActorHarness {
				w := newWorld(t, "", "")
				return providertest.ActorHarness{
					Attach:  w.actor,
					Effects: func(key string) int { return len(w.calls(key)) },
					Pass:    func(d time.Duration) { time.Sleep(min(d, 10*time.Millisecond)) },
					Good:    invocation("orders"), Failing: invocation("broken"), Exclusive: true, Points: 3,
					Text: by,
					Given: func(key string) string {
						calls := w.calls(key)
						if len(calls) != 1 || len(calls[0].Args) != 4 || calls[0].Args[3] != "end" {
							t.Errorf("it was called with %q", calls)
							return ""
						}
						if by == "note" {
							return calls[0].Args[2]
						}
						return strings.TrimPrefix(calls[0].Args[0], "--index=")
					},
				}
			})
		})
	}
}

// TestActionGetsWhatItNeeds: every value is one element, one that was left out
// is not there, and the environment says who and where.
func TestActionGetsWhatItNeeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "")
	in := invocation("a b")
	in.Values["note"], in.Values["by"], in.Values["force"] = `$(touch x); "q"`, "-5", "true"
	w.finish(in, "all")
	call := w.calls("all")[0]
	if want := []string{"--index=a b", "--by=-5", "--force=true", `$(touch x); "q"`, "end"}; !slices.Equal(call.Args, want) {
		t.Errorf("its arguments are %q, want %q", call.Args, want)
	}
	for _, want := range []string{"OP_ACTION=reindex", "OP_SERVICE=shop", "OP_ENV=prod", "OP_ACTOR=dev-one", "OP_ID=all", "OP_REASON=because"} {
		if !slices.Contains(call.Env, want) {
			t.Errorf("its environment lacks %s: %q", want, call.Env)
		}
	}
	w.finish(invocation("orders"), "less")
	if call := w.calls("less")[0]; !slices.Equal(call.Args, []string{"--index=orders", "--force=false", "n", "end"}) {
		t.Errorf("without --by its arguments are %q", call.Args)
	}
}

// finish runs one invocation to its end.
func (w *world) finish(in provider.Invocation, key string) {
	w.t.Helper()
	a := w.actor()
	h, err := a.Begin(in, bot.Task{Key: key, Actor: "dev-one", Reason: "because"})
	if err != nil {
		w.t.Fatal(err)
	}
	_, p, _ := w.until(a.(*actor).runner(shop), h, settled)
	if p.State != bot.OpSucceeded || p.Text != "reindexed" {
		w.t.Fatalf("it ends with %+v", p)
	}
}

// TestActionTables refuses tables by which a value could become an option, a
// program or nothing at all.
func TestActionTables(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "")
	all := `"--index={index}", "--by={by}", "--force={force}", "{note}"`
	for _, c := range []struct{ run, want string }{
		{``, `argv of the action reindex names no program`},
		{`argv = []`, `argv of the action reindex names no program`},
		{`argv = ["./{index}", ` + all + `]`, `has {index} in the program's name; what runs is not for the asker to say`},
		{`argv = ["./x", "-{index}", ` + all + `]`, `has {index} in the name of an option; write it behind an equals sign, such as --index={index}`},
		{`argv = ["./x", "--{index}=1", ` + all + `]`, `has {index} in the name of an option`},
		{`argv = ["./x", "{by}", ` + all + `]`, `begins an element with {by}, which may be negative and would be taken for an option; write --by={by}`},
		{`argv = ["./x", "{indx}", ` + all + `]`, `names the argument {indx}, which the action does not have`},
		{`argv = ["./x", "--index={index}", "--by={by}", "{note}"]`, `does not use {force}`},
		{`argv = ["./x", "\u0000", ` + all + `]`, `holds a NUL character, which no argument can hold`},
		{"shell = true\nargv = [\"./x\", " + all + "]", `strict mode`},
	} {
		_, err := w.bindAction(reindex, c.run)
		if bot.KindOf(err) != bot.Invalid || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "config.toml:41: ") {
			t.Errorf("%s\n says %v\nwant %s", c.run, err, c.want)
		}
	}
	a, err := w.bindAction(reindex, `argv = ["./no-such", `+all+`]`)
	if err != nil {
		t.Fatal(err)
	}
	if says := a.(provider.Inspected).Inspect(); len(says) != 1 || !strings.Contains(says[0], "no-such does not exist") {
		t.Errorf("inspected, it says %q", says)
	}
}

// TestActionValuesThatAreMissing are refused before anything is started.
func TestActionValuesThatAreMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "")
	a := w.actor()
	for name, in := range map[string]provider.Invocation{
		"a value":  {Action: "reindex", Target: shop, Values: map[string]string{"index": "orders", "force": "true"}},
		"a target": {Action: "reindex", Values: map[string]string{"index": "orders", "note": "n", "force": "true"}},
	} {
		if _, err := a.Begin(in, bot.Task{Key: "k", Actor: "dev-one"}); bot.KindOf(err) != bot.Invalid {
			t.Errorf("without %s: %v", name, err)
		}
	}
	if _, err := a.Begin(invocation("orders"), bot.Task{Actor: "dev-one"}); bot.KindOf(err) != bot.Invalid {
		t.Errorf("without a key: %v", err)
	}
}
