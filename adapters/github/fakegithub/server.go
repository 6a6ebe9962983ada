// Package fakegithub is GitHub as far as a deploying bot needs it, on loopback:
// commits, branches, tags, releases, pull requests, checks, deployments with
// their statuses, workflows with runs that take their time on a given clock,
// Apps with tokens that end, ETags and both rate limits. It keeps state, counts
// what it was made to do, and holds every request and answer against GitHub's
// own description where that is at hand.
package fakegithub

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"quarterdeck/bot"
)

// Options are what a Server is made with.
type Options struct {
	Clock    bot.Clock
	Contract string // path of GitHub's OpenAPI description; "" for none
	Owner    string
	Repo     string
	Token    string // that is taken
	// App's id, installation and public key; zero for none.
	App          int64
	Installation int64
	Key          *rsa.PublicKey
	// Appears is how long after its dispatch a run is listed.
	Appears time.Duration
	// Queue is how long a run waits, and Takes how long it then runs; 2s and 10s
	// by default.
	Queue, Takes time.Duration
	// NoDetails is a server that answers 204 to a dispatch; Old one that does not
	// know the field that asks for more.
	NoDetails, Old bool
}

// Server is a fake GitHub. Safe for concurrent use.
type Server struct {
	o        Options
	http     *httptest.Server
	mux      *http.ServeMux
	contract *contract

	mu          sync.Mutex
	next        int64
	commits     map[string]*Commit
	branches    map[string]string
	tags        []tag // newest first
	releases    []release
	pulls       map[int]Pull
	checks      map[string][]Check
	statuses    map[string][]Check
	workflows   map[string]Workflow
	runs        []*run
	deployments []*deployment
	outcomes    map[string]Outcome
	faults      []*Fault
	tokens      map[string]time.Time
	external    *Outcome
	remaining   int
	reset       time.Time
	requests    []string
	unchanged   int
	bodies      []string
	wrong       []string
	merges      bool
}

// New starts a Server with an empty repository.
func New(o Options) (*Server, error) {
	if o.Queue == 0 {
		o.Queue = queueTime
	}
	if o.Takes == 0 {
		o.Takes = runTime
	}
	s := &Server{
		o: o, mux: http.NewServeMux(), commits: map[string]*Commit{}, branches: map[string]string{}, pulls: map[int]Pull{},
		checks: map[string][]Check{}, statuses: map[string][]Check{}, workflows: map[string]Workflow{}, outcomes: map[string]Outcome{},
		tokens: map[string]time.Time{}, next: 1000, remaining: 5000, reset: o.Clock.Now().Add(time.Hour),
	}
	var err error
	if o.Contract != "" {
		if s.contract, err = loadContract(o.Contract); err != nil {
			return nil, err
		}
	}
	s.routes()
	s.http = httptest.NewServer(http.HandlerFunc(s.serve))
	return s, nil
}

// URL is the API's address.
func (s *Server) URL() string { return s.http.URL + "/" }

// Close ends the Server.
func (s *Server) Close() {
	s.http.CloseClientConnections()
	s.http.Close()
}

// Wrong lists where a request or an answer did not fit GitHub's description.
func (s *Server) Wrong() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.wrong)
}

// Requests lists what was asked, as "GET /path"; Unchanged counts the answers
// that were 304.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Unchanged counts the answers that were 304.
func (s *Server) Unchanged() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unchanged
}

// Bodies lists the bodies that were sent, in order.
func (s *Server) Bodies() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.bodies)
}

// Fault makes requests go wrong. Path is one of the routes' patterns, such as
// "POST /repos/{owner}/{repo}/deployments", or "" for all.
type Fault struct {
	Path   string
	Times  int  // 0 for ever
	Skip   int  // requests that pass first
	Acts   bool // what was asked is done first, and its answer lost
	Status int
	Header map[string]string
	Body   string
	Hang   bool // no answer until the client gives up
	Cut    bool // the connection is closed
}

// Inject adds a fault.
func (s *Server) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.Times == 0 {
		f.Times = 1 << 30
	}
	s.faults = append(s.faults, &f)
}

// Mend takes all faults away.
func (s *Server) Mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Budget sets how many requests are left until a time.
func (s *Server) Budget(remaining int, reset time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remaining, s.reset = remaining, reset
}

func (s *Server) id() int64 { s.next++; return s.next }

func (s *Server) now() time.Time { return s.o.Clock.Now() }

// answer is what a handler gives: a status and a body that becomes JSON, nil for
// none.
type answer struct {
	status int
	body   any
	header map[string]string
}

func ok(body any) answer { return answer{status: http.StatusOK, body: body} }

func refuse(status int, message string) answer {
	return answer{status: status, body: map[string]any{"message": message, "documentation_url": "https://docs.github.com/rest", "status": strconv.Itoa(status)}}
}

// ask is one request as a handler gets it.
type ask struct {
	*http.Request
	query url.Values
	body  map[string]any
}

func (s *Server) handle(pattern string, h func(ask) answer) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		var raw bytes.Buffer
		if _, err := raw.ReadFrom(r.Body); err != nil {
			return
		}
		a := ask{Request: r, query: r.URL.Query()}
		if raw.Len() > 0 {
			if err := json.Unmarshal(raw.Bytes(), &a.body); err != nil {
				s.write(w, r, refuse(http.StatusBadRequest, "Problems parsing JSON"))
				return
			}
		}
		s.mu.Lock()
		if raw.Len() > 0 {
			s.bodies = append(s.bodies, raw.String())
		}
		if owner := r.PathValue("owner"); owner != "" && (owner != s.o.Owner || r.PathValue("repo") != s.o.Repo) {
			s.mu.Unlock()
			s.write(w, r, refuse(http.StatusNotFound, "Not Found"))
			return
		}
		if s.contract != nil && !(s.o.Old && strings.Contains(pattern, "dispatches")) {
			s.wrong = append(s.wrong, s.contract.request(pattern, a)...)
		}
		s.proceed()
		got := h(a)
		if s.contract != nil && got.body != nil {
			var wrong []string
			got.body, wrong = s.contract.answer(pattern, got.status, got.body)
			s.wrong = append(s.wrong, wrong...)
		}
		s.mu.Unlock()
		s.write(w, r, got)
	})
}

func (s *Server) write(w http.ResponseWriter, r *http.Request, a answer) {
	for k, v := range a.header {
		w.Header().Set(k, v)
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	raw, err := json.Marshal(a.body)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if r.Method == http.MethodGet && a.status == http.StatusOK {
		sum := sha256.Sum256(append(raw, w.Header().Get("Link")...))
		etag := fmt.Sprintf(`W/"%x"`, sum[:8])
		w.Header().Set("ETag", etag)
		if r.Header.Get("If-None-Match") == etag {
			s.mu.Lock()
			s.unchanged++
			s.remaining++ // it does not count
			s.mu.Unlock()
			w.Header().Del("Link")
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(raw)
}

// serve is everything before a handler: credentials, limits and faults.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	_, pattern := s.mux.Handler(r)
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+r.URL.Path)
	now := s.now()
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	w.Header().Set("X-GitHub-Request-Id", "0000:0000")
	fault := s.fault(pattern)
	allowed := strings.HasPrefix(r.URL.Path, "/app/") || s.knows(r, now)
	limited := false
	if allowed && fault == nil {
		if !now.Before(s.reset) {
			s.remaining, s.reset = 5000, now.Add(time.Hour)
		}
		limited = s.remaining <= 0
		s.remaining = max(s.remaining-1, 0)
		w.Header().Set("X-RateLimit-Limit", "5000")
		w.Header().Set("X-RateLimit-Remaining", strconv.Itoa(s.remaining))
		w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(s.reset.Unix(), 10))
		w.Header().Set("X-RateLimit-Resource", "core")
	}
	s.mu.Unlock()
	switch {
	case fault != nil && fault.Acts:
		s.mux.ServeHTTP(httptest.NewRecorder(), r)
		s.misbehave(w, r, fault)
	case fault != nil:
		s.misbehave(w, r, fault)
	case !allowed:
		s.write(w, r, refuse(http.StatusUnauthorized, "Bad credentials"))
	case limited:
		s.write(w, r, refuse(http.StatusForbidden, "API rate limit exceeded for user ID 1."))
	default:
		s.mux.ServeHTTP(w, r)
	}
}

func (s *Server) knows(r *http.Request, now time.Time) bool {
	token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !found {
		return false
	}
	until, issued := s.tokens[token]
	return token == s.o.Token && token != "" || issued && now.Before(until)
}

func (s *Server) fault(pattern string) *Fault {
	for _, f := range s.faults {
		if f.Path != "" && f.Path != pattern || f.Times == 0 {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		f.Times--
		return f
	}
	return nil
}

func (s *Server) misbehave(w http.ResponseWriter, r *http.Request, f *Fault) {
	switch {
	case f.Hang:
		<-r.Context().Done()
		return
	case f.Cut:
		panic(http.ErrAbortHandler)
	}
	for _, k := range slices.Sorted(maps.Keys(f.Header)) {
		w.Header().Set(k, f.Header[k])
	}
	w.WriteHeader(f.Status)
	_, _ = w.Write([]byte(f.Body))
}

// page gives one page of a list, and the header that names the next.
func page[T any](s *Server, r ask, all []T) (some []T, header map[string]string) {
	size, _ := strconv.Atoi(r.query.Get("per_page"))
	if size <= 0 || size > 100 {
		size = 30
	}
	n, _ := strconv.Atoi(r.query.Get("page"))
	n = max(n, 1)
	from := min((n-1)*size, len(all))
	to := min(from+size, len(all))
	if to < len(all) {
		q := r.URL.Query()
		q.Set("page", strconv.Itoa(n+1))
		header = map[string]string{"Link": fmt.Sprintf(`<%s%s?%s>; rel="next"`, s.http.URL, r.URL.Path, q.Encode())}
	}
	return all[from:to], header
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
