//go:build linux || darwin

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"quarterdeck/bot"
	"quarterdeck/bot/app"
	"quarterdeck/commands"
)

// shellLine is what somebody types in a shell, and the exit code it has.
type shellLine struct {
	who, line string
	exit      int
}

// shellLines are a day in which every verb is typed, in its order. Each verb has
// a line here that ends well; that it refuses strangers and bad input is tried
// for all alike.
func shellLines() []shellLine {
	return []shellLine{
		{"dev", "whoami", 0}, {"dev", "help", 0}, {"dev", "help deplyo", 2}, {"dev", "can deploy shop v2 prod", 0},
		{"dev", "status", 0}, {"guest", "status shop/prod", 3}, {"dev", "status shop stagin", 2}, {"dev", "deplyo shop v2 staging", 2},
		{"dev", "deploy shop v2 staging --dry-run", 0}, {"dev", "deploy shop v2 staging", 0}, {"dev", "deploy shop v9 staging", 2},
		{"guest", "deploy shop v2 staging", 3}, {"dev", "deploy shop v4 staging", 1},
		{"dev", "deploy shop v2 prod", 4}, {"dev", "confirm", 4}, {"dev", "approve", 3}, {"sre", "approve", 0}, {"sre", "approve", 2},
		{"dev", "deploy shop v3 prod", 4}, {"dev", "confirm", 4}, {"sre", "deny --reason no", 0},
		{"dev", "rollback shop prod", 0}, {"guest", "rollback shop prod", 3},
		{"dev", "restart shop prod", 4}, {"dev", "cancel", 0}, {"dev", "restart shop staging", 0},
		{"dev", "scale shop staging 3", 0}, {"guest", "scale shop staging 4", 3}, {"dev", "scale shop staging 0", 2},
		{"oncall", `deploy shop v3 prod --break-glass "nobody answers"`, 0}, {"oncall", "review", 3}, {"sre", "review", 0},
		{"sre", "digest daily", 0}, {"dev", "digest daily", 3},
		{"dev", "lock shop staging", 0}, {"oncall", "deploy shop v3 staging", 3}, {"dev", "unlock shop staging", 0},
		{"sre", "freeze add staging --reason moving", 0}, {"dev", "freeze list", 0}, {"dev", "freeze add prod", 3}, {"sre", "freeze end 1", 0},
		{"sre", "halt --reason moving", 0}, {"dev", "reindex shop staging orders", 3}, {"dev", "resume", 3}, {"sre", "resume", 0},
		{"dev", "reindex shop staging customers", 0}, {"dev", "reindex shop staging customers", 4}, {"dev", "confirm", 0},
		{"dev", "reindex shop staging orders --note puzzled", 5}, {"dev", "peek shop staging", 0},
		{"sre", "cache flush /a", 0}, {"sre", "cache flush a", 2},
		{"sre", "totp enrol", 0}, {"dev", "totp confirm 123456", 1}, {"sre", "totp reset sre", 3}, {"oncall", "totp reset sre", 0},
		{"dev", "page open shop prod it is down", 0}, {"dev", "page list", 0}, {"dev", "page show", 0}, {"oncall", "page ack", 0}, {"guest", "page ack 1", 3},
		{"oncall", "page snooze", 0}, {"oncall", "page escalate 1", 0}, {"dev", "page note 1 it is slow", 0}, {"dev", "page update 1 back soon", 0}, {"dev", "page resolve", 0},
		{"dev", "page story", 0}, {"dev", "page ack", 2}, {"dev", "oncall", 0}, {"sre", "oncall override primary dev", 0}, {"dev", "oncall end 1", 3}, {"sre", "oncall end 1", 0},
		{"dev", "metrics", 0}, {"dev", "metrics shop prod", 0}, {"guest", "metrics shop prod", 3}, {"dev", "metrics shop prod latenzy", 2},
		{"dev", "logs shop prod", 0}, {"guest", "logs shop prod", 3}, {"dev", "logs shop staging", 2},
		{"dev", "backup list shop prod", 0}, {"dev", "restore-test shop prod", 0}, {"dev", "restore-test shop staging", 2}, {"guest", "restore-test shop prod", 3},
		{"dev", "flag create new-checkout", 0}, {"dev", "flag on new-checkout staging", 0}, {"dev", "flag off new-checkout staging", 0}, {"dev", "flag set new-checkout prod 25%", 0},
		{"dev", "flag show new-checkout", 0}, {"dev", "flag list", 0}, {"dev", "flag stale", 0}, {"dev", "flag history new-checkout", 0}, {"dev", "flag undo new-checkout prod", 0},
		{"dev", "flag ramp new-checkout prod 50% 100% every 1h --dry-run", 0}, {"dev", "flag kill new-checkout", 0}, {"guest", "flag kill new-checkout", 3}, {"dev", "flag on new-chekout prod", 2}, {"dev", "flag archive new-checkout", 0},
		{"dev", "history", 0}, {"dev", "runs", 0}, {"dev", "run 1", 0}, {"dev", "run 999", 2}, {"dev", "audit", 0}, {"guest", "audit", 3},
	}
}

// allVerbs gives the names of the whole command table, of the verbs that the
// script's configuration adds too.
func allVerbs(ts *testscript.TestScript) []string {
	loaded, err := app.Load(ts.MkAbs("config.toml"), tables())
	ts.Check(err)
	a, err := app.New(loaded, tables(), app.Options{})
	ts.Check(err)
	var names []string
	for _, c := range commands.All(app.CommandNeeds{Actions: a.Actions}) {
		names = append(names, c.Name)
	}
	return names
}

// day gives the lines, then for every verb one of a stranger and one that it
// cannot take. It fails when a verb has no line that ends well.
func day(ts *testscript.TestScript) []shellLine {
	lines := shellLines()
	ends := map[int]bool{}
	for _, verb := range allVerbs(ts) {
		i := slices.IndexFunc(lines, func(l shellLine) bool {
			// The good end of a confirmation takes a code of the moment: see step-up.txtar.
			return (l.exit == 0 || verb == "totp confirm") && (l.line == verb || strings.HasPrefix(l.line, verb+" "))
		})
		if i < 0 {
			ts.Fatalf("nobody types %q in a shell with a good end; add a line to shellLines", verb)
		}
		lines = append(lines, shellLine{"attacker", lines[i].line, 3}, shellLine{"oncall", verb + " --no-such-option", 2})
	}
	for _, l := range lines {
		ends[l.exit] = true
	}
	if len(ends) != 6 {
		ts.Fatalf("the lines end in %v; all six exit codes are wanted", ends)
	}
	return lines
}

// shellCard is what README promises of each JSON object. The types are the
// test's own, so that a key that is renamed, or added without a word, fails.
type shellCard struct {
	Key     string `json:"key"`
	Version int64  `json:"version"`
	ReplyTo string `json:"reply_to"`
	Run     int64  `json:"run"`
	State   string `json:"state"`
	Phase   string `json:"phase"`
	Outcome string `json:"outcome"`
	Tone    string `json:"tone"`
	Title   string `json:"title"`
	Text    string `json:"text"`
	Fields  []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"fields"`
	Table *struct {
		Columns []string   `json:"columns"`
		Rows    [][]string `json:"rows"`
	} `json:"table"`
	Progress *struct {
		Percent *int   `json:"percent"`
		Text    string `json:"text"`
	} `json:"progress"`
	Lines []string `json:"lines"`
	Image *struct {
		Name  string   `json:"name"`
		Alt   string   `json:"alt"`
		PNG   []byte   `json:"png"`
		Lines []string `json:"lines"`
	} `json:"image"`
	Buttons []struct {
		Label  string `json:"label"`
		Line   string `json:"line"`
		Token  string `json:"token"`
		Danger bool   `json:"danger"`
		Code   bool   `json:"code"`
		Twice  bool   `json:"twice"`
		Not    string `json:"not"`
	} `json:"buttons"`
	Footer string `json:"footer"`
	Link   string `json:"link"`
}

// outcomes says which outcome the last object has for each exit code.
var outcomes = []bot.Outcome{bot.OutcomeOK, bot.OutcomeFailed, bot.OutcomeInvalid, bot.OutcomeDenied, bot.OutcomeWaiting, bot.OutcomeUnknown}

// decoded reads one object a line, strictly.
func decoded(ts *testscript.TestScript, out []byte) []shellCard {
	var all []shellCard
	for line := range bytes.Lines(out) {
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.DisallowUnknownFields()
		var c shellCard
		if err := dec.Decode(&c); err != nil || dec.More() {
			ts.Fatalf("%s is not one object of the promised keys: %v", line, err)
		}
		all = append(all, c)
	}
	return all
}

// everyVerb run|chat plays the day through `quarterdeck run --json`, a process a
// line, or through one `quarterdeck chat --json`. Where no bot serves, each
// starts its own.
func everyVerb(ts *testscript.TestScript, _ bool, args []string) {
	lines := day(ts)
	switch strings.Join(args, " ") {
	case "run":
		for _, l := range lines {
			code, out := shell(ts, nil, "run", "--json", "--as", l.who, "--", l.line)
			cards := decoded(ts, out)
			if code != l.exit {
				ts.Fatalf("%s: %s ended with %d, want %d:\n%s", l.who, l.line, code, l.exit, out)
			}
			l.check(ts, cards)
		}
	case "chat":
		var script strings.Builder
		for _, l := range lines {
			script.WriteString("/as " + l.who + "\n" + l.line + "\n")
		}
		code, out := shell(ts, strings.NewReader(script.String()), "chat", "--json")
		if code != 0 {
			ts.Fatalf("the chat ended with %d", code)
		}
		var order []string
		answers := map[string][]shellCard{}
		for _, c := range decoded(ts, out) {
			if _, seen := answers[c.ReplyTo]; !seen {
				order = append(order, c.ReplyTo)
			}
			answers[c.ReplyTo] = append(answers[c.ReplyTo], c)
		}
		if len(order) != len(lines) {
			ts.Fatalf("%d lines were answered, want %d:\n%s", len(order), len(lines), out)
		}
		for i, l := range lines {
			l.check(ts, answers[order[i]])
		}
	default:
		ts.Fatalf("usage: every-verb run|chat")
	}
}

// check holds the last object of an answer against the exit code.
func (l shellLine) check(ts *testscript.TestScript, cards []shellCard) {
	if len(cards) == 0 {
		ts.Fatalf("%s: %s printed nothing", l.who, l.line)
	}
	last := cards[len(cards)-1]
	if last.Outcome != string(outcomes[l.exit]) || last.Title+last.Text == "" {
		ts.Fatalf("%s: %s has the outcome %q in %+v, want %q", l.who, l.line, last.Outcome, last, outcomes[l.exit])
	}
	if phase := last.Phase; phase != string(bot.PhaseDone) && !(l.exit == 4 && phase == string(bot.PhaseWaiting)) {
		ts.Fatalf("%s: %s ends in the phase %q", l.who, l.line, phase)
	}
}

// shell runs the program and gives its exit code and what it printed. With JSON
// nothing else is said beside it.
func shell(ts *testscript.TestScript, in *strings.Reader, args ...string) (code int, out []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	cmd := program(ctx, ts, "config.toml", args...)
	if in != nil {
		cmd.Stdin = in
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Check(err)
	}
	if stderr.Len() > 0 {
		ts.Fatalf("%q says beside its JSON: %s", args, stderr.String())
	}
	return cmd.ProcessState.ExitCode(), stdout.Bytes()
}

// jsonError CODE TEXT COMMAND... runs the program's own command, which is to fail
// before anything reaches the bot: the error is one object like any other.
func jsonError(ts *testscript.TestScript, _ bool, args []string) {
	code, out := shell(ts, strings.NewReader("whoami\n"), args[2:]...)
	cards := decoded(ts, out)
	if fmt.Sprint(code) != args[0] || len(cards) != 1 || !strings.Contains(cards[0].Title, args[1]) {
		ts.Fatalf("it ended with %d and printed %s; want %s and %q", code, out, args[0], args[1])
	}
	l := shellLine{"it", strings.Join(args[2:], " "), code}
	l.check(ts, cards)
}
