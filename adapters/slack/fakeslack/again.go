package fakeslack

import (
	"context"
	"encoding/json"
	"fmt"
)

// past is a payload that was delivered before.
type past struct {
	kind string // over a socket
	path string // over HTTP
	mime string
	body []byte
}

// Again delivers a payload of before once more, as Slack does that has lost the
// acknowledgement: with the same event or trigger id, in a new envelope.
func (s *Server) Again(ctx context.Context, w Way, id string) (Sent, error) {
	s.mu.Lock()
	p, known := s.past[id]
	s.mu.Unlock()
	switch {
	case !known || (p.path == "") != (w.HTTP == ""):
		return Sent{}, fmt.Errorf("nothing was delivered as %s", id)
	case p.path != "":
		return s.post(ctx, w, p.path, p.body, p.mime, Sent{ID: id})
	}
	return s.envelope(ctx, w, p.kind, json.RawMessage(p.body), Sent{ID: id})
}

// Raw delivers an envelope of any kind with any payload, and waits until it is
// acknowledged.
func (s *Server) Raw(ctx context.Context, w Way, kind string, payload json.RawMessage) (Sent, error) {
	s.mu.Lock()
	id := s.id("raw")
	s.mu.Unlock()
	return s.envelope(ctx, w, kind, payload, Sent{ID: id})
}

// settled has the acknowledgement of an envelope that nobody waits for any more
// be a late one.
func (s *Server) settled(e *Envelope) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.Late = e.Late || !e.Acked
}
