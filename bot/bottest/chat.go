package bottest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"quarterdeck/bot"
)

var _ bot.Chat = (*FakeChat)(nil)

// patience bounds every wait; it is far more than a loaded machine needs.
const patience = 30 * time.Second

// Post is one message that the bot posted, as it stands now.
type Post struct {
	Ref     string
	Channel bot.ChannelID
	Thread  string
	To      bot.AccountID // the only account that sees it; "" for all
	Card    bot.Card      // the newest version
	Edits   int           // how often it was edited
}

// Said is one message that a person sent, and the acknowledgement it got.
type Said struct {
	ID      string
	Receipt bot.Receipt
}

// FakeChat is a chat network that does everything right the first time. It
// passes messages on as they are said and keeps what the bot posts. Safe for
// concurrent use.
type FakeChat struct {
	network string
	clock   bot.Clock
	started chan struct{}

	mu        sync.Mutex
	in        bot.Inbound
	sent      int
	said      map[string]bot.Message
	standings map[bot.AccountID]bot.Standing
	posts     []*Post
	tokens    map[string]map[string]bool // by card key: the tokens of all versions
	changed   chan struct{}              // closed and replaced at every post
}

// NewFakeChat makes a friendly network with this name.
func NewFakeChat(network string, clock bot.Clock) *FakeChat {
	return &FakeChat{network: network, clock: clock, started: make(chan struct{}), said: map[string]bot.Message{},
		standings: map[bot.AccountID]bot.Standing{}, tokens: map[string]map[string]bool{}, changed: make(chan struct{})}
}

// Network gives the network's name.
func (c *FakeChat) Network() string { return c.network }

// Main is the channel that everybody talks in.
func (c *FakeChat) Main() bot.ChannelID { return bot.ChannelID(c.network + ":main") }

// Run lets people talk to in until ctx ends. It may run again after that, as
// when the bot was restarted.
func (c *FakeChat) Run(ctx context.Context, in bot.Inbound) error {
	c.mu.Lock()
	started := c.started
	c.in = in
	close(started)
	c.mu.Unlock()
	<-ctx.Done()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in = nil
	c.started = make(chan struct{})
	return nil
}

// SetStanding says what the network vouches for about an account from now on;
// without it every account is a member.
func (c *FakeChat) SetStanding(a bot.AccountID, s bot.Standing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.standings[a] = s
}

// Deliver posts, or edits the post that d.Ref names, which must exist.
func (c *FakeChat) Deliver(ctx context.Context, d bot.Delivery) (string, error) {
	if d.Channel.Network() != c.network {
		return "", bot.Errorf(bot.Invalid, "%s is not a channel of %s", d.Channel, c.network)
	}
	if i := d.Card.Image; i != nil {
		if err := i.Check(); err != nil {
			return "", err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.post(d)
}

// post keeps a card; c.mu is held.
func (c *FakeChat) post(d bot.Delivery) (string, error) {
	tokens := c.tokens[d.Card.Key]
	if tokens == nil {
		tokens = map[string]bool{}
		c.tokens[d.Card.Key] = tokens
	}
	for _, b := range d.Card.Buttons {
		tokens[b.Token] = true
	}
	if d.Ref == "" {
		p := &Post{Ref: fmt.Sprintf("post-%d", len(c.posts)+1), Channel: d.Channel, Thread: d.Thread, To: d.To, Card: d.Card}
		c.posts = append(c.posts, p)
		c.announce()
		return p.Ref, nil
	}
	i := slices.IndexFunc(c.posts, func(p *Post) bool { return p.Ref == d.Ref })
	if i < 0 {
		return "", bot.Errorf(bot.NotFound, "there is no message %s to edit", d.Ref)
	}
	p := c.posts[i]
	p.Edits++
	p.Card = d.Card
	c.announce()
	return p.Ref, nil
}

func (c *FakeChat) announce() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// Send hands one message to the bot as it is, once the bot runs.
func (c *FakeChat) Send(ctx context.Context, m bot.Message) (bot.Receipt, error) {
	in, err := c.running(ctx)
	if err != nil {
		return bot.Receipt{}, fmt.Errorf("send %q: %w", m.Text, err)
	}
	c.mu.Lock()
	c.said[m.ID] = m
	c.mu.Unlock()
	return in.Receive(ctx, m)
}

// running waits for the bot to run.
func (c *FakeChat) running(ctx context.Context) (bot.Inbound, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		c.mu.Lock()
		in, started := c.in, c.started
		c.mu.Unlock()
		if in != nil {
			return in, nil
		}
		select {
		case <-started:
		case <-ctx.Done():
			return nil, fmt.Errorf("the bot does not run: %w", ctx.Err())
		}
	}
}

// compose makes the next message of an account.
func (c *FakeChat) compose(a bot.AccountID) bot.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent++
	standing, ok := c.standings[a]
	if !ok {
		standing = bot.Member
	}
	return bot.Message{ID: fmt.Sprintf("%s:main:%d", c.network, c.sent), Account: a, Standing: standing,
		Channel: c.Main(), Received: c.clock.Now()}
}

// Say has an account type a line in the main channel.
func (c *FakeChat) Say(ctx context.Context, a bot.AccountID, text string) (Said, error) {
	m := c.compose(a)
	m.Text = text
	r, err := c.Send(ctx, m)
	return Said{ID: m.ID, Receipt: r}, err
}

// Press has an account press a button.
func (c *FakeChat) Press(ctx context.Context, a bot.AccountID, token string) (Said, error) {
	m := c.compose(a)
	m.Press, m.On = token, c.showing(token)
	r, err := c.Send(ctx, m)
	return Said{ID: m.ID, Receipt: r}, err
}

// showing gives the reference of the newest post whose card has, or had, the
// button; "" when there is none.
func (c *FakeChat) showing(token string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range slices.Backward(c.posts) {
		if c.tokens[p.Card.Key][token] {
			return p.Ref
		}
	}
	return ""
}

// PressOn has an account press a button on a message of its choice, as somebody
// does who copied it there; channel "" is the main one.
func (c *FakeChat) PressOn(ctx context.Context, a bot.AccountID, token string, channel bot.ChannelID, on string) (Said, error) {
	m := c.compose(a)
	m.Press, m.On = token, on
	if channel != "" {
		m.Channel = channel
	}
	r, err := c.Send(ctx, m)
	return Said{ID: m.ID, Receipt: r}, err
}

// Edit has an account change a message it sent earlier to another text; the
// network reports that as a message of its own, marked as an edit.
func (c *FakeChat) Edit(ctx context.Context, a bot.AccountID, text string) (Said, error) {
	m := c.compose(a)
	m.Text, m.Edited = text, true
	r, err := c.Send(ctx, m)
	return Said{ID: m.ID, Receipt: r}, err
}

// Redeliver hands a message to the bot once more, as a network does that did
// not see the acknowledgement.
func (c *FakeChat) Redeliver(ctx context.Context, id string) (Said, error) {
	c.mu.Lock()
	m, ok := c.said[id]
	c.mu.Unlock()
	if !ok {
		return Said{}, fmt.Errorf("nobody said %s", id)
	}
	r, err := c.Send(ctx, m)
	return Said{ID: id, Receipt: r}, err
}

// Posts gives everything that was posted, oldest first, as it stands now.
func (c *FakeChat) Posts() []Post {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.snapshot()
}

func (c *FakeChat) snapshot() []Post {
	posts := make([]Post, len(c.posts))
	for i, p := range c.posts {
		posts[i] = *p
	}
	return posts
}

// Wait gives the newest post for which ok holds, as soon as there is one. The
// error names what was waited for and what was there instead.
func (c *FakeChat) Wait(ctx context.Context, what string, ok func(Post) bool) (Post, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		c.mu.Lock()
		posts, changed := c.snapshot(), c.changed
		c.mu.Unlock()
		for _, p := range slices.Backward(posts) {
			if ok(p) {
				return p, nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Post{}, fmt.Errorf("waited for %s: %w; posted so far:%s", what, ctx.Err(), describe(posts))
		}
	}
}

// Answer waits for the answer to a message that is not under way any more:
// settled, or waiting for a person.
func (c *FakeChat) Answer(ctx context.Context, id string) (Post, error) {
	return c.Wait(ctx, "the answer to "+id, func(p Post) bool { return Answers(p, id) })
}

// Answers reports whether a post is the answer to the message id and not under
// way any more: settled, or waiting for a person.
func Answers(p Post, id string) bool {
	return p.Card.ReplyTo == id && p.Card.Phase != bot.PhaseWorking
}

// WaitRun waits for a card that shows the run in one of these states.
func (c *FakeChat) WaitRun(ctx context.Context, number int64, states ...bot.RunState) (Post, error) {
	return c.Wait(ctx, fmt.Sprintf("run %d to be %v", number, states), func(p Post) bool {
		return p.Card.Run == number && slices.Contains(states, p.Card.State)
	})
}

// Stale gives the tokens that earlier versions of a card had and its present
// one has not, in no order that means anything.
func (c *FakeChat) Stale(key string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	current := map[string]bool{}
	for _, p := range c.posts {
		if p.Card.Key == key {
			for _, b := range p.Card.Buttons {
				current[b.Token] = true
			}
		}
	}
	var stale []string
	for token := range c.tokens[key] {
		if !current[token] {
			stale = append(stale, token)
		}
	}
	slices.Sort(stale)
	return stale
}

func describe(posts []Post) string {
	if len(posts) == 0 {
		return " nothing"
	}
	var b strings.Builder
	for _, p := range posts[max(0, len(posts)-10):] {
		fmt.Fprintf(&b, "\n  %s to %s %s: %q %q (run %d %s, phase %q, outcome %q, reply to %q)", p.Card.Key, p.Channel, p.To,
			p.Card.Title, p.Card.Text, p.Card.Run, p.Card.State, p.Card.Phase, p.Card.Outcome, p.Card.ReplyTo)
	}
	return b.String()
}
