package config_test

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot/action"
)

// goodActions is the end of the good configuration.
const goodActions = `[[action]]
name = "cache flush"
summary = "throw cached pages away"
help = "They are built anew when somebody asks for them."
permission = "action.cache"
slot = "target"
undo = "cache warm {target}"
reads = false
run = { provider="scripts", argv = ["./flush"] }
[[action.arguments]]
name = "target"
type = "target"
help = "where"
[[action.arguments]]
name = "prefix"
type = "text"
help = "pages whose path begins so"
optional = true
pattern = "/[a-z/]*"
max_length = 80
default = "/"
[[action.arguments]]
name = "kind"
type = "choice"
help = "which of them"
choices = ["html", "json"]
[[action.arguments]]
name = "keep"
type = "number"
help = "how many of the newest stay"
min = 0
max = 500
[[action.arguments]]
name = "age"
type = "duration"
help = "only older ones"
shortest = "1m"
longest = "48h"
[[action]]
name = "cache warm"
summary = "build pages before anybody asks"
run = { provider="scripts", argv = ["./warm"] }
arguments = [ { name = "target", type = "target", help = "where to" } ]
`

// goodBefore is how many lines stand before goodActions.
var goodBefore = strings.Count(good, "\n") - strings.Count(goodActions, "\n")

func init() {
	called := `argument %q of action "cache flush"`
	about := func(name string) string { return fmt.Sprintf(called, name) }
	words := `write one or two words of lower-case letters, digits and dashes, each with a letter first`
	for _, r := range []struct {
		row
		line int
	}{
		{row{"action.name", missing, ``, `an action needs a name`}, 1},
		{row{"action.name", malformed, `= "Flush"`, `"Flush" is no name of an action; ` + words}, 2},
		{row{"action.name", malformed, `= "a b c"`, `"a b c" is no name of an action; ` + words}, 2},
		{row{"action.name", malformed, `= "x -y"`, `"x -y" is no name of an action; ` + words}, 2},
		{row{"action.name", malformed, `= "deploy"`, `the action "deploy" would hide the command "deploy"; give it another first word`}, 2},
		{row{"action.name", malformed, `= "deploy shop"`, `the action "deploy shop" would hide the command "deploy"; give it another first word`}, 2},
		{row{"action.name", malformed, `= "freeze"`, `the action "freeze" would hide the command "freeze add"; give it another first word`}, 2},
		{row{"action.name", malformed, `= "help me"`, `the action "help me" would hide what "help" means; give it another first word`}, 2},
		{row{"action.name", malformed, `= "cache"`, `the action "cache warm" cannot be told from the action "cache"; give each a name of its own`}, 40},
		{row{"action.name", malformed, `= "cache-warm"`, `the action "cache warm" cannot be told from the action "cache-warm"; give each a name of its own`}, 40},
		{row{"action.summary", missing, ``, `action "cache flush" has no summary; say in a few words what it does`}, 1},
		{row{"action.summary", malformed, `= "Flushes."`, `the summary of action "cache flush" is no summary; write one line of at most 100 bytes without a full stop`}, 3},
		{row{"action.permission", malformed, `= "deploy"`, `the permission "deploy" of action "cache flush" is not one for actions; write one such as "action.reindex"`}, 5},
		{row{"action.permission", malformed, `= "self"`, `the permission "self" of action "cache flush" is not one for actions; write one such as "action.reindex"`}, 5},
		{row{"action.permission", malformed, `= "action.*"`, `the permission "action.*" of action "cache flush" is not one for actions; write one such as "action.reindex"`}, 5},
		{row{"action.slot", malformed, `= "release"`, `the slot of action "cache flush" is "release"; it takes action, target`}, 6},
		{row{"action.undo", dangling, `= "cach warm {target}"`, `undo of action "cache flush" begins with "cach", which is no command; there are the commands cache flush, cache warm, deploy, freeze add`}, 7},
		{row{"action.undo", dangling, `= "cache warm {targt}"`, `undo of action "cache flush" names the argument {targt}, which it does not have; did you mean "target"?`}, 7},
		{row{"action.undo", malformed, `= "cache warm\nhalt"`, `undo of action "cache flush" has several lines; a command is one line`}, 7},
		{row{"action.arguments.name", missing, ``, `an argument of action "cache flush" needs a name`}, 10},
		{row{"action.arguments.name", malformed, `= "Index"`, `"Index" is no name of an argument; write one word of lower-case letters, digits and dashes, a letter first, and none of dry-run, reason, override, break-glass, code, service, environment`}, 11},
		{row{"action.arguments.name", malformed, `= "prefix"`, `action "cache flush" has two arguments named "prefix"; give each a name of its own`}, 15},
		{row{"action.arguments.type", missing, ``, about("target") + ` has no type; it is one of text, choice, number, duration, target, switch`}, 10},
		{row{"action.arguments.type", malformed, `= "numbr"`, about("target") + ` has the unknown type "numbr"; did you mean "number"?`}, 12},
		{row{"action.arguments.help", missing, ``, about("target") + ` has no help; say in a few words what it is`}, 10},
		{row{"action.arguments.default", malformed, `= "-x"`, `the default of ` + about("prefix") + ` is none of its values; PREFIX cannot begin with a dash: "-x" could be taken for an option`}, 21},
		{row{"action.arguments.default", malformed, `= "x"`, `the default of ` + about("prefix") + ` is none of its values; PREFIX must match /[a-z/]*; "x" does not`}, 21},
		{row{"action.arguments.pattern", malformed, `= "("`, `pattern of ` + about("prefix") + ` holds "(", which is not a regular expression`}, 19},
		{row{"action.arguments.max_length", malformed, `= 5000`, `max_length of ` + about("prefix") + ` takes 1 to 1000 bytes; it is 5000`}, 20},
		{row{"action.arguments.choices", missing, ``, about("kind") + ` has no choices; name them: choices = ["one", "two"]`}, 22},
		{row{"action.arguments.choices", malformed, `= ["-f"]`, `the choice "-f" of ` + about("kind") + ` cannot be told; write each once, as one word of letters, digits, dots, dashes and underscores, a letter or digit first`}, 26},
		{row{"action.arguments.choices", malformed, `= ["a", "a"]`, `the choice "a" of ` + about("kind") + ` cannot be told; write each once, as one word of letters, digits, dots, dashes and underscores, a letter or digit first`}, 26},
		{row{"action.arguments.max", malformed, `= -1`, `max of ` + about("keep") + ` is less than min`}, 32},
		{row{"action.arguments.min", malformed, `= 501`, `max of ` + about("keep") + ` is less than min`}, 32},
		{row{"action.arguments.shortest", malformed, `= "soon"`, `shortest of ` + about("age") + ` takes a time, such as "10m"; it is "soon"`}, 37},
		{row{"action.arguments.longest", malformed, `= "1s"`, `longest of ` + about("age") + ` is less than shortest`}, 38},
	} {
		r.want = fmt.Sprintf("config.toml:%d: %s", goodBefore+r.line, r.want)
		rows = append(rows, r.row)
	}
	maps.Copy(none, map[string]map[string]string{
		"action.name":                 {dangling: "it declares"},
		"action.summary":              {dangling: "no name"},
		"action.help":                 {missing: "not needed", malformed: "any text", dangling: "no name"},
		"action.permission":           {missing: "action.NAME", dangling: "it declares"},
		"action.slot":                 {missing: "target or action", dangling: "no name"},
		"action.undo":                 {missing: "not needed"},
		"action.reads":                {missing: "it changes something", malformed: "true or false", dangling: "no name"},
		"action.arguments.name":       {dangling: "it declares"},
		"action.arguments.type":       {dangling: "no name"},
		"action.arguments.help":       {malformed: "any text", dangling: "no name"},
		"action.arguments.optional":   {missing: "it must be given", malformed: "true or false", dangling: "no name"},
		"action.arguments.default":    {missing: "no value", dangling: "no name"},
		"action.arguments.pattern":    {missing: "any text", dangling: "no name"},
		"action.arguments.max_length": {missing: "200", dangling: "no name"},
		"action.arguments.choices":    {dangling: "it declares"},
		"action.arguments.min":        {missing: "none", dangling: "no name"},
		"action.arguments.max":        {missing: "none", dangling: "no name"},
		"action.arguments.shortest":   {missing: "none", dangling: "no name"},
		"action.arguments.longest":    {missing: "none", dangling: "no name"},
	})
}

func TestActions(t *testing.T) {
	c, err := load(t, good)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Actions) != 2 {
		t.Fatalf("there are %d actions", len(c.Actions))
	}
	flush, warm := c.Actions[0], c.Actions[1]
	if flush.Name != "cache flush" || flush.Permission != "action.cache" || flush.Slot != action.SlotTarget || flush.Reads || !flush.Targeted() || flush.Run.Provider != "scripts" {
		t.Errorf("it is %+v", flush)
	}
	if warm.Permission != "action.cache-warm" || warm.Slot != action.SlotTarget {
		t.Errorf("it is %+v", warm)
	}
	p := flush.Parameters
	if len(p) != 5 || p[1].Default != "/" || !p[1].Optional || p[1].MaxLength != 80 || *p[3].Max != 500 || p[4].Longest != 48*time.Hour || p[2].Optional {
		t.Errorf("its arguments are %+v", p)
	}
}

// TestActionTables puts faults into what belongs together: a bound that its type
// does not have, what runs it, and permissions that two share.
func TestActionTables(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{`max = 500`, "max = 500\npattern = \"x\"", `argument "keep" of action "cache flush" has pattern, which a number has not; take it away`},
		{`min = 0`, "min = 0\nchoices = [\"x\"]", `argument "keep" of action "cache flush" has choices, which a number has not; take it away`},
		{`help = "where"`, "help = \"where\"\ndefault = \"shop/prod\"", `argument "target" of action "cache flush" has default, which a target has not; take it away`},
		{`help = "which of them"`, "help = \"which of them\"\nmax_length = 3", `argument "kind" of action "cache flush" has max_length, which a choice has not; take it away`},
		{`type = "number"`, `type = "target"`, `action "cache flush" has two targets; leave one`},
		{`argv = ["./flush"] }`, `argv = ["./flush"] }` + "\nconfirm = true", `unknown key "confirm" in [[action]]`},
		{`run = { provider="scripts", argv = ["./flush"] }`, ``, `action "cache flush" does not say what runs it; say it: run = { provider = "NAME", argv = ["PROGRAM"] }`},
		{`run = { provider="scripts", argv = ["./flush"] }`, `run = "./flush"`, `action.run takes a table; it is a text`},
		{`run = { provider="scripts", argv = ["./flush"] }`, `run = { argv = ["./flush"] }`, `run of action "cache flush" names no provider`},
		{`run = { provider="scripts", argv = ["./flush"] }`, `run = { provider="script", argv = ["./flush"] }`, `run of action "cache flush" names the provider "script", which has no [provider.script]; did you mean "scripts"?`},
		{`arguments = [ { name = "target", type = "target", help = "where to" } ]`, `permission = "action.cache"`, `action "cache warm" has the permission of the action "cache flush", and only one of them is about a target; give each a permission of its own`},
		{`arguments = [ { name = "target", type = "target", help = "where to" } ]`, `slot = "target"`, `the slot of action "cache warm" is "target", but none of its arguments is one`},
	} {
		_, err := load(t, edited(t, c.from, c.to))
		if err == nil || !regexp.MustCompile(`(?m)^config\.toml:\d+: `+regexp.QuoteMeta(c.want)).MatchString(err.Error()) {
			t.Errorf("%s\n says %v\nwant %s", c.to, err, c.want)
		}
	}
}
