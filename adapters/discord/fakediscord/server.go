// Package fakediscord is a Discord for tests: the REST methods that a bot needs,
// the gateway with its heartbeats, resumes and closings, signed HTTP delivery, and
// people who type, press, choose and fill in forms. It is stricter than Discord
// where Discord forgives: a body that the vendor's description does not allow, or
// that is over a limit, is an error, and what must not happen is kept as a fault
// for the test to find.
//
// Behaviour follows docs.discord.com as of November 2026 and what discordgo v0.29
// was seen to do.
package fakediscord

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"quarterdeck/bot"
)

// Options is how a Server is made. Zero fields have defaults.
type Options struct {
	AppID string // the application's id and its bot user's; default "9001"
	Token string // default "discord-fake-token"
	Clock bot.Clock
	// AckWithin is how long an interaction can be answered; default 3 s. Its token
	// is good for TokenLife, default 15 minutes.
	AckWithin, TokenLife time.Duration
	// Heartbeat is how often a client has to show that it lives; default 41.25 s.
	Heartbeat time.Duration
	// Contract, when set, is the vendor's openapi.json; bodies are checked against
	// it.
	Contract string
	// PerChannel is how many messages a channel takes in PerChannelIn, 5 s unless
	// said otherwise; 0 is any number. What comes beyond is answered with 429.
	PerChannel   int
	PerChannelIn time.Duration
	// Global is how many requests are taken in a second; 0 is any number.
	Global int
	// Identifies is how many sessions may be begun; default 1,000.
	Identifies int
	// Content says that the privileged message content intent is on.
	Content bool
}

// Server is the fake. Make it with New; Close ends it. Safe for concurrent use.
type Server struct {
	o        Options
	http     *httptest.Server
	contract *contract
	private  ed25519.PrivateKey
	public   ed25519.PublicKey

	mu           sync.Mutex
	changed      chan struct{} // closed and replaced whenever something happens
	ids          int64
	guilds       map[string]*Guild
	channels     map[string]*Channel
	users        map[string]*User
	messages     []*Message
	nonces       map[string]*Message
	interactions map[string]*interaction // by id
	tokens       map[string]*interaction // by token
	commands     map[string][]json.RawMessage
	past         map[string]past
	calls        []Call
	outages      map[string]*Outage
	wrong        []string
	buckets      map[string]*bucket
	limited      int // requests that were answered with 429
	invalid      int // requests that were answered with 401, 403 or 429

	sockets     []*socket
	sessions    map[string]*session
	identifies  int
	resumes     int
	connections int
	next        []Connect
}

// New starts a Server on loopback.
func New(o Options) (*Server, error) {
	if o.AppID == "" {
		o.AppID = "9001"
	}
	if o.Token == "" {
		o.Token = "discord-fake-token"
	}
	if o.Clock == nil {
		o.Clock = bot.SystemClock{}
	}
	for field, value := range map[*time.Duration]time.Duration{&o.AckWithin: 3 * time.Second, &o.TokenLife: 15 * time.Minute,
		&o.Heartbeat: 41250 * time.Millisecond, &o.PerChannelIn: 5 * time.Second} {
		if *field == 0 {
			*field = value
		}
	}
	if o.Identifies == 0 {
		o.Identifies = 1000
	}
	s := &Server{o: o, changed: make(chan struct{}), guilds: map[string]*Guild{}, channels: map[string]*Channel{}, users: map[string]*User{},
		nonces: map[string]*Message{}, interactions: map[string]*interaction{}, tokens: map[string]*interaction{}, commands: map[string][]json.RawMessage{},
		outages: map[string]*Outage{}, buckets: map[string]*bucket{}, sessions: map[string]*session{}}
	var err error
	if s.public, s.private, err = ed25519.GenerateKey(nil); err != nil {
		return nil, err
	}
	if o.Contract != "" {
		if s.contract, err = loadContract(o.Contract); err != nil {
			return nil, err
		}
	}
	s.users[o.AppID] = &User{ID: o.AppID, Name: "quarterdeck", Bot: true}
	mux := http.NewServeMux()
	mux.HandleFunc("/gateway", s.gateway)
	for pattern, method := range methods {
		verb, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(verb+" /api/v10"+path, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, pattern, method) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.note("%s %s is nothing that Discord has", r.Method, r.URL.Path)
		s.mu.Unlock()
		http.NotFound(w, r)
	})
	s.http = httptest.NewServer(mux)
	return s, nil
}

// URL is the base of the REST API.
func (s *Server) URL() string { return s.http.URL + "/api/v10/" }

// PublicKey gives, in hex, what the signatures of HTTP interactions are checked
// with.
func (s *Server) PublicKey() string { return hex.EncodeToString(s.public) }

// Options gives how the server was made, defaults filled in.
func (s *Server) Options() Options { return s.o }

// Close ends all connections and the server.
func (s *Server) Close() {
	s.mu.Lock()
	for _, k := range s.sockets {
		k.conn.Close()
	}
	s.mu.Unlock()
	s.http.CloseClientConnections()
	s.http.Close()
}

// Wrong lists what was done that Discord's rules forbid.
func (s *Server) Wrong() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.wrong)
}

// note keeps a breach of the rules. The lock is held.
func (s *Server) note(format string, args ...any) {
	s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
	s.announce()
}

// announce wakes those who wait. The lock is held.
func (s *Server) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Until waits until ok, which is called with nothing changing, says so.
func (s *Server) Until(ctx context.Context, what string, ok func() bool) error {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if ok() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waited for %s: %w", what, ctx.Err())
		}
	}
}

// epoch is when Discord's snowflakes begin, in milliseconds.
const epoch = 1420070400000

// snowflake makes an id of this moment that no other has. The lock is held.
func (s *Server) snowflake() string { return s.snowflakeOf(s.o.Clock.Now()) }

func (s *Server) snowflakeOf(t time.Time) string {
	s.ids++
	return strconv.FormatInt((t.UnixMilli()-epoch)<<22|s.ids&(1<<22-1), 10)
}

// Call is one request.
type Call struct {
	Method string // as routed: "POST /channels/{channel_id}/messages"
	Path   string
	Query  string
	Body   json.RawMessage
	Status int // what it was answered with
	At     time.Time
}

// Calls gives the requests of a method so far, or all for "".
func (s *Server) Calls(method string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	var calls []Call
	for _, c := range s.calls {
		if method == "" || c.Method == method {
			calls = append(calls, c)
		}
	}
	return calls
}

// Limits gives how many requests were refused for coming too fast, and how many
// count as invalid, of which 10,000 in ten minutes have an address banned.
func (s *Server) Limits() (limited, invalid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limited, s.invalid
}

// Outage makes a method fail.
type Outage struct {
	Times      int           // how often; 0 is until it is mended
	Status     int           // answer with this status
	Code       int           // and this of Discord's error codes
	RetryAfter time.Duration // of a 429
	Scope      string        // of a 429: "user", "shared" or "global"
	HTML       bool          // answer with a page, as Cloudflare does
	Hang       bool          // do not answer at all
	After      bool          // do what was asked, and only then fail
}

// Fail makes the method fail from now on; "" stands for every method.
func (s *Server) Fail(method string, o Outage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := methods[method]; !known && method != "" {
		s.note("there is no method %q to fail", method)
	}
	s.outages[method] = &o
}

// Mend takes all failures back.
func (s *Server) Mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.outages)
	s.announce()
}

// outage takes the failure that applies to the method now.
func (s *Server) outage(method string) *Outage {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range []string{method, ""} {
		if o := s.outages[name]; o != nil {
			if o.Times == 1 {
				delete(s.outages, name)
			} else if o.Times > 1 {
				o.Times--
			}
			taken := *o
			return &taken
		}
	}
	return nil
}

// maxBody bounds a request: Discord takes 25 MiB.
const maxBody = 25 << 20

// answer is what a method answers: a status and a body, nil for none.
type answer struct {
	status int
	body   any
}

func ok(body any) answer { return answer{http.StatusOK, body} }

var done = answer{status: http.StatusNoContent}

// failed is an error of Discord's.
func failed(status, code int, say string) answer {
	return answer{status, map[string]any{"code": code, "message": say}}
}

// Errors of Discord's that have a code (docs: topics/opcodes-and-status-codes).
var (
	unknownChannel     = failed(404, 10003, "Unknown Channel")
	unknownGuild       = failed(404, 10004, "Unknown Guild")
	unknownMember      = failed(404, 10007, "Unknown Member")
	unknownMessage     = failed(404, 10008, "Unknown Message")
	unknownUser        = failed(404, 10013, "Unknown User")
	unknownWebhook     = failed(404, 10015, "Unknown Webhook")
	unknownInteraction = failed(404, 10062, "Unknown interaction")
	alreadyAnswered    = failed(400, 40060, "Interaction has already been acknowledged.")
	missingAccess      = failed(403, 50001, "Missing Access")
	othersMessage      = failed(403, 50005, "Cannot edit a message authored by another user")
	cannotDM           = failed(403, 50007, "Cannot send messages to this user")
	missingPermissions = failed(403, 50013, "Missing Permissions")
	wrongChannelType   = failed(400, 50024, "Cannot execute action on this channel type")
	invalidToken       = failed(401, 50027, "Invalid Webhook Token")
	hasThread          = failed(400, 160004, "A thread has already been created for this message")
)

func invalidBody(why string) answer { return failed(400, 50035, "Invalid Form Body: "+why) }

func (s *Server) serve(w http.ResponseWriter, r *http.Request, pattern string, m method) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		write(w, answer{http.StatusRequestEntityTooLarge, map[string]any{"code": 40005, "message": "Request entity too large"}})
		return
	}
	a, err := asked(r, raw)
	call := Call{Method: pattern, Path: r.URL.Path, Query: r.URL.RawQuery, Body: a.raw, At: s.o.Clock.Now()}
	w.Header().Set("Date", s.o.Clock.Now().UTC().Format(http.TimeFormat))
	result := func() answer {
		if err != nil {
			return invalidBody(err.Error())
		}
		down := s.outage(pattern)
		if down != nil && !down.After {
			return s.broken(w, r, down)
		}
		if !m.byToken && r.Header.Get("Authorization") != "Bot "+s.o.Token {
			return failed(401, 0, "401: Unauthorized")
		}
		if limited := s.limit(w, r, pattern); limited.status != 0 {
			return limited
		}
		s.checkContract(pattern, a)
		s.mu.Lock()
		result := m.do(s, a)
		s.announce()
		s.mu.Unlock()
		if down != nil {
			return s.broken(w, r, down)
		}
		return result
	}()
	s.mu.Lock()
	call.Status = result.status
	s.calls = append(s.calls, call)
	switch result.status {
	case http.StatusTooManyRequests:
		s.limited++
		if w.Header().Get("X-RateLimit-Scope") != "shared" {
			s.invalid++
		}
	case http.StatusUnauthorized, http.StatusForbidden:
		s.invalid++
	}
	s.announce()
	s.mu.Unlock()
	if result.status != 0 {
		write(w, result)
	}
}

// broken fails the request as o says.
func (s *Server) broken(w http.ResponseWriter, r *http.Request, o *Outage) answer {
	switch {
	case o.Hang:
		<-r.Context().Done()
		return answer{}
	case o.HTML:
		w.Header().Set("Content-Type", "text/html")
		if o.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(o.RetryAfter/time.Second)))
		}
		return answer{max(o.Status, 200), page("<!DOCTYPE html><html><body>You are being rate limited</body></html>")}
	case o.Status == http.StatusTooManyRequests:
		return tooMany(w, o.RetryAfter, o.Scope)
	}
	return failed(o.Status, o.Code, http.StatusText(o.Status))
}

// page is a body that is no JSON.
type page string

func write(w http.ResponseWriter, a answer) {
	if p, is := a.body.(page); is {
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, string(p)) // the client may be gone
		return
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body) // the client may be gone
}
