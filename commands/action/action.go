// Package action makes commands of the verbs that the configuration adds. Each
// is an ordinary command: parsed, completed, authorised, confirmed, approved and
// recorded as those that are built in.
package action

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"quarterdeck/bot"
	"quarterdeck/bot/action"
	"quarterdeck/bot/provider"
)

// All makes the commands.
func All(t *action.Table) []bot.Command {
	var all []bot.Command
	for _, a := range t.All() {
		all = append(all, command(a, t))
	}
	return all
}

// The arguments that a target is typed as.
const (
	argService     = "service"
	argEnvironment = "environment"
)

func command(a action.Action, t *action.Table) bot.Command {
	c := bot.Command{Name: a.Name, Summary: a.Summary, Help: a.Help, Permission: a.Permission,
		Workflows: []bot.Workflow{action.NewWorkflow(t)}}
	for _, p := range a.Parameters {
		if p.Type == action.TypeTarget {
			c.Params = append(c.Params, bot.Param{Name: argService, Type: bot.TypeService, Help: p.Help},
				bot.Param{Name: argEnvironment, Type: bot.TypeEnvironment, Help: "where"})
			continue
		}
		param := bot.Param{Name: p.Name, Help: help(p), Check: p.Check, Choices: p.Choices, Optional: p.Optional}
		switch p.Type {
		case action.TypeChoice:
			param.Type = bot.TypeChoice
		case action.TypeNumber:
			param.Type = bot.TypeNumber
		case action.TypeDuration:
			param.Type = bot.TypeDuration
		case action.TypeSwitch:
			param.Type = bot.TypeFlag
		default:
			param.Type = bot.TypeText
		}
		if p.Optional {
			c.Options = append(c.Options, param)
		} else {
			c.Params = append(c.Params, param)
		}
	}
	c.Resolve = func(call bot.Call) (bot.Ask, error) {
		target := targetOf(a, call)
		return bot.Ask{Permission: a.Permission, Resources: []bot.Resource{a.Resource(target)}, Target: target}, nil
	}
	c.Plan = func(_ context.Context, call bot.Call) (bot.Plan, error) { return plan(a, call) }
	return c
}

func targetOf(a action.Action, c bot.Call) bot.Target {
	if !a.Targeted() {
		return bot.Target{}
	}
	return c.Args.Target()
}

// help says what an argument is, and what it is when it is left out.
func help(p action.Parameter) string {
	if p.Default != "" {
		return fmt.Sprintf("%s; %s unless given", p.Help, p.Default)
	}
	return p.Help
}

// values gives the value of every argument that has one, defaults included: what
// is agreed to depends on nothing that may be configured otherwise later.
func values(a action.Action, c bot.Call) map[string]string {
	all := map[string]string{}
	for _, p := range a.Parameters {
		v, given := c.Args[p.Name]
		switch {
		case p.Type == action.TypeTarget:
			continue
		case p.Type == action.TypeSwitch:
			v, given = fmt.Sprint(given), true
		case !given && p.Default != "":
			v, given = p.Default, true
		}
		if given {
			all[p.Name] = v
		}
	}
	return all
}

// typed gives a value as people write it.
func typed(p action.Parameter, v string) string {
	if d, err := time.ParseDuration(v); err == nil && p.Type == action.TypeDuration {
		return bot.Span(d)
	}
	return v
}

func plan(a action.Action, c bot.Call) (bot.Plan, error) {
	t, given := targetOf(a, c), values(a, c)
	spec, err := bot.NewSpec(action.Kind, a.Name, t, []bot.Resource{a.Resource(t)},
		provider.Invocation{Action: a.Name, Target: t, Values: given})
	if err != nil {
		return bot.Plan{}, err
	}
	p := bot.Plan{Spec: spec, Shows: true, Guarded: !a.Reads, Slot: slot(a, t, c), Undo: fill(a, t, given),
		Preconditions: []bot.Fact{{Name: action.FactBinding, Want: a.Digest, Text: "the configuration of " + a.Name}}}
	// As it can be typed: what is optional is an option, behind the rest.
	words, options := []string{a.Name}, []string(nil)
	if a.Targeted() {
		words = append(words, t.String())
		p.Preview = append(p.Preview, bot.Field{Name: "target", Value: t.String()})
	}
	for _, param := range a.Parameters {
		v, has := given[param.Name]
		if !has {
			continue
		}
		v = typed(param, v)
		p.Preview = append(p.Preview, bot.Field{Name: param.Name, Value: v})
		switch {
		case param.Type == action.TypeSwitch && v == "true":
			options = append(options, "--"+param.Name)
		case param.Type == action.TypeSwitch:
		case param.Optional:
			options = append(options, "--"+param.Name, quoted(v))
		default:
			words = append(words, quoted(v))
		}
	}
	p.Summary = strings.Join(append(words, options...), " ")
	if a.Reads {
		p.Preview = append(p.Preview, bot.Field{Name: "changes", Value: "nothing"})
	}
	return p, nil
}

// slot gives what the run shares with those that it waits for. One that changes
// nothing has a slot of its own.
func slot(a action.Action, t bot.Target, c bot.Call) string {
	switch {
	case a.Reads:
		return "reading " + c.ID
	case a.Slot == action.SlotTarget:
		return t.String() + " action"
	}
	return "action " + a.Name
}

// fill puts the values into the line that takes the action back. Where one is
// missing there is no such line.
func fill(a action.Action, t bot.Target, given map[string]string) string {
	var pairs []string
	for _, p := range a.Parameters {
		hole := "{" + p.Name + "}"
		if !strings.Contains(a.Undo, hole) {
			continue
		}
		v, has := given[p.Name]
		if p.Type == action.TypeTarget {
			v, has = t.String(), true
		}
		if !has || strings.ContainsFunc(v, strangeMark) {
			return ""
		}
		pairs = append(pairs, hole, quoted(typed(p, v)))
	}
	return strings.NewReplacer(pairs...).Replace(a.Undo) // in one go: a value may look like a hole
}

// strangeMark reports marks beyond ASCII, some of which end quoted text.
func strangeMark(r rune) bool { return r > unicode.MaxASCII && unicode.IsPunct(r) }

// quoted writes a value as it is typed.
func quoted(v string) string {
	if v != "" && v[0] != '-' && !slices.ContainsFunc([]byte(v), func(b byte) bool {
		letter := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9'
		return !letter && !strings.ContainsRune("._-+/:@", rune(b))
	}) {
		return v
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"`
}
