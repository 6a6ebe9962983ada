package grammar

import (
	"slices"
	"strings"

	"quarterdeck/bot"
)

// Parsed is one line understood.
type Parsed struct {
	Command  bot.Command
	Args     bot.Args // canonical values of declared arguments and options; never nil
	DryRun   bool
	Reason   string // "" when none was given
	Override string // "" when none was given
	// BreakGlass is why to act now, "" when that was not asked for.
	BreakGlass string
	// Line is the canonical way of typing the same: parsing it gives the same
	// Parsed again. It begins with the command's name.
	Line string
}

// Parse reads a line for somebody from whom nothing is hidden; see ParseFor.
func (g *Grammar) Parse(line string) (Parsed, error) { return g.ParseFor(line, nil) }

// ParseFor reads a line for somebody who may know of the commands for which
// visible is true; nil hides nothing. A hidden command that is typed correctly
// is parsed all the same, for the policy to refuse; typed wrongly, it gets the
// answer of a command that does not exist.
//
// The command with the longest matching name wins. Options may stand anywhere
// after the name. Where a service is expected, SERVICE/ENV fills the
// environment too, which is then not expected later; an argument of type
// service that is called "target", in a command without an environment
// argument, holds SERVICE or SERVICE/ENV whole. Dashes, quotation marks and
// spaces as phones type them are read as the plain ones.
//
// Errors are *bot.Error of kind Invalid. Their sentences may name services,
// environments and persons near to what was typed.
func (g *Grammar) ParseFor(line string, visible func(bot.Command) bool) (Parsed, error) {
	if err := checkLine(line); err != nil {
		return Parsed{}, err
	}
	heads := g.heads(line)
	c, n := match(g.commands, heads)
	if n == 0 {
		return Parsed{}, g.unknown(line, heads, visible)
	}
	hidden := visible != nil && !visible(c)
	parsed, err := g.parse(c, line, heads[n-1].end)
	if err == nil || !hidden {
		return parsed, err
	}
	// As if the hidden ones did not exist: a shorter name may be meant.
	if c, n = match(g.Commands(visible), heads); n == 0 {
		return Parsed{}, g.unknown(line, heads, visible)
	}
	return g.parse(c, line, heads[n-1].end)
}

// head is one of the words at the beginning of a line that may be part of a
// command's name.
type head struct {
	text string // lower case, with plain hyphens
	end  int    // byte offset behind it
}

// heads gives the leading words, as many as the longest command name has. Only
// the first may be quoted: quotation marks keep a later word from being taken
// for part of the name.
func (g *Grammar) heads(line string) []head {
	s := scanner{line: line}
	var heads []head
	for len(heads) < g.longest {
		s.skipSpace()
		if s.done() || s.optionAhead() {
			break
		}
		w, err := s.next()
		if err != nil || w.quoted && len(heads) > 0 {
			break
		}
		heads = append(heads, head{strings.ToLower(hyphens(w.text)), s.at})
	}
	return heads
}

// join gives the first n leading words.
func join(heads []head, n int) string {
	words := make([]string, 0, n)
	for _, h := range heads[:n] {
		words = append(words, h.text)
	}
	return strings.Join(words, " ")
}

// match finds the command with the longest name that the line begins with and
// the number of words in it, 0 when there is none.
func match(commands []bot.Command, heads []head) (bot.Command, int) {
	for n := len(heads); n > 0; n-- {
		if c, ok := find(commands, join(heads, n)); ok {
			return c, n
		}
	}
	return bot.Command{}, 0
}

// arguments collects what a line gives to one command.
type arguments struct {
	command bot.Command
	options []bot.Param
	given   map[string]word // by argument name
	slash   bool            // the environment came by SERVICE/ENV
	text    *bot.Param      // the option whose bare one-word text was read last
}

func (g *Grammar) parse(c bot.Command, line string, from int) (Parsed, error) {
	a := &arguments{command: c, options: optionsOf(c), given: map[string]word{}}
	left, filler, err := a.collect(&scanner{line: line, at: from})
	if err == nil {
		left = a.skip(left)
		err = a.missing(left, filler)
	}
	if err != nil {
		return Parsed{}, err
	}
	parsed := Parsed{Command: c, Args: bot.Args{}}
	values, err := g.values(a)
	if err != nil {
		return Parsed{}, err
	}
	for _, p := range slices.Concat(c.Params, c.Options) {
		if p.Type == bot.TypeCode {
			continue
		}
		if v, ok := values[p.Name]; ok {
			parsed.Args[p.Name] = v
		}
	}
	for _, p := range automatic(c) {
		switch p.Name {
		case optionDryRun:
			parsed.DryRun = values[p.Name] != ""
		case optionReason:
			parsed.Reason = values[p.Name]
		case optionOverride:
			parsed.Override = values[p.Name]
		case optionBreakGlass:
			parsed.BreakGlass = values[p.Name]
		}
	}
	parsed.Line = g.canonical(c, values)
	if len(parsed.Line) > MaxLine {
		return Parsed{}, invalid("the line is %d bytes long once its text is in quotation marks; the most is %d", len(parsed.Line), MaxLine)
	}
	return parsed, nil
}

// collect gives every word of the line to the argument that it belongs to. It
// gives back the arguments by position that are left, and the filler that was
// read before the first of them.
func (a *arguments) collect(s *scanner) (left []bot.Param, filler string, err error) {
	left = a.command.Params
	for {
		s.skipSpace()
		for len(left) > 0 && a.has(left[0].Name) && left[0].Type != bot.TypeWords {
			left, filler = left[1:], ""
		}
		if s.done() {
			return left, filler, nil
		}
		if len(left) > 0 && left[0].Type == bot.TypeLine && !s.optionAhead() {
			a.given[left[0].Name] = word{text: s.rest(), quoted: true}
			continue
		}
		w, err := s.next()
		if err != nil {
			return nil, "", err
		}
		text := a.text
		a.text = nil
		switch {
		case w.option != "":
			err = a.option(w, s)
		case len(left) == 0:
			err = a.surplus(w, text)
		case filler == "" && left[0].Filler != "" && !w.quoted && strings.EqualFold(w.text, left[0].Filler):
			filler = left[0].Filler
		case left[0].Type == bot.TypeWords:
			if before, begun := a.given[left[0].Name]; begun {
				w.text = before.text + " " + w.text
			}
			w.quoted = true
			a.given[left[0].Name] = w
		default:
			err = a.set(left[0], w)
		}
		if err != nil {
			return nil, "", err
		}
	}
}

// skip gives the word of an optional argument that stands before the last one to
// that one, where there was one word for both. It gives back what is left then.
func (a *arguments) skip(left []bot.Param) []bot.Param {
	last := len(a.command.Params) - 1
	if len(left) != 1 || last < 1 || left[0].Optional || left[0].Name != a.command.Params[last].Name {
		return left
	}
	before := a.command.Params[last-1]
	w, given := a.given[before.Name]
	if !before.Optional || !given {
		return left
	}
	delete(a.given, before.Name)
	a.given[left[0].Name] = w
	return nil
}

// missing refuses a line that lacks one of the arguments left over.
func (a *arguments) missing(left []bot.Param, filler string) error {
	for _, p := range left {
		switch {
		case a.has(p.Name):
		case filler != "":
			return invalid("%s needs %s after %q: %s", a.command.Name, article(label(p)), filler, Usage(a.command))
		case !p.Optional && p.Type == bot.TypeChoice:
			return invalid("%s needs one of %s: %s", a.command.Name, list(p.Choices, "or"), Usage(a.command))
		case !p.Optional:
			return invalid("%s needs %s: %s", a.command.Name, article(label(p)), Usage(a.command))
		}
		filler = ""
	}
	return nil
}

func (a *arguments) has(name string) bool {
	_, ok := a.given[name]
	return ok
}

// option takes an option and, where it needs one, the word behind it.
func (a *arguments) option(w word, s *scanner) error {
	i := slices.IndexFunc(a.options, func(p bot.Param) bool { return p.Name == w.option })
	if i < 0 {
		return a.unknownOption(w)
	}
	p := a.options[i]
	if a.has(p.Name) {
		if p.Type == bot.TypeEnvironment && a.slash {
			return invalid("the environment is given twice, by SERVICE/ENV and by --%s; give it once", p.Name)
		}
		return invalid("--%s is given twice; give it once", p.Name)
	}
	if p.Type == bot.TypeFlag {
		if w.valued {
			return invalid("--%s takes no value; write --%s alone", p.Name, p.Name)
		}
		a.given[p.Name] = word{text: "true"}
		return nil
	}
	if !w.valued {
		s.skipSpace()
		if s.done() || s.optionAhead() {
			return invalid("--%s needs a value: %s", p.Name, optionUsage(p))
		}
		var err error
		if w, err = s.next(); err != nil {
			return err
		}
	}
	if p.Type == bot.TypeText && !w.quoted {
		a.text = &a.options[i]
	}
	return a.set(p, w)
}

// set gives a word to an argument; SERVICE/ENV to two.
func (a *arguments) set(p bot.Param, w word) error {
	if p.Type != bot.TypeService || !strings.Contains(w.text, "/") {
		a.given[p.Name] = w
		return nil
	}
	env, found := a.environment()
	if !found && p.Name == nameTarget {
		a.given[p.Name] = w
		return nil
	}
	target, ok := bot.ParseTarget(w.name())
	switch {
	case !found:
		return invalid("%s takes a service alone, not %s", a.command.Name, show(w.text))
	case !ok:
		return invalid("%s is not a target; write SERVICE/ENV", show(w.text))
	case a.has(env.Name):
		return invalid("the environment is given twice, by --%s and by %s; give it once", env.Name, show(w.text))
	}
	a.given[p.Name] = word{text: target.Service, quoted: true}
	a.given[env.Name] = word{text: target.Environment, quoted: true}
	a.slash = true
	return nil
}

// nameTarget is the name of the argument that may hold SERVICE/ENV whole.
const nameTarget = "target"

// environment gives the command's environment argument, if it has one.
func (a *arguments) environment() (bot.Param, bool) { return ofType(a.command, bot.TypeEnvironment) }

// ofType gives the first declared argument or option of a type.
func ofType(c bot.Command, t bot.ParamType) (bot.Param, bool) {
	for _, p := range slices.Concat(c.Params, c.Options) {
		if p.Type == t {
			return p, true
		}
	}
	return bot.Param{}, false
}

// surplus refuses a word that no argument is left for; text is the option whose
// one bare word stood right before it, if one did.
func (a *arguments) surplus(w word, text *bot.Param) error {
	if text != nil {
		return invalid("%s is one word too many; put text of several words in quotation marks: --%s %s",
			show(w.text), text.Name, show(a.given[text.Name].text+" "+w.text))
	}
	return invalid("%s is one word too many: %s", show(w.text), Usage(a.command))
}
