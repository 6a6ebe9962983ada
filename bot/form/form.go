// Package form asks for what a line lacks: it makes the forms that chat networks
// show, and of what is entered the one message that goes the ordinary road. It
// decides nothing about rights; it only offers no more than the person may do.
package form

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/grammar"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/router"
)

// StepUp knows what needs a second factor. Safe for concurrent use.
type StepUp interface {
	// NeedsCode reports whether m, a line or a pressed button, will be refused
	// without a one-time code and has none, and what it is for. It must be quick: a
	// form has to be open within three seconds.
	NeedsCode(ctx context.Context, m bot.Message) (router.Wanted, bool)
}

// Config is what Forms work with.
type Config struct {
	Router  *router.Router // whose people, rights, grammar and store they are
	Catalog *provider.Catalog
	// Permissions are those beyond bot.Permissions: of the verbs of the team's own.
	Permissions []bot.PermissionInfo
	StepUp      StepUp // nil: nothing needs a second factor
}

// Forms implements bot.Forms. Safe for concurrent use; several replicas share
// what is open through the store.
type Forms struct {
	Config
	targeted map[bot.Permission]bool // asked about a target
	releases releases

	mu     sync.Mutex
	minute time.Time
	opened map[string]int // by person, within the minute
}

// New makes Forms.
func New(c Config) *Forms {
	f := &Forms{Config: c, targeted: map[bot.Permission]bool{}}
	for _, p := range append(bot.Permissions(), c.Permissions...) {
		f.targeted[p.Name] = p.Resource == bot.KindTarget
	}
	return f
}

const (
	// Line is the name of the one input of a form that asks for a whole line.
	Line = "line"
	// Code is the name of the input for a one-time code.
	Code = "code"

	// typeCode is the type of arguments that hold a one-time code.
	typeCode bot.ParamType = "code"

	maxInputs = 25 // of one form
	maxCode   = 64 // bytes of a one-time code
	perMinute = 30 // forms that one person may open
	maxPeople = 10000
)

// Form implements bot.Forms.
func (f *Forms) Form(ctx context.Context, m bot.Message) (bot.Form, bool) {
	r := f.Router
	who, err := r.Directory.Identify(ctx, m.Account, m.Standing)
	if err != nil || !who.Known() || m.Edited {
		return bot.Form{}, false
	}
	k := kept{Account: m.Account, Channel: m.Channel, Thread: m.Thread, Press: m.Press, On: m.On}
	form, needed := bot.Form{}, false
	if m.Press == "" {
		form, needed = f.lacking(who, m, &k)
	}
	if !needed && f.StepUp != nil && (m.Press != "" || len(m.Text) <= grammar.MaxLine) {
		form, needed = f.code(ctx, m, &k)
	}
	if !needed || !f.allow(who.Person) {
		return bot.Form{}, false
	}
	for _, in := range form.Inputs {
		k.Inputs = append(k.Inputs, in.Name)
	}
	if form.Token, err = f.keep(ctx, k); err != nil {
		r.Logger.ErrorContext(ctx, "keep a form", "message", m.ID, "err", err)
		return bot.Form{}, false
	}
	return form, true
}

// lacking gives the form for what a line lacks.
func (f *Forms) lacking(who bot.Identity, m bot.Message, k *kept) (bot.Form, bool) {
	if strings.TrimSpace(m.Text) == "" {
		in := bot.Input{Name: Line, Label: "What should be done?", Hint: "a command, such as status; help shows what there is", Kind: bot.InputText}
		return bot.Form{Title: "Quarterdeck", Submit: "Send", Inputs: []bot.Input{in}}, true
	}
	visible := f.Router.Visible(who)
	d, lacks := f.Router.Grammar.Telling(f.told(who)).Draft(m.Text, visible)
	if !lacks {
		return bot.Form{}, false
	}
	g := f.grammarFor(who, m.Channel, d.Command)
	k.Command = d.Command.Name
	inputs, any := f.inputs(g, d)
	if !any {
		return bot.Form{}, false // there is nothing that they may choose: the answer is a refusal
	}
	if d.Given["break-glass"] != "" {
		inputs = f.perhaps(inputs...)
	}
	text := d.Command.Summary
	if d.Fault != "" {
		text = d.Fault
	}
	name := sentenceCase(d.Command.Name)
	return bot.Form{Title: name, Text: text, Inputs: inputs, Submit: name}, true
}

// code gives the form for the code that m lacks. It says what the code is for,
// and what is sent counts for that alone.
func (f *Forms) code(ctx context.Context, m bot.Message, k *kept) (bot.Form, bool) {
	w, needed := f.StepUp.NeedsCode(ctx, m)
	if !needed {
		return bot.Form{}, false
	}
	k.Line, k.Bound = f.Router.Hidden(w.Line), w.Bound
	text := "This needs a one-time code of your second factor."
	if what := cmp.Or(w.What, k.Line); what != "" {
		text += " It is for: " + what
	}
	return bot.Form{Title: "Second factor", Text: text, Submit: "Confirm", Inputs: []bot.Input{codeInput()}}, true
}

func codeInput() bot.Input {
	return bot.Input{Name: Code, Label: "One-time code", Hint: "of your second factor", Kind: bot.InputCode}
}

// perhaps adds the input for a code where what is entered may turn out to need one.
func (f *Forms) perhaps(inputs ...bot.Input) []bot.Input {
	if f.StepUp == nil {
		return inputs
	}
	code := codeInput()
	code.Optional, code.Hint = true, "of your second factor; leave it empty where none is asked for"
	return append(inputs, code)
}

// inputs gives the entries of a command's form, the required ones first; any is
// false where one of those has nothing to choose from.
func (f *Forms) inputs(g *grammar.Grammar, d grammar.Draft) (inputs []bot.Input, any bool) {
	var optional []bot.Input
	for _, a := range grammar.Options(d.Command) {
		if a.Type == typeCode {
			continue // it is asked for by itself, and never filled in
		}
		value, given := d.Given[a.Name]
		in := bot.Input{Name: a.Name, Label: sentenceCase(a.Name), Hint: hint(a.Param), Kind: kindOf(a.Type), Value: value, Optional: a.Optional}
		if in.Kind == bot.InputPick && a.Type != bot.TypeVersion {
			choices := g.Candidates(d.Command, a.Param, d.Given)
			if given && !slices.Contains(choices, value) {
				in.Value = ""
				if a.Type == bot.TypeService || a.Type == bot.TypeEnvironment {
					return nil, false // there is such a one, and it is not theirs
				}
			}
			if len(choices) == 0 {
				if !in.Optional {
					return nil, false
				}
				continue
			}
		}
		switch {
		case !in.Optional:
			inputs = append(inputs, in)
		case given || !rare(a):
			optional = append(optional, in)
		}
	}
	inputs = append(inputs, optional...)
	return inputs[:min(len(inputs), maxInputs)], true
}

// rare reports whether an option is asked for only where it was typed: those that
// pass what stands against an action are not for offering.
func rare(a grammar.Argument) bool {
	return a.Option && (a.Name == "override" || a.Name == "break-glass" || a.Name == "steal")
}

func kindOf(t bot.ParamType) bot.InputKind {
	switch t {
	case bot.TypeService, bot.TypeEnvironment, bot.TypeVersion, bot.TypePerson, bot.TypeChoice:
		return bot.InputPick
	case bot.TypeFlag:
		return bot.InputSwitch
	}
	return bot.InputText
}

func hint(p bot.Param) string {
	switch p.Type {
	case bot.TypeDuration:
		return strings.TrimPrefix(p.Help+", such as 30m, 6h or 2d", ", ")
	case bot.TypeRun:
		return strings.TrimPrefix(p.Help+", such as 12", ", ")
	}
	return p.Help
}

// sentenceCase writes a name as a heading: "dry-run" as "Dry run".
func sentenceCase(name string) string {
	name = strings.ReplaceAll(name, "-", " ")
	return strings.ToUpper(name[:1]) + name[1:]
}

// told gives the names that who may know of.
func (f *Forms) told(who bot.Identity) grammar.Words { return f.Router.Words(who) }

// theirs is the words of a command's form: the targets on which somebody may run
// it.
type theirs struct {
	*provider.Catalog
	persons grammar.Words
}

func (t theirs) Persons() []string { return t.persons.Persons() }

// grammarFor gives the grammar that tells no other targets than those for which
// who holds the command's permission.
func (f *Forms) grammarFor(who bot.Identity, channel bot.ChannelID, c bot.Command) *grammar.Grammar {
	told := f.told(who)
	call := bot.Call{Who: who, Channel: channel, At: f.Router.Clock.Now()}
	only := f.Catalog.Only(func(t bot.Target) bool {
		return slices.Contains(told.Environments(t.Service), t.Environment) &&
			(!f.targeted[c.Permission] || len(bot.Permitted(f.Router.Policy, call, c.Permission, []bot.Target{t})) > 0)
	})
	return f.Router.Grammar.Telling(theirs{only, told})
}

// allow counts a form that a person opens.
func (f *Forms) allow(person string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.Router.Clock.Now(); f.opened == nil || now.Sub(f.minute).Abs() >= time.Minute || len(f.opened) > maxPeople {
		f.minute, f.opened = now, map[string]int{}
	}
	f.opened[person]++
	return f.opened[person] <= perMinute
}

// log gives the logger.
func (f *Forms) log() *slog.Logger { return f.Router.Logger }
