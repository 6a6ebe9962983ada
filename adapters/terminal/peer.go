package terminal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/sourcegraph/conc"

	"quarterdeck/bot"
)

const (
	// helloWithin bounds how long a client may take to introduce itself.
	helloWithin = 5 * time.Second
	// receiveWithin bounds how long storing one line may take.
	receiveWithin = 10 * time.Second
	// completeWithin bounds how long completing a line may take.
	completeWithin = time.Second
	// maxQueued bounds the lines of one session that wait to be stored.
	maxQueued = 32
	// maxUnsent bounds what waits to be written to one session.
	maxUnsent = 128
	// maxNames bounds how many names one session may speak as.
	maxNames = 32
	// maxCompletions bounds one answer to Tab.
	maxCompletions = 200
)

// peer is one connected session, seen from the bot.
type peer struct {
	network *Network
	conn    *net.UnixConn
	account bot.AccountID // who the operating system says it is
	channel bot.ChannelID
	gone    context.Context // ends with the connection
	close   context.CancelFunc
	work    chan request
	unsent  chan []byte

	mu    sync.Mutex
	names map[string]bool
	waits map[int64]chan struct{}
	cards int64
}

// channelOf gives the channel of the session that uid opened with secret: 128
// bits of SHA-256 over both.
func channelOf(uid uint32, secret string) bot.ChannelID {
	sum := sha256.Sum256(fmt.Appendf(nil, "quarterdeck terminal session\x00%d\x00%s", uid, secret))
	return bot.ChannelID("terminal:" + hex.EncodeToString(sum[:16]))
}

// serve talks to one client until either side ends it.
func (n *Network) serve(ctx context.Context, in bot.Inbound, conn *net.UnixConn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()

	uid, err := peerUID(conn)
	if err != nil {
		n.o.Logger.Error("terminal session refused", "err", err)
		n.bye(conn, bot.Denied, "the system does not say who you are, so nobody is let in")
		return
	}
	lines := newLineReader(conn, maxRequest)
	hello, ok := n.greet(conn, lines)
	if !ok {
		return
	}
	p := &peer{network: n, conn: conn, gone: ctx, close: cancel, work: make(chan request, maxQueued), unsent: make(chan []byte, maxUnsent),
		account: bot.AccountID(fmt.Sprintf("os:%d", uid)), channel: channelOf(uid, hello.Session),
		names: map[string]bool{}, waits: map[int64]chan struct{}{}}
	if n.o.Impersonate {
		for _, name := range hello.Names {
			p.speakAs(name)
		}
	}
	p.answer(response{Type: sayHello, V: protocol, Version: n.o.Version, Channel: p.channel, Account: p.account, Who: n.describe(ctx, p.account)})
	n.join(p)
	defer n.leave(p)

	var parts conc.WaitGroup
	parts.Go(func() { defer cancel(); p.write() })
	parts.Go(func() { defer cancel(); p.handle(in) })
	p.read(lines)
	cancel()
	if caught := parts.WaitAndRecover(); caught != nil {
		n.o.Logger.Error("panic in a terminal session", "err", caught.AsError())
	}
}

// greet reads the hello, or says why the client is turned away.
func (n *Network) greet(conn *net.UnixConn, lines *lineReader) (hello request, ok bool) {
	if err := conn.SetReadDeadline(time.Now().Add(helloWithin)); err != nil {
		return hello, false
	}
	if err := lines.into(&hello); err != nil {
		n.bye(conn, bot.Invalid, fmt.Sprintf("expected a hello, as one JSON object on one line of at most %d bytes", maxRequest))
		return hello, false
	}
	switch {
	case hello.Type != askHello:
		n.bye(conn, bot.Invalid, fmt.Sprintf("expected a hello, got %q", hello.Type))
	case hello.V != protocol:
		n.bye(conn, bot.Invalid, fmt.Sprintf("the bot (version %s) speaks version %d of the socket's protocol and you speak %d; use the quarterdeck of the same version", n.o.Version, protocol, hello.V))
	case !isSecret(hello.Session):
		n.bye(conn, bot.Invalid, "a session is named by 32 hexadecimal digits")
	default:
		return hello, conn.SetReadDeadline(time.Time{}) == nil
	}
	return hello, false
}

func isSecret(s string) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == 16
}

func (n *Network) bye(conn *net.UnixConn, kind bot.Kind, say string) {
	_ = writeLine(conn, response{Type: sayBye, Kind: kind, Say: say}, writeWithin)
}

func (n *Network) describe(ctx context.Context, account bot.AccountID) string {
	if n.o.Describe != nil {
		ctx, cancel := context.WithTimeout(ctx, completeWithin)
		defer cancel()
		if who := n.o.Describe(ctx, account); who != "" {
			return who
		}
	}
	return string(account)
}

// read takes requests until the connection ends.
func (p *peer) read(lines *lineReader) {
	for {
		var r request
		if err := lines.into(&r); err != nil {
			switch {
			case errors.Is(err, errTooLong):
				p.farewell(fmt.Sprintf("a line has more than the %d bytes that are possible", maxRequest))
			case isDecode(err):
				p.farewell("a line is not the JSON object that was expected")
			}
			return
		}
		switch r.Type {
		case askGot:
			p.got(r.N)
		case askLine, askComplete, askWho:
			select {
			case p.work <- r:
			case <-p.gone.Done():
				return
			default:
				p.answer(response{Type: sayRetry, N: r.N, Kind: bot.Busy, Say: "too many lines at once"})
			}
		default:
			p.answer(response{Type: sayRefused, N: r.N, Kind: bot.Invalid, Say: fmt.Sprintf("the bot does not know the request %q", r.Type)})
		}
	}
}

func isDecode(err error) bool {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	return errors.As(err, &syntax) || errors.As(err, &kind)
}

// farewell says why the connection ends. The writer ends it once that is
// written.
func (p *peer) farewell(say string) {
	p.answer(response{Type: sayBye, Kind: bot.Invalid, Say: say})
	p.send(nil)
	t := time.NewTimer(writeWithin)
	defer t.Stop()
	select {
	case <-p.gone.Done():
	case <-t.C:
	}
}

// handle works the session's requests off, one after the other.
func (p *peer) handle(in bot.Inbound) {
	for {
		select {
		case <-p.gone.Done():
			return
		case r := <-p.work:
			p.answer(p.do(in, r))
		}
	}
}

func (p *peer) do(in bot.Inbound, r request) response {
	account, err := p.actor(r.As)
	if err != nil {
		if r.Type == askLine {
			p.network.o.Logger.Warn("impersonation refused", "account", string(p.account), "as", r.As)
		}
		return response{Type: sayRefused, N: r.N, Kind: err.Kind, Say: err.Say}
	}
	switch r.Type {
	case askComplete:
		return response{Type: sayComplete, N: r.N, Lines: p.complete(account, r.Text)}
	case askWho:
		return response{Type: sayWho, N: r.N, Account: account, Who: p.network.describe(p.gone, account)}
	}
	if r.N < 1 {
		return response{Type: sayRefused, N: r.N, Kind: bot.Invalid, Say: "lines are numbered from 1"}
	}
	ctx, cancel := context.WithTimeout(p.gone, receiveWithin)
	defer cancel()
	m := bot.Message{ID: fmt.Sprintf("%s:%d", p.channel, r.N), Account: account, Standing: bot.Member, Channel: p.channel,
		Text: r.Text, Received: p.network.o.Clock.Now()}
	if _, err := in.Receive(ctx, m); err != nil {
		p.network.o.Logger.Error("receive a line", "message", m.ID, "err", err)
		return response{Type: sayRetry, N: r.N, Kind: bot.KindOf(err), Say: bot.Sentence(err, m.ID)}
	}
	return response{Type: sayTaken, N: r.N}
}

// actor gives the account that a request acts as. Only where impersonation is
// configured can that be another one than the operating system's.
func (p *peer) actor(as string) (bot.AccountID, *bot.Error) {
	if as == "" {
		return p.account, nil
	}
	if !p.network.o.Impersonate {
		return "", bot.Errorf(bot.Denied, "you are %s and cannot act as %q; that needs impersonate = true under [chat.terminal]", p.account, as)
	}
	if !isName(as) {
		return "", bot.Errorf(bot.Invalid, "%q is no name; a name has 1 to 64 letters, digits, dots, dashes and underscores", as)
	}
	if !p.speakAs(as) {
		return "", bot.Errorf(bot.Busy, "this session acted as %d names already; start another", maxNames)
	}
	return bot.AccountID("terminal:" + as), nil
}

func isName(s string) bool {
	if len(s) < 1 || len(s) > 64 {
		return false
	}
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
		default:
			return false
		}
	}
	return true
}

func (p *peer) complete(account bot.AccountID, line string) []string {
	if p.network.o.Complete == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(p.gone, completeWithin)
	defer cancel()
	lines := p.network.o.Complete(ctx, account, line)
	return lines[:min(len(lines), maxCompletions)]
}

// speakAs notes that the session speaks for a name, if it may for one more.
func (p *peer) speakAs(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.names[name] {
		if len(p.names) >= maxNames || !isName(name) {
			return false
		}
		p.names[name] = true
	}
	return true
}

// speaksFor reports whether what is meant for the account alone may be shown.
func (p *peer) speaksFor(a bot.AccountID) bool {
	if a == p.account {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return a.Network() == "terminal" && p.names[string(a)[len("terminal:"):]]
}

// isOnly reports whether nobody but the account speaks here: the names of a
// session that took some, or else who opened it.
func (p *peer) isOnly(a bot.AccountID) bool {
	p.mu.Lock()
	names := len(p.names)
	p.mu.Unlock()
	return a != "" && p.speaksFor(a) && (a == p.account && names == 0 || a != p.account && names == 1)
}

// expect gives the number of a card to be sent and what is closed when the
// client has it.
func (p *peer) expect() (int64, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cards++
	c := make(chan struct{})
	p.waits[p.cards] = c
	return p.cards, c
}

func (p *peer) got(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c, ok := p.waits[n]; ok {
		close(c)
		delete(p.waits, n)
	}
}

func (p *peer) forget(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waits, n)
}

// answer queues a response; answers that are too long are cut to a sentence.
func (p *peer) answer(r response) {
	raw, err := json.Marshal(r)
	if err != nil || len(raw) >= maxResponse {
		raw = fmt.Appendf(nil, `{"type":%q,"n":%d,"say":"the answer is too long"}`, sayRefused, r.N)
	}
	p.send(append(raw, '\n'))
}

// send queues one line. A client that leaves so much unread is disconnected.
func (p *peer) send(line []byte) bool {
	select {
	case p.unsent <- line:
		return true
	case <-p.gone.Done():
		return false
	default:
		p.close()
		return false
	}
}

// write writes what is queued until the connection ends or a nil line comes.
func (p *peer) write() {
	for {
		select {
		case <-p.gone.Done():
			return
		case line := <-p.unsent:
			if line == nil { // after a farewell
				return
			}
			if err := p.conn.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
				return
			}
			if _, err := p.conn.Write(line); err != nil {
				return
			}
		}
	}
}
