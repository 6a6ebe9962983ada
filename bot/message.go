package bot

import (
	"context"
	"time"
)

// Message is what an adapter received: one line typed or one button pressed.
// It is stored in the inbox before the network is given its acknowledgement.
type Message struct {
	// ID is the delivery key. A network that delivers the same thing twice
	// must give it the same ID; the ID starts with the network's name.
	ID       string    `json:"id"`
	Account  AccountID `json:"account"`
	Standing Standing  `json:"standing"`
	Channel  ChannelID `json:"channel"`
	Thread   string    `json:"thread,omitempty"`
	// Text is the line as typed, without the mention or slash command that
	// addressed the bot. Empty when Press is set.
	Text string `json:"text,omitempty"`
	// Press is the opaque token of the button that was pressed, or "".
	Press string `json:"press,omitempty"`
	// On is the network's reference of the message that the pressed button was
	// on, as Chat.Deliver gave it; OnHome for what the account sees when it opens
	// the bot by itself; "" where the network does not say.
	On string `json:"on,omitempty"`
	// Bound is the digest of the run that the account was shown when it was asked
	// for what Text answers, "" where it was shown none. The line does nothing for
	// a run that has another by then.
	Bound string `json:"bound,omitempty"`
	// Code is a one-time code of a second factor that came with the message. It
	// is checked when the message is received and never stored; what came of it
	// is Factor.
	Code string `json:"-"`
	// Factor says which second factor was shown with this message. Set by who
	// receives the message, never by an adapter.
	Factor Factor `json:"factor,omitempty"`
	// Aside says that it was said where nobody else sees it, on a network whose
	// configuration has nothing changed from there: only what changes nothing is
	// run.
	Aside bool `json:"aside,omitempty"`
	// Edited marks an edit of, or an unfurl added to, an earlier message. It
	// never runs anything.
	Edited   bool      `json:"edited,omitempty"`
	Received time.Time `json:"received"`
	// Until is when the message is too old to be acted on, where that is not soon
	// after it was received: what the clock asks for is late rather than lost. No
	// adapter sets it.
	Until time.Time `json:"until,omitzero"`
	// Seal marks the stored message as written by the bot; adapters leave it
	// empty.
	Seal string `json:"seal,omitempty"`
}

// OnHome is Message.On of a button of the account's Home, which the network shows
// to nobody else.
const OnHome = "home"

// Factor is what came of the code of a second factor that a message brought.
// Values are persisted in messages, runs and records.
type Factor string

// The closed set of factors.
const (
	NoFactor   Factor = ""     // no code came, or none that could be checked
	FactorTOTP Factor = "totp" // a code of the person's authenticator, good and used up with this message
	// FactorNew is a good code of an authenticator that is being enrolled. It
	// shows that the enrolment works, and nothing else.
	FactorNew    Factor = "new totp"
	FactorWrong  Factor = "wrong"        // the code was none
	FactorUsed   Factor = "used"         // the code was good, and used before
	FactorLocked Factor = "locked"       // too many codes were wrong; this one was not looked at
	FactorNone   Factor = "not enrolled" // there is nothing to check a code against
	FactorLost   Factor = "unreadable"   // what is kept of the person cannot be read with the key there is
)

// Shown reports whether a second factor of the person was shown.
func (f Factor) Shown() bool { return f == FactorTOTP }

// Refused reports whether a code came that did not hold.
func (f Factor) Refused() bool { return f == FactorWrong || f == FactorUsed || f == FactorLocked }

// Confidential is implemented by a Chat that can say something to one account so
// that nobody else can read it, now or later in the place where it was asked.
// What no other account may see, such as a secret, is only said that way.
type Confidential interface {
	// Confide hands d.Card to the account d.To alone, at once or not at all. It is
	// not tried again and nothing of the card is kept or logged; d.Channel is where
	// it was asked for, which need not be where it is said. Its errors are *Error.
	Confide(ctx context.Context, d Delivery) error
}

// Direct is implemented by a Chat that can write to one account by itself.
type Direct interface {
	// DirectTo gives, without I/O, the channel in which what is delivered reaches
	// the account alone; ok is false for one that cannot be reached so.
	DirectTo(account AccountID) (channel ChannelID, ok bool)
}

// Receipt is what an adapter needs for its acknowledgement, known from memory
// alone within the networks' three seconds.
type Receipt struct {
	Duplicate bool // seen before: acknowledge and say nothing
	Private   bool // the answer is for the asker's eyes only
}

// Inbound takes what an adapter received. Receive returns once the message is
// durable; an error means that it is not and the network should deliver it
// again. Safe for concurrent use.
type Inbound interface {
	Receive(ctx context.Context, m Message) (Receipt, error)
}

// Chat is one chat network. Implementations are safe for concurrent use.
//
// Run receives until ctx ends, handing each message to in, and returns nil
// then; it returns an error only for what a restart of the connection cannot
// mend (a revoked token).
//
// Deliver posts d.Card, or edits the message d.Ref in place when that is not
// empty, and gives the network's reference for later edits and threads. Its
// errors are *Error: Unavailable, Busy and Timeout are tried again (after
// RetryAfter when set); any other kind is permanent.
type Chat interface {
	Network() string
	Run(ctx context.Context, in Inbound) error
	Deliver(ctx context.Context, d Delivery) (ref string, err error)
}

// Delivery is one card on its way to one place.
type Delivery struct {
	Channel ChannelID
	Thread  string    // the network's reference of the thread's first message; "" for the channel
	To      AccountID // when set, only this account may see it
	Ref     string    // the message to edit; "" posts a new one
	Card    Card
}

// Linker is implemented by a Chat that can give a link to a message it posted,
// from its reference alone and without I/O; "" where it cannot.
type Linker interface {
	LinkTo(ref string) string
}
