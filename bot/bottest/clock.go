package bottest

import (
	"fmt"
	"sync"
	"time"

	"quarterdeck/bot"
)

var (
	_ bot.Clock = (*Clock)(nil)
	_ bot.IDs   = (*IDs)(nil)
)

// Clock is a bot.Clock that moves only when it is told to. Safe for concurrent
// use.
type Clock struct {
	mu   sync.Mutex
	now  time.Time
	step time.Duration
}

// NewClock makes a Clock that stands at t.
func NewClock(t time.Time) *Clock { return &Clock{now: t} }

// Now gives the time, and then moves on by the step that SetStep set.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.now
	c.now = c.now.Add(c.step)
	return t
}

// Set puts the clock to t.
func (c *Clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// Advance moves the clock by d and gives the new time.
func (c *Clock) Advance(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

// SetStep makes every later Now move the clock by d, so that no two are alike.
func (c *Clock) SetStep(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.step = d
}

// IDs is a bot.IDs that counts. Safe for concurrent use.
type IDs struct {
	prefix string

	mu sync.Mutex
	n  int
}

// NewIDs makes IDs that give prefix0001, prefix0002 and so on.
func NewIDs(prefix string) *IDs { return &IDs{prefix: prefix} }

// New gives the next identifier.
func (i *IDs) New() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.n++
	return fmt.Sprintf("%s%04d", i.prefix, i.n)
}
