package bot

import "context"

// Typed serves chat networks in which a command is no line of text but a name
// with typed options, such as Discord's slash commands. Safe for concurrent use;
// all of it follows the configuration that the bot works by now.
type Typed interface {
	// Verbs gives every command, in the order of help. Whoever may run which is
	// decided when one is run; what a network shows of them is no secret.
	Verbs() []Verb
	// Line gives the line that asks for a verb with these values, by the name of
	// the argument: the canonical one where the values are good, otherwise one
	// whose answer says what is wrong. Whatever a value holds, it stays the value
	// of its argument: it becomes no other argument and no option.
	Line(verb string, values map[string]string) string
	// Choices gives what the argument that is being typed may become, at most
	// Limit of them, best first: only what the account may know of and where it may
	// run the verb. It answers within what a network waits for choices (three
	// seconds), from memory alone but for the versions of a target.
	Choices(ctx context.Context, p Picking) []Choice
}

// Verb is one command as a network with typed commands offers it.
type Verb struct {
	Name    string // as typed: "deploy", "flag on"
	Summary string // one line, lower case, no full stop
	// Arguments are what it takes, the positional ones in their order and then the
	// options, which are Optional. One-time codes are not among them: what is typed
	// into a command is shown to others, so they are asked for by Forms.
	Arguments []Param
}

// Picking is an argument of a typed command that is being typed.
type Picking struct {
	Account  AccountID
	Standing Standing
	Channel  ChannelID
	Verb     string
	Values   map[string]string // of the other arguments, so far
	Argument string
	Typed    string // so far
	Limit    int
}

// Choice is one value that an argument may have.
type Choice struct {
	Value string // as it is entered
	Label string // as it is shown, which may say more: "#12 deploy shop v2 to prod: waits"
}
