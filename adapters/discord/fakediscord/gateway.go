package fakediscord

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Opcodes of the gateway (docs: topics/opcodes-and-status-codes).
const (
	opDispatch       = 0
	opHeartbeat      = 1
	opIdentify       = 2
	opResume         = 6
	OpReconnect      = 7
	OpInvalidSession = 9
	opHello          = 10
	opHeartbeatAck   = 11
)

// Intents that events need (docs: events/gateway).
const (
	intentGuilds         = 1 << 0
	intentGuildMessages  = 1 << 9
	intentDirectMessages = 1 << 12
	intentContent        = 1 << 15
)

// Connect is what is done with a connection instead of what it asks for.
type Connect struct {
	Silent    bool // it is never greeted
	Drop      bool // it is cut once it has identified itself
	Op        int  // it gets this in place of READY or RESUMED
	Resumable bool // with an Op of OpInvalidSession
	Close     int  // it is closed with this code in place of READY or RESUMED
	Mute      bool // it gets READY or RESUMED, and then nothing ever again
}

// session is what a client identified itself for.
type session struct {
	id      string
	intents int
	seq     int64
	past    []event // for a client that resumes
	socket  *socket // nil while there is none
}

type event struct {
	seq int64
	raw []byte
}

// socket is one connection.
type socket struct {
	s       *Server
	conn    *websocket.Conn
	write   sync.Mutex
	session *session
	mute    bool
}

// maxPast is how many events are kept for a client that resumes.
const maxPast = 20000

// Next says what is done with the connections to come, one each.
func (s *Server) Next(list ...Connect) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = append(s.next, list...)
}

// Sessions gives how many clients are connected and ready.
func (s *Server) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, k := range s.sockets {
		if k.session != nil && k.session.socket == k {
			n++
		}
	}
	return n
}

// Counts gives how often a connection was made, a session begun, and one resumed.
func (s *Server) Counts() (connections, identifies, resumes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections, s.identifies, s.resumes
}

// Reconnect tells every client to connect anew.
func (s *Server) Reconnect() { s.each(func(k *socket) { k.send(OpReconnect, nil) }) }

// Invalidate tells every client that its session is over, or may be resumed.
func (s *Server) Invalidate(resumable bool) {
	s.each(func(k *socket) {
		if !resumable {
			s.mu.Lock()
			delete(s.sessions, k.session.id)
			s.mu.Unlock()
		}
		k.send(OpInvalidSession, resumable)
	})
}

// CloseWith closes every connection with a code.
func (s *Server) CloseWith(code int) { s.each(func(k *socket) { k.end(code) }) }

// Drop cuts every connection without a word.
func (s *Server) Drop() { s.each(func(k *socket) { k.conn.Close() }) }

// Mute has nothing sent any more on the connections that there are, which stay.
func (s *Server) Mute() { s.each(func(k *socket) { s.mu.Lock(); k.mute = true; s.mu.Unlock() }) }

func (s *Server) each(do func(k *socket)) {
	s.mu.Lock()
	ready := slices.DeleteFunc(slices.Clone(s.sockets), func(k *socket) bool { return k.session == nil })
	s.mu.Unlock()
	for _, k := range ready {
		do(k)
	}
}

// Dispatch sends an event to every session that asked for its intent; 0 is one
// that all get. It gives to how many that are connected.
func (s *Server) Dispatch(kind string, intent int, data any) int {
	s.mu.Lock()
	var to []*session
	for _, n := range s.sessions {
		if intent == 0 || n.intents&intent != 0 {
			to = append(to, n)
		}
	}
	s.mu.Unlock()
	n := 0
	for _, to := range to {
		if s.dispatch(to, kind, data) {
			n++
		}
	}
	return n
}

// dispatch sends an event to one session, or keeps it for when it resumes.
func (s *Server) dispatch(to *session, kind string, data any) bool {
	s.mu.Lock()
	to.seq++
	raw, err := json.Marshal(map[string]any{"op": opDispatch, "t": kind, "s": to.seq, "d": data})
	if err != nil {
		panic(err) // a test's payload
	}
	if to.past = append(to.past, event{to.seq, raw}); len(to.past) > maxPast {
		to.past = to.past[1:]
	}
	k := to.socket
	s.mu.Unlock()
	return k != nil && k.raw(raw)
}

func (k *socket) send(op int, data any) bool {
	raw, err := json.Marshal(map[string]any{"op": op, "d": data, "s": nil, "t": nil})
	if err != nil {
		panic(err) // a test's payload
	}
	return k.raw(raw)
}

func (k *socket) raw(raw []byte) bool {
	k.s.mu.Lock()
	mute := k.mute
	k.s.mu.Unlock()
	if mute {
		return false
	}
	k.write.Lock()
	defer k.write.Unlock()
	return k.conn.WriteMessage(websocket.TextMessage, raw) == nil
}

func (k *socket) end(code int) {
	k.write.Lock()
	_ = k.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, "so it is"), time.Now().Add(time.Second)) // the client may be gone
	k.write.Unlock()
	k.conn.Close()
}

func (s *Server) gatewayBot(ask) answer {
	return ok(map[string]any{"url": "ws" + strings.TrimPrefix(s.http.URL, "http") + "/gateway", "shards": 1, "session_start_limit": map[string]any{
		"total": s.o.Identifies, "remaining": max(0, s.o.Identifies-s.identifies), "reset_after": 86400000, "max_concurrency": 1}})
}

func (s *Server) gateway(w http.ResponseWriter, r *http.Request) {
	up := websocket.Upgrader{}
	conn, err := up.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	conn.SetReadLimit(4096)
	k := &socket{s: s, conn: conn}
	s.mu.Lock()
	s.connections++
	if q := r.URL.Query(); q.Get("v") != "10" || q.Get("encoding") != "json" {
		s.note("the gateway was asked for %q; expected v=10 and encoding=json", r.URL.RawQuery)
	}
	var odd Connect
	if len(s.next) > 0 {
		odd, s.next = s.next[0], s.next[1:]
	}
	s.sockets = append(s.sockets, k)
	s.announce()
	s.mu.Unlock()
	defer func() {
		conn.Close()
		s.mu.Lock()
		s.sockets = slices.DeleteFunc(s.sockets, func(o *socket) bool { return o == k })
		if k.session != nil && k.session.socket == k {
			k.session.socket = nil
		}
		s.announce()
		s.mu.Unlock()
	}()
	if !odd.Silent {
		k.send(opHello, map[string]any{"heartbeat_interval": s.o.Heartbeat.Milliseconds()})
	}
	s.listen(k, odd, r.URL.Query().Get("resume") != "")
}

// listen takes what a client sends until it is gone.
func (s *Server) listen(k *socket, odd Connect, again bool) {
	sent := 0
	for {
		_ = k.conn.SetReadDeadline(time.Now().Add(2 * s.o.Heartbeat)) // it is read from next
		_, raw, err := k.conn.ReadMessage()
		if err != nil {
			if closed, is := err.(*websocket.CloseError); is && (closed.Code == websocket.CloseNormalClosure || closed.Code == websocket.CloseGoingAway) {
				s.mu.Lock()
				if k.session != nil {
					delete(s.sessions, k.session.id) // the client is done with it
				}
				s.mu.Unlock()
			}
			return
		}
		if sent++; sent > 120 {
			s.mu.Lock()
			s.note("a client sent more than 120 payloads on one connection in a short time")
			s.mu.Unlock()
		}
		var p struct {
			Op   int             `json:"op"`
			Data json.RawMessage `json:"d"`
		}
		if json.Unmarshal(raw, &p) != nil {
			k.end(4002)
			return
		}
		switch p.Op {
		case opHeartbeat:
			k.send(opHeartbeatAck, nil)
		case opIdentify, opResume:
			if k.session != nil {
				k.end(4005)
				return
			}
			if !s.begin(k, p.Op, p.Data, odd, again) {
				return
			}
		default:
			k.end(4001)
			return
		}
	}
}

// begin has a client identify itself or resume; false says that it is closed.
func (s *Server) begin(k *socket, op int, data json.RawMessage, odd Connect, again bool) bool {
	var p struct {
		Token      string            `json:"token"`
		Intents    int               `json:"intents"`
		Properties map[string]string `json:"properties"`
		SessionID  string            `json:"session_id"`
		Seq        int64             `json:"seq"`
	}
	if json.Unmarshal(data, &p) != nil {
		k.end(4002)
		return false
	}
	if strings.TrimPrefix(p.Token, "Bot ") != s.o.Token {
		k.end(4004)
		return false
	}
	s.mu.Lock()
	if op == opIdentify {
		s.identifies++
		if s.identifies > s.o.Identifies {
			s.note("a session was begun beyond the limit, for which Discord resets the token")
		}
	} else {
		s.resumes++
		if !again {
			s.note("a session was resumed elsewhere than READY said")
		}
	}
	s.announce()
	s.mu.Unlock()
	switch {
	case odd.Op != 0:
		var d any
		if odd.Op == OpInvalidSession {
			d = odd.Resumable
		}
		k.send(odd.Op, d)
		return true
	case odd.Close != 0:
		k.end(odd.Close)
		return false
	case odd.Drop:
		k.conn.Close()
		return false
	case op == opIdentify && p.Intents&intentContent != 0 && !s.o.Content:
		k.end(4014)
		return false
	}
	if op == opIdentify {
		s.mu.Lock()
		n := &session{id: "session-" + s.snowflake(), intents: p.Intents, socket: k}
		s.sessions[n.id], k.session = n, n
		guilds := []any{}
		for _, g := range sorted(s.guilds) {
			if !g.NoBot {
				guilds = append(guilds, map[string]any{"id": g.ID, "unavailable": true})
			}
		}
		ready := map[string]any{"v": 10, "user": s.userOf(s.o.AppID), "guilds": guilds, "session_id": n.id, "application": map[string]any{"id": s.o.AppID, "flags": s.flags()},
			"resume_gateway_url": "ws" + strings.TrimPrefix(s.http.URL, "http") + "/gateway?resume=1"}
		s.mu.Unlock()
		s.dispatch(n, "READY", ready)
	} else {
		s.mu.Lock()
		n := s.sessions[p.SessionID]
		if n == nil || p.Seq > n.seq {
			s.mu.Unlock()
			k.send(OpInvalidSession, false)
			return true
		}
		var missed []event
		for _, e := range n.past {
			if e.seq > p.Seq {
				missed = append(missed, e)
			}
		}
		n.socket, k.session = k, n
		s.mu.Unlock()
		for _, e := range missed {
			k.raw(e.raw)
		}
		s.dispatch(n, "RESUMED", map[string]any{})
	}
	s.mu.Lock()
	k.mute = odd.Mute
	s.announce()
	s.mu.Unlock()
	return true
}
