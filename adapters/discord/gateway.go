package discordchat

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"github.com/sourcegraph/conc"

	"quarterdeck/bot"
)

// Opcodes and intents of the gateway (docs.discord.com/developers/events/gateway).
const (
	opDispatch       = 0
	opHeartbeat      = 1
	opIdentify       = 2
	opResume         = 6
	opReconnect      = 7
	opInvalidSession = 9
	opHello          = 10
	opHeartbeatAck   = 11

	// intents are guilds, and what is said in them and in direct messages. None is
	// privileged: what is said to the bot it is told all the same.
	intents = 1<<0 | 1<<9 | 1<<12

	gatewayVersion = "10"
)

const (
	// maxFrame bounds one frame; that of a large guild has megabytes.
	maxFrame = 32 << 20
	// stable is how long a connection has to last for the next to be opened without
	// a wait.
	stable = time.Minute
	// maxMissed is after how many connections that could not be made a session is
	// given up, in case it is only its own server that is gone.
	maxMissed = 5
	// scarce is of how many sessions left on Discord's count the rest of the day is
	// divided among them: beyond it Discord takes the token away.
	scarce = 100
)

// rhythm is how connections follow upon one another.
type rhythm struct {
	least, most time.Duration // between two
	sessions    time.Duration // between two that begin a session; Discord takes one in 5 s
	refused     time.Duration // after Discord closed one for good
	opening     time.Duration // bounds each step of opening one
}

var rhythmOfDiscord = rhythm{time.Second, 5 * time.Minute, 5 * time.Second, 5 * time.Minute, 10 * time.Second}

// gateway is the connection to the gateway, opened again and again.
type gateway struct {
	s  *chat
	in bot.Inbound

	session string // to be resumed, "" for none
	resume  string // where
	seq     atomic.Int64
	begun   time.Time // when the last session was
	missed  int       // connections in a row that could not be made

	free chan struct{}
	work conc.WaitGroup
}

// closed is why a connection ended.
type closed struct {
	fatal string // no new one mends it, and why
	lost  bool   // the session cannot be resumed
	quick bool   // Discord asked for it
	err   error
}

func (c *closed) Error() string {
	if c.fatal != "" {
		return c.fatal
	}
	return c.err.Error()
}

// forGood gives the sentence for the codes with which Discord closes a connection
// that a new one does not mend.
func forGood(code int) string {
	switch code {
	case 4004:
		return "Discord refuses the bot token"
	case 4010, 4011:
		return "Discord wants the bot to divide its servers among several connections, because it is in more than 2,500; this bot keeps one"
	case 4012:
		return "Discord's gateway no longer speaks version " + gatewayVersion + ", which this bot does; a newer one is needed"
	case 4013, 4014:
		return "Discord does not let the bot receive what it asked for; see the privileged intents in the developer portal"
	}
	return ""
}

// runGateway receives by the gateway until ctx ends. Its error is one that no new
// connection mends.
func (s *chat) runGateway(ctx context.Context, in bot.Inbound) error {
	g := &gateway{s: s, in: in, free: make(chan struct{}, handlers)}
	defer g.work.Wait()
	wait := s.rhythm.least
	for ctx.Err() == nil {
		began := s.o.Clock.Now()
		c := g.connect(ctx)
		s.reached(false)
		if ctx.Err() != nil {
			return nil
		}
		if c.lost {
			g.session, g.resume = "", ""
		}
		lasted := s.o.Clock.Now().Sub(began)
		switch {
		case c.fatal != "" && !s.known():
			return bot.Errorf(bot.Denied, "%s", c.fatal)
		case c.fatal != "":
			// It was good before. Whatever else the bot does goes on, and a new token
			// may be laid where this one was.
			s.forget()
			wait = s.rhythm.refused
			s.logger().Error("nothing is received from Discord any more", "why", c.fatal, "again in", wait)
		case c.quick || lasted > stable:
			wait = s.rhythm.least
		default:
			wait = min(2*wait, s.rhythm.most)
		}
		if c.fatal == "" {
			s.logger().Warn("the connection to Discord ended", "why", c, "again in", wait)
		}
		if !pause(ctx, wait/2+rand.N(wait/2+1)) {
			return nil
		}
	}
	return nil
}

// connect keeps one connection until it ends.
func (g *gateway) connect(ctx context.Context) *closed {
	at, token, c := g.where(ctx)
	if c != nil {
		return c
	}
	dialer := websocket.Dialer{Proxy: http.ProxyFromEnvironment, HandshakeTimeout: g.s.rhythm.opening}
	g.s.asked.Add(1)
	conn, resp, err := dialer.DialContext(ctx, at, nil)
	if err != nil {
		if resp != nil && resp.StatusCode == http.StatusUnauthorized {
			return &closed{fatal: forGood(4004)}
		}
		g.missed++
		return &closed{err: errors.New("it cannot be reached"), lost: resp != nil || g.missed%maxMissed == 0}
	}
	g.missed = 0
	k := &socket{g: g, conn: conn, ended: make(chan struct{})}
	conn.SetReadLimit(maxFrame)
	var beside conc.WaitGroup
	defer beside.Wait()
	defer k.close(websocket.CloseServiceRestart) // after which a session can be resumed
	beside.Go(func() {
		select {
		case <-ctx.Done():
			k.close(websocket.CloseNormalClosure) // and is over here
		case <-k.ended:
		}
	})
	return k.run(ctx, token, &beside)
}

// where gives where to connect and with which token; closed says why not.
func (g *gateway) where(ctx context.Context) (at, token string, c *closed) {
	token, err := g.s.botToken.Value()
	if err != nil {
		return "", "", &closed{fatal: bot.Sentence(err, "token")}
	}
	at = g.resume
	if g.session == "" || at == "" {
		g.session = ""
		if at, err = g.budget(ctx); err != nil {
			if statusOf(err) == http.StatusUnauthorized {
				return "", "", &closed{fatal: forGood(4004)}
			}
			return "", "", &closed{err: err}
		}
	}
	u, err := url.Parse(at)
	base, _ := url.Parse(g.s.base) // which was checked
	if err != nil || u.Host == "" || u.Scheme != "wss" && (u.Scheme != "ws" || !loopback(u) || !loopback(base)) {
		return "", "", &closed{err: errors.New("the gateway's address is not one of wss, nor on loopback"), lost: true}
	}
	q := u.Query()
	q.Set("v", gatewayVersion)
	q.Set("encoding", "json")
	u.RawQuery = q.Encode()
	return u.String(), token, nil
}

// budget asks for the gateway's address, and waits until a session may be begun.
func (g *gateway) budget(ctx context.Context) (string, error) {
	var said struct {
		URL   string `json:"url"`
		Limit struct {
			Remaining  int   `json:"remaining"`
			ResetAfter int64 `json:"reset_after"`
		} `json:"session_start_limit"`
	}
	if err := g.s.call(ctx, http.MethodGet, "gateway/bot", nil, &said); err != nil {
		return "", err
	}
	wait := g.s.rhythm.sessions - g.s.o.Clock.Now().Sub(g.begun)
	if reset := time.Duration(min(said.Limit.ResetAfter, 86400000)) * time.Millisecond; said.Limit.Remaining < scarce && reset > 0 {
		if wait = max(wait, reset/time.Duration(said.Limit.Remaining+1)); !g.begun.IsZero() || said.Limit.Remaining == 0 {
			g.s.logger().Error("few sessions are left before Discord would take the token away; the next one waits", "left", said.Limit.Remaining, "wait", wait)
		} else {
			wait = 0 // the first after a start is needed now
		}
	}
	if wait > 0 && !g.begun.IsZero() || said.Limit.Remaining == 0 {
		if !pause(ctx, wait) {
			return "", ctx.Err()
		}
	}
	return said.URL, nil
}

// socket is one connection.
type socket struct {
	g     *gateway
	conn  *websocket.Conn
	write sync.Mutex
	once  sync.Once
	ended chan struct{} // closed with it

	unheard atomic.Bool // a heartbeat was not answered yet
}

// frame is what comes.
type frame struct {
	Op   int             `json:"op"`
	Type string          `json:"t"`
	Seq  int64           `json:"s"`
	Data json.RawMessage `json:"d"`
}

// close ends the connection with a code, once.
func (k *socket) close(code int) {
	k.once.Do(func() {
		close(k.ended)
		_ = k.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(time.Second)) // the other side may be gone
		k.conn.Close()
	})
}

func (k *socket) send(op int, data any) error {
	k.write.Lock()
	defer k.write.Unlock()
	if err := k.conn.SetWriteDeadline(time.Now().Add(k.g.s.rhythm.opening)); err != nil {
		return err
	}
	return k.conn.WriteJSON(map[string]any{"op": op, "d": data})
}

// read gives the next frame, which has to come within.
func (k *socket) read(within time.Duration) (f frame, c *closed) {
	if err := k.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		return f, &closed{err: err}
	}
	_, raw, err := k.conn.ReadMessage()
	var by *websocket.CloseError
	switch {
	case errors.As(err, &by):
		c := &closed{fatal: forGood(by.Code), err: errors.New("it was closed: " + by.Error())}
		switch by.Code {
		case 4003, 4007, 4009, websocket.CloseNormalClosure, websocket.CloseGoingAway:
			c.lost = true
		}
		return f, c
	case err != nil:
		return f, &closed{err: errors.New("nothing came any more")}
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		return f, &closed{err: errors.New("what came is no frame")}
	}
	return f, nil
}

// run reads a connection to its end.
func (k *socket) run(ctx context.Context, token string, beside *conc.WaitGroup) *closed {
	g, opening := k.g, k.g.s.rhythm.opening
	hello, c := k.read(opening)
	if c != nil {
		return c
	}
	var greeting struct {
		Interval int64 `json:"heartbeat_interval"`
	}
	if hello.Op != opHello || json.Unmarshal(hello.Data, &greeting) != nil || greeting.Interval < 1 || greeting.Interval > 600000 {
		return &closed{err: errors.New("it did not begin with a greeting")}
	}
	interval := time.Duration(greeting.Interval) * time.Millisecond
	beside.Go(func() { k.beat(interval) })
	if g.session != "" {
		if err := k.send(opResume, map[string]any{"token": token, "session_id": g.session, "seq": g.seq.Load()}); err != nil {
			return &closed{err: err}
		}
	} else {
		g.begun = g.s.o.Clock.Now()
		g.seq.Store(0)
		if err := k.send(opIdentify, map[string]any{"token": token, "intents": intents,
			"properties": map[string]string{"os": "linux", "browser": "quarterdeck", "device": "quarterdeck"}}); err != nil {
			return &closed{err: err}
		}
	}
	within, ready := 2*opening, false // for READY or RESUMED
	for {
		f, c := k.read(within)
		if c != nil {
			if c.fatal == "" && !ready {
				c.lost = true // it was no use to resume, if that was asked for
			}
			return c
		}
		if f.Seq > 0 {
			g.seq.Store(f.Seq)
		}
		switch f.Op {
		case opHeartbeat:
			if err := k.pulse(); err != nil {
				return &closed{err: err}
			}
		case opHeartbeatAck:
			k.unheard.Store(false)
		case opReconnect:
			return &closed{err: errors.New("it was asked to be made anew"), quick: ready}
		case opInvalidSession:
			var resumable bool
			return &closed{err: errors.New("its session is known no more"), lost: json.Unmarshal(f.Data, &resumable) != nil || !resumable}
		case opDispatch:
			if f.Type == "READY" || f.Type == "RESUMED" {
				if within, ready = 2*interval+opening, true; f.Type == "READY" {
					g.ready(f.Data)
				}
				g.s.reached(true)
				g.s.logger().Info("connected to Discord", "resumed", f.Type == "RESUMED")
				continue
			}
			g.dispatch(ctx, f)
		}
	}
}

// ready notes what can be resumed.
func (g *gateway) ready(data json.RawMessage) {
	var r struct {
		Session string `json:"session_id"`
		Resume  string `json:"resume_gateway_url"`
	}
	if json.Unmarshal(data, &r) == nil {
		g.session, g.resume = r.Session, r.Resume
	}
}

// beat shows Discord that the bot lives, and ends the connection when Discord does
// not answer that.
func (k *socket) beat(interval time.Duration) {
	timer := time.NewTimer(rand.N(interval))
	defer timer.Stop()
	for {
		select {
		case <-k.ended:
			return
		case <-timer.C:
		}
		if k.unheard.Load() || k.pulse() != nil {
			k.close(websocket.CloseServiceRestart)
			return
		}
		timer.Reset(interval)
	}
}

func (k *socket) pulse() error {
	k.unheard.Store(true)
	var seq any
	if n := k.g.seq.Load(); n > 0 {
		seq = n
	}
	return k.send(opHeartbeat, seq)
}

// dispatch has an event handled beside the reading, which never waits.
func (g *gateway) dispatch(ctx context.Context, f frame) {
	switch f.Type {
	case "INTERACTION_CREATE", "MESSAGE_CREATE", "GUILD_DELETE":
	default:
		return
	}
	select {
	case g.free <- struct{}{}:
	default:
		g.s.logger().Error("more comes than can be handled; one payload is left", "kind", f.Type)
		return
	}
	g.work.Go(func() {
		defer func() { <-g.free }()
		g.s.guarded(f.Type, func() { g.s.event(ctx, g.in, f) })
	})
}

// event handles one event of the gateway.
func (s *chat) event(ctx context.Context, in bot.Inbound, f frame) {
	var err error
	switch f.Type {
	case "INTERACTION_CREATE":
		err = s.interaction(ctx, in, f.Data, s.replierOf(f.Data))
	case "MESSAGE_CREATE":
		err = s.remarked(ctx, in, f.Data)
	case "GUILD_DELETE":
		var gone struct {
			ID          string `json:"id"`
			Unavailable bool   `json:"unavailable"`
		}
		if json.Unmarshal(f.Data, &gone) == nil && !gone.Unavailable && s.ours(gone.ID) {
			s.logger().Error("the bot was removed from a server; nothing can be said there until it is invited again", "guild", gone.ID)
		}
	}
	var odd *json.SyntaxError
	var other *json.UnmarshalTypeError
	switch {
	case err == nil, errors.Is(err, errLate), errors.Is(err, errRepeated), ctx.Err() != nil:
	case errors.As(err, &odd), errors.As(err, &other), statusOf(err) == 0 && !errors.Is(err, context.DeadlineExceeded):
		s.unreadable(strings.ToLower(f.Type), err)
	case codeOf(err) == unknownInteraction:
		s.logger().Warn("an interaction could not be answered in time; what it asked for goes on and is answered in a message")
	default:
		s.logger().Warn("a payload could not be answered", "kind", f.Type, "err", err)
	}
}

// replierOf answers an interaction that came by the gateway.
func (s *chat) replierOf(raw json.RawMessage) replier {
	return func(ctx context.Context, answer any) error {
		var p payload
		if err := json.Unmarshal(raw, &p); err != nil {
			return err
		}
		return s.call(ctx, http.MethodPost, "interactions/"+p.ID+"/"+url.PathEscape(p.Token)+"/callback", answer, nil)
	}
}

// known reports whether the gateway was ready once.
func (s *chat) known() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ever
}

// reached notes whether the gateway is connected.
func (s *chat) reached(up bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if up && s.ever && !s.link.Up {
		s.link.Reconnects++
	}
	s.ever = s.ever || up
	if up != s.link.Up || s.link.Since.IsZero() {
		s.link.Up, s.link.Since = up, s.o.Clock.Now()
	}
}

// Connection implements bot.Connected.
func (s *chat) Connection() bot.Connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	is := s.link
	is.Asked, is.Unreadable, is.Forged = s.asked.Load(), s.tally.unreadable.Load(), s.tally.forged.Load()
	return is
}
