package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"quarterdeck/bot"
)

// Fault is one thing that is wrong with a configuration.
type Fault struct {
	File   string // name of the file, as seen from the configuration's folder
	Line   int    // from 1; 0 when what is wrong is that something is missing
	Column int    // from 1, in bytes; 0 where Line is 0
	What   string // what is wrong
	Remedy string // what was expected, or the nearest match; may be ""

	top    string // the file's own key that it is under: "grant"; "" for none
	order  int    // place of the file among all
	header int    // line of the outermost header above it, 0 for none
}

// String gives the fault as one line: "config.toml:12: what; remedy".
func (f Fault) String() string {
	s := f.File
	if f.Line > 0 {
		s = fmt.Sprintf("%s:%d", s, f.Line)
	}
	s += ": " + f.What
	if f.Remedy != "" {
		s += "; " + f.Remedy
	}
	return s
}

// Errors is everything that is wrong with a configuration, in the order of the
// file. It is found with errors.As both as itself and as a *bot.Error of kind
// Invalid whose sentence has one line for each fault.
type Errors []Fault

// Error gives one fault a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, f := range e {
		lines[i] = f.String()
	}
	return strings.Join(Gather(lines), "\n")
}

// As presents the faults as one *bot.Error, for errors.As.
func (e Errors) As(target any) bool {
	t, ok := target.(**bot.Error)
	if ok {
		*t = &bot.Error{Op: "config.Load", Kind: bot.Invalid, Say: e.Error()}
	}
	return ok
}

// err gives the faults in the order of the file, what has no line last; nil
// when there are none.
func (e Errors) err() error {
	if len(e) == 0 {
		return nil
	}
	slices.SortStableFunc(e, func(a, b Fault) int {
		if (a.Line == 0) != (b.Line == 0) {
			return b.Line - a.Line
		}
		return cmp.Or(a.order-b.order, a.Line-b.Line, a.Column-b.Column)
	})
	return e
}
