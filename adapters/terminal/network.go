package terminal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/sourcegraph/conc"
	"github.com/sourcegraph/conc/panics"

	"quarterdeck/bot"
)

const (
	// maxSessions bounds how many clients are connected at once.
	maxSessions = 64
	// deliverWithin is how long a client may take to say that it got a card;
	// one that takes longer is disconnected.
	deliverWithin = 3 * time.Second
	// writeWithin bounds one write to a client.
	writeWithin = 2 * time.Second
	// returnsWithin is how long after a session or the bot went away its
	// return is expected at any moment, so that cards are tried again soon.
	returnsWithin = 30 * time.Second
	// retrySoon is when a card for such a session is tried again.
	retrySoon = 300 * time.Millisecond
	// keptFor is how long a card waits for a session that went away: one that
	// has not come back by then was closed.
	keptFor = 10 * time.Minute
	// acceptTries bounds how often in a row accepting may fail.
	acceptTries = 100
)

// Type gives the row "terminal" for the table of chat networks. Its table
// [chat.terminal] has one key: impersonate, false by default.
func Type() bot.ChatType { return bot.ChatType{Name: "terminal", Open: Open, NoRule: noRule} }

// noRule refuses every channel but all of them: a session's is made anew each
// time, so that none can be known beforehand.
func noRule(c bot.ChannelID) string {
	if c.Local() == "*" {
		return ""
	}
	return `is no session's: sessions have no names, so the rule would never hold; write "terminal:*" for all of them`
}

// Settings is the [chat.terminal] table.
type Settings struct {
	// Impersonate lets a client name the account "terminal:NAME" that a line
	// is from. Only for demonstrations and tests: it makes everybody who may
	// open the socket anybody.
	Impersonate bool `toml:"impersonate"`
}

// Open makes the network from its table, which may be absent (a nil Raw).
func Open(o bot.ChatOptions) (bot.Chat, error) {
	var s Settings
	if o.Raw != nil {
		if err := o.Raw.Decode(&s); err != nil {
			return nil, err
		}
	}
	return New(Options{Socket: o.Socket, Group: o.SocketGroup, Impersonate: s.Impersonate, Version: o.Version, Clock: o.Clock, Logger: o.Logger,
		Complete: o.Complete, Describe: o.Describe})
}

// Options is what a Network works with.
type Options struct {
	Socket      string // path of the Unix socket
	Group       string // name of a group that may open it beside its owner; "" for none
	Impersonate bool   // see Settings
	Version     string // the bot's, told to clients
	Clock       bot.Clock
	Logger      *slog.Logger
	// Complete gives the completions of a half-typed line, each a whole line;
	// nil for none.
	Complete func(ctx context.Context, account bot.AccountID, line string) []string
	// Describe says in a few words who an account is; nil for the account's
	// own name. Its first word becomes the prompt.
	Describe func(ctx context.Context, account bot.AccountID) string
}

// Network is the terminal as a bot.Chat. Make it with New. Safe for concurrent
// use; Run may be called once.
type Network struct {
	o         Options
	listening chan struct{}

	mu       sync.Mutex
	opened   time.Time
	sessions map[bot.ChannelID]*peer
	left     map[bot.ChannelID]time.Time // sessions that went away lately
}

// New makes a Network; the socket is made by Run. A path that cannot be a
// socket's is an Error of kind Invalid.
func New(o Options) (*Network, error) {
	if err := checkPath(o.Socket); err != nil {
		return nil, err
	}
	if o.Clock == nil {
		o.Clock = bot.SystemClock{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Network{o: o, listening: make(chan struct{}), sessions: map[bot.ChannelID]*peer{}, left: map[bot.ChannelID]time.Time{}}, nil
}

// Network gives "terminal".
func (n *Network) Network() string { return "terminal" }

// Kept is how long a card waits for its session to come back.
func (n *Network) Kept() time.Duration { return keptFor }

// Has reports whether the session is connected here, and not to another replica
// or to none.
func (n *Network) Has(c bot.ChannelID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sessions[c] != nil
}

// Listening is closed when the socket takes connections.
func (n *Network) Listening() <-chan struct{} { return n.listening }

// Run listens on the socket and hands the lines of every session to in until
// ctx ends; then it disconnects everybody, removes the socket and gives nil.
// Another live bot on the socket is an Error of kind Conflict, a path or a group
// that cannot be used one of kind Invalid.
func (n *Network) Run(ctx context.Context, in bot.Inbound) error {
	l, err := listen(ctx, n.o.Socket, n.o.Group)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	var sessions conc.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer sessions.Wait()
	defer cancel()
	defer l.Close()
	stop := context.AfterFunc(ctx, func() { l.UnixListener.Close() })
	defer stop()
	n.mu.Lock()
	n.opened = n.o.Clock.Now()
	n.mu.Unlock()
	close(n.listening)

	places := make(chan struct{}, maxSessions)
	for failures := 0; ; {
		conn, err := l.AcceptUnix()
		if ctx.Err() != nil {
			if conn != nil {
				conn.Close()
			}
			return nil
		}
		if err != nil {
			failures++
			if failures >= acceptTries || errors.Is(err, net.ErrClosed) {
				return &bot.Error{Op: "terminal.accept", Kind: bot.Internal, Say: "the terminal's socket takes no connections any more", Err: err}
			}
			n.o.Logger.Error("accept a terminal session", "err", err)
			if !pause(ctx, 100*time.Millisecond) {
				return nil
			}
			continue
		}
		failures = 0
		select {
		case places <- struct{}{}:
		default:
			_ = writeLine(conn, response{Type: sayBye, Kind: bot.Busy, Say: fmt.Sprintf("%d sessions are open, which is the most there can be; close one", maxSessions)}, writeWithin)
			conn.Close()
			continue
		}
		sessions.Go(func() {
			defer func() { <-places }()
			defer conn.Close()
			if caught := panics.Try(func() { n.serve(ctx, in, conn) }); caught != nil {
				n.o.Logger.Error("panic in a terminal session", "err", caught.AsError())
			}
		})
	}
}

// pause waits for d and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// Deliver sends the card to the session and returns when its client has it.
// A session that is not connected is Unavailable, with RetryAfter while its
// return is to be expected. A private card for an account that the session does
// not speak for is Denied. The reference is the card's key.
func (n *Network) Deliver(ctx context.Context, d bot.Delivery) (string, error) {
	if d.Channel.Network() != n.Network() {
		return "", bot.Errorf(bot.Invalid, "%s is no terminal session", d.Channel)
	}
	p, soon := n.session(d.Channel)
	if p == nil {
		err := bot.Errorf(bot.Unavailable, "the session %s is not connected", d.Channel)
		if soon {
			err.RetryAfter = retrySoon
		}
		return "", err
	}
	if d.To != "" && !p.speaksFor(d.To) {
		return "", bot.Errorf(bot.Denied, "the session %s is not one of %s", d.Channel, d.To)
	}
	d.Card.Buttons = slices.DeleteFunc(slices.Clone(d.Card.Buttons), func(b bot.Button) bool { return p.isOnly(b.Not) })
	for i := range d.Card.Buttons {
		d.Card.Buttons[i].Not = "" // that was for here
	}
	id, got := p.expect()
	defer p.forget(id)
	raw, err := json.Marshal(response{Type: sayCard, N: id, Thread: d.Thread, Card: &d.Card})
	if err != nil {
		return "", &bot.Error{Op: "terminal.deliver", Kind: bot.Internal, Err: err}
	}
	if len(raw) >= maxResponse {
		return "", bot.Errorf(bot.Invalid, "the card has %d bytes and at most %d are possible in the terminal", len(raw), maxResponse)
	}
	if !p.send(append(raw, '\n')) {
		return "", bot.Errorf(bot.Unavailable, "the session %s does not keep up", d.Channel)
	}
	t := time.NewTimer(deliverWithin)
	defer t.Stop()
	select {
	case <-got:
		if d.Card.Key != "" {
			return d.Card.Key, nil
		}
		return fmt.Sprintf("card-%d", id), nil
	case <-p.gone.Done():
		return "", &bot.Error{Op: "terminal.deliver", Kind: bot.Unavailable, Say: fmt.Sprintf("the session %s went away", d.Channel), RetryAfter: retrySoon}
	case <-ctx.Done():
		return "", &bot.Error{Op: "terminal.deliver", Kind: bot.Timeout, Say: "the terminal did not take the card in time", Err: ctx.Err()}
	case <-t.C:
		p.close()
		return "", &bot.Error{Op: "terminal.deliver", Kind: bot.Timeout, Say: "the terminal did not take the card in time"}
	}
}

// session gives the connected session of a channel, or whether it may be
// expected back soon.
func (n *Network) session(c bot.ChannelID) (p *peer, soon bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p, ok := n.sessions[c]; ok {
		return p, false
	}
	now := n.o.Clock.Now()
	left, ok := n.left[c]
	return nil, ok && now.Sub(left) < returnsWithin || now.Sub(n.opened) < returnsWithin
}

// join makes p the connection of its channel. An older one is closed: its
// client has come back before we noticed that it was gone.
func (n *Network) join(p *peer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if old, ok := n.sessions[p.channel]; ok {
		old.close()
	}
	n.sessions[p.channel] = p
	delete(n.left, p.channel)
}

func (n *Network) leave(p *peer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sessions[p.channel] != p {
		return
	}
	delete(n.sessions, p.channel)
	now := n.o.Clock.Now()
	for c, at := range n.left {
		if now.Sub(at) >= returnsWithin {
			delete(n.left, c)
		}
	}
	if len(n.left) < maxSessions*16 {
		n.left[p.channel] = now
	}
}
