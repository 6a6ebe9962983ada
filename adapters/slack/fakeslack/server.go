// Package fakeslack is a Slack for tests: the Web API methods that a bot needs,
// Socket Mode with its acknowledgements and redeliveries, signed HTTP delivery,
// and people who type, press and fill in forms. It is stricter than Slack where
// Slack forgives: an argument that a method does not have, or a block over a
// limit, is an error, and what must not happen is kept as a fault for the test
// to find.
//
// Behaviour follows docs.slack.dev as of November 2026 and what slack-go v0.34
// was seen to do; the limits are those of Slack's reference pages.
package fakeslack

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"quarterdeck/bot"
)

// Options is how a Server is made. Zero fields have defaults.
type Options struct {
	TeamID        string // default "T1"
	AppID         string // default "A1"
	BotUser       string // default "UBOT"
	BotToken      string // default "xoxb-fake"
	AppToken      string // default "xapp-fake"
	SigningSecret string // default "signing-fake"
	// Scopes are what the bot token was given; a call that needs another is
	// refused, and an event that does is not sent.
	Scopes []string
	// Events are the bot events that the app is subscribed to; nil is all.
	Events []string
	// Command is the slash command that the app has; default "/ops".
	Command string
	// EnterpriseID is the organisation of the workspace, "" for none. OrgWide says
	// that the token is for the whole of it.
	EnterpriseID string
	OrgWide      bool
	Clock        bot.Clock
	// AckWithin is how long Slack waits for an acknowledgement; default 3 s.
	AckWithin time.Duration
	// PingEvery is how often the server pings a socket; default 1 s.
	PingEvery time.Duration
	// PerChannel, when set, is how far apart posts to one channel have to be on
	// average; Burst may come at once. What comes faster is answered with 429.
	PerChannel time.Duration
	Burst      int
	// Methods, when set, is the folder of the vendor's method descriptions;
	// calls are checked against it.
	Methods string
	// UploadTo, when set, begins the addresses that files are to be uploaded to.
	UploadTo string
}

// Server is the fake. Make it with New; Close ends it. Safe for concurrent use.
type Server struct {
	o     Options
	http  *httptest.Server
	specs map[string]spec

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced whenever something happens
	stamp    int64
	ids      int
	users    map[string]User
	channels map[string]Channel
	groups   map[string]Group
	messages []*Message
	views    map[string]*View
	files    []*File
	uploads  map[string]*File
	hooks    map[string]*hook // response URLs
	triggers map[string]*trigger
	calls    []Call
	outages  map[string]*Outage
	wrong    []string
	permits  map[string]time.Time // by channel: when the next post is permitted
	limited  int                  // posts that were not

	tickets map[string]bool
	sockets []*socket
	opened  int // calls of apps.connections.open
	pending map[string]*Envelope
	past    map[string]past // by event or trigger id
}

// New starts a Server on loopback.
func New(o Options) (*Server, error) {
	for field, value := range map[*string]string{&o.TeamID: "T1", &o.AppID: "A1", &o.BotUser: "UBOT", &o.BotToken: "xoxb-fake",
		&o.AppToken: "xapp-fake", &o.SigningSecret: "signing-fake", &o.Command: "/ops"} {
		if *field == "" {
			*field = value
		}
	}
	if o.Clock == nil {
		o.Clock = bot.SystemClock{}
	}
	if o.AckWithin == 0 {
		o.AckWithin = 3 * time.Second
	}
	if o.PingEvery == 0 {
		o.PingEvery = time.Second
	}
	if o.Burst == 0 {
		o.Burst = 1
	}
	if o.Scopes == nil {
		o.Scopes = Scopes()
	}
	s := &Server{o: o, changed: make(chan struct{}), users: map[string]User{}, channels: map[string]Channel{}, groups: map[string]Group{},
		views: map[string]*View{}, uploads: map[string]*File{}, hooks: map[string]*hook{}, triggers: map[string]*trigger{}, outages: map[string]*Outage{},
		permits: map[string]time.Time{}, tickets: map[string]bool{}, pending: map[string]*Envelope{}, past: map[string]past{}}
	if o.Methods != "" {
		var err error
		if s.specs, err = readSpecs(o.Methods); err != nil {
			return nil, err
		}
	}
	s.users[o.BotUser] = User{ID: o.BotUser, TeamID: o.TeamID, Kind: Bot}
	mux := http.NewServeMux()
	mux.HandleFunc("/api/", s.api)
	mux.HandleFunc("/link", s.link)
	mux.HandleFunc("/hook/", s.hook)
	mux.HandleFunc("/upload/", s.upload)
	s.http = httptest.NewServer(mux)
	return s, nil
}

// Scopes lists what a bot token needs for everything that the bot does.
func Scopes() []string {
	return []string{"app_mentions:read", "channels:read", "chat:write", "commands", "files:write", "groups:read", "im:history", "im:write",
		"usergroups:read", "users:read"}
}

// URL is the base of the Web API, for the client's option.
func (s *Server) URL() string { return s.http.URL + "/api/" }

// Options gives how the server was made, defaults filled in.
func (s *Server) Options() Options { return s.o }

// Close ends all connections and the server.
func (s *Server) Close() {
	s.mu.Lock()
	for _, k := range s.sockets {
		k.close()
	}
	s.mu.Unlock()
	s.http.CloseClientConnections()
	s.http.Close()
}

// Wrong lists what was done that Slack's rules forbid.
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

// id makes an id that no other has. The lock is held.
func (s *Server) id(prefix string) string {
	s.ids++
	return fmt.Sprintf("%s%06d", prefix, s.ids)
}

// ts makes the next message timestamp. The lock is held.
func (s *Server) ts() string {
	s.stamp++
	return fmt.Sprintf("1790000000.%06d", s.stamp)
}

// Call is one call of a method.
type Call struct {
	Method string
	Args   url.Values
	At     time.Time
}

// Calls gives the calls of a method so far, or of all methods for "".
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

// Posts gives how many messages there are, and how many were refused because
// their channel was posted to too fast.
func (s *Server) Posts() (taken, limited int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.messages), s.limited
}

// Outage makes a method fail.
type Outage struct {
	Times      int           // how often; 0 is until it is mended
	Status     int           // answer with this status
	RetryAfter time.Duration // header of a 429
	Error      string        // or answer ok:false with this error
	HTML       bool          // or answer with a page
	Hang       bool          // or do not answer at all
	After      bool          // do what was asked, and only then fail
}

// Fail makes the method fail from now on; "" stands for every method.
func (s *Server) Fail(method string, o Outage) {
	s.mu.Lock()
	defer s.mu.Unlock()
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

// maxBody bounds a request to the fake.
const maxBody = 1 << 20

func (s *Server) api(w http.ResponseWriter, r *http.Request) {
	method := strings.TrimPrefix(r.URL.Path, "/api/")
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return
	}
	args, err := arguments(r, body)
	if err != nil {
		fail(w, "invalid_form_data")
		return
	}
	s.mu.Lock()
	s.calls = append(s.calls, Call{method, maps.Clone(args), s.o.Clock.Now()})
	s.announce()
	s.mu.Unlock()
	down := s.outage(method)
	if down != nil && !down.After && s.broken(w, r, down) {
		return
	}
	w.Header().Set("Date", s.o.Clock.Now().UTC().Format(http.TimeFormat))
	token := args.Get("token")
	if h := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); h != "" {
		token = h
	}
	want := s.o.BotToken
	if method == "apps.connections.open" {
		want = s.o.AppToken
	}
	switch {
	case token == "":
		fail(w, "not_authed")
		return
	case token != want && (token == s.o.BotToken || token == s.o.AppToken):
		fail(w, "not_allowed_token_type")
		return
	case token != want:
		fail(w, "invalid_auth")
		return
	}
	args.Del("token")
	s.checkArguments(method, args)
	handler, known := methods[method]
	if !known {
		fail(w, "unknown_method")
		return
	}
	w.Header().Set("X-OAuth-Scopes", strings.Join(s.o.Scopes, ","))
	if scope := s.lacks(method, args); scope != "" {
		respond(w, map[string]any{"ok": false, "error": "missing_scope", "needed": scope, "provided": strings.Join(s.o.Scopes, ",")})
		return
	}
	answer, code := handler(s, args)
	if down != nil && s.broken(w, r, down) {
		return
	}
	switch {
	case strings.HasPrefix(code, "429 "):
		w.Header().Set("Retry-After", strings.TrimPrefix(code, "429 "))
		w.WriteHeader(http.StatusTooManyRequests)
	case code != "":
		fail(w, code)
	default:
		if answer == nil {
			answer = map[string]any{}
		}
		answer["ok"] = true
		respond(w, answer)
	}
}

// broken fails the request as o says, and reports whether it did.
func (s *Server) broken(w http.ResponseWriter, r *http.Request, o *Outage) bool {
	switch {
	case o.Hang:
		<-r.Context().Done()
	case o.HTML:
		w.Header().Set("Content-Type", "text/html")
		if o.Status != 0 {
			w.WriteHeader(o.Status)
		}
		_, _ = io.WriteString(w, "<!DOCTYPE html><html><body>Something went wrong</body></html>") // the client may be gone
	case o.Status == http.StatusTooManyRequests:
		if o.RetryAfter > 0 {
			w.Header().Set("Retry-After", fmt.Sprint(int((o.RetryAfter+time.Second-1)/time.Second)))
		}
		w.WriteHeader(o.Status)
	case o.Status != 0:
		w.WriteHeader(o.Status)
	case o.Error != "":
		fail(w, o.Error)
	default:
		return false
	}
	return true
}

// arguments reads a call's arguments, which come as a form or as JSON.
func arguments(r *http.Request, body []byte) (url.Values, error) {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return url.ParseQuery(string(body))
	}
	var fields map[string]json.RawMessage
	if len(body) == 0 {
		return url.Values{}, nil
	}
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, err
	}
	args := url.Values{}
	for name, raw := range fields {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		args.Set(name, text)
	}
	return args, nil
}

func fail(w http.ResponseWriter, code string) {
	respond(w, map[string]any{"ok": false, "error": code})
}

func respond(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // the client may be gone
}
