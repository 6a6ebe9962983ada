package grammar

import (
	"slices"
	"strings"
	"unicode"

	"quarterdeck/bot"
)

// Verbs gives every command as networks with typed commands offer it.
func (g *Grammar) Verbs() []bot.Verb {
	verbs := make([]bot.Verb, 0, len(g.commands))
	for _, c := range g.commands {
		v := bot.Verb{Name: c.Name, Summary: c.Summary}
		for _, a := range Options(c) {
			if a.Type != bot.TypeCode {
				v.Arguments = append(v.Arguments, a.Param)
			}
		}
		verbs = append(verbs, v)
	}
	return verbs
}

// Typed gives the line that asks for a command with these values, by the name of
// the argument or option: what Compose gives where that finds no fault, otherwise
// the line that says the same, for Parse to say what is wrong with it. Each value
// stays what it was given for.
func (g *Grammar) Typed(command string, given map[string]string) string {
	line, faults := g.Compose(command, given)
	if len(faults) == 0 {
		return line
	}
	c, found := g.Lookup(command)
	if !found {
		return command
	}
	values := map[string]string{}
	for _, p := range slices.Concat(c.Params, optionsOf(c)) {
		text := strings.TrimSpace(strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) {
				return ' '
			}
			return r
		}, given[p.Name]))
		if text != "" && (p.Type != bot.TypeFlag || text == "true") {
			values[p.Name] = text
		}
	}
	return g.canonical(c, values)
}
