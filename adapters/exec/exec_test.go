//go:build linux || darwin

package execprovider

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
)

func TestConformance(t *testing.T) {
	providertest.Deployers(t, func(t *testing.T) providertest.Harness {
		w := newWorld(t, "kill_after = \"5s\"", "")
		return providertest.Harness{
			Target:    shop,
			Attach:    func() provider.Deployer { return w.deployer() },
			Effects:   func(key string) int { return len(w.acts(key)) },
			Pass:      func(d time.Duration) { time.Sleep(min(d, 10*time.Millisecond)) },
			Good:      "v2",
			Failing:   "v4",
			Exclusive: true,
			Points:    3,
		}
	})
}

func TestCommandGetsWhatItNeeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "")
	d := w.deployer()
	p, lines := w.run(d, w.begin(d, "v2", "run-7"))
	if p.State != bot.OpSucceeded || p.Text != "v2 is live" || *p.Percent != 100 || p.Link != "http://127.0.0.1:1/" {
		t.Errorf("it ends with %+v", p)
	}
	if len(lines) != 1 || lines[0] != "plain log line" {
		t.Errorf("lines %q", lines)
	}
	want := act{Op: "run-7", Action: "deploy", Version: "v2", Actor: "dev-one", From: "v1", Reason: "because"}
	if acts := w.acts("run-7"); len(acts) != 1 || acts[0] != want {
		t.Errorf("the command was given %+v, want %+v", acts, want)
	}
}

func TestHowItEnds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		version, table string
		state          bot.OpState
		text           string
		acts           int
	}{
		{"v4", "", bot.OpRolledBack, "v4 never became healthy; v1 is back", 1},
		{"refuse", "", bot.OpFailed, "refused: refuse is not signed", 1},
		{"busy", "", bot.OpSucceeded, "busy is live", 3},
		{"crash", "", bot.OpFailed, "segmentation of the market", 1},
		{"puzzled", "", bot.OpUnknown, "the connection broke", 1},
		{"slow", `timeout = "300ms"`, bot.OpFailed, "it was stopped after 300ms: stopped; v1 is back", 1},
		{"stubborn", "timeout = \"300ms\"\nkill_after = \"100ms\"", bot.OpFailed,
			"it was stopped after 300ms: replacing 1 of 2; it did not end within 100ms of being asked and was killed, so look what is live", 1},
		{"daemon", "", bot.OpSucceeded, "daemon is live", 1},
	} {
		t.Run(c.version, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.table, "")
			if c.version == "daemon" {
				t.Cleanup(func() { killRecorded(t, filepath.Join(w.dir, "work", "daemon.pid")) })
			}
			d := w.deployer()
			p, _ := w.run(d, w.begin(d, c.version, "run-1"))
			if p.State != c.state || p.Text != c.text {
				t.Errorf("it ends %s: %q, want %s: %q", p.State, p.Text, c.state, c.text)
			}
			if (p.Check != "") != (p.State == bot.OpUnknown) {
				t.Errorf("what to check: %q", p.Check)
			}
			w.wantActs("run-1", c.acts)
		})
	}
}

func TestBusyHasAnEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "argv = [\"sh\", \"-c\", \"exit 75\"]", "")
	text := strings.SplitN(tableFor(w.dir), "\n", 2)[1] // without the argv of others
	bound, err := bind(w.dir, shop, text, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := bound.(*deployer)
	h := w.begin(d, "v2", "run-1")
	p, _ := w.run(d, h)
	if p.State != bot.OpFailed || p.Text != "busy, also after 5 attempts: the command ended with exit status 75" {
		t.Errorf("it ends %s: %q", p.State, p.Text)
	}
}

func TestProgramThatIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "")
	bound, err := bind(w.dir, shop, "argv = [\"./absent\"]\ncurrent = [\"./absent\"]\nreleases = [\"no-such-program-anywhere\"]", nil)
	if err != nil {
		t.Fatal(err)
	}
	d := bound.(*deployer)
	p, _ := w.run(d, w.begin(d, "v2", "run-1"))
	if p.State != bot.OpFailed || p.Text != "the command could not be started: "+filepath.Join(w.dir, "work", "absent")+" does not exist" {
		t.Errorf("it ends %s: %q", p.State, p.Text)
	}
	if _, err := d.Current(t.Context()); bot.KindOf(err) != bot.Unavailable {
		t.Errorf("Current: %v", err)
	}
	if _, err := d.Releases(t.Context(), 1); bot.KindOf(err) != bot.Unavailable {
		t.Errorf("Releases: %v", err)
	}
}

func TestOutputIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "output_bytes = 65536\nlines = 20")
	d := w.deployer()
	p, lines := w.run(d, w.begin(d, "noisy", "run-1"))
	if p.State != bot.OpFailed || p.Text != "too much was said" {
		t.Errorf("it ends %s: %q", p.State, p.Text)
	}
	info, err := os.Stat(filepath.Join(w.dir, "state", "run-1", "1.log"))
	if err != nil {
		t.Fatal(err)
	}
	if most := int64(65536 + (tailLines+1)*(maxLine+1)); info.Size() > most || info.Size() < 60000 {
		t.Errorf("the log holds %d bytes, want about 65536 and at most %d", info.Size(), most)
	}
	if last := lines[len(lines)-1]; last != "the very last line" {
		t.Errorf("the last line is %.80q", last)
	}
	for _, line := range lines {
		if len(line) > maxLine {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	raw, err := os.ReadFile(filepath.Join(w.dir, "state", "run-1", "1.log"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), " lines left out]\n") {
		t.Error("the log does not say that lines are missing")
	}
}

func TestOneLookIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "lines = 5")
	d := w.deployer()
	h := w.begin(d, "chatty", "run-1")
	for {
		next, p, err := d.Advance(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		if h = next; len(p.Lines) > 6 {
			t.Fatalf("one look gives %d lines", len(p.Lines))
		}
		if len(h.State) > 4096 {
			t.Fatalf("the handle holds %d bytes", len(h.State))
		}
		if p.State.Settled() {
			return
		}
		time.Sleep(min(p.Next, 10*time.Millisecond))
	}
}

func TestSecretsAreHidden(t *testing.T) {
	const secret = "tok-Zm9vYmFy"
	t.Setenv("QUARTERDECK_TEST_TOKEN", secret)
	w := newWorld(t, "", "env = { TOKEN = \"env:QUARTERDECK_TEST_TOKEN\" }")
	bound, err := bind(w.dir, shop, tableFor(w.dir), func(s string) string {
		return strings.ReplaceAll(s, "password=hunter2", "redacted")
	})
	if err != nil {
		t.Fatal(err)
	}
	d := bound.(*deployer)
	h := w.begin(d, "secret", "run-1")
	h, p, lines := w.until(d, h, settled)
	if p.Text != "cannot log in with redacted" {
		t.Errorf("text %q", p.Text)
	}
	if want := "the token is redacted red redacted"; lines[1] != want {
		t.Errorf("lines %q, want %q", lines, want)
	}
	if strings.Contains(string(h.State), secret) {
		t.Error("the handle holds the secret")
	}
	for _, name := range []string{"1.claim", "1.start", "1.command", "shim.log"} {
		raw, err := os.ReadFile(filepath.Join(w.dir, "state", "run-1", name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(raw), secret) {
			t.Errorf("%s holds the secret", name)
		}
	}
	if err := os.Unsetenv("QUARTERDECK_TEST_TOKEN"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Current(t.Context()); bot.KindOf(err) != bot.Unavailable || strings.Contains(err.Error(), secret) {
		t.Errorf("with the variable gone: %v", err)
	}
}

func TestCancelKillsTheFamily(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `kill_after = "200ms"`, "")
	d := w.deployer()
	h, _, _ := w.until(d, w.begin(d, "family", "run-1"), working)
	childFile := filepath.Join(w.dir, "work", "child.pid")
	eventually(t, "the child runs", func() bool { _, err := os.Stat(childFile); return err == nil })
	child := recorded(t, childFile)
	if child.life() != alive {
		t.Fatal("the child does not run")
	}
	d = w.deployer() // as after a restart
	h, err := d.Cancel(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := w.run(d, h)
	if p.State != bot.OpCancelled || p.Text != "stopped; v1 is back" {
		t.Errorf("it ends %s: %q", p.State, p.Text)
	}
	eventually(t, "the child is gone", func() bool { return child.life() == dead })
	if w.live() != "v1" {
		t.Errorf("%s is live", w.live())
	}
}

func TestCancelBetweenAttempts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "retry_after = \"1h\"")
	w.write("provider.toml", "")
	settings := "dir = \"work\"\nhost = \"host-a\"\nboot_id = \"boot_id\"\nretry_after = \"1h\"\n"
	p, err := Open(provider.Options{Name: "platform", Raw: table{w.dir, settings}, State: filepath.Join(w.dir, "state")})
	if err != nil {
		t.Fatal(err)
	}
	bound, err := p.(provider.DeployBinder).BindDeploy(shop, table{w.dir, tableFor(w.dir)})
	if err != nil {
		t.Fatal(err)
	}
	d := bound.(*deployer)
	h, seen, _ := w.until(d, w.begin(d, "busy", "run-1"), func(p bot.Progress) bool { return strings.HasPrefix(p.Text, "busy: ") })
	if want := "busy: another deployment is under way; asking again (2 of 5)"; seen.Text != want || seen.State != bot.OpPending {
		t.Errorf("while it waits: %s %q, want %q", seen.State, seen.Text, want)
	}
	if h, err = d.Cancel(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	end, _ := w.run(d, h)
	if end.State != bot.OpCancelled {
		t.Errorf("it ends %s: %q", end.State, end.Text)
	}
	w.wantActs("run-1", 1)
}

func TestRollbackAndRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "")
	d := w.deployer()
	for _, a := range []provider.Action{provider.Rollback, provider.Restart} {
		dep := deployment("v2")
		dep.Action = a
		h, err := d.Begin(dep, bot.Task{Key: "run-" + string(a), Actor: "dev-one"})
		if err != nil {
			t.Fatal(err)
		}
		if p, _ := w.run(d, h); p.State != bot.OpSucceeded {
			t.Errorf("%s ends %s: %q", a, p.State, p.Text)
		}
		if acts := w.acts("run-" + string(a)); len(acts) != 1 || acts[0].Action != string(a) {
			t.Errorf("%s calls %+v", a, acts)
		}
	}
	d.table.Restart = nil
	dep := deployment("v2")
	dep.Action = provider.Restart
	if err := d.Can(provider.Restart); bot.KindOf(err) != bot.Invalid {
		t.Errorf("got %v", err)
	}
	if _, err := d.Begin(dep, bot.Task{Key: "k", Actor: "dev-one"}); bot.KindOf(err) != bot.Invalid {
		t.Errorf("restart that is not configured: %v", err)
	}
}

// Text from chat reaches the command as one plain line.
func TestReasonIsOnePlainLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "")
	d := w.deployer()
	h, err := d.Begin(deployment("v2"), bot.Task{Key: "run/../../1", Actor: "dev-one", Reason: "two\nlines\x00 $(touch owned) \x1b[2J"})
	if err != nil {
		t.Fatal(err)
	}
	if p, _ := w.run(d, h); p.State != bot.OpSucceeded {
		t.Fatalf("it ends %s: %q", p.State, p.Text)
	}
	if acts := w.acts("run/../../1"); len(acts) != 1 || acts[0].Reason != "two lines $(touch owned)" {
		t.Errorf("the command was given %+v", acts)
	}
	entries, err := os.ReadDir(filepath.Join(w.dir, "state"))
	if err != nil || len(entries) != 1 || !strings.HasPrefix(entries[0].Name(), "x-") {
		t.Errorf("the state folder holds %v (%v)", entries, err)
	}
}
