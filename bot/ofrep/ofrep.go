// Package ofrep answers services that ask for their flags, by the OpenFeature
// Remote Evaluation Protocol 0.3
// (https://github.com/open-feature/protocol/blob/main/service/openapi.yaml): one
// flag, all flags of a service, and a stream that says when to ask again. It reads
// memory alone, so it answers whatever becomes of chat and of the database.
package ofrep

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/flag"
	"quarterdeck/bot/provider"
)

// Server answers on the flags listener. All fields are needed. Safe for concurrent
// use.
type Server struct {
	Flags *flag.Set
	// Keys gives what opens the flags of each target, as it is configured now.
	Keys   func() map[bot.Target][]bot.Secret
	Clock  bot.Clock
	Logger *slog.Logger

	ring    ring
	told    sync.Map // targets whose key was told of
	streams atomic.Int64
}

const (
	base       = "/ofrep/v1"
	maxBody    = 64 << 10
	maxStreams = 256 // half of what a listener takes: those who ask come first
	aliveEvery = 15 * time.Second
	writeWith  = 10 * time.Second
)

// The standard's error codes.
const (
	parseError          = "PARSE_ERROR"
	targetingKeyMissing = "TARGETING_KEY_MISSING"
	invalidContext      = "INVALID_CONTEXT"
	flagNotFound        = "FLAG_NOT_FOUND"
)

// Routes implements bot.Routed.
func (s *Server) Routes() []bot.Route {
	return []bot.Route{
		{On: bot.OnFlags, Method: "POST", Path: base + "/evaluate/flags/{key}", MaxBody: maxBody, Handler: http.HandlerFunc(s.one)},
		{On: bot.OnFlags, Method: "POST", Path: base + "/evaluate/flags", MaxBody: maxBody, Handler: http.HandlerFunc(s.all)},
		{On: bot.OnFlags, Method: "GET", Path: base + "/events", Stream: true, Handler: http.HandlerFunc(s.events)},
	}
}

// failure is the standard's body of an answer that is no evaluation.
type failure struct {
	Key          string `json:"key,omitempty"`
	ErrorCode    string `json:"errorCode,omitempty"`
	ErrorDetails string `json:"errorDetails,omitempty"`
}

func reply(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body) // who asked may be gone
}

func fail(w http.ResponseWriter, status int, f failure) {
	body, err := json.Marshal(f)
	if err != nil {
		body = []byte(`{"errorDetails":"internal error"}`)
	}
	reply(w, status, body)
}

// admitted gives whose key the request shows, or answers that there is none.
func (s *Server) admitted(w http.ResponseWriter, q *http.Request) (holder, bool) {
	h, ok := s.who(q)
	if !ok {
		w.Header().Set("WWW-Authenticate", `Bearer realm="flags"`)
		fail(w, http.StatusUnauthorized, failure{ErrorDetails: "show the key of your service and environment: Authorization: Bearer KEY"})
	}
	return h, ok
}

// asked is what a request says.
type asked struct {
	Context *flag.Context `json:"context"`
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// contextOf reads the context of a request, or answers what is wrong with it.
func (s *Server) contextOf(w http.ResponseWriter, q *http.Request, key string) (c flag.Context, raw []byte, ok bool) {
	b := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(b)
	b.Reset()
	if _, err := io.Copy(b, q.Body); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			fail(w, http.StatusRequestEntityTooLarge, failure{Key: key, ErrorCode: parseError, ErrorDetails: fmt.Sprintf("the body is larger than %d bytes", maxBody)})
		}
		return nil, nil, false // else who asked is gone
	}
	var in asked
	if err := json.Unmarshal(b.Bytes(), &in); err != nil {
		code, say := parseError, "the body is not JSON"
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			code, say = invalidContext, `the body is not {"context":{...}}`
		}
		fail(w, http.StatusBadRequest, failure{Key: key, ErrorCode: code, ErrorDetails: say})
		return nil, nil, false
	}
	if in.Context == nil {
		fail(w, http.StatusBadRequest, failure{Key: key, ErrorCode: invalidContext, ErrorDetails: `the body has no context; send {"context":{"targetingKey":"..."}}`})
		return nil, nil, false
	}
	if v, there := (*in.Context)[flag.TargetingKey]; there {
		if _, isText := v.(string); !isText {
			fail(w, http.StatusBadRequest, failure{Key: key, ErrorCode: invalidContext, ErrorDetails: "targetingKey is not a text"})
			return nil, nil, false
		}
	}
	return *in.Context, bytes.Clone(b.Bytes()), true
}

// one answers for one flag.
func (s *Server) one(w http.ResponseWriter, q *http.Request) {
	h, ok := s.admitted(w, q)
	if !ok {
		return
	}
	key := q.PathValue("key")
	c, _, ok := s.contextOf(w, q, key)
	if !ok {
		return
	}
	now, _ := s.Flags.Now()
	f, found := now.Get(h.target.Environment, key)
	if !found || f.Target != h.target { // what is another service's is as if it were not there
		fail(w, http.StatusNotFound, failure{Key: key, ErrorCode: flagNotFound, ErrorDetails: "there is no such flag for " + h.target.String()})
		return
	}
	body, ok := encode(make([]byte, 0, 256), f, flag.Evaluate(f, c))
	status := http.StatusOK
	if !ok {
		status = http.StatusBadRequest
	}
	reply(w, status, body)
}

// encode appends an evaluation as the standard has it; ok is false for one that
// is a failure.
func encode(b []byte, f *provider.Flag, e flag.Evaluation) (_ []byte, ok bool) {
	if e.Keyless {
		b = append(b, `{"key":"`...)
		b = append(b, f.Key...) // holds nothing that JSON would have escaped
		return append(b, `","errorCode":"`+targetingKeyMissing+`","errorDetails":"this flag goes by percentage, so it needs a targetingKey"}`...), false
	}
	value, _ := f.Value(e.Variant)
	b = append(b, `{"key":"`...)
	b = append(b, f.Key...)
	b = append(b, `","value":`...)
	b = append(b, value...)
	b = append(b, `,"reason":"`...)
	b = append(b, e.Reason...)
	b = append(b, `","variant":"`...)
	b = append(b, e.Variant...)
	return append(b, `"}`...), true
}

// etag tells one answer from another: by the flags, and by what was asked.
func etag(digest string, context []byte) string {
	var compact bytes.Buffer
	if json.Compact(&compact, context) == nil {
		context = compact.Bytes()
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n", digest)
	sum.Write(context)
	return `"` + base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:18]) + `"`
}

// all answers for all flags of a service.
func (s *Server) all(w http.ResponseWriter, q *http.Request) {
	h, ok := s.admitted(w, q)
	if !ok {
		return
	}
	c, raw, ok := s.contextOf(w, q, "")
	if !ok {
		return
	}
	now, _ := s.Flags.Now()
	served := now.Of(h.target)
	tag := etag(served.Digest, raw)
	w.Header()["Etag"] = []string{tag}
	w.Header()["Cache-Control"] = []string{"private, no-cache"}
	if matches(q.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	b := append(make([]byte, 0, 256+128*len(served.Flags)), `{"flags":[`...)
	for i, f := range served.Flags {
		if i > 0 {
			b = append(b, ',')
		}
		b, _ = encode(b, f, flag.Evaluate(f, c))
	}
	at := base + "/events?" + url.Values{"target": {h.target.String()}, "key": {fmt.Sprintf("%x", h.event)}}.Encode()
	stream, err := json.Marshal([]any{map[string]any{"type": "sse", "endpoint": map[string]any{"requestUri": at}}})
	if err != nil {
		stream = []byte("[]")
	}
	b = append(b, `],"metadata":{"version":"`+served.Digest+`"},"eventStreams":`...)
	b = append(append(b, stream...), '}')
	reply(w, http.StatusOK, b)
}

// matches reports whether a header If-None-Match names the tag.
func matches(header, tag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
		if one == tag || one == "*" {
			return true
		}
	}
	return false
}

// events tells who listens that the flags of a target are others now, until they
// go. What is told is that and no more, so that a stream that breaks loses nothing:
// whoever asks again has the present.
func (s *Server) events(w http.ResponseWriter, q *http.Request) {
	t, ok := s.listener(q)
	if !ok {
		w.Header().Set("WWW-Authenticate", `Bearer realm="flags"`)
		fail(w, http.StatusUnauthorized, failure{ErrorDetails: "take the address from an evaluation of all flags"})
		return
	}
	if s.streams.Add(1) > maxStreams {
		s.streams.Add(-1)
		w.Header().Set("Retry-After", "30")
		fail(w, http.StatusTooManyRequests, failure{ErrorDetails: "too many listen already"})
		return
	}
	defer s.streams.Add(-1)
	control := http.NewResponseController(w)
	if control.SetReadDeadline(time.Time{}) != nil { // nothing more is read, and that is no reason to end
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	write := func(text string) bool {
		// Writing stops on a client that takes nothing; see Route.Stream.
		if control.SetWriteDeadline(time.Now().Add(writeWith)) != nil {
			return false
		}
		if _, err := io.WriteString(w, text); err != nil {
			return false
		}
		return control.Flush() == nil
	}
	now, changed := s.Flags.Now()
	digest := now.Of(t).Digest
	if !write("retry: 2000\n: listening\n\n") {
		return
	}
	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	for {
		select {
		case <-q.Context().Done():
			return
		case <-alive.C:
			if _, still := s.listener(q); !still || !write(": alive\n\n") {
				return // the key was taken away, or who listened is gone
			}
		case <-changed:
			now, changed = s.Flags.Now()
			d := now.Of(t).Digest
			if d == digest {
				continue
			}
			digest = d
			if !write(fmt.Sprintf("id: %s\ndata: {\"type\":\"refetchEvaluation\",\"etag\":%q}\n\n", d, d)) {
				return
			}
		}
	}
}
