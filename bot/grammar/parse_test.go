package grammar_test

import (
	"maps"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/grammar"
)

// Every row is one line as somebody types it and what the bot makes of it:
// either the canonical line with its arguments, or a sentence.
func TestConversations(t *testing.T) {
	g := fake(t)
	shopProd := bot.Args{"service": "shop", "environment": "prod"}
	with := func(a bot.Args, more ...string) bot.Args {
		a = maps.Clone(a)
		for i := 0; i < len(more); i += 2 {
			a[more[i]] = more[i+1]
		}
		return a
	}
	for _, row := range []struct {
		typed    string
		line     string
		args     bot.Args
		dryRun   bool
		reason   string
		override string
		says     string
	}{
		// Plain lines.
		{typed: "deploy shop v2 prod", line: "deploy shop v2 prod", args: with(shopProd, "version", "v2")},
		{typed: "deploy shop v2 to prod", line: "deploy shop v2 prod", args: with(shopProd, "version", "v2")},
		{typed: "  DEPLOY   shop v2  To prod ", line: "deploy shop v2 prod", args: with(shopProd, "version", "v2")},
		{typed: "rollback shop prod", line: "rollback shop prod", args: shopProd},
		{typed: "rollback shop prod v1", line: "rollback shop prod v1", args: with(shopProd, "version", "v1")},
		{typed: "status", line: "status", args: bot.Args{}},
		{typed: "status shop", line: "status shop", args: bot.Args{"service": "shop"}},
		{typed: "status zoë lab", line: `status "zoë" lab`, args: bot.Args{"service": "zoë", "environment": "lab"}},
		{typed: "whoami", line: "whoami", args: bot.Args{}},
		{typed: "run #12", line: "run 12", args: bot.Args{"run": "12"}},
		{typed: "run 0012", line: "run 12", args: bot.Args{"run": "12"}},
		{typed: "approve", line: "approve", args: bot.Args{}},
		{typed: `approve 12 --reason "looks good"`, line: `approve 12 --reason "looks good"`, args: bot.Args{"run": "12"}, reason: "looks good"},

		// SERVICE/ENV wherever a service is expected.
		{typed: "deploy shop/prod v2", line: "deploy shop v2 prod", args: with(shopProd, "version", "v2")},
		{typed: "rollback shop/prod", line: "rollback shop prod", args: shopProd},
		{typed: "rollback shop/prod v1", line: "rollback shop prod v1", args: with(shopProd, "version", "v1")},
		{typed: "status shop/prod", line: "status shop prod", args: shopProd},
		{typed: `status "shop/prod"`, line: "status shop prod", args: shopProd},
		{typed: "releases shop/prod", line: "releases shop/prod", args: shopProd},
		{typed: "releases zoë/lab", line: `releases "zoë/lab"`, args: bot.Args{"service": "zoë", "environment": "lab"}},
		{typed: "releases shop/prod v2", line: "releases shop v2 prod", args: with(shopProd, "version", "v2")},
		{typed: "scale shop/prod 3 --for 2h", line: "scale shop prod 3 --for 2h", args: with(shopProd, "count", "3", "for", "2h0m0s")},
		{typed: "lock shop/prod --steal", line: "lock shop --environment prod --steal", args: with(shopProd, "steal", "true")},
		{typed: "lock --environment prod shop", line: "lock shop --environment prod", args: shopProd},
		{typed: "audit --target shop/prod", line: "audit --target shop/prod", args: bot.Args{"target": "shop/prod"}},
		{typed: "audit --target shop", line: "audit --target shop", args: bot.Args{"target": "shop"}},
		{typed: "deploy shop/prod v2 prod", says: `"prod" is one word too many: deploy SERVICE VERSION [to] ENV`},
		{typed: "deploy shop/prod v2 to", says: `"to" is one word too many: deploy SERVICE VERSION [to] ENV`},
		{typed: "deploy shop/prod", says: "deploy needs a VERSION: deploy SERVICE VERSION [to] ENV"},
		{typed: "deploy shop/prd v2", says: `shop has no environment "prd"; it has staging and prod; did you mean "prod"?`},
		{typed: "deploy shpo/prod v2", says: `there is no service "shpo"; did you mean "shop"?`},
		{typed: "deploy shop/ v2", says: `"shop/" is not a target; write SERVICE/ENV`},
		{typed: "deploy a/b/c v2", says: `"a/b/c" is not a target; write SERVICE/ENV`},
		{typed: "audit --target shop/", says: `"shop/" is not a target; write SERVICE/ENV`},
		{typed: "audit --target shpo/prod", says: `there is no service "shpo"; did you mean "shop"?`},
		{typed: "audit --target billing/staging", says: `billing has no environment "staging"; it has prod`},
		{typed: "lock --environment prod shop/prod", says: `the environment is given twice, by --environment and by "shop/prod"; give it once`},
		{typed: "lock shop/prod --environment prod", says: `the environment is given twice, by SERVICE/ENV and by --environment; give it once`},
		{typed: "oncall shop/prod", says: `oncall takes a service alone, not "shop/prod"`},

		// Options anywhere, in every spelling.
		{typed: "deploy --dry-run shop v2 prod", line: "deploy shop v2 prod --dry-run", args: with(shopProd, "version", "v2"), dryRun: true},
		{typed: "deploy shop -dry-run v2 prod", line: "deploy shop v2 prod --dry-run", args: with(shopProd, "version", "v2"), dryRun: true},
		{typed: "deploy shop v2 to --Dry-Run prod", line: "deploy shop v2 prod --dry-run", args: with(shopProd, "version", "v2"), dryRun: true},
		{typed: "restart shop prod --reason=stuck", line: "restart shop prod --reason stuck", args: shopProd, reason: "stuck"},
		{typed: `restart shop prod --reason="it is stuck" --override 'no time'`, line: `restart shop prod --reason "it is stuck" --override "no time"`,
			args: shopProd, reason: "it is stuck", override: "no time"},
		{typed: "history --last 1d12h shop", line: "history shop --last 36h", args: bot.Args{"service": "shop", "last": "36h0m0s"}},
		{typed: "history --last 24h", line: "history --last 1d", args: bot.Args{"last": "24h0m0s"}},
		{typed: "history --last=90s", line: "history --last 90s", args: bot.Args{"last": "1m30s"}},
		{typed: "audit --by @dev-one", line: "audit --by dev-one", args: bot.Args{"by": "dev-one"}},
		{typed: "deploy shop v2 prod --dryrun", says: `deploy has no option --dryrun; did you mean "--dry-run"?`},
		{typed: "deploy shop v2 prod --fast", says: "deploy has no option --fast; it has --dry-run, --reason, --override, --break-glass and --code"},
		{typed: "deploy --help", says: "deploy has no option --help; type help deploy"},
		{typed: "runs --dry-run", says: "runs has no option --dry-run; it has none"},
		{typed: "approve --override x", says: "approve has no option --override; it has --reason and --code"},
		{typed: "deploy shop v2 prod --dry-run=false", says: "--dry-run takes no value; write --dry-run alone"},
		{typed: "deploy shop v2 prod --dry-run --dry-run", says: "--dry-run is given twice; give it once"},
		{typed: "deploy shop v2 prod --reason a --reason b", says: "--reason is given twice; give it once"},
		{typed: "deploy shop v2 prod --reason", says: `--reason needs a value: --reason "..."`},
		{typed: "deploy shop v2 prod --reason --dry-run", says: `--reason needs a value: --reason "..."`},
		{typed: "restart shop prod --reason too slow", says: `"slow" is one word too many; put text of several words in quotation marks: --reason "too slow"`},
		{typed: "restart shop --reason slow prod extra", says: `"extra" is one word too many: restart SERVICE ENV`},
		{typed: "--dry-run deploy shop v2 prod", says: `"--dry-run" cannot come first; begin with the command`},

		// As phones type it.
		{typed: "deploy shop v2 prod —dry-run", line: "deploy shop v2 prod --dry-run", args: with(shopProd, "version", "v2"), dryRun: true},
		{typed: "deploy shop v2 prod –dry‑run", line: "deploy shop v2 prod --dry-run", args: with(shopProd, "version", "v2"), dryRun: true},
		{typed: "deploy shop v2 prod −−dry−run", line: "deploy shop v2 prod --dry-run", args: with(shopProd, "version", "v2"), dryRun: true},
		{typed: "deploy\u00a0shop\u2009v2\u3000to\u202fprod", line: "deploy shop v2 prod", args: with(shopProd, "version", "v2")},
		{typed: "restart shop prod —reason “it’s stuck”", line: `restart shop prod --reason "it’s stuck"`, args: shopProd, reason: "it’s stuck"},
		{typed: "restart shop prod --reason ‘it’s stuck’", line: `restart shop prod --reason "it’s stuck"`, args: shopProd, reason: "it’s stuck"},
		{typed: "restart shop prod --reason „hängt fest“", line: `restart shop prod --reason "hängt fest"`, args: shopProd, reason: "hängt fest"},
		{typed: "restart shop prod --reason «\u00a0bloqué\u00a0»", line: `restart shop prod --reason "bloqué"`, args: shopProd, reason: "bloqué"},
		{typed: "restart shop prod --reason »fest«", line: `restart shop prod --reason fest`, args: shopProd, reason: "fest"},
		{typed: "restart shop prod --reason=“two words”", line: `restart shop prod --reason "two words"`, args: shopProd, reason: "two words"},
		{typed: "audit --by dev‑one", line: "audit --by dev-one", args: bot.Args{"by": "dev-one"}},
		// A phone's closing mark ends the text: the dry run is not swallowed.
		{typed: "restart shop prod --reason \"slow” --dry-run", line: "restart shop prod --dry-run --reason slow", args: shopProd, reason: "slow", dryRun: true},

		// Quoting.
		{typed: `restart shop prod --reason "say \"hi\" to C:\\temp\n"`, line: `restart shop prod --reason "say \"hi\" to C:\\temp\\n"`,
			args: shopProd, reason: `say "hi" to C:\temp\n`},
		{typed: `restart shop prod --reason 'say "hi"'`, line: `restart shop prod --reason "say \"hi\""`, args: shopProd, reason: `say "hi"`},
		{typed: `restart shop prod --reason don't`, line: `restart shop prod --reason "don't"`, args: shopProd, reason: "don't"},
		{typed: `restart shop prod --reason "--dry-run"`, line: `restart shop prod --reason "--dry-run"`, args: shopProd, reason: "--dry-run"},
		{typed: `restart shop prod --reason -5`, line: `restart shop prod --reason "-5"`, args: shopProd, reason: "-5"},
		{typed: `restart shop prod --reason –5`, line: `restart shop prod --reason "-5"`, args: shopProd, reason: "-5"},
		{typed: `restart shop prod --reason —`, line: `restart shop prod --reason "—"`, args: shopProd, reason: "—"},
		{typed: `"restart" shop prod`, line: "restart shop prod", args: shopProd},
		{typed: `restart shop prod --reason 👩‍🚒`, line: `restart shop prod --reason "👩‍🚒"`, args: shopProd, reason: "👩‍🚒"},
		{typed: `restart shop prod --reason "slow`, says: "the quotation mark at character 28 is never closed; add one at the end of the text"},
		{typed: `restart shop prod --reason "a"b`, says: "character 31 follows a closing quotation mark; put a space between"},

		// Names of several words: the longest wins, quoting keeps it short.
		{typed: "flag on new-checkout", line: "flag on new-checkout", args: bot.Args{"flag": "new-checkout"}},
		{typed: "Flag On new-checkout prod", line: "flag on new-checkout prod", args: bot.Args{"flag": "new-checkout", "environment": "prod"}},
		{typed: "flag new-checkout", line: "flag new-checkout", args: bot.Args{"flag": "new-checkout"}},
		{typed: `flag "on"`, line: `flag "on"`, args: bot.Args{"flag": "on"}},
		{typed: "flag ON", says: "flag on needs a FLAG: flag on FLAG [ENV]"},
		{typed: "page", says: `"page" is not the whole command; write page list or page ack`},
		{typed: "page ack", says: "page ack needs one of quietly or loudly: page ack quietly|loudly"},

		// The rest of the line, as typed.
		{typed: "can deploy shop  v2 to prod —dry-run", line: "can deploy shop  v2 to prod —dry-run", args: bot.Args{"command": "deploy shop  v2 to prod —dry-run"}},
		{typed: `note 3 it's "done" `, line: `note 3 it's "done"`, args: bot.Args{"run": "3", "text": `it's "done"`}},
		{typed: `note 3 --reason why --dry-run and --so on`, line: `note 3 --dry-run --reason why and --so on`,
			args: bot.Args{"run": "3", "text": "and --so on"}, reason: "why", dryRun: true},
		{typed: "help", line: "help", args: bot.Args{}},
		{typed: "help flag on", line: "help flag on", args: bot.Args{"verb": "flag on"}},
		{typed: "can", says: "can needs a COMMAND: can COMMAND..."},
		{typed: "note 3", says: "note needs a TEXT: note RUN TEXT..."},

		// What is not there.
		{typed: "", says: "the line is empty; type help to see what there is"},
		{typed: " \u00a0 ", says: "the line is empty; type help to see what there is"},
		{typed: "depoly shop v2 prod", says: `there is no command "depoly"; did you mean "deploy"?`},
		{typed: "page lsit", says: `there is no command "page lsit"; did you mean "page list"?`},
		{typed: "xyzzy shop", says: `there is no command "xyzzy"; type help to see what there is`},
		{typed: `"`, says: "the quotation mark at character 1 is never closed; add one at the end of the text"},
		{typed: "deploy", says: "deploy needs a SERVICE: deploy SERVICE VERSION [to] ENV"},
		{typed: "deploy shop", says: "deploy needs a VERSION: deploy SERVICE VERSION [to] ENV"},
		{typed: "deploy shop v2", says: "deploy needs an ENV: deploy SERVICE VERSION [to] ENV"},
		{typed: "deploy shop v2 to", says: `deploy needs an ENV after "to": deploy SERVICE VERSION [to] ENV`},
		{typed: "deploy shop v2 prod now", says: `"now" is one word too many: deploy SERVICE VERSION [to] ENV`},
		{typed: "deploy shpo v2 prod", says: `there is no service "shpo"; did you mean "shop"?`},
		{typed: "deploy warehouse v2 prod", says: `there is no service "warehouse"; there are billing, shop and zoë`},
		{typed: "deploy shop v2 prd", says: `shop has no environment "prd"; it has staging and prod; did you mean "prod"?`},
		{typed: "flag on x prd", says: `there is no environment "prd"; there are staging, prod and lab; did you mean "prod"?`},
		{typed: "status prod", says: `there is no service "prod"; there are billing, shop and zoë`},
		{typed: strings.Repeat("x", 60), says: `there is no command "` + strings.Repeat("x", 39) + `…"; type help to see what there is`},
	} {
		t.Run(row.typed, func(t *testing.T) {
			got, err := g.Parse(row.typed)
			if said := sentence(t, err); said != row.says {
				t.Fatalf("says %q\n want %q", said, row.says)
			}
			if err != nil {
				return
			}
			if got.Line != row.line || got.DryRun != row.dryRun || got.Reason != row.reason || got.Override != row.override {
				t.Errorf("line %q, dry run %v, reason %q, override %q", got.Line, got.DryRun, got.Reason, got.Override)
			}
			if got.Args == nil || !maps.Equal(got.Args, row.args) {
				t.Errorf("args %q, want %q", got.Args, row.args)
			}
			again(t, g, got)
		})
	}
}

// again checks that the canonical line means the same and is its own canon.
func again(t interface {
	Helper()
	Fatalf(string, ...any)
}, g *grammar.Grammar, p grammar.Parsed) {
	t.Helper()
	q, err := g.Parse(p.Line)
	if err != nil {
		t.Fatalf("canonical line %q: %v", p.Line, err)
	}
	if q.Line != p.Line || q.Command.Name != p.Command.Name || !maps.Equal(q.Args, p.Args) ||
		q.DryRun != p.DryRun || q.Reason != p.Reason || q.Override != p.Override {
		t.Fatalf("canonical line %q of %+v means %+v", p.Line, p.Args, q.Args)
	}
}

// What no line may hold, wherever it stands and whatever the command.
func TestRefusedCharacters(t *testing.T) {
	g := fake(t)
	for _, row := range []struct{ what, typed, says string }{
		{"NUL", "status\x00", "character 7 is a control character (U+0000); type the line again without it"},
		{"escape", "status \x1b[31m", "character 8 is a control character (U+001B); type the line again without it"},
		{"tab", "status\tshop", "character 7 is a control character (U+0009); type the line again without it"},
		{"delete", "status \x7f", "character 8 is a control character (U+007F); type the line again without it"},
		{"C1 control", "status \u0085", "character 8 is a control character (U+0085); type the line again without it"},
		{"newline", "status\ndeploy shop v2 prod", "character 7 is a line break; a command is one line"},
		{"carriage return", "status\r", "character 7 is a line break; a command is one line"},
		{"line separator", "status\u2028", "character 7 is a line break; a command is one line"},
		{"paragraph separator", "status\u2029", "character 7 is a line break; a command is one line"},
		{"right-to-left override", "status \u202eprod", "character 8 is invisible (U+202E); type the line again without it"},
		{"isolate", "status \u2066prod", "character 8 is invisible (U+2066); type the line again without it"},
		{"left-to-right mark", "zoë\u200e", "character 4 is invisible (U+200E); type the line again without it"},
		{"zero-width space", "status sh\u200bop", "character 10 is invisible (U+200B); type the line again without it"},
		{"soft hyphen", "status sh\u00adop", "character 10 is invisible (U+00AD); type the line again without it"},
		{"byte order mark", "\ufeffstatus", "character 1 is invisible (U+FEFF); type the line again without it"},
		{"joiner in a plain word", "status sh\u200dop", "character 10 is invisible (U+200D); type the line again without it"},
		{"joiner behind a typographic mark", "status “\u200dop”", "character 9 is invisible (U+200D); type the line again without it"},
		{"tag letter", "status \U000e0041", "character 8 is invisible (U+E0041); type the line again without it"},
		{"quoted", "restart shop prod --reason \"a\x07\"", "character 30 is a control character (U+0007); type the line again without it"},
		{"in a rest of line", "can deploy \x07", "character 12 is a control character (U+0007); type the line again without it"},
		{"broken UTF-8", "zoë \xff", "character 5 is not valid UTF-8; type the line again"},
		{"surrogate", "status \xed\xa0\x80", "character 8 is not valid UTF-8; type the line again"},
		{"too long", strings.Repeat("a", grammar.MaxLine+1), "the line is 4097 bytes long; the most is 4096"},
		{"too long in quotation marks", "restart shop prod --reason '" + strings.Repeat(`\`, 4000) + "'",
			"the line is 8029 bytes long once its text is in quotation marks; the most is 4096"},
	} {
		t.Run(row.what, func(t *testing.T) {
			_, err := g.Parse(row.typed)
			if said := sentence(t, err); said != row.says {
				t.Errorf("says %q\n want %q", said, row.says)
			}
			if got := g.Complete(row.typed, nil); row.what != "too long in quotation marks" && len(got) > 0 {
				t.Errorf("completes to %q", got)
			}
		})
	}
	longest := "can " + strings.Repeat("a", grammar.MaxLine-4)
	if _, err := g.Parse(longest); err != nil {
		t.Errorf("a line of %d bytes: %v", len(longest), err)
	}
	if p, err := g.Parse("status \uFFFD"); err == nil || !strings.Contains(err.Error(), "no service") {
		t.Errorf("a replacement character that was really typed: %v, %v", p, err)
	}
}

// Nothing has been declared: every name is refused, with what there is.
func TestNoWords(t *testing.T) {
	g, err := grammar.New(table(), nobody{})
	if err != nil {
		t.Fatal(err)
	}
	for typed, says := range map[string]string{
		"status shop":      `there is no service "shop"; there are no services`,
		"flag on x prod":   `there is no environment "prod"; there are no environments`,
		"audit --by admin": `there is no person "admin"; write the name of a declared person`,
	} {
		if _, err := g.Parse(typed); sentence(t, err) != says {
			t.Errorf("%s: says %q\n want %q", typed, sentence(t, err), says)
		}
	}
}
