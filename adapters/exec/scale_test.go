//go:build linux || darwin

package execprovider

import (
	"encoding/json"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
)

// platformScale is the team's program for capacity: how much there is stands in
// a file "scale.json" of its working directory.
func platformScale(verb string) int {
	kept := map[string]string{"replicas": "2", "class": "small"}
	if raw, err := os.ReadFile("scale.json"); err == nil {
		if err := json.Unmarshal(raw, &kept); err != nil {
			return say(1, "failed", 0, err.Error())
		}
	}
	if verb == "sizes" {
		if raw, err := os.ReadFile("sizes.txt"); err == nil { // what a test has it say
			_, _ = os.Stdout.Write(raw)
			return 0
		}
		_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"dimensions": []map[string]any{
			{"name": "replicas", "unit": "instances", "value": kept["replicas"], "max": 50, "control": "the autoscaler of the evening"},
			{"name": "class", "value": kept["class"], "choices": []string{"small", "large"}, "disrupts": "every connection, for a minute"},
			{"name": "storage", "unit": "GiB", "value": "20", "one_way": "storage only grows"},
		}})
		return 0
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	log, err := os.OpenFile("acts.jsonl", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return say(1, "failed", 0, err.Error())
	}
	name, count := os.Getenv("OP_DIMENSION"), os.Getenv("OP_COUNT")
	line, _ := json.Marshal(act{os.Getenv("OP_ID"), os.Getenv("OP_ACTION"), name + "=" + count, os.Getenv("OP_ACTOR"), os.Getenv("OP_FROM"), os.Getenv("OP_REASON")})
	if _, err := log.Write(append(line, '\n')); err != nil {
		return say(1, "failed", 0, err.Error())
	}
	say(0, "rolling", 50, "one more")
	select {
	case <-term:
		return say(1, "aborted", 50, "stopped")
	case <-time.After(20 * time.Millisecond):
	}
	kept[name] = count
	raw, _ := json.Marshal(kept)
	if err := os.WriteFile("scale.new", raw, 0o600); err != nil {
		return say(1, "failed", 0, err.Error())
	}
	if err := os.Rename("scale.new", "scale.json"); err != nil {
		return say(1, "failed", 0, err.Error())
	}
	return say(0, "done", 100, name+" is "+count)
}

func (w *world) scaler() provider.Scaler {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := w.bindScale(`argv = ["` + self + `", "platform", "scale"]` + "\n" + `current = ["` + self + `", "platform", "sizes"]` + "\nkill_after = \"5s\"")
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) bindScale(text string) (provider.Scaler, error) {
	settings := "dir = \"work\"\nhost = \"host-a\"\nretry_after = \"5ms\"\nboot_id = \"boot_id\"\n"
	p, err := Type().Open(provider.Options{Name: "platform", Raw: table{w.dir, settings}, State: filepath.Join(w.dir, "state"), Clock: bot.SystemClock{}})
	if err != nil {
		return nil, err
	}
	return p.(provider.ScaleBinder).BindScale(shop, table{w.dir, text})
}

func TestScalerConformance(t *testing.T) {
	providertest.Scalers(t, func(t *testing.T) providertest.ScaleHarness {
		w := newWorld(t, "", "")
		return providertest.ScaleHarness{
			Target:    shop,
			Attach:    w.scaler,
			Effects:   func(key string) int { return len(w.acts(key)) },
			Pass:      func(d time.Duration) { time.Sleep(min(d, 10*time.Millisecond)) },
			Dimension: "replicas",
			Good:      "5",
			Exclusive: true,
			Points:    3,
		}
	})
}

func TestScalingGetsWhatItNeeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "")
	s := w.scaler().(*scaler)
	h, err := s.Begin(provider.Scaling{Target: shop, Dimension: "class", From: "small", To: "large"}, bot.Task{Key: "run-7", Actor: "dev-one", Reason: "the sale"})
	if err != nil {
		t.Fatal(err)
	}
	p, _ := w.run(s.as, h)
	if p.State != bot.OpSucceeded || p.Text != "class is large" {
		t.Errorf("it ends with %+v", p)
	}
	want := act{Op: "run-7", Action: "scale", Version: "class=large", Actor: "dev-one", From: "small", Reason: "the sale"}
	if acts := w.acts("run-7"); len(acts) != 1 || acts[0] != want {
		t.Errorf("the command was given %+v, want %+v", acts, want)
	}
	all, err := s.Dimensions(t.Context())
	if err != nil || len(all) != 3 {
		t.Fatalf("dimensions %+v (%v)", all, err)
	}
	if all[0].Control == "" || all[1].Current != "large" || all[1].Disrupts == "" || all[2].OneWay == "" || all[2].Unit != "GiB" {
		t.Errorf("dimensions %+v", all)
	}
}

// What cannot be read is never taken for a figure.
func TestUnreadableDimensions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "")
	s := w.scaler()
	for said, readable := range map[string]bool{
		`{"desired":3,"healthy":2}`:                                          true,
		`{"dimensions":[{"name":"replicas","value":"3"}]}`:                   true,
		`{"desired":-1}`:                                                     false,
		`{"healthy":2}`:                                                      false,
		`{"dimensions":[]}`:                                                  false,
		`{"dimensions":[{"name":"replicas","value":"three"}]}`:               false,
		`{"dimensions":[{"name":"replicas","value":"03"}]}`:                  false,
		`{"dimensions":[{"name":"","value":"3"}]}`:                           false,
		`{"dimensions":[{"name":"a b","value":"3"}]}`:                        false,
		`{"dimensions":[{"name":"a","value":"3"},{"name":"a","value":"3"}]}`: false,
		`{"dimensions":[{"name":"class","value":"x","choices":["s"]}]}`:      false,
		`desired 3`: false,
		``:          false,
	} {
		w.write("work/sizes.txt", said)
		all, err := s.Dimensions(t.Context())
		switch {
		case readable && (err != nil || all[0].Current != "3" || all[0].Name != "replicas"):
			t.Errorf("%s gives %+v (%v)", said, all, err)
		case !readable && bot.KindOf(err) != bot.Unavailable:
			t.Errorf("%s gives %+v (%v), want Unavailable", said, all, err)
		case !readable && !strings.HasSuffix(bot.Sentence(err, ""), `expected is JSON such as {"desired":2,"healthy":2}`):
			t.Errorf("%s is answered %q, which shows no example", said, bot.Sentence(err, ""))
		}
	}
}

func TestFaultyScaleTables(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "")
	for text, want := range map[string]string{
		``:                                     `needs argv, an array`,
		`argv = ["./scale"]`:                   `needs current, an array`,
		"argv = [\"\"]\ncurrent = [\"./c\"]":   `argv of shop/prod names no program`,
		"argv = [\"./s\"]\ncurent = [\"./c\"]": `strict mode`,
		"argv = [\"./s\"]\ncurrent = [\"\\u0000\"]": `NUL`,
	} {
		if _, err := w.bindScale(text); bot.KindOf(err) != bot.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is taken with %v, want %q", text, err, want)
		}
	}
	s, err := w.bindScale("argv = [\"./absent\"]\ncurrent = [\"./absent-too\"]")
	if err != nil {
		t.Fatal(err)
	}
	if found := s.(provider.Inspected).Inspect(); len(found) != 2 || !strings.HasPrefix(found[0], "argv: ") || !strings.HasPrefix(found[1], "current: ") {
		t.Errorf("it finds %q", found)
	}
}
