package bot

import (
	"slices"
	"strconv"
)

// Tone is how a card should look at a glance.
type Tone string

// The closed set of tones.
const (
	Plain    Tone = ""
	Working  Tone = "working"
	Good     Tone = "good"
	Warning  Tone = "warning"
	Bad      Tone = "bad"
	Question Tone = "question"
)

// Phase says whether more is to come on the same card; a piped session goes
// on to its next line when the phase is no longer PhaseWorking.
type Phase string

// The closed set of phases.
const (
	PhaseDone    Phase = ""        // the answer is complete
	PhaseWorking Phase = "working" // the run behind the card is under way
	PhaseWaiting Phase = "waiting" // the run waits for a person
)

// Outcome is how the thing behind a card stands, for exit codes and colours.
type Outcome string

// The closed set of outcomes; the command line's exit codes follow from them.
const (
	OutcomeOK      Outcome = "ok"
	OutcomeFailed  Outcome = "failed"
	OutcomeInvalid Outcome = "invalid"
	OutcomeDenied  Outcome = "denied"
	OutcomeWaiting Outcome = "waiting"
	OutcomeUnknown Outcome = "unknown"
)

// Card is a chat-neutral answer; each adapter renders it. Every string in it is
// plain text: the adapter escapes it for its network. One operation is one
// card: cards with the same Key are one message, edited in place, and the
// highest Version wins.
type Card struct {
	Key      string   `json:"key"`
	Version  int64    `json:"version"`
	ReplyTo  string   `json:"reply_to,omitempty"` // Message.ID this answers
	Run      int64    `json:"run,omitempty"`
	State    RunState `json:"state,omitempty"`
	Phase    Phase    `json:"phase,omitempty"`
	Outcome  Outcome  `json:"outcome,omitempty"`
	Tone     Tone     `json:"tone,omitempty"`
	Title    string   `json:"title,omitempty"`
	Text     string   `json:"text,omitempty"` // sentences; lines separated by \n
	Fields   []Field  `json:"fields,omitempty"`
	Table    *Table   `json:"table,omitempty"`
	Progress *Gauge   `json:"progress,omitempty"`
	Lines    []string `json:"lines,omitempty"` // the newest few lines of the operation's own output
	Buttons  []Button `json:"buttons,omitempty"`
	Footer   string   `json:"footer,omitempty"`
	Link     string   `json:"link,omitempty"`
	// About is another card that this one tells of. Where Link is empty and the
	// network can link to where that card is shown, the outbox puts it there.
	About *Shown `json:"about,omitempty"`
	Image *Image `json:"image,omitempty"`
	// Mention are accounts that the network is to draw attention of, where it can;
	// those of other networks are passed over. An edit draws nobody's.
	Mention []AccountID `json:"mention,omitempty"`
	// Rest marks a card that shows what another one's message did not; see
	// Spiller.
	Rest bool `json:"rest,omitempty"`
}

// Each gives the card with f applied to every text of it that is shown; keys,
// numbers and the buttons' tokens stay. c and what it points to are not changed.
func (c Card) Each(f func(string) string) Card {
	all := func(list []string) []string {
		out := slices.Clone(list)
		for i, s := range out {
			out[i] = f(s)
		}
		return out
	}
	c.Title, c.Text, c.Footer, c.Link, c.Lines = f(c.Title), f(c.Text), f(c.Footer), f(c.Link), all(c.Lines)
	c.Fields, c.Buttons = slices.Clone(c.Fields), slices.Clone(c.Buttons)
	for i := range c.Fields {
		c.Fields[i].Value = f(c.Fields[i].Value)
	}
	for i := range c.Buttons {
		c.Buttons[i].Line = f(c.Buttons[i].Line)
	}
	if c.Table != nil {
		t := Table{Columns: c.Table.Columns, Rows: make([][]string, len(c.Table.Rows))}
		for i, row := range c.Table.Rows {
			t.Rows[i] = all(row)
		}
		c.Table = &t
	}
	if c.Progress != nil {
		g := *c.Progress
		g.Text = f(g.Text)
		c.Progress = &g
	}
	if c.Image != nil {
		i := *c.Image
		i.Alt, i.Lines = f(i.Alt), all(i.Lines)
		c.Image = &i
	}
	return c
}

// RunCardKey gives the key of the card of a run.
func RunCardKey(number int64) string { return "run/" + strconv.FormatInt(number, 10) }

// Shown names one card in one channel.
type Shown struct {
	Channel ChannelID `json:"channel"`
	Key     string    `json:"key"`
}

// Field is one labelled value.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Table is rows under column headings; every row has as many cells as Columns.
type Table struct {
	Columns []string   `json:"columns"`
	Rows    [][]string `json:"rows"`
}

// Gauge is how far an operation is. Percent is nil where the provider does not
// say; it is never guessed.
type Gauge struct {
	Percent *int   `json:"percent,omitempty"`
	Text    string `json:"text,omitempty"`
}

// Button offers one line to be run by whoever presses it, with that person's
// own rights. Token is opaque and bound on the server to the run, the line and
// an expiry; it works once. Line is what a network without buttons shows to be
// typed.
type Button struct {
	Label  string `json:"label"`
	Line   string `json:"line"`
	Token  string `json:"token,omitempty"`
	Danger bool   `json:"danger,omitempty"`
	// Code says that the line takes a one-time code of whoever sends it. A network
	// that has forms asks for it; others say to type it behind the line.
	Code bool `json:"code,omitempty"`
	// Twice has a network that can ask whoever presses it once more.
	Twice bool `json:"twice,omitempty"`
	// Not is the account that would be refused, "" for none: a network that
	// shows the card to that one alone leaves the button out.
	Not AccountID `json:"not,omitempty"`
}

// Reply is what a command answers: the card, without key and addresses, which
// the router fills in, and whether only the asker should see it.
type Reply struct {
	Card    Card
	Private bool
}
