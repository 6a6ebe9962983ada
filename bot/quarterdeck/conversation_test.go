//go:build linux || darwin

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"quarterdeck/bot/app"
	"quarterdeck/bot/audit"
	"quarterdeck/commands"
)

// TestConversations plays the scripts of testdata: people talk to the program
// as it is shipped, and what they are told, what the platform did and what the
// log says must agree.
func TestConversations(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		set := func(env *testscript.Env) error {
			if err := setStage(env); err != nil || !onServer(t) {
				return err
			}
			return useServer(env)
		}
		testscript.Run(t, testscript.Params{
			Dir:   "testdata",
			Setup: set,
			Cmds:  cast(),
			Condition: func(name string) (bool, error) {
				switch name {
				case "sqlite":
					return !onServer(t), nil
				case "postgres":
					return onServer(t), nil
				case "openfeature":
					return openFeatureDir() != "", nil
				}
				return condition(name)
			},
			RequireUniqueNames: true,
		})
	})
}

// allScripts gives the text of all scripts.
func allScripts(t *testing.T) string {
	t.Helper()
	scripts, err := filepath.Glob(filepath.Join("testdata", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range scripts {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(raw)
	}
	return all.String()
}

// condition knows "stranger": this process may be another user of the machine.
func condition(name string) (bool, error) {
	if name == "terminal" { // the script's people talk there
		return true, nil
	}
	if name == "stranger" {
		return runtime.GOOS == "linux" && os.Geteuid() == 0, nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

// TestEveryCommandIsSpoken keeps the scripts complete: a command that nobody in
// them types is not shown to work.
func TestEveryCommandIsSpoken(t *testing.T) {
	if early := regexp.MustCompile(`(?m)^stop\b.*$`).FindAllString(allScripts(t), -1); len(early) > 0 {
		t.Errorf("%q ends a script there and then, so that nothing after it is played; to end the bot write quit", early)
	}
	all := allScripts(t)
	for _, c := range commands.All(app.CommandNeeds{}) {
		spoken := regexp.MustCompile(`(?m)^((fails|denied|invalid|waits) )?(dev|oncall|sre|guest) (--json )?` + regexp.QuoteMeta(c.Name) + `( |$)`)
		if !spoken.MatchString(all) {
			t.Errorf("no script has anybody type %q", c.Name)
		}
	}
}

// setStage gives a script its bot's configuration, unless it brings one, and
// its platform.
func setStage(env *testscript.Env) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, e := range []string{"staging", "prod"} {
		dir := filepath.Join(env.WorkDir, "platform", e)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "live"), []byte("v1"), 0o600); err != nil {
			return err
		}
	}
	argv := func(verb string) string { return fmt.Sprintf("[%q, %q, %q]", self, platformArg, verb) }
	deploy := fmt.Sprintf(`{ provider = "platform", argv = %s, rollback = %s, restart = %s, current = %s, releases = %s, kill_after = "10s" }`,
		argv("deploy"), argv("rollback"), argv("restart"), argv("current"), argv("releases"))
	scale := fmt.Sprintf(`{ provider = "platform", argv = %s, current = %s, min = 1, max = 8, step = 4, kill_after = "10s" }`, argv("scale"), argv("current"))
	text := strings.NewReplacer("DEPLOY", deploy, "SCALE", scale, "LOGS", fmt.Sprintf(`{ provider = "platform", argv = %s }`, argv("logs")), "os:UID", fmt.Sprintf("os:%d", os.Getuid())).Replace(stageConfig)
	if err := os.WriteFile(filepath.Join(env.WorkDir, "config.toml"), []byte(text), 0o600); err != nil {
		return err
	}
	// The program under its own name, for "exec quarterdeck".
	bin := filepath.Join(env.WorkDir, ".bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		return err
	}
	if err := os.Symlink(self, filepath.Join(bin, programName)); err != nil {
		return err
	}
	env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
	env.Setenv("QUARTERDECK_CONFIG", filepath.Join(env.WorkDir, "config.toml"))
	env.Setenv("GORACE", "atexit_sleep_ms=0")
	env.Setenv("NO_COLOR", "1")
	env.Setenv("OSUID", fmt.Sprint(os.Getuid()))
	env.Values[bots{}] = map[string]*served{}
	env.Values[worlds{}] = map[any]any{}
	env.Defer(func() {
		for _, b := range env.Values[bots{}].(map[string]*served) {
			b.kill()
		}
		// A deployment that is still held up ends when its folder is gone.
		_ = os.RemoveAll(filepath.Join(env.WorkDir, "platform"))
	})
	return nil
}

// patience bounds every wait; it is far more than a loaded machine needs.
const patience = 2 * time.Minute

type command = func(ts *testscript.TestScript, neg bool, args []string)

// cast gives the commands of the scripts: people, what is done to the bot, the
// platform and the database, and what is to be seen.
func cast() map[string]command {
	cmds := map[string]command{
		"serve": serve, "quit": quit, "reload": reloadBot, "kill9": kill9, "rewrite": rewrite,
		"together": together, "flood": flood, "says": says, "await": await, "await-file": awaitFile, "tail": tail,
		"fault": fault, "mend": mend, "acting": acting, "outside": outside, "capacity": setCapacity, "live": live, "effects": effects, "sql": runSQL, "edit": edit, "set-aside": setAside, "put-back": putBack,
		"with-metrics": withMetrics, "prometheus": tellPrometheus,
		"with-components": withComponents, "with-rescue": withRescue, "await-seen": awaitSeen, "counted": counted,
		"copy": copyConfig, "in-order": inOrder, "complete": complete, "holds": holds, "anywhere": anywhere, "hostile": hostile, "spoil": spoil,
		"keep-secret": keepSecret, "code": oneTimeCode, "wrong-code": wrongCode, "kept-nowhere": keptNowhere,
		"every-verb": everyVerb, "with-pager": withPager, "monitor": monitor, "frames": frames, "add-verbs": addVerbs, "json-error": jsonError,
	}
	maps.Copy(cmds, watchers())
	maps.Copy(cmds, keepers())
	maps.Copy(cmds, flagReaders())
	// A person's line is expected to be done, exit code 0; a word in front says
	// what else is expected.
	for _, who := range []string{"dev", "dev-phone", "oncall", "sre", "guest", "newcomer", "attacker"} {
		cmds[who] = func(ts *testscript.TestScript, neg bool, args []string) { speak(ts, neg, 0, who, args) }
	}
	for word, code := range map[string]int{"fails": 1, "invalid": 2, "denied": 3, "waits": 4, "unknown": 5} {
		cmds[word] = func(ts *testscript.TestScript, neg bool, args []string) {
			if len(args) < 2 {
				ts.Fatalf("usage: %s PERSON LINE...", word)
			}
			speak(ts, neg, code, args[0], args[1:])
		}
	}
	return cmds
}

// speak runs one line as a person and checks how it ended.
func speak(ts *testscript.TestScript, neg bool, want int, who string, args []string) {
	if n := networkOf(ts); n != nil && args[0] != "--json" && len(running(ts)) > 0 {
		speakIn(n, ts, neg, want, who, words(append([]string{"--"}, args...)))
		return
	}
	options := []string{"run", "--as", who}
	if len(args) > 0 && args[0] == "--json" {
		options, args = append(options, args[0]), args[1:]
	}
	err := ts.Exec(programName, append(append(options, "--"), args...)...)
	var exit *exec.ExitError
	code := 0
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("run: %v", err)
	}
	if (code == want) == neg {
		ts.Fatalf("%s %s ended with %d; expected %d (not: %v)", who, strings.Join(args, " "), code, want, neg)
	}
}

// bots is the key of the script's running bots, by configuration.
type bots struct{}

// served is one running bot.
type served struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

func (b *served) kill() {
	_ = b.cmd.Process.Kill() // may have ended
	<-b.ended
}

func running(ts *testscript.TestScript) map[string]*served {
	return ts.Value(bots{}).(map[string]*served)
}

func configName(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return "config.toml"
}

// program makes a command of the bot's program in the script's world.
func program(ctx context.Context, ts *testscript.TestScript, config string, args ...string) *exec.Cmd {
	self, err := os.Executable()
	ts.Check(err)
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Args[0] = programName
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "GORACE", "GOCOVERDIR", "NO_COLOR", "NOTIFY_SOCKET", "WATCHDOG_USEC", databaseVar} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	cmd.Env = append(cmd.Env, "QUARTERDECK_CONFIG="+ts.MkAbs(config))
	return cmd
}

// serve starts the bot and waits until it answers. Its socket is the one that
// its configuration names.
func serve(ts *testscript.TestScript, _ bool, args []string) {
	config := configName(args)
	log, err := os.OpenFile(ts.MkAbs("bot.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	defer log.Close()
	cmd := program(context.Background(), ts, config, "serve")
	cmd.Stderr = log
	ts.Check(cmd.Start())
	b := &served{cmd: cmd, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(b.ended)
	}()
	running(ts)[config] = b
	var socket string
	for line := range strings.Lines(ts.ReadFile(config)) {
		if rest, ok := strings.CutPrefix(line, "socket = "); ok {
			socket, err = strconv.Unquote(strings.TrimSpace(rest))
			ts.Check(err)
		}
	}
	eventually(ts, "the bot answers", func() bool {
		select {
		case <-b.ended:
			ts.Fatalf("the bot ended: %s", ts.ReadFile("bot.log"))
		default:
		}
		conn, err := net.Dial("unix", ts.MkAbs(socket))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	if n := networkOf(ts); n != nil {
		n.connected(ts, b)
	}
}

// eventually waits for a condition.
func eventually(ts *testscript.TestScript, what string, holds func() bool) {
	for end := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// quit ends the bot as an init system does; it must go by itself. (The script
// engine's own "stop" ends the script.)
func quit(ts *testscript.TestScript, _ bool, args []string) {
	config := configName(args)
	b := running(ts)[config]
	if b == nil {
		ts.Fatalf("no bot runs with %s", config)
	}
	ts.Check(b.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-b.ended:
	case <-time.After(patience):
		b.kill()
		ts.Fatalf("the bot did not stop")
	}
	if code := b.cmd.ProcessState.ExitCode(); code != 0 {
		ts.Fatalf("the bot stopped with %d: %s", code, ts.ReadFile("bot.log"))
	}
	delete(running(ts), config)
}

// kill9 ends the bot as a crash does.
func kill9(ts *testscript.TestScript, _ bool, args []string) {
	config := configName(args)
	running(ts)[config].kill()
	delete(running(ts), config)
}

// rewrite FILE OLD NEW replaces what stands there exactly once.
func rewrite(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: rewrite FILE OLD NEW")
	}
	old := strings.ReplaceAll(args[1], `\n`, "\n")
	text := ts.ReadFile(args[0])
	if n := strings.Count(text, old); n != 1 {
		ts.Fatalf("%q stands %d times in %s", old, n, args[0])
	}
	text = strings.Replace(text, old, strings.ReplaceAll(args[2], `\n`, "\n"), 1)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// together PERSON LINE... types a line twice at the same time, from two
// processes. Exactly one may have been done.
func together(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var parts sync.WaitGroup
	var out [2]bytes.Buffer
	var codes [2]int
	for i := range 2 {
		cmd := program(ctx, ts, "config.toml", append([]string{"run", "--as", args[0], "--"}, args[1:]...)...)
		cmd.Stdout, cmd.Stderr = &out[i], &out[i]
		ts.Check(cmd.Start())
		parts.Go(func() {
			_ = cmd.Wait()
			codes[i] = cmd.ProcessState.ExitCode()
		})
	}
	parts.Wait()
	for i := range out {
		fmt.Fprintf(ts.Stdout(), "%s", out[i].String())
	}
	if (codes[0] == 0) == (codes[1] == 0) {
		ts.Fatalf("they ended with %v; exactly one may be done", codes)
	}
}

// flood COUNT LINE CONFIG... has every bot do a line so many times, all bots at
// the same time.
func flood(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	count, err := strconv.Atoi(args[0])
	ts.Check(err)
	var parts sync.WaitGroup
	errs := make([]error, len(args)-2)
	for i, config := range args[2:] {
		cmd := program(ctx, ts, config, "chat", "--as", "dev")
		cmd.Stdin = strings.NewReader(strings.Repeat(args[1]+"\n", count))
		parts.Go(func() { errs[i] = cmd.Run() })
	}
	parts.Wait()
	ts.Check(errors.Join(errs...))
}

// flat gives text on one line, since tables and cards are wrapped.
func flat(s string) string { return strings.Join(strings.Fields(s), " ") }

// says TEXT looks for text, spaces apart, in what the last command printed.
func says(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: says 'TEXT'")
	}
	said := flat(ts.ReadFile("stdout"))
	if strings.Contains(said, flat(inNetwork(ts, args[0]))) == neg {
		ts.Fatalf("%q (not: %v) in:\n%s", args[0], neg, ts.ReadFile("stdout"))
	}
}

// await TEXT PERSON LINE... repeats a reading line until it says TEXT.
func await(ts *testscript.TestScript, _ bool, args []string) {
	if n := networkOf(ts); n != nil {
		awaitIn(n, ts, args[0], args[1], words(append([]string{"--"}, args[2:]...)))
		return
	}
	eventually(ts, fmt.Sprintf("%q", args[0]), func() bool {
		_ = ts.Exec(programName, append([]string{"run", "--as", args[1], "--"}, args[2:]...)...) // its text decides
		return strings.Contains(flat(ts.ReadFile("stdout")), args[0])
	})
}

// await-file TEXT FILE waits until the file holds the text.
func awaitFile(ts *testscript.TestScript, _ bool, args []string) {
	text := inNetwork(ts, args[0])
	eventually(ts, fmt.Sprintf("%q in %s", text, args[1]), func() bool {
		raw, err := os.ReadFile(ts.MkAbs(args[1]))
		return err == nil && strings.Contains(flat(string(raw)), text)
	})
}

// tail TEXT follows the log with audit tail until a record holds the text, then
// interrupts it.
func tail(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := program(ctx, ts, "config.toml", "audit", "tail", "--last", "1000")
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	found := false
	for lines := bufio.NewScanner(out); !found && lines.Scan(); {
		found = strings.Contains(lines.Text(), inNetwork(ts, args[0]))
	}
	ts.Check(cmd.Process.Signal(os.Interrupt))
	if err := cmd.Wait(); err != nil || !found {
		ts.Fatalf("audit tail showed %q: %v; it ended with %v", args[0], found, err)
	}
}

// fault ENV NAME and mend ENV NAME switch what is wrong with the platform.
func fault(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(filepath.Join("platform", args[0], args[1])), nil, 0o600))
}

func mend(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.Remove(ts.MkAbs(filepath.Join("platform", args[0], args[1]))))
}

// acting ENV VERSION waits until the platform is bringing a version.
func acting(ts *testscript.TestScript, _ bool, args []string) {
	awaitFile(ts, false, []string{args[1], filepath.Join("platform", args[0], "deploying")})
}

// outside ENV VERSION deploys behind the bot's back.
func outside(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(filepath.Join("platform", args[0], "live")), []byte(args[1]), 0o600))
}

// capacity ENV COUNT scales behind the bot's back.
func setCapacity(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(filepath.Join("platform", args[0], "count")), []byte(args[1]), 0o600))
}

// live ENV VERSION looks at the platform itself.
func live(ts *testscript.TestScript, _ bool, args []string) {
	if got := ts.ReadFile(filepath.Join("platform", args[0], "live")); got != args[1] {
		ts.Fatalf("%s is live in %s, not %s", got, args[0], args[1])
	}
}

// effects COUNT TEXT counts what the platform itself was asked to do.
func effects(ts *testscript.TestScript, _ bool, args []string) {
	raw, err := os.ReadFile(ts.MkAbs("platform/effects.log"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		ts.Check(err)
	}
	count := 0
	for line := range strings.Lines(string(raw)) {
		if strings.Contains(line, args[1]) {
			count++
		}
	}
	if fmt.Sprint(count) != args[0] {
		ts.Fatalf("%q happened %d times, not %s:\n%s", args[1], count, args[0], raw)
	}
}

// copy FROM TO copies a configuration, readable by its owner alone.
func copyConfig(ts *testscript.TestScript, _ bool, args []string) {
	_ = os.Remove(ts.MkAbs(args[1])) // may not be there; its mode must not stay
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(ts.ReadFile(args[0])), 0o600))
}

// with-components adds pay/staging, which consists of three components.
func withComponents(ts *testscript.TestScript, _ bool, _ []string) {
	self, err := os.Executable()
	ts.Check(err)
	text, err := withPieces(self, ts.MkAbs("."))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("config.toml"), []byte(ts.ReadFile("config.toml")+text), 0o600))
}

// with-rescue has shop/prod, the last service of the configuration, taken back
// by another provider than the one that deploys.
func withRescue(ts *testscript.TestScript, _ bool, _ []string) {
	self, err := os.Executable()
	ts.Check(err)
	text := fmt.Sprintf("rollback = { provider = \"rescue\", argv = [%q, %q, \"rescue\"] }\n[provider.rescue]\ntype = \"exec\"\ndir = \"platform\"\n", self, platformArg)
	all := ts.ReadFile("config.toml")
	last := strings.LastIndex(all, "flags = {") // which ends its table
	if last < 0 {
		ts.Fatalf("the last service is not found")
	}
	end := last + strings.IndexByte(all[last:], '\n') + 1
	ts.Check(os.WriteFile(ts.MkAbs("config.toml"), []byte(all[:end]+text+all[end:]), 0o600))
}

// await-seen TARGET VERSION waits until the bot has seen what is live there.
func awaitSeen(ts *testscript.TestScript, _ bool, args []string) {
	db, _ := behind(ts)
	defer db.Close()
	eventually(ts, args[0]+" is seen with "+args[1], func() bool {
		var body string
		err := db.QueryRow(`SELECT body FROM documents WHERE kind = 'observed' AND id = $1`, "release/"+args[0]).Scan(&body)
		return err == nil && strings.Contains(body, fmt.Sprintf(`"text":%q`, args[1]))
	})
}

// counted COUNT KIND counts the records of a kind.
func counted(ts *testscript.TestScript, _ bool, args []string) {
	db, _ := behind(ts)
	defer db.Close()
	var n string
	ts.Check(db.QueryRow(`SELECT count(*) FROM records WHERE kind = $1`, args[1]).Scan(&n))
	if n != args[0] {
		ts.Fatalf("%s records of kind %s, not %s", n, args[1], args[0])
	}
}

// in-order FILE TEXT... looks for every text after the one before it.
func inOrder(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	for i, want := range args[1:] {
		_, rest, found := strings.Cut(text, want)
		if !found {
			ts.Fatalf("%q is not in %s, or not after %q:\n%s", want, args[0], args[1:i+1], ts.ReadFile(args[0]))
		}
		text = rest
	}
}

// complete FILE waits until the audit channel's file tells of every record of a
// run and of every denial, and checks that it does so in their order.
func complete(ts *testscript.TestScript, _ bool, args []string) {
	db, _ := behind(ts)
	defer db.Close()
	rows, err := db.Query(`SELECT seq FROM records WHERE run > 0 OR kind = 'denied' ORDER BY seq`)
	ts.Check(err)
	defer rows.Close()
	var want []int64
	for rows.Next() {
		var seq int64
		ts.Check(rows.Scan(&seq))
		want = append(want, seq)
	}
	ts.Check(rows.Err())
	if len(want) < 5 {
		ts.Fatalf("only %d records: nothing to be complete about", len(want))
	}
	told := func() map[int64]bool {
		seen := map[int64]bool{}
		for line := range strings.Lines(ts.ReadFile(args[0])) {
			at := strings.LastIndex(line, "; audit ")
			if at < 0 {
				continue
			}
			pairs, ok := audit.Sequences(strings.TrimSpace(line[at+2:]))
			for _, p := range pairs {
				for seq := p[0]; ok && seq <= p[1]; seq++ {
					seen[seq] = true
				}
			}
		}
		return seen
	}
	eventually(ts, "every record is told", func() bool {
		seen := told()
		for _, seq := range want {
			if !seen[seq] {
				return false
			}
		}
		return true
	})
}
