package grammar

import (
	"slices"
	"strings"
	"unicode"

	"quarterdeck/bot"
)

// The names of arguments of type line that hold a command line or the name of a
// command, and are completed as one.
const (
	nameCommand = "command"
	nameVerb    = "verb"
)

// Complete gives what the last word of a half-typed line may be completed to,
// as it would be typed: words of command names, services, environments,
// persons, choices and options. A line that ends in a space, or is empty, asks
// for the next word. Nothing that depends on a command for which visible is
// false is given; nil hides nothing. A line that cannot be read gives nothing.
// Letter case of what was typed does not matter.
func (g *Grammar) Complete(line string, visible func(bot.Command) bool) []string {
	_, found := g.complete(line, visible)
	return found
}

// CompleteLine gives what Complete gives, each with what stands before the last
// word: the whole lines that a half-typed one may become.
func (g *Grammar) CompleteLine(line string, visible func(bot.Command) bool) []string {
	before, found := g.complete(line, visible)
	lines := make([]string, 0, len(found))
	for _, candidate := range found {
		lines = append(lines, before+candidate)
	}
	return lines
}

// complete gives what stands before the last word and what that may become.
func (g *Grammar) complete(line string, visible func(bot.Command) bool) (before string, fitting []string) {
	if checkLine(line) != nil {
		return "", nil
	}
	starts := wordStarts(line)
	last := starts[len(starts)-1]
	partial := line[last:]
	before = line[:last]

	seen := g.Commands(visible)
	heads := g.heads(before)
	found := nextNameWords(seen, heads, len(starts)-1)
	if c, n := match(seen, heads); n > 0 {
		found = append(found, g.next(c, line, heads[n-1].end, starts, visible)...)
	}
	for _, candidate := range found {
		if hasPrefixFold(candidate, partial) && !slices.Contains(fitting, candidate) {
			fitting = append(fitting, candidate)
		}
	}
	return before, fitting
}

// wordStarts gives where each word of a line begins. The last is what is being
// typed: it may be empty, behind a space.
func wordStarts(line string) []int {
	var starts []int
	s := &scanner{line: line}
	for s.skipSpace(); !s.done(); s.skipSpace() {
		starts = append(starts, s.at)
		// An unreadable word can only stand in a rest of line. What is left
		// behind it is words like any other.
		from := s.at
		if _, err := s.next(); err != nil {
			s.at = from
			s.bare()
		}
	}
	if end := strings.TrimRightFunc(line, unicode.IsSpace); len(starts) == 0 || len(end) < len(line) {
		starts = append(starts, len(line))
	}
	return starts
}

// nextNameWords gives the words that command names go on with behind heads, if
// heads are all the words that were typed.
func nextNameWords(commands []bot.Command, heads []head, typed int) []string {
	if len(heads) != typed {
		return nil
	}
	var words []string
	for _, c := range commands {
		rest, ok := strings.CutPrefix(c.Name+" ", strings.TrimLeft(join(heads, typed)+" ", " "))
		if next, _, _ := strings.Cut(rest, " "); ok && next != "" {
			words = append(words, next)
		}
	}
	return words
}

// next gives what can stand in the place of the last word, behind the name of
// a command that ends at from.
func (g *Grammar) next(c bot.Command, line string, from int, starts []int, visible func(bot.Command) bool) []string {
	last := starts[len(starts)-1]
	a := &arguments{command: c, options: optionsOf(c), given: map[string]word{}}
	// An option whose value is being typed stands right before it.
	if p, start, ok := a.pending(line, from, starts); ok {
		if _, _, err := a.collect(&scanner{line: line[:start], at: from}); err != nil {
			return nil
		}
		return g.candidates(a, p, line[last:])
	}
	left, _, err := a.collect(&scanner{line: line[:last], at: from})
	if err != nil {
		return nil
	}
	ahead := scanner{line: line, at: last}
	rest := false
	if n := len(c.Params); n > 0 && c.Params[n-1].Type == bot.TypeLine {
		rest = a.has(c.Params[n-1].Name) || len(left) == 1
	}
	switch {
	case rest && (a.has(c.Params[len(c.Params)-1].Name) || !dash(ahead.peek())):
		return g.nested(a, c.Params[len(c.Params)-1], line[last:], visible)
	case dash(ahead.peek()):
		return g.optionCandidates(a, line[last:])
	case len(left) > 0:
		return g.candidates(a, left[0], line[last:])
	}
	return nil
}

// pending gives the option that waits for its value at the last word.
func (a *arguments) pending(line string, from int, starts []int) (p bot.Param, start int, ok bool) {
	if len(starts) < 2 || starts[len(starts)-2] < from {
		return bot.Param{}, 0, false
	}
	start = starts[len(starts)-2]
	s := &scanner{line: line, at: start}
	if !s.optionAhead() {
		return bot.Param{}, 0, false
	}
	w, err := s.next()
	if err != nil || w.valued {
		return bot.Param{}, 0, false
	}
	i := slices.IndexFunc(a.options, func(p bot.Param) bool { return p.Name == w.option && p.Type != bot.TypeFlag })
	if i < 0 {
		return bot.Param{}, 0, false
	}
	return a.options[i], start, true
}

// nested completes a rest of line that holds a command.
func (g *Grammar) nested(a *arguments, p bot.Param, partial string, visible func(bot.Command) bool) []string {
	inner := strings.TrimLeft(a.given[p.Name].text+" "+partial, " ")
	switch p.Name {
	case nameCommand:
		return g.Complete(inner, visible)
	case nameVerb:
		starts := wordStarts(inner)
		return nextNameWords(g.Commands(visible), g.heads(inner[:starts[len(starts)-1]]), len(starts)-1)
	}
	return nil
}

// optionCandidates gives the options not given yet, or the values of the one
// whose value is being typed behind "=".
func (g *Grammar) optionCandidates(a *arguments, partial string) []string {
	name, value, valued := strings.Cut(partial, "=")
	var found []string
	for _, p := range a.options {
		switch {
		case a.has(p.Name):
		case !valued:
			// The dashes that were typed are kept, so that a phone's fit.
			dashes := name[:len(name)-len(strings.TrimLeftFunc(name, dash))]
			if name == "-" {
				dashes = "--"
			}
			found = append(found, dashes+p.Name)
		case strings.EqualFold(hyphens(strings.TrimLeftFunc(name, dash)), p.Name):
			for _, candidate := range g.candidates(a, p, value) {
				found = append(found, name+"="+candidate)
			}
		}
	}
	return found
}

// candidates gives the values that an argument can have.
func (g *Grammar) candidates(a *arguments, p bot.Param, partial string) []string {
	var names []string
	switch p.Type {
	case bot.TypeService:
		_, slash := a.environment()
		if service, _, found := strings.Cut(partial, "/"); found && (slash || p.Name == nameTarget) {
			for _, env := range g.told.Environments(service) {
				names = append(names, service+"/"+env)
			}
			break
		}
		names = g.known(p, "")
	case bot.TypeEnvironment:
		service := ""
		if p, ok := ofType(a.command, bot.TypeService); ok {
			service = a.given[p.Name].name()
		}
		names = g.known(p, service)
	default:
		names = g.known(p, "")
	}
	typed := make([]string, 0, len(names))
	for _, name := range names {
		typed = append(typed, plainOrQuoted(name))
	}
	return typed
}

// known gives the values that an argument can have, as far as they are known by
// name; those of an environment for a service, or of all when it is "".
func (g *Grammar) known(p bot.Param, service string) []string {
	switch p.Type {
	case bot.TypeService:
		return g.told.Services()
	case bot.TypeEnvironment:
		return g.told.Environments(service)
	case bot.TypePerson:
		return g.told.Persons()
	case bot.TypeChoice:
		return p.Choices
	}
	return nil
}

// hasPrefixFold reports whether s begins with prefix, whatever the case.
func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
