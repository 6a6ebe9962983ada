package execprovider

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// ActionTable is an action's run table. The command is an argv array, as in
// DeployTable, in which {NAME} stands for the value of an argument: in an
// element of its own, or behind the "=" of an option, as in "--index={index}". A
// value is always part of the one element that names it, however it is written,
// and an element that names a value which was left out is left out whole.
type ActionTable struct {
	Provider string   `toml:"provider"`
	Argv     []string `toml:"argv"` // required
	// Timeout bounds the whole operation; 15m by default.
	Timeout Duration `toml:"timeout"`
	// KillAfter is how long a command that was asked to end by TERM has before
	// it is killed; 10s by default.
	KillAfter Duration `toml:"kill_after"`
}

// hole is what stands for a value.
var hole = regexp.MustCompile(`\{([^{}]*)\}`)

// actor is one action bound to the provider.
type actor struct {
	*execProvider
	shape provider.ActionShape
	table ActionTable
}

var (
	_ provider.ActionBinder = (*execProvider)(nil)
	_ provider.Actor        = (*actor)(nil)
	_ provider.Inspected    = (*actor)(nil)
	_ bot.Timed             = (*actor)(nil)
)

// BindAction checks an action's run table and binds it. It starts nothing.
func (p *execProvider) BindAction(s provider.ActionShape, raw provider.Raw) (provider.Actor, error) {
	var table ActionTable
	if err := raw.Decode(&table); err != nil {
		return nil, err
	}
	fault := func(format string, args ...any) error {
		return bot.Errorf(bot.Invalid, "%s: argv of the action %s %s", raw.Where(), s.Name, fmt.Sprintf(format, args...))
	}
	if len(table.Argv) == 0 || table.Argv[0] == "" {
		return nil, fault(`names no program; write an array such as ["./reindex", "--index={index}"]`)
	}
	used := map[string]bool{}
	for i, element := range table.Argv {
		if strings.ContainsRune(element, 0) {
			return nil, fault("holds a NUL character, which no argument can hold")
		}
		for _, at := range hole.FindAllStringSubmatchIndex(element, -1) {
			name, before := element[at[2]:at[3]], element[:at[0]]
			n := slices.IndexFunc(s.Arguments, func(a provider.ActionArgument) bool { return a.Name == name })
			switch {
			case n < 0:
				return nil, fault("names the argument {%s}, which the action does not have", name)
			case i == 0:
				return nil, fault("has {%s} in the program's name; what runs is not for the asker to say", name)
			case strings.HasPrefix(element, "-") && !strings.Contains(before, "="):
				return nil, fault("has {%s} in the name of an option; write it behind an equals sign, such as --%s={%s}", name, name, name)
			case before == "" && s.Arguments[n].Signed:
				return nil, fault("begins an element with {%s}, which may be negative and would be taken for an option; write --%s={%s}", name, name, name)
			}
			used[name] = true
		}
	}
	for _, a := range s.Arguments {
		if !used[a.Name] && !a.Target { // OP_SERVICE and OP_ENV hold a target
			return nil, fault("does not use {%s}", a.Name)
		}
	}
	return &actor{execProvider: p, shape: s, table: table}, nil
}

// argv puts the values into the command. A value is one piece of one element,
// so that nothing in it can end that element or begin another; one that could
// make the element an option is refused.
func (a *actor) argv(in provider.Invocation) ([]string, error) {
	out := make([]string, 0, len(a.table.Argv))
	for i, element := range a.table.Argv {
		missing := false
		var err error
		filled := hole.ReplaceAllStringFunc(element, func(h string) string {
			name := h[1 : len(h)-1]
			v, given := in.Values[name]
			for _, arg := range a.shape.Arguments {
				if arg.Name == name && arg.Target {
					v, given = in.Target.String(), true
				}
			}
			if strings.ContainsRune(v, 0) {
				err = bot.Errorf(bot.Invalid, "%s holds a NUL character, which no argument can hold", name)
			}
			missing = missing || !given
			return v
		})
		if err == nil && i > 0 && !strings.HasPrefix(element, "-") && strings.HasPrefix(filled, "-") {
			err = bot.Errorf(bot.Invalid, "a value that begins with a dash could be taken for an option: %q", filled)
		}
		if err != nil {
			return nil, err
		}
		if !missing {
			out = append(out, filled)
		}
	}
	return out, nil
}

// runner gives what runs the action on a target.
func (a *actor) runner(t bot.Target) *deployer {
	return &deployer{execProvider: a.execProvider, target: t, action: a,
		table: DeployTable{Timeout: a.table.Timeout, KillAfter: a.table.KillAfter}}
}

// Begin prepares an invocation. It does no I/O; one of another action, and
// values that cannot be given, are Invalid.
func (a *actor) Begin(in provider.Invocation, t bot.Task) (bot.Handle, error) {
	if in.Action != a.shape.Name {
		return bot.Handle{}, bot.Errorf(bot.Invalid, "the action %s was given to %s", in.Action, a.shape.Name)
	}
	if t.Key == "" {
		return bot.Handle{}, bot.Errorf(bot.Invalid, "the action %s needs a key", in.Action)
	}
	for _, arg := range a.shape.Arguments {
		if _, given := in.Values[arg.Name]; !given && !arg.Optional && !arg.Target {
			return bot.Handle{}, bot.Errorf(bot.Invalid, "the action %s needs a value for %s", in.Action, arg.Name)
		}
		if arg.Target && in.Target == (bot.Target{}) {
			return bot.Handle{}, bot.Errorf(bot.Invalid, "the action %s needs a target", in.Action)
		}
	}
	if _, err := a.argv(in); err != nil {
		return bot.Handle{}, err
	}
	return pack(bot.Handle{Key: t.Key, Target: in.Target}, state{Invocation: &in, Task: t, Host: a.host, Begun: a.clock.Now()})
}

// Advance looks at the operation as the Advance of a deployment does.
func (a *actor) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	return a.runner(h.Target).Advance(ctx, h)
}

// Cancel asks for the end of the operation, as the Cancel of a deployment does.
func (a *actor) Cancel(ctx context.Context, h bot.Handle) (bot.Handle, error) {
	return a.runner(h.Target).Cancel(ctx, h)
}

// Timing is that of a deployment.
func (a *actor) Timing(t bot.Target) bot.Timing { return a.runner(t).Timing(t) }

// Inspect implements provider.Inspected.
func (a *actor) Inspect() []string {
	r := a.runner(bot.Target{})
	r.table.Argv = a.table.Argv
	return r.Inspect()
}
