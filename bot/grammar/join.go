package grammar

import "strings"

// Join writes a line that is read back as these arguments and no others,
// whatever they hold: what a program was started with, a shell has already
// divided, and text in it must not become an option. An argument is an option
// where it begins as one is typed at a shell, -name or --name with or without
// =value, in ASCII; what reads as an option only because phones write dashes
// otherwise is text.
//
// Spaces of every kind come back as plain ones. What no line may hold, such as
// a line break, is left for Parse to refuse.
func Join(args []string) string {
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = joined(a)
	}
	return strings.Join(words, " ")
}

func joined(arg string) string {
	name, value, valued := strings.Cut(arg, "=")
	option := asciiOption(name)
	s := scanner{line: arg}
	if arg != "" {
		w, err := s.next()
		text := arg
		if option {
			text = value
		}
		if err == nil && s.done() && !w.quoted && (w.option != "") == option && w.text == text {
			return arg
		}
	}
	if option && valued {
		return name + "=" + quote(value)
	}
	return quote(arg)
}

// asciiOption reports whether s is one or two hyphens and a name.
func asciiOption(s string) bool {
	name := strings.TrimPrefix(strings.TrimPrefix(s, "-"), "-")
	if name == s {
		return false
	}
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return name != ""
}
