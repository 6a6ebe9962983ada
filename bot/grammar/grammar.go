// Package grammar reads the chat grammar: one line of text in, one command with
// checked and canonical arguments out, or a sentence that says what was wrong,
// what was expected and what was probably meant. Usage lines, help, completion
// and the fields of chat networks' forms come from the same declarations.
//
// The package is pure: it does no I/O, keeps nothing between calls and decides
// nothing about rights. Whoever calls it says which commands a person may know
// of; a command that is hidden from them is, in hints, help and completion, as
// if it did not exist.
package grammar

import (
	"errors"
	"strings"

	"quarterdeck/bot"
)

// MaxLine is the length in bytes of the longest line that is read.
const MaxLine = 4096

// Words are the names that arguments are checked against and completed from.
// Any list may be empty, and then no name of that sort is known and every one
// is refused. Lists are read, never changed. The provider Catalog has the first
// two. Implementations are called from memory during every parse, so they must
// be quick, and safe for as many callers as the Grammar has.
type Words interface {
	// Services lists the services of the catalog.
	Services() []string
	// Environments lists the environments of a service in the order in which
	// they are shown; of all services when service is "".
	Environments(service string) []string
	// Persons lists the declared persons.
	Persons() []string
}

// Grammar reads lines for one table of commands. It never changes, so it is
// safe for concurrent use as far as its Words are.
type Grammar struct {
	commands []bot.Command
	words    Words // all there is
	told     Words // what may be told of it
	longest  int   // words in the longest command name
}

// New makes a Grammar of a table of commands, which is shown in its order. It
// refuses a table that is ambiguous or incomplete with one Error of kind
// Invalid per fault, joined.
func New(commands []bot.Command, words Words) (*Grammar, error) {
	faults := check(commands)
	if words == nil {
		faults = append(faults, errors.New("the grammar needs words"))
	}
	if len(faults) > 0 {
		joined := make([]error, 0, len(faults))
		for _, fault := range faults {
			joined = append(joined, &bot.Error{Op: "grammar", Kind: bot.Invalid, Say: fault.Error()})
		}
		return nil, errors.Join(joined...)
	}
	g := &Grammar{commands: append([]bot.Command(nil), commands...), words: words, told: words, longest: 1}
	for _, c := range commands {
		g.longest = max(g.longest, len(strings.Fields(c.Name)))
	}
	return g, nil
}

// Telling gives the same grammar for somebody to whom no other names than these
// are told, in hints, lists and completions. Whoever types another name that
// there is is understood all the same; what they may do there is not the
// grammar's to say.
func (g *Grammar) Telling(words Words) *Grammar {
	narrow := *g
	narrow.told = words
	return &narrow
}

// Commands gives the commands for which visible is true, in the table's order;
// all of them when visible is nil.
func (g *Grammar) Commands(visible func(bot.Command) bool) []bot.Command {
	var seen []bot.Command
	for _, c := range g.commands {
		if visible == nil || visible(c) {
			seen = append(seen, c)
		}
	}
	return seen
}

// Lookup gives the command of that name, whatever its case.
func (g *Grammar) Lookup(name string) (bot.Command, bool) {
	return find(g.commands, strings.Join(strings.Fields(name), " "))
}

// find gives the command whose name is the given one, whatever its case.
func find(commands []bot.Command, name string) (bot.Command, bool) {
	for _, c := range commands {
		if strings.EqualFold(c.Name, name) {
			return c, true
		}
	}
	return bot.Command{}, false
}
