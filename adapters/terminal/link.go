package terminal

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sourcegraph/conc"

	"quarterdeck/bot"
)

const (
	dialWithin  = 2 * time.Second
	redialEvery = 150 * time.Millisecond
	// resendEvery is how often lines that the bot could not store are sent again.
	resendEvery = 500 * time.Millisecond
	// maxResends bounds that, before the line is given up.
	maxResends = 20
	// typingWithin bounds a question about completions: somebody is typing.
	typingWithin = 2 * time.Second
	// whoWithin bounds the question who one is, over restarts of the bot.
	whoWithin = 30 * time.Second
	// maxUnread bounds what was received and not yet looked at.
	maxUnread = 64
)

// The kinds of events.
type eventKind int

const (
	eventCard    eventKind = iota // card, thread
	eventRefused                  // n, fault: the line never reached the bot
	eventHeld                     // n, fault: the bot could not take the line yet; it is sent again
	eventLost                     // the bot went away
	eventBack                     // the bot is there; version
)

// event is what a link tells its session.
type event struct {
	kind    eventKind
	n       int64
	card    bot.Card
	thread  string
	fault   *bot.Error
	version string
}

// waiting is a line that the bot has not said to have stored.
type waiting struct {
	request
	resend bool
	tries  int
}

// question is one whose answer is waited for.
type question struct {
	request
	answer chan response
}

// link keeps one session connected to the bot over restarts of either the
// connection or the bot. Make it with newLink; run it; its methods are then
// safe for concurrent use.
type link struct {
	socket string
	secret string
	within time.Duration // how long the first connection may take
	away   time.Duration // how long the bot may be away later; 0 for as long as ctx lives
	events chan event
	ready  chan struct{} // closed at the first hello

	mu      sync.Mutex
	conn    *net.UnixConn // nil while away
	n       int64
	unsaid  map[int64]*waiting
	asked   map[int64]question
	names   map[string]bool
	channel bot.ChannelID
	who     string
}

func newLink(socket string, within, away time.Duration) *link {
	var secret [16]byte
	rand.Read(secret[:]) // never fails, crypto/rand documents
	return &link{socket: socket, secret: hex.EncodeToString(secret[:]), within: within, away: away,
		events: make(chan event, maxUnread), ready: make(chan struct{}),
		unsaid: map[int64]*waiting{}, asked: map[int64]question{}, names: map[string]bool{}}
}

// run keeps the connection until ctx ends and gives nil then; an Error when
// the bot cannot be reached or turns the session away.
func (l *link) run(ctx context.Context) error {
	since, patience, met := time.Now(), l.within, false
	for {
		conn, err := l.connect(ctx, met)
		switch {
		case ctx.Err() != nil:
			if conn != nil {
				conn.Close()
			}
			return nil
		case err != nil:
			if kind := bot.KindOf(err); kind != bot.Unavailable && kind != bot.Busy {
				return err
			}
			if patience > 0 && time.Since(since) >= patience {
				return err
			}
			if !pause(ctx, redialEvery) {
				return nil
			}
			continue
		}
		met = true
		err = l.talk(ctx, conn)
		l.drop()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		l.emit(ctx, event{kind: eventLost})
		since, patience = time.Now(), l.away
	}
}

// connect opens a connection and greets.
func (l *link) connect(ctx context.Context, again bool) (*net.UnixConn, error) {
	conn, err := open(ctx, l.socket)
	if err != nil {
		var e *bot.Error
		if again && errors.As(err, &e) && errors.Is(e.Err, fs.ErrPermission) {
			e.Kind = bot.Unavailable // one that is being made anew is not open to us at once
		}
		return nil, err
	}
	l.mu.Lock()
	names := slices.Sorted(maps.Keys(l.names))
	l.mu.Unlock()
	var hello response
	err = conn.SetReadDeadline(time.Now().Add(helloWithin))
	if err == nil {
		err = writeLine(conn, request{Type: askHello, V: protocol, Session: l.secret, Names: names}, writeWithin)
	}
	if err == nil {
		err = newLineReader(oneByte{conn}, maxResponse).into(&hello)
	}
	if err == nil {
		err = conn.SetReadDeadline(time.Time{})
	}
	switch {
	case err != nil:
		conn.Close()
		return nil, &bot.Error{Op: "terminal.hello", Kind: bot.Unavailable, Say: fmt.Sprintf("the bot on %s does not answer", l.socket), Err: err}
	case hello.Type == sayBye:
		conn.Close()
		return nil, &bot.Error{Op: "terminal.hello", Kind: hello.Kind, Say: hello.Say}
	case hello.Type != sayHello || hello.V != protocol:
		conn.Close()
		return nil, bot.Errorf(bot.Invalid, "what listens on %s is not a bot of this version", l.socket)
	}
	l.mu.Lock()
	l.conn, l.channel, l.who = conn, hello.Channel, hello.Who
	for _, n := range slices.Sorted(maps.Keys(l.unsaid)) {
		l.write(l.unsaid[n].request)
	}
	for _, n := range slices.Sorted(maps.Keys(l.asked)) {
		l.write(l.asked[n].request)
	}
	l.mu.Unlock()
	if !again {
		close(l.ready)
	}
	l.emit(ctx, event{kind: eventBack, version: hello.Version})
	return conn, nil
}

// oneByte reads a byte at a time, so that reading the hello takes nothing of
// what follows it.
type oneByte struct{ c net.Conn }

func (o oneByte) Read(b []byte) (int, error) { return o.c.Read(b[:min(len(b), 1)]) }

// talk reads responses until the connection ends. An error means that trying
// again cannot help.
func (l *link) talk(ctx context.Context, conn *net.UnixConn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	var parts conc.WaitGroup
	defer parts.Wait()
	defer cancel()
	parts.Go(func() { l.resend(ctx) })

	lines := newLineReader(conn, maxResponse)
	for {
		var r response
		if err := lines.into(&r); err != nil {
			if isDecode(err) || errors.Is(err, errTooLong) {
				return &bot.Error{Op: "terminal.read", Kind: bot.Internal, Say: "the bot's answer could not be read", Err: err}
			}
			return nil
		}
		switch r.Type {
		case sayCard:
			if r.Card != nil {
				l.emit(ctx, event{kind: eventCard, card: *r.Card, thread: r.Thread})
			}
			l.mu.Lock()
			l.write(request{Type: askGot, N: r.N})
			l.mu.Unlock()
		case sayTaken:
			l.mu.Lock()
			delete(l.unsaid, r.N)
			l.mu.Unlock()
		case sayRetry:
			if e, tell := l.again(r); tell {
				l.emit(ctx, e)
			}
		case sayRefused:
			if !l.reply(r) {
				l.mu.Lock()
				delete(l.unsaid, r.N)
				l.mu.Unlock()
				l.emit(ctx, event{kind: eventRefused, n: r.N, fault: &bot.Error{Op: "terminal.line", Kind: r.Kind, Say: r.Say}})
			}
		case sayComplete, sayWho:
			l.reply(r)
		case sayBye:
			return &bot.Error{Op: "terminal.read", Kind: r.Kind, Say: r.Say}
		}
	}
}

// resend sends again, now and then, what the bot could not store.
func (l *link) resend(ctx context.Context) {
	t := time.NewTicker(resendEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			l.mu.Lock()
			for _, n := range slices.Sorted(maps.Keys(l.unsaid)) {
				if w := l.unsaid[n]; w.resend {
					w.resend = false
					l.write(w.request)
				}
			}
			l.mu.Unlock()
		}
	}
}

// again notes that a line is to be sent again, and gives what to tell of that:
// the first time why it has to be, the last time that it is given up.
func (l *link) again(r response) (e event, tell bool) {
	if l.reply(response{Type: sayRefused, N: r.N, Kind: r.Kind, Say: r.Say}) {
		return event{}, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	w, ok := l.unsaid[r.N]
	if !ok {
		return event{}, false
	}
	w.tries++
	if w.tries < maxResends {
		w.resend = true
		return event{kind: eventHeld, n: r.N, fault: &bot.Error{Op: "terminal.line", Kind: r.Kind, Say: r.Say}}, w.tries == 1
	}
	delete(l.unsaid, r.N)
	return event{kind: eventRefused, n: r.N, fault: &bot.Error{Op: "terminal.line", Kind: bot.Unavailable, Say: "not run, the bot could not take it: " + r.Say}}, true
}

// reply hands the answer to who asked; false when nobody did.
func (l *link) reply(r response) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	q, ok := l.asked[r.N]
	if ok {
		delete(l.asked, r.N)
		q.answer <- r
	}
	return ok
}

func (l *link) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		l.conn.Close()
		l.conn = nil
	}
}

func (l *link) emit(ctx context.Context, e event) {
	select {
	case l.events <- e:
	case <-ctx.Done():
	}
}

// write writes one request if the bot is there. A connection that does not
// take it is closed; reading it then ends and it is made anew. l.mu is held.
func (l *link) write(r request) {
	if l.conn == nil {
		return
	}
	if err := writeLine(l.conn, r, writeWithin); err != nil {
		l.conn.Close()
	}
}

// line sends a command line, now or when the bot is back, and gives its number.
func (l *link) line(as, text string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	w := &waiting{request: request{Type: askLine, N: l.n, As: as, Text: text}}
	l.unsaid[l.n] = w
	if as != "" {
		l.names[as] = true
	}
	l.write(w.request)
	return l.n
}

// ask asks one question, again after each restart of the bot, and gives the
// answer, an Error of kind Timeout, or the bot's own refusal.
func (l *link) ask(ctx context.Context, r request, within time.Duration) (response, error) {
	answer := make(chan response, 1)
	l.mu.Lock()
	l.n++
	r.N = l.n
	l.asked[r.N] = question{r, answer}
	l.write(r)
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	select {
	case got := <-answer:
		if got.Type == sayRefused {
			return got, &bot.Error{Op: "terminal." + r.Type, Kind: got.Kind, Say: got.Say}
		}
		return got, nil
	case <-ctx.Done():
		l.mu.Lock()
		delete(l.asked, r.N)
		l.mu.Unlock()
		return response{}, &bot.Error{Op: "terminal." + r.Type, Kind: bot.Timeout, Say: "the bot did not answer in time", Err: ctx.Err()}
	}
}

// isAway reports whether the bot is not there at the moment.
func (l *link) isAway() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn == nil
}

// number gives which line of this session a Message.ID names, or 0.
func (l *link) number(message string) int64 {
	l.mu.Lock()
	channel := l.channel
	l.mu.Unlock()
	rest, ok := strings.CutPrefix(message, string(channel)+":")
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// introduction gives how the bot describes the session's own account.
func (l *link) introduction() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.who
}
