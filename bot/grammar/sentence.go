package grammar

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"quarterdeck/bot"
	"quarterdeck/bot/nearest"
)

// maxShown is how many characters of what was typed a sentence repeats.
const maxShown = 40

// maxListed is how many names a sentence lists.
const maxListed = 6

// clip cuts text to what a sentence may repeat.
func clip(s string) string {
	if utf8.RuneCountInString(s) <= maxShown {
		return s
	}
	return string([]rune(s)[:maxShown-1]) + "…"
}

// show gives what was typed, clipped and in quotation marks.
func show(s string) string { return `"` + clip(s) + `"` }

// list gives "a", "a and b", "a, b and c", or the first six and how many more.
func list(names []string, conjunction string) string {
	switch n := len(names); {
	case n == 0:
		return "none"
	case n == 1:
		return names[0]
	case n > maxListed:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxListed], ", "), n-maxListed)
	default:
		return strings.Join(names[:n-1], ", ") + " " + conjunction + " " + names[n-1]
	}
}

// there gives "there is a", "there are a and b" or "there are no services".
func there(names []string, plural string) string {
	switch len(names) {
	case 0:
		return "there are no " + plural
	case 1:
		return "there is " + names[0]
	}
	return "there are " + list(names, "and")
}

// article puts "a" or "an" before the name of an argument.
func article(name string) string {
	if strings.ContainsRune("AEIOU", rune(name[0])) {
		return "an " + name
	}
	return "a " + name
}

// unknown says that a line begins with no command, with a hint from what is
// visible only.
func (g *Grammar) unknown(line string, heads []head, visible func(bot.Command) bool) error {
	if len(heads) == 0 {
		return beginning(line)
	}
	seen := g.Commands(visible)
	for n := len(heads); n > 0; n-- {
		var names []string
		for _, c := range seen {
			if strings.Count(c.Name, " ") == n-1 {
				names = append(names, c.Name)
			}
		}
		typed := join(heads, n)
		if near := nearest.Of(typed, names); near != "" {
			return invalid("there is no command %s; did you mean %q?", show(typed), near)
		}
	}
	if group := begun(seen, heads[0].text); len(group) > 0 {
		return invalid("%s is not the whole command; write %s", show(heads[0].text), list(group, "or"))
	}
	return invalid("there is no command %s; type help to see what there is", show(heads[0].text))
}

// begun gives the names that begin with the word and go on.
func begun(commands []bot.Command, first string) []string {
	var names []string
	for _, c := range commands {
		if strings.HasPrefix(c.Name, first+" ") {
			names = append(names, c.Name)
		}
	}
	return names
}

// beginning says why a line has no leading word at all.
func beginning(line string) error {
	s := scanner{line: line}
	s.skipSpace()
	if s.done() {
		return invalid("the line is empty; type help to see what there is")
	}
	w, err := s.next()
	if err != nil {
		return err
	}
	return invalid("%s cannot come first; begin with the command", show(w.typed))
}

// unknownOption says which options there are.
func (a *arguments) unknownOption(w word) error {
	said := a.command.Name + " has no option --" + clip(w.option)
	names := make([]string, 0, len(a.options))
	for _, p := range a.options {
		names = append(names, "--"+p.Name)
	}
	switch near := nearest.Of("--"+w.option, names); {
	case w.option == "help":
		return invalid("%s; type help %s", said, a.command.Name)
	case near != "":
		return invalid("%s; did you mean %q?", said, near)
	case len(names) == 0:
		return invalid("%s; it has none", said)
	}
	return invalid("%s; it has %s", said, list(names, "and"))
}
