package app

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"quarterdeck/bot"
)

// faults gathers what is wrong with a configuration, one line each.
type faults struct {
	file  string // name of the configuration file
	lines []string
}

// add takes every fault that err holds. One that does not say where it is, is
// at where, "config.toml:41".
func (f *faults) add(where string, err error) {
	for _, line := range linesOf(err) {
		if !strings.HasPrefix(line, f.file+":") {
			line = where + ": " + line
		}
		f.lines = append(f.lines, line)
	}
}

// err gives all faults as one error of kind Invalid, in the order of the file;
// nil when there are none. What has no line comes last.
func (f *faults) err() error {
	if len(f.lines) == 0 {
		return nil
	}
	slices.SortStableFunc(f.lines, func(a, b string) int {
		x, y := f.line(a), f.line(b)
		if (x == 0) != (y == 0) {
			return y - x
		}
		return x - y
	})
	return &bot.Error{Kind: bot.Invalid, Say: strings.Join(f.lines, "\n")}
}

// line gives the number of the line that a fault is on, 0 for none.
func (f *faults) line(s string) int {
	s = strings.TrimPrefix(s, f.file+":")
	number, _, _ := strings.Cut(s, ":")
	n, err := strconv.Atoi(number)
	if err != nil {
		return 0
	}
	return n
}

// linesOf gives the sentence of each fault in err, with its cause where it has
// one: whoever reads it is the operator. What was being done is left out, for
// it says nothing about the configuration.
func linesOf(err error) []string {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var lines []string
		for _, e := range joined.Unwrap() {
			lines = append(lines, linesOf(e)...)
		}
		return lines
	}
	var e *bot.Error
	if !errors.As(err, &e) || e.Say == "" {
		return strings.Split(err.Error(), "\n")
	}
	lines := strings.Split(e.Say, "\n")
	if e.Err != nil {
		lines[len(lines)-1] += " (" + e.Err.Error() + ")"
	}
	return lines
}
