package terminal

import (
	"slices"
	"strings"
	"sync"

	"quarterdeck/bot"
)

// maxRemembered bounds how many cards and lines a session remembers.
const maxRemembered = 4096

// asked is one line that was sent, and what is known about its answer.
type asked struct {
	n        int64
	as, line string
	first    chan struct{} // closed when answered
	answered bool          // at least one card came
	done     bool          // settled, or waiting for a person
	run      int64
	state    bot.RunState
	phase    bot.Phase
	outcome  bot.Outcome
	text     string // where it stands, as the last card said
}

// exit gives the code that says how the line ended.
func (a *asked) exit() int {
	if a.phase == bot.PhaseWaiting {
		return 4
	}
	switch a.outcome {
	case bot.OutcomeOK:
		return 0
	case bot.OutcomeFailed:
		return 1
	case bot.OutcomeInvalid:
		return 2
	case bot.OutcomeDenied:
		return 3
	case bot.OutcomeWaiting:
		return 4
	case bot.OutcomeUnknown:
		return 5
	}
	switch a.state {
	case "", bot.Succeeded:
		return 0
	case bot.Waiting:
		return 4
	case bot.Unknown:
		return 5
	}
	return 1
}

// conversation matches cards to lines. Its methods are safe for concurrent
// use; the fields of a line belong to whoever calls take.
type conversation struct {
	number func(message string) int64

	mu       sync.Mutex
	asked    map[int64]*asked
	order    []int64
	versions map[string]int64
	keys     []string
}

func newConversation(number func(string) int64) *conversation {
	return &conversation{number: number, asked: map[int64]*asked{}, versions: map[string]int64{}}
}

// expect notes that line n was sent.
func (c *conversation) expect(n int64, as, line string) *asked {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &asked{n: n, as: as, line: line, first: make(chan struct{})}
	c.asked[n] = a
	c.order = append(c.order, n)
	if len(c.order) > maxRemembered {
		delete(c.asked, c.order[0])
		c.order = c.order[1:]
	}
	return a
}

// take notes what a card answers, and reports whether it is news: the first or
// a higher version of its message.
func (c *conversation) take(card bot.Card) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	last, seen := c.versions[card.Key]
	if card.Key != "" && seen && card.Version < last {
		return false
	}
	fresh := card.Key == "" || !seen || card.Version > last
	if card.Key != "" {
		c.versions[card.Key] = card.Version
		if !seen {
			c.keys = append(c.keys, card.Key)
			if len(c.keys) > maxRemembered {
				delete(c.versions, c.keys[0])
				c.keys = c.keys[1:]
			}
		}
	}
	n := int64(0)
	if card.ReplyTo != "" {
		n = c.number(card.ReplyTo)
	}
	for _, a := range c.asked {
		if a.n != n && (card.Run == 0 || a.run != card.Run) {
			continue
		}
		if !a.answered {
			close(a.first)
		}
		a.answered, a.run, a.state, a.phase, a.outcome = true, card.Run, card.State, card.Phase, card.Outcome
		a.text = card.Text
		if card.Progress != nil {
			a.text = card.Progress.Text
		}
		if card.Phase != bot.PhaseWorking {
			a.done = true
		}
	}
	return fresh
}

// line gives the line that a card answers, "" where it answers none of this
// session's.
func (c *conversation) line(card bot.Card) string {
	n := int64(0)
	if card.ReplyTo != "" {
		n = c.number(card.ReplyTo)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if a, ok := c.asked[n]; ok {
		return a.line
	}
	return ""
}

// refuse notes that line n never reached the bot.
func (c *conversation) refuse(n int64, o bot.Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.asked[n]
	if !ok {
		return
	}
	if !a.answered {
		close(a.first)
	}
	a.answered, a.done, a.outcome, a.phase = true, true, o, bot.PhaseDone
}

// answers are the commands about a run that exists; their cards are of runs
// that somebody may have asked for elsewhere.
var answers = map[string]bool{"confirm": true, "approve": true, "deny": true, "cancel": true, "review": true, "run": true, "runs": true}

// unsettled gives the lines that made a run which still waits for a person,
// oldest first.
func (c *conversation) unsettled() []*asked {
	c.mu.Lock()
	defer c.mu.Unlock()
	var open []*asked
	for _, a := range c.asked {
		verb, _, _ := strings.Cut(strings.ToLower(a.line), " ")
		if a.run > 0 && a.phase == bot.PhaseWaiting && !answers[verb] {
			open = append(open, a)
		}
	}
	slices.SortFunc(open, func(a, b *asked) int { return int(a.n - b.n) })
	return slices.CompactFunc(open, func(a, b *asked) bool { return a.run == b.run })
}
