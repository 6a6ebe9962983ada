package bot

import "context"

// InputKind says how one entry of a form is made.
type InputKind string

// The closed set of kinds of input.
const (
	InputText   InputKind = "text"   // one line, typed
	InputPick   InputKind = "pick"   // one of what Forms.Choices offers
	InputSwitch InputKind = "switch" // on or off; "true" when on
	InputCode   InputKind = "code"   // a one-time code of a second factor; never kept, never logged
)

// Input is one entry of a form. Every string in it is plain text.
type Input struct {
	Name     string // of the parameter or option that it fills: lower-case words with hyphens
	Label    string
	Hint     string
	Kind     InputKind
	Value    string // what is entered already
	Optional bool
}

// Form asks a person for what a line still lacks. A chat network shows it and
// hands what was entered to Forms.Entered.
type Form struct {
	// Token is opaque and bound on the server to the account that asked, to where
	// the answer goes and to the line or button; it is used up by the entries that
	// are taken, and expires.
	Token  string
	Title  string
	Text   string // a sentence above the inputs, "" for none
	Inputs []Input
	Submit string // what the button that sends it says
}

// Entry is what somebody entered into a form, so far or in the end. Account and
// Standing are taken from the payload that brought it, as those of a Message are.
type Entry struct {
	Token    string
	Account  AccountID
	Standing Standing
	// ID is the Message.ID of what is made of it. A network that delivers the same
	// entries twice must give them the same ID.
	ID     string
	Values map[string]string // by Input.Name; what is empty may be left out
}

// Forms gives forms to chat networks that can show them. Safe for concurrent
// use; Form and Choices answer within what a network allows for opening a form
// (three seconds).
type Forms interface {
	// Form gives the form that m, a line or a pressed button, needs before it can
	// be acted on, and false when it needs none, or nothing that its account may
	// know of: then m is handed to Inbound.Receive, which answers it. The message
	// is not in the inbox yet, and nothing is done with it.
	Form(ctx context.Context, m Message) (Form, bool)
	// Choices gives at most limit values for a pick, those that continue what is
	// typed so far, filtered by what the account may do; where a value need not be
	// one that is known, what is typed is among them. The ID of e is not used.
	Choices(ctx context.Context, e Entry, input, typed string, limit int) []string
	// Entered gives the message that the entries make, to be handed to
	// Inbound.Receive. faults say by input what is wrong with it, one sentence
	// each; then the form stays open and nothing was used up. Given the same ID
	// again it gives a message of that ID again, so that one which could not be
	// received is not lost and one that was is recognised. An error of kind
	// NotFound says that the form expired or was used, of kind Denied that it is
	// another's; any other that it can be tried again.
	Entered(ctx context.Context, e Entry) (m Message, faults map[string]string, err error)
}

// Home gives what an account sees when it opens the bot by itself: what waits
// for it, what is running, and what is live where, each as a card. It has the
// account's own rights and its reads are recorded like any other. Nil says that
// nothing new can be shown now.
type Home func(ctx context.Context, account AccountID, standing Standing) []Card
