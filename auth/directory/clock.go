package directory

import (
	"slices"

	"quarterdeck/bot"
)

// Clocked gives the directory with the principals by which the clock asks for
// something, such as "digest:daily". They are no persons: they have one account
// each, hold no roles and are members of nothing, so that they may do what a rule
// names them for and nothing else.
func (d *Directory) Clocked(principals []string) *Directory {
	with := *d
	with.clock = slices.Clone(principals)
	return &with
}

// Principals lists them in the order in which they were given.
func (d *Directory) Principals() []string { return slices.Clone(d.clock) }

// ofClock gives the identity of an account of the clock. One whose entry is no
// longer configured is nobody's.
func (d *Directory) ofClock(who bot.Identity) bot.Identity {
	for _, p := range d.clock {
		if who.Account == bot.ClockAccount(p) {
			who.Person = p
			return who
		}
	}
	who.Standing = bot.Unvouched
	return who
}
