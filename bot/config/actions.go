package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/action"
)

const (
	actionShape = "write one or two words of lower-case letters, digits and dashes, each with a letter first"
	typedShape  = "write one word of lower-case letters, digits and dashes, a letter first"
	maxSummary  = 100
)

// typedWord is a word as commands and options are named by.
var typedWord = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$`)

// takenNames are what a command line gives a meaning of its own.
var takenNames = []string{"dry-run", "reason", "override", "break-glass", "code", "service", "environment"}

// takenVerbs are first words that mean something before a line is read.
var takenVerbs = []string{"help", "exit", "quit"}

func (l *loader) actions() {
	for i, a := range l.in.Action {
		n := l.root.at("action").elem(i)
		d := action.Definition{Name: a.Name, Summary: a.Summary, Help: a.Help, Undo: a.Undo, Reads: a.Reads}
		l.actionName(n, a.Name)
		called := fmt.Sprintf("action %q", a.Name)
		switch {
		case !n.has("summary"):
			l.failf(n, "say in a few words what it does", "%s has no summary", called)
		case len(a.Summary) > maxSummary || strings.ContainsAny(a.Summary, "\n\r") || strings.HasSuffix(a.Summary, "."):
			l.failf(n.at("summary"), fmt.Sprintf("write one line of at most %d bytes without a full stop", maxSummary), "the summary of %s is no summary", called)
		}
		before := len(l.faults)
		d.Parameters = l.arguments(n.at("arguments"), called, a.Arguments)
		told := len(l.faults) > before // what they are is not known, and the rest follows from it
		d.Permission = action.DefaultPermission(a.Name)
		if a.Permission != "" {
			d.Permission = bot.Permission(a.Permission)
			l.actionPermission(n.at("permission"), called, d)
		}
		d.Slot = action.SlotAction
		if d.Targeted() {
			d.Slot = action.SlotTarget
		}
		switch s := action.Slot(a.Slot); {
		case a.Slot == "" || told:
		case s == action.SlotTarget && !d.Targeted():
			l.failf(n.at("slot"), "", `the slot of %s is "target", but none of its arguments is one`, called)
		case s != action.SlotTarget && s != action.SlotAction:
			l.failf(n.at("slot"), meant(a.Slot, []string{string(action.SlotTarget), string(action.SlotAction)}, "it takes "), "the slot of %s is %q", called, a.Slot)
		default:
			d.Slot = s
		}
		if !told {
			l.undo(n, called, d)
		}
		out := Action{Definition: d, Where: n.where(l.file)}
		if !n.has("run") {
			l.failf(n, `say it: run = { provider = "NAME", argv = ["PROGRAM"] }`, "%s does not say what runs it", called)
		} else if a.Run != nil {
			out.Run = l.run(n.at("run"), called, a.Run)
		}
		l.out.Actions = append(l.out.Actions, out)
	}
}

// actionName refuses a name that cannot be typed, that is there already, or
// that would take lines away from a command that is built in.
func (l *loader) actionName(n *node, name string) {
	words := strings.Split(name, " ")
	at := n.at("name")
	switch {
	case !n.has("name"):
		l.failf(n, "", "an action needs a name")
		return
	case name == "":
		return
	case len(words) > 2 || slices.ContainsFunc(words, func(w string) bool { return !typedWord.MatchString(w) }):
		l.failf(at, actionShape, "%q is no name of an action", name)
		return
	case slices.Contains(takenVerbs, words[0]):
		l.failf(at, "give it another first word", "the action %q would hide what %q means", name, words[0])
		return
	}
	for _, verb := range l.known.Verbs {
		if first, _, _ := strings.Cut(verb, " "); first == words[0] {
			l.failf(at, "give it another first word", "the action %q would hide the command %q", name, verb)
			return
		}
	}
	for _, other := range l.out.Actions {
		if action.Slug(other.Name) == action.Slug(name) || strings.HasPrefix(other.Name, name+" ") || strings.HasPrefix(name, other.Name+" ") {
			l.failf(at, "give each a name of its own", "the action %q cannot be told from the action %q", name, other.Name)
			return
		}
	}
}

// actionPermission refuses a permission that is not the actions' own: one that
// means something else too would give a right to people who were given another.
func (l *loader) actionPermission(n *node, called string, d action.Definition) {
	family, rest, _ := strings.Cut(string(d.Permission), ".")
	valid := family == action.PermissionFamily && rest != ""
	for segment := range strings.SplitSeq(rest, ".") {
		valid = valid && typedWord.MatchString(segment)
	}
	if !valid {
		l.failf(n, fmt.Sprintf("write one such as %q", string(action.DefaultPermission("reindex"))), "the permission %q of %s is not one for actions", d.Permission, called)
		return
	}
	for _, other := range l.out.Actions {
		if other.Permission == d.Permission && other.Targeted() != d.Targeted() {
			l.failf(n, "give each a permission of its own", "%s has the permission of the action %q, and only one of them is about a target", called, other.Name)
			return
		}
	}
}

// run gives the binding of an action.
func (l *loader) run(n *node, called string, values map[string]any) *Binding {
	providers := inOrder(l.in.Provider, l.root.at("provider"))
	v, written := values["provider"]
	name, isText := v.(string)
	switch {
	case !written:
		l.failf(n, meant("", providers, thereAre), "run of %s names no provider", called)
	case !isText:
		l.failf(n.at("provider"), "it is "+described(v), "%s takes a text in quotes", n.at("provider").path())
	case !slices.Contains(providers, name):
		l.failf(n.at("provider"), meant(name, providers, thereAre), "run of %s names the provider %q, which has no [provider.%s]", called, name, name)
	}
	return &Binding{Provider: name, Raw: l.raw(n, values, "provider")}
}

// hole finds what stands for the value of an argument.
var hole = regexp.MustCompile(`\{([^{}]*)\}`)

// undo refuses a line that could never be typed.
func (l *loader) undo(n *node, called string, d action.Definition) {
	if d.Undo == "" {
		return
	}
	at := n.at("undo")
	if strings.ContainsAny(d.Undo, "\n\r") {
		l.failf(at, "a command is one line", "undo of %s has several lines", called)
		return
	}
	var names []string
	for _, p := range d.Parameters {
		names = append(names, p.Name)
	}
	for _, found := range hole.FindAllStringSubmatch(d.Undo, -1) {
		if !slices.Contains(names, found[1]) {
			l.failf(at, meant(found[1], names, "there are the arguments "), "undo of %s names the argument {%s}, which it does not have", called, found[1])
		}
	}
	verbs := slices.Clone(l.known.Verbs)
	for _, a := range l.in.Action {
		verbs = append(verbs, a.Name)
	}
	if !slices.ContainsFunc(verbs, func(v string) bool { return v != "" && strings.HasPrefix(d.Undo+" ", v+" ") }) {
		first, _, _ := strings.Cut(d.Undo, " ")
		l.failf(at, meant(first, verbs, "there are the commands "), "undo of %s begins with %q, which is no command", called, first)
	}
}

func (l *loader) arguments(n *node, called string, in []argument) []action.Parameter {
	var all []action.Parameter
	for i, a := range in {
		at := n.elem(i)
		p := action.Parameter{Name: a.Name, Help: a.Help, Optional: a.Optional || a.Default != "" || a.Type == string(action.TypeSwitch), Default: a.Default}
		what := fmt.Sprintf("argument %q of %s", a.Name, called)
		switch {
		case !at.has("name"):
			l.failf(at, "", "an argument of %s needs a name", called)
		case a.Name == "":
		case !typedWord.MatchString(a.Name) || slices.Contains(takenNames, a.Name) && a.Type != string(action.TypeTarget):
			l.failf(at.at("name"), typedShape+", and none of "+strings.Join(takenNames, ", "), "%q is no name of an argument", a.Name)
		case slices.ContainsFunc(all, func(o action.Parameter) bool { return o.Name == a.Name }):
			l.failf(at.at("name"), "give each a name of its own", "%s has two arguments named %q", called, a.Name)
		}
		if !at.has("help") {
			l.failf(at, "say in a few words what it is", "%s has no help", what)
		}
		if !at.has("type") {
			l.failf(at, "it is one of "+strings.Join(action.Types(), ", "), "%s has no type", what)
		} else if a.Type != "" && !slices.Contains(action.Types(), a.Type) {
			l.failf(at.at("type"), meant(a.Type, action.Types(), "it is one of "), "%s has the unknown type %q", what, a.Type)
		} else {
			p.Type = action.Type(a.Type)
			before := len(l.faults)
			l.bounds(at, what, a, &p)
			if len(l.faults) == before && a.Default != "" {
				var err error
				if p.Default, err = p.Canonical(a.Default); err != nil {
					l.failf(at.at("default"), bot.Sentence(err, ""), "the default of %s is none of its values", what)
				}
			}
		}
		if p.Type == action.TypeTarget && slices.ContainsFunc(all, func(o action.Parameter) bool { return o.Type == action.TypeTarget }) {
			l.failf(at.at("type"), "leave one", "%s has two targets", called)
		}
		all = append(all, p)
	}
	return all
}

// bounds reads what narrows an argument's values, and refuses what its type
// does not have: it would look like a limit and be none.
func (l *loader) bounds(at *node, what string, a argument, p *action.Parameter) {
	valued := []action.Type{action.TypeText, action.TypeChoice, action.TypeNumber, action.TypeDuration}
	for _, bound := range []struct {
		key   string
		types []action.Type
	}{
		{"optional", valued}, {"default", valued}, {"pattern", valued[:1]}, {"max_length", valued[:1]}, {"choices", valued[1:2]},
		{"min", valued[2:3]}, {"max", valued[2:3]}, {"shortest", valued[3:]}, {"longest", valued[3:]},
	} {
		if at.has(bound.key) && p.Type != "" && !slices.Contains(bound.types, p.Type) {
			l.failf(at.at(bound.key), "take it away", "%s has %s, which a %s has not", what, bound.key, p.Type)
		}
	}
	p.MaxLength = action.DefaultLength
	if a.MaxLength != nil {
		if p.MaxLength = *a.MaxLength; p.MaxLength < 1 || p.MaxLength > action.MostLength {
			l.failf(at.at("max_length"), fmt.Sprintf("it is %d", p.MaxLength), "max_length of %s takes 1 to %d bytes", what, action.MostLength)
		}
	}
	if a.Pattern != "" {
		re, err := regexp.Compile(a.Pattern)
		if err != nil {
			l.failf(at.at("pattern"), "", "pattern of %s holds %q, which is not a regular expression", what, a.Pattern)
		}
		p.Pattern = re
	}
	if p.Type == action.TypeChoice && !at.has("choices") {
		l.failf(at, `name them: choices = ["one", "two"]`, "%s has no choices", what)
	}
	for i, c := range a.Choices {
		if c != "" && (!isName(c) || slices.Contains(a.Choices[:i], c)) {
			l.failf(at.at("choices").elem(i), "write each once, as one word of "+nameShape, "the choice %q of %s cannot be told", c, what)
		}
	}
	p.Choices, p.Min, p.Max = a.Choices, a.Min, a.Max
	if a.Min != nil && a.Max != nil && *a.Min > *a.Max {
		l.failf(at.at("max"), "", "max of %s is less than min", what)
	}
	p.Shortest, p.Longest = l.length(at.at("shortest"), what, a.Shortest), l.length(at.at("longest"), what, a.Longest)
	if p.Longest > 0 && p.Shortest > p.Longest {
		l.failf(at.at("longest"), "", "longest of %s is less than shortest", what)
	}
}

func (l *loader) length(n *node, what, s string) time.Duration {
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		l.failf(n, fmt.Sprintf("it is %q", s), `%s of %s takes a time, such as "10m"`, n.key, what)
	}
	return d
}
