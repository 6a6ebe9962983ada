package provider

import "quarterdeck/bot"

// Invocation is the body of the Specs that an Actor executes: one use of a verb
// of the team's own, absolute and immutable. Values are canonical text by
// argument name, as in [bot.Args]; an argument that was left out and has no
// default has none.
type Invocation struct {
	Action string            `json:"action"`
	Target bot.Target        `json:"target,omitzero"`
	Values map[string]string `json:"values,omitempty"`
}

// Actor executes one verb of the team's own, on any target. Safe for concurrent
// use. Begin refuses an Invocation of another action, and values that could be
// taken for something else than a value, with an Error of kind Invalid. A value
// reaches the other side as data: never through a shell, and never as an option
// of the program that is called.
type Actor interface {
	bot.Operation[Invocation]
}

// ActionArgument is what a binding is told of one argument.
type ActionArgument struct {
	Name     string
	Optional bool // it may be left out, and then has no value
	Signed   bool // its value may begin with a minus sign
	Target   bool // it is what Invocation.Target holds, "shop/prod"
}

// ActionShape is what a binding is told of the action that it is for.
type ActionShape struct {
	Name      string
	Arguments []ActionArgument
}

// ActionBinder is a Provider that can bind an Actor to an action from the
// action's run table. The binding is checked offline.
type ActionBinder interface {
	BindAction(s ActionShape, raw Raw) (Actor, error)
}
