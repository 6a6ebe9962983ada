package grammar

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"quarterdeck/bot"
)

// Draft is a line that names a command and lacks what the command needs.
type Draft struct {
	Command bot.Command
	// Given are the values that the line gives already, as they would be typed
	// into a form, by the name of the argument or option. What is wrong by itself
	// is not among them.
	Given map[string]string
	// Fault is what is wrong with the first of those, as a sentence, or "".
	Fault string
}

// Draft reads a line for somebody who may know of the commands for which visible
// is true. It gives false for a line that is whole, that names no such command,
// or that cannot be read: Parse says what there is to say of it.
func (g *Grammar) Draft(line string, visible func(bot.Command) bool) (Draft, bool) {
	if checkLine(line) != nil {
		return Draft{}, false
	}
	heads := g.heads(line)
	c, n := match(g.Commands(visible), heads)
	if n == 0 {
		return Draft{}, false
	}
	a := &arguments{command: c, options: optionsOf(c), given: map[string]word{}}
	left, filler, err := a.collect(&scanner{line: line, at: heads[n-1].end})
	if err != nil || a.missing(a.skip(left), filler) == nil {
		return Draft{}, false
	}
	d := Draft{Command: c, Given: map[string]string{}}
	service := ""
	for _, p := range a.ranked() {
		w, given := a.given[p.Name]
		if !given {
			continue
		}
		v, err := g.checked(p, w, service)
		if err != nil {
			if d.Fault == "" {
				d.Fault = a.say(p, err)
			}
			continue
		}
		if p.Type == bot.TypeService {
			service = v
		}
		d.Given[p.Name] = entered(p, v)
	}
	return d, true
}

// entered writes a canonical value as it is entered into a form.
func entered(p bot.Param, value string) string {
	if p.Type == bot.TypeDuration {
		return format(p, value)
	}
	return value
}

// ranked gives all that the command takes, the service first because an
// environment is checked against it.
func (a *arguments) ranked() []bot.Param {
	all := slices.Concat(a.command.Params, a.options)
	slices.SortStableFunc(all, func(p, q bot.Param) int { return rank(p.Type) - rank(q.Type) })
	return all
}

// checked gives the canonical value of one word.
func (g *Grammar) checked(p bot.Param, w word, service string) (string, error) {
	v, err := g.value(p, w, service)
	if err == nil && p.Check != nil {
		err = p.Check(v)
	}
	return v, err
}

func (a *arguments) say(p bot.Param, err error) string {
	if errors.Is(err, errEmpty) {
		err = a.empty(p)
	}
	return bot.Sentence(err, "grammar")
}

// Compose gives the canonical line that asks for a command with these values, by
// the name of the argument or option; blank ones count as not given. Each value
// stays what it was given for: whatever is in it, it cannot become another
// argument or an option. faults say by name what is wrong, one sentence each;
// then there is no line.
func (g *Grammar) Compose(command string, given map[string]string) (line string, faults map[string]string) {
	faults = map[string]string{}
	c, found := g.Lookup(command)
	if !found {
		return "", map[string]string{"": "there is no command " + show(command)}
	}
	a := &arguments{command: c, options: optionsOf(c), given: map[string]word{}}
	values, service := map[string]string{}, ""
	for _, p := range a.ranked() {
		text := strings.TrimSpace(given[p.Name])
		switch {
		case p.Type == bot.TypeFlag && text != "true":
			text = ""
		case text == "" && required(c, p):
			faults[p.Name] = "the " + label(p) + " is missing"
		}
		if text == "" {
			continue
		}
		if err := checkLine(text); err != nil {
			faults[p.Name] = bot.Sentence(err, "grammar")
			continue
		}
		// Every space is one between words, as it is in quotation marks.
		text = strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) {
				return ' '
			}
			return r
		}, text)
		v, err := g.checked(p, word{text: text, quoted: p.Type == bot.TypeText || p.Type == bot.TypeLine || p.Type == bot.TypeWords}, service)
		if err != nil {
			faults[p.Name] = a.say(p, err)
			continue
		}
		if p.Type == bot.TypeService {
			service = v
		}
		values[p.Name] = v
	}
	if len(faults) > 0 {
		return "", faults
	}
	line = g.canonical(c, values)
	if len(line) > MaxLine {
		return "", map[string]string{longest(values): fmt.Sprintf("the line would be %d bytes long; the most is %d", len(line), MaxLine)}
	}
	// What the line is read as is what counts, so it is read.
	parsed, err := g.Parse(line)
	if err == nil && parsed.Command.Name == c.Name && maps.Equal(parsed.values(), values) {
		return parsed.Line, nil
	}
	at, why := blame(c, values)
	return "", map[string]string{at: why}
}

func longest(values map[string]string) (name string) {
	for _, n := range slices.Sorted(maps.Keys(values)) {
		if name == "" || len(values[n]) > len(values[name]) {
			name = n
		}
	}
	return name
}

func required(c bot.Command, p bot.Param) bool {
	return !p.Optional && slices.ContainsFunc(c.Params, func(q bot.Param) bool { return q.Name == p.Name })
}

// values gives everything that was read, by name.
func (p Parsed) values() map[string]string {
	all := maps.Clone(map[string]string(p.Args))
	if p.DryRun {
		all[optionDryRun] = "true"
	}
	for name, v := range map[string]string{optionReason: p.Reason, optionOverride: p.Override, optionBreakGlass: p.BreakGlass} {
		if v != "" {
			all[name] = v
		}
	}
	return all
}

// blame says which value makes a line read as another: one whose place cannot be
// told because an argument before it was left out, else the rest of the line,
// else the first one.
func blame(c bot.Command, values map[string]string) (name, why string) {
	gap, first := "", ""
	for _, p := range c.Params {
		_, given := values[p.Name]
		switch {
		case given && gap != "":
			return p.Name, "the " + gap + " has to be given with it"
		case given && p.Type == bot.TypeLine:
			return p.Name, "this would be read as options; begin it with a word"
		case given && first == "":
			first = p.Name
		case !given && gap == "":
			gap = label(p)
		}
	}
	if first == "" && len(values) > 0 {
		first = slices.Sorted(maps.Keys(values))[0]
	}
	return first, "this cannot be told from the rest of the line; write it another way"
}

// Candidates gives the values that an argument can have in a form with these
// values, as far as they are known by name.
func (g *Grammar) Candidates(c bot.Command, p bot.Param, given map[string]string) []string {
	service := ""
	if s, ok := ofType(c, bot.TypeService); ok {
		service = given[s.Name]
	}
	return g.known(p, service)
}
