package backupprovider

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// killedAt has a bot of its own run a trial, and kills it with -9 at a rung.
func (w world) killedAt(t *testing.T, key, id string, at provider.RungName) {
	t.Helper()
	raw, err := json.Marshal(helperOrder{World: w, Key: key, Backup: w.backup(t, id), At: at})
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), helperEnv+"="+string(raw))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "reached\n" {
		t.Errorf("the bot did not reach %s: %q, %v", at, line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the bot ended by itself")
	}
}

// rungsClimbed are those that the provider climbs.
func rungsClimbed() []provider.RungName {
	return []provider.RungName{provider.RungSpace, provider.RungIntact, provider.RungEngine, provider.RungRestored, provider.RungContent, provider.RungQueries, provider.RungAcross}
}

// A bot that is killed anywhere leaves something, and what comes after it removes
// that: the run that goes on, and the sweep when no run does.
func TestKilledAtEveryRung(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", ordersTable)
	orders(t, w.path("one.db"))
	w.describe(t, "one.db")
	for _, at := range rungsClimbed() {
		key := "run-1-" + strings.ReplaceAll(string(at), " ", "")
		w.killedAt(t, key, "one.db", at)
		if w.left(t) == 0 {
			t.Fatalf("killed at %s it leaves nothing, so this test shows nothing", at)
		}
		f, p := w.try(t, key, "one.db")
		wantPassed(t, f, p)

		w.killedAt(t, key, "one.db", at)
		w.sweep(t, 1)
		w.empty(t)
	}
}

func (w world) left(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(w.Dir, "s", "restore-tests", "files"))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// sweep sweeps until nothing of a killed bot lives, and asserts that it removed as
// many places.
func (w world) sweep(t *testing.T, want int) {
	t.Helper()
	b := w.tester(t)
	gone := 0
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		all, err := b.Sweep(t.Context(), func(string) bool { return false })
		if err != nil {
			t.Fatal(err)
		}
		busy := false
		for _, l := range all {
			switch {
			case l.Err == nil:
				gone++
			case bot.KindOf(l.Err) == bot.Busy: // what the bot started is being killed
				busy = true
			default:
				t.Fatalf("%s: %v", l.Text, l.Err)
			}
		}
		if !busy {
			break
		}
		if time.Now().After(end) {
			t.Fatal("what the bot started does not end")
		}
	}
	if gone != want {
		t.Errorf("%d places were removed, not %d", gone, want)
	}
}

// A trial whose bot is killed each time is given up, rather than begun for ever.
func TestGivesUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", ordersTable)
	orders(t, w.path("one.db"))
	w.describe(t, "one.db")
	b := w.tester(t)
	h, err := pack(bot.Handle{Key: "run-1-a", Target: shop}, state{Trial: provider.Trial{Target: shop, Backup: w.backup(t, "")}, Attempts: maxAttempts})
	if err != nil {
		t.Fatal(err)
	}
	h.Interrupted = true
	h, p, err := b.Advance(t.Context(), h)
	if err != nil || p.State != bot.OpFailed || !strings.Contains(p.Text, "it was begun 3 times, and each time the bot ended before it did") {
		t.Errorf("%+v, %v", p, err)
	}
	if _, p, err := b.Advance(t.Context(), h); err != nil || p.State != bot.OpFailed {
		t.Errorf("then %+v, %v", p, err)
	}
}

// Whatever lies in the scratch folder, a sweep removes exactly the places that
// carry the tag of their key, of this target, that no run needs and no process
// uses.
func TestSweepIsExact(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", ordersTable)
	b := w.tester(t)
	rapid.Check(t, func(rt *rapid.T) {
		if err := os.RemoveAll(b.scratch); err != nil {
			rt.Fatal(err)
		}
		if err := os.MkdirAll(b.scratch, 0o700); err != nil {
			rt.Fatal(err)
		}
		kept := map[string]bool{} // files and folders that must be there afterwards
		goes := map[string]bool{}
		needed := map[string]bool{}
		var locks []*place
		for i := range rapid.IntRange(1, 8).Draw(rt, "places") {
			key := fmt.Sprintf("run-%d-%s", i, rapid.StringMatching(`[a-z]{1,6}`).Draw(rt, "key"))
			tag := tagOf(key)
			in := intent{Key: key, Target: shop}
			kind := rapid.SampledFrom([]string{"leftover", "needed", "in use", "another target", "another key", "a folder alone", "a name that is nearly one"}).Draw(rt, "kind")
			folder := tag
			switch kind {
			case "needed":
				needed[key] = true
			case "another target":
				in.Target.Environment = "staging"
			case "another key":
				in.Key += "x"
			case "a name that is nearly one":
				folder = rapid.SampledFrom([]string{tag + "0", tag[:len(tag)-1], "x" + tag, strings.ToUpper(tag), tag + ".bak", "qd_rt_", "qd_rt"}).Draw(rt, "name")
			}
			if err := os.MkdirAll(filepath.Join(b.scratch, folder, "data"), 0o700); err != nil {
				rt.Fatal(err)
			}
			if kind != "a folder alone" {
				raw, err := json.Marshal(in)
				if err != nil {
					rt.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(b.scratch, folder+".json"), raw, 0o600); err != nil {
					rt.Fatal(err)
				}
			}
			if kind == "in use" {
				p, err := seize(b.scratch, tag)
				if err != nil {
					rt.Fatal(err)
				}
				locks = append(locks, p)
			}
			if kind == "leftover" {
				goes[folder] = true
			} else {
				kept[folder] = true
			}
		}
		all, err := b.Sweep(rt.Context(), func(key string) bool { return needed[key] })
		if err != nil {
			rt.Fatal(err)
		}
		for _, l := range all {
			if (l.Err == nil) != goes[l.Tag] {
				rt.Errorf("of %s it says %v", l.Tag, l.Err)
			}
		}
		for name := range kept {
			if _, err := os.Stat(filepath.Join(b.scratch, name, "data")); err != nil {
				rt.Errorf("%s was removed", name)
			}
		}
		for name := range goes {
			for _, suffix := range []string{"", ".json", ".lock"} {
				if _, err := os.Lstat(filepath.Join(b.scratch, name+suffix)); err == nil {
					rt.Errorf("%s is left", name+suffix)
				}
			}
		}
		for _, p := range locks {
			if err := p.release(); err != nil {
				rt.Fatal(err)
			}
		}
	})
}

// No two keys share a tag, and no tag but that of a key is ever removed from a
// server.
func TestTags(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		a, b := rapid.String().Draw(rt, "a"), rapid.String().Draw(rt, "b")
		if (tagOf(a) == tagOf(b)) != (a == b) {
			rt.Errorf("%q and %q", a, b)
		}
		if !tagName.MatchString(tagOf(a)) {
			rt.Errorf("%q is no tag", tagOf(a))
		}
	})
	w := newWorld(t, "", ordersTable)
	p := &place{dir: w.Dir, tag: tagOf("a")}
	for _, name := range []string{"shop", "postgres", tagOf("b") + "_0", tagOf("a"), tagOf("a") + "_0; DROP DATABASE shop", tagOf("a") + "_", `qd_rt_%`} {
		if err := w.tester(t).drop(t.Context(), p, "postgres", name); err == nil || !strings.Contains(err.Error(), "is no scratch database") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
