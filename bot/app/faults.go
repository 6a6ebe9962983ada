package app

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/config"
)

// faults gathers what is wrong with a configuration, one line each.
type faults struct {
	files []string // as messages call them, the configuration first
	lines []string
}

// config is what is said of the configuration as a whole.
func (f *faults) config() string { return f.files[0] }

// add takes every fault that err holds. One that does not say where it is, is
// at where, "config.toml:41".
func (f *faults) add(where string, err error) {
	for _, line := range linesOf(err) {
		if file, _ := f.place(line); file < 0 {
			line = where + ": " + line
		}
		f.lines = append(f.lines, line)
	}
}

// addBound is add for a table that a service may have from its template.
func (f *faults) addBound(raw bot.Raw, err error) {
	shared, ok := raw.(interface{ Via() string })
	if !ok || shared.Via() == "" {
		f.add(raw.Where(), err)
		return
	}
	for _, line := range linesOf(err) {
		f.add(raw.Where(), bot.Errorf(bot.Invalid, "%s", config.FromTemplate(line, shared.Via())))
	}
}

// err gives all faults as one error of kind Invalid, in the order of the files;
// nil when there are none. What has no line comes last.
func (f *faults) err() error {
	if len(f.lines) == 0 {
		return nil
	}
	slices.SortStableFunc(f.lines, func(a, b string) int {
		inX, x := f.place(a)
		inY, y := f.place(b)
		if (x == 0) != (y == 0) {
			return y - x
		}
		return cmp.Or(inX-inY, x-y)
	})
	return &bot.Error{Kind: bot.Invalid, Say: strings.Join(config.Gather(f.lines), "\n")}
}

// place gives the index of the file that a fault is in, -1 for none, and the
// number of its line, 0 for none.
func (f *faults) place(s string) (file, line int) {
	for i, name := range f.files {
		rest, found := strings.CutPrefix(s, name+":")
		if !found {
			continue
		}
		number, _, _ := strings.Cut(rest, ":")
		if n, err := strconv.Atoi(number); err == nil {
			return i, n
		}
		return i, 0
	}
	return -1, 0
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
