package fakeslack

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// socket is one Socket Mode connection.
type socket struct {
	conn *websocket.Conn
	mu   sync.Mutex // one writer at a time
	done chan struct{}
	once sync.Once
}

func (k *socket) close() {
	k.once.Do(func() {
		close(k.done)
		_ = k.conn.Close() // ends the reader
	})
}

func (k *socket) write(v any) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.conn.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	return k.conn.WriteJSON(v)
}

// Envelope is one payload on its way to the bot and what came of it.
type Envelope struct {
	ID      string
	Type    string // events_api, slash_commands, interactive
	Payload json.RawMessage
	Sent    int
	// Acked says that the bot took it in time; Answer is what it said with it.
	Acked  bool
	Late   bool
	Answer json.RawMessage
	acked  chan struct{}
}

// openConnection hands out one single-use ticket.
func (s *Server) openConnection(url.Values) (map[string]any, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	ticket := s.id("ticket")
	s.tickets[ticket] = true
	return map[string]any{"url": "ws" + strings.TrimPrefix(s.http.URL, "http") + "/link?ticket=" + ticket}, ""
}

// link serves one socket.
func (s *Server) link(w http.ResponseWriter, r *http.Request) {
	ticket := r.URL.Query().Get("ticket")
	s.mu.Lock()
	good := s.tickets[ticket]
	delete(s.tickets, ticket)
	s.mu.Unlock()
	if !good {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	conn, err := (&websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	k := &socket{conn: conn, done: make(chan struct{})}
	s.mu.Lock()
	s.sockets = append(s.sockets, k)
	count := len(s.sockets)
	s.announce()
	s.mu.Unlock()
	defer func() {
		k.close()
		s.mu.Lock()
		s.sockets = slices.DeleteFunc(s.sockets, func(o *socket) bool { return o == k })
		s.announce()
		s.mu.Unlock()
	}()
	hello := map[string]any{"type": "hello", "num_connections": count, "connection_info": map[string]any{"app_id": s.o.AppID},
		"debug_info": map[string]any{"host": "fake", "approximate_connection_time": 18060}}
	if k.write(hello) != nil {
		return
	}
	var pings sync.WaitGroup
	defer pings.Wait()
	defer k.close()
	pings.Go(func() {
		tick := time.NewTicker(s.o.PingEvery)
		defer tick.Stop()
		for {
			select {
			case <-k.done:
				return
			case <-tick.C:
				k.mu.Lock()
				err := conn.WriteControl(websocket.PingMessage, []byte("Ping from fake"), time.Now().Add(5*time.Second))
				k.mu.Unlock()
				if err != nil {
					k.close()
					return
				}
			}
		}
	})
	for {
		_, frame, err := conn.ReadMessage()
		if err != nil {
			return
		}
		s.ack(frame)
	}
}

// ack takes an acknowledgement.
func (s *Server) ack(frame []byte) {
	var a struct {
		EnvelopeID string          `json:"envelope_id"`
		Payload    json.RawMessage `json:"payload"`
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := json.Unmarshal(frame, &a); err != nil || a.EnvelopeID == "" {
		s.note("a frame that acknowledges nothing: %.200s", frame)
		return
	}
	if len(frame) >= 20480 {
		s.note("an acknowledgement of %d bytes, which Slack drops", len(frame))
		return
	}
	e := s.pending[a.EnvelopeID]
	switch {
	case e == nil:
		s.note("an acknowledgement of the unknown envelope %s", a.EnvelopeID)
	case !e.Acked && !e.Late:
		e.Acked, e.Answer = true, a.Payload
		close(e.acked)
	}
	s.announce()
}

// Sockets gives how many sockets are open.
func (s *Server) Sockets() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sockets)
}

// Opened gives how often a connection was asked for.
func (s *Server) Opened() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

// Disconnect tells every socket to go, for a reason such as "refresh_requested",
// "warning", "too_many_websockets" or "link_disabled".
func (s *Server) Disconnect(reason string) {
	s.mu.Lock()
	sockets := slices.Clone(s.sockets)
	s.mu.Unlock()
	for _, k := range sockets {
		_ = k.write(map[string]any{"type": "disconnect", "reason": reason, "debug_info": map[string]any{"host": "fake"}}) // may be gone
	}
}

// Drop cuts every socket without a word.
func (s *Server) Drop() {
	s.mu.Lock()
	sockets := slices.Clone(s.sockets)
	s.mu.Unlock()
	for _, k := range sockets {
		k.close()
	}
}

// Frame sends raw text on the n-th socket, to see what the bot makes of it.
func (s *Server) Frame(n int, text string) error {
	s.mu.Lock()
	if n >= len(s.sockets) {
		s.mu.Unlock()
		return errNoSocket
	}
	k := s.sockets[n]
	s.mu.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.conn.WriteMessage(websocket.TextMessage, []byte(text))
}
