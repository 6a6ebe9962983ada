//go:build linux || darwin

package execprovider

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

func TestResolve(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "")
	w.write("work/last_live.json", `{"shop/prod":"2026-11-19T10:00:00Z","shop/staging":"2026-11-20T10:00:00Z"}`)
	w.write("work/live", "v2")
	d := w.deployer()
	for asked, want := range map[string]string{
		"v2":                    "v2",
		" v2 ":                  "v2",
		"latest":                "chatty",
		"previous":              "v1",
		artefactID("v3"):        "v3",
		artefactID("v3")[:20]:   "v3",
		digest("v3")[:6]:        "v3",
		strings.Repeat("2", 7):  "v2",
		strings.Repeat("2", 40): "v2",
	} {
		got, err := d.Resolve(t.Context(), asked)
		if err != nil || got.Version != want || got.ID != artefactID(want) {
			t.Errorf("Resolve(%q) = %+v, %v; want %s", asked, got, err, want)
		}
	}
	for asked, want := range map[string]struct {
		kind bot.Kind
		say  string
	}{
		"stubbron":        {bot.NotFound, `did you mean "stubborn"?`},
		"v99":             {bot.NotFound, "there are: chatty, puzzled"},
		"sha256:":         {bot.NotFound, "there is no release"},
		digest("v3")[:5]:  {bot.NotFound, "there is no release"},
		"":                {bot.NotFound, "there is no release"},
		"v9\x1b[2J\nevil": {bot.NotFound, `"v9 evil"`},
	} {
		_, err := d.Resolve(t.Context(), asked)
		if say := bot.Sentence(err, ""); bot.KindOf(err) != want.kind || !strings.Contains(say, want.say) {
			t.Errorf("Resolve(%q): %s %q, want %s %q", asked, bot.KindOf(err), say, want.kind, want.say)
		}
	}
	w.write("work/live", "v1")
	if _, err := d.Resolve(t.Context(), "previous"); bot.KindOf(err) != bot.NotFound {
		t.Errorf("previous of the first release: %v", err)
	}
}

func TestAmbiguousBeginning(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "")
	w.write("work/list", `[{"version":"a","commit":"1234567890"},{"version":"b","commit":"1234567000"}]`)
	d := w.deployer()
	d.table.Releases = []string{"cat", "list"}
	_, err := d.Resolve(t.Context(), "1234567")
	if bot.KindOf(err) != bot.Invalid || !strings.Contains(bot.Sentence(err, ""), "several releases of shop: b, a") {
		t.Errorf("%v", err)
	}
	w.write("work/list", "[]")
	for _, asked := range []string{"latest", "v1"} {
		if _, err := d.Resolve(t.Context(), asked); bot.KindOf(err) != bot.NotFound {
			t.Errorf("%s of nothing: %v", asked, err)
		}
	}
}

func TestCurrent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "")
	d := w.deployer()
	live, err := d.Current(t.Context())
	if err != nil || live.Artefact.ID != artefactID("v1") || live.Running != 2 || live.Artefact.Notes != "release v1" {
		t.Errorf("Current = %+v, %v", live, err)
	}
	d.table.Current = []string{"cat", "answer"}
	for _, c := range []struct {
		answer string
		kind   bot.Kind
		id     string
		mixed  []string
	}{
		{`{"version":"v2","mixed":["v1","v2"],"running":2,"deploying":"v2"}`, "", artefactID("v2"), []string{"v1", "v2"}},
		{`{"version":"v2","mixed":["v2"],"running":2}`, "", artefactID("v2"), nil},
		{`{"version":"gone","running":1}`, "", "gone", nil},
		{`{"version":"v2","artefact":"sha256:rebuilt"}`, "", "sha256:rebuilt", nil},
		{`{"version":"","running":0}`, "", "", nil},
		{`{"version":"","running":3}`, bot.Unavailable, "", nil},
		{`{"version":7}`, bot.Unavailable, "", nil},
		{`{"version":"v\u001b[2J"}`, bot.Unavailable, "", nil},
		{`{"version":"` + strings.Repeat("v", maxName+1) + `"}`, bot.Unavailable, "", nil},
		{`<html>`, bot.Unavailable, "", nil},
		{``, bot.Unavailable, "", nil},
		{`{"version":"` + strings.Repeat("v", maxAnswer) + `"}`, bot.Unavailable, "", nil},
	} {
		w.write("work/answer", c.answer)
		live, err := d.Current(t.Context())
		if bot.KindOf(err) != c.kind || live.Artefact.ID != c.id || !slices.Equal(live.Mixed, c.mixed) {
			t.Errorf("%.60s: %+v, %v; want kind %q, id %q, mixed %v", c.answer, live, err, c.kind, c.id, c.mixed)
		}
	}
}

func TestReadsThatFail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "read_timeout = \"3s\"")
	d := w.deployer()
	for _, c := range []struct {
		script string
		kind   bot.Kind
	}{
		{"exit 1", bot.Unavailable},
		{"echo 'no password=x here' >&2; exit 3", bot.Unavailable},
		{"exit 75", bot.Busy},
		// The child holds the output open: the whole group has to go.
		{"echo $$ >reader.pid; sleep 60 & wait", bot.Timeout},
	} {
		d.table.Current = []string{"sh", "-c", c.script}
		if _, err := d.Current(t.Context()); bot.KindOf(err) != c.kind {
			t.Errorf("%s: %v, want kind %s", c.script, err, c.kind)
		}
	}
	group := recordedID(t, w.dir+"/work/reader.pid")
	eventually(t, "nothing is left of the reader", func() bool { return groupEmpty(group) })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Current(ctx); bot.KindOf(err) != bot.Timeout {
		t.Errorf("with an ended context: %v", err)
	}
}

func TestPreview(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "")
	d := w.deployer()
	v := func(name string) provider.Artefact { return provider.Artefact{ID: artefactID(name), Version: name} }
	p, err := d.Preview(t.Context(), v("v1"), v("v2"))
	if err != nil || len(p.Warnings) != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	want := []bot.Field{
		{Name: "notes", Value: "release v2"}, {Name: "created", Value: "2026-11-02 00:00 UTC"},
		{Name: "commit", Value: "222222222222…"},
	}
	if !slices.Equal(p.Fields, want) {
		t.Errorf("fields %+v, want %+v", p.Fields, want)
	}
	p, err = d.Preview(t.Context(), v("v3"), v("v2"))
	if err != nil || len(p.Warnings) != 1 || !strings.HasPrefix(p.Warnings[0], "v2 is older than v3") {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := d.Preview(t.Context(), v("v1"), v("unheard-of")); bot.KindOf(err) != bot.NotFound {
		t.Errorf("of what does not exist: %v", err)
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const good = "argv = [\"./p\"]\ncurrent = [\"./p\"]\nreleases = [\"./p\"]\n"
	for _, c := range []struct{ settings, deploy, say string }{
		{"", good, ""},
		{"type = \"exec\"", "provider = \"platform\"\n" + good, ""},
		{"dri = \"x\"", good, "config.toml:41"},
		{"output_bytes = -1", good, "must not be negative"},
		{"env = { OP_ID = \"1\" }", good, "OP_ID"},
		{"env = { \"A=B\" = \"1\" }", good, "A=B"},
		{"read_timeout = \"soon\"", good, "not a positive duration"},
		{"read_timeout = \"0s\"", good, "not a positive duration"},
		{"", "argv = [\"./p\"]\ncurrent = [\"./p\"]", "needs releases"},
		{"", "current = [\"./p\"]\nreleases = [\"./p\"]", "needs argv"},
		{"", good + "restart = []", "restart of shop/prod names no program"},
		{"", good + "rollback = [\"\"]", "rollback of shop/prod names no program"},
		{"", good + "rollback = [\"a\", \"b\\u0000\"]", "NUL"},
		{"", good + "argv = \"./p deploy\"", "config.toml:41"},
		{"", good + "kill_after = \"-1s\"", "not a positive duration"},
	} {
		p, err := Open(provider.Options{Name: "platform", Raw: table{dir, c.settings}, State: "state"})
		if err == nil {
			_, err = p.(provider.DeployBinder).BindDeploy(shop, table{dir, c.deploy})
		}
		switch {
		case c.say == "" && err != nil:
			t.Errorf("%q %q: %v", c.settings, c.deploy, err)
		case c.say != "" && (bot.KindOf(err) != bot.Invalid || !strings.Contains(bot.Sentence(err, ""), c.say)):
			t.Errorf("%q %q: %v, want Invalid with %q", c.settings, c.deploy, err, c.say)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("checking the configuration made %v (%v)", entries, err)
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain":                            "plain",
		"tab\tand\rreturn":                 "tab and return",
		"\x1b[1;31mred\x1b[0m":             "red",
		"\x1b]0;title\x07text":             "text",
		"\x1b]8;;http://evil\x1b\\link":    "link",
		"bell\a null\x00 del\x7f c1\u009b": "bell null del c1",
		"turned \u202egpj.exe":             "turned gpj.exe",
		"bad \xff byte":                    "bad \uFFFD byte",
		"größe ✓":                          "größe ✓",
	} {
		if got := plain(in); got != want {
			t.Errorf("plain(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSecretsAtTheCut(t *testing.T) {
	t.Parallel()
	hide := secrets{}.with("abcdefgh\nsecond-line\nxy")
	for in, want := range map[string]string{
		"a abcdefgh b second-line": "a redacted b redacted",
		"cut in abcde":             "cut in redacted",
		"cut in abc":               "cut in abc",
		"xy is too short":          "xy is too short",
	} {
		if got := hide.hide(in); got != want {
			t.Errorf("hide(%q) = %q, want %q", in, got, want)
		}
	}
	if got := cut("größe", 5); got != "g…" && got != "gr…" {
		t.Errorf("cut = %q", got)
	}
}

// fixedClock tells one time.
type fixedClock struct{ now time.Time }

func (c *fixedClock) Now() time.Time { return c.now }

func TestSweep(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", "")
	d := w.deployer()
	for _, key := range []string{"run-1", "run-2"} {
		if p, _ := w.run(d, w.begin(d, "v2", key)); p.State != bot.OpSucceeded {
			t.Fatalf("%s ends %s: %q", key, p.State, p.Text)
		}
	}
	clock := &fixedClock{time.Now().Add(keepEnded - time.Hour)}
	d.clock = clock
	w.write("state/other", "not ours")
	d.sweep()
	if _, err := os.Stat(d.folder("run-1").path); err != nil {
		t.Errorf("swept before its time: %v", err)
	}
	clock.now = clock.now.Add(2 * time.Hour)
	d.sweep()
	entries, err := os.ReadDir(d.state)
	if err != nil || len(entries) != 1 || entries[0].Name() != "other" {
		t.Errorf("after the sweep there are %v (%v)", entries, err)
	}
	// An old handle whose call was interrupted is not taken for a new one.
	h := w.begin(d, "v2", "run-1")
	clock.now = clock.now.Add(tooOld + time.Second)
	h.Interrupted = true
	if p, _ := w.run(d, h); p.State != bot.OpUnknown {
		t.Errorf("an old handle without a folder: %s %q", p.State, p.Text)
	}
	w.wantActs("run-1", 1)
}
