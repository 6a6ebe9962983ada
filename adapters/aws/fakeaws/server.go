// Package fakeaws is an AWS with state, for tests: the parts of ECS, ECR, STS,
// S3 and CloudWatch Logs that package awsprovider uses, as their clients speak to them over HTTP. It
// moves on a clock of its own, shows what was done late, and misbehaves on order.
package fakeaws

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"quarterdeck/bot"
)

// Options is what a Server is made with.
type Options struct {
	Clock  bot.Clock
	Region string
	// AccessKey is the one that is accepted beside those of assumed roles.
	AccessKey string
	// Appears is how long ECS shows an older state; 0 for none.
	Appears time.Duration
	// Takes is how long a deployment that succeeds takes.
	Takes time.Duration
}

// Fault is one misbehaviour.
type Fault struct {
	Op      string // "UpdateService"
	Status  int    // of the answer; 0 for none: the connection is cut
	Code    string // of the error, "" for a body that is no AWS error
	Message string
	// Acts says that the request is executed all the same, and Late that much
	// later, by the clock.
	Acts  bool
	Late  time.Duration
	Times int // how often it strikes; 0 for always
	Skip  int // after how many calls
}

// Act is one call of UpdateService that was taken.
type Act struct {
	Key     string // of the run, from the user agent
	Session string // of the assumed role, "" for none
	Person  string // the session's tag
}

// Server is the fake. Safe for concurrent use.
type Server struct {
	o    Options
	http *httptest.Server

	mu          sync.Mutex
	born        time.Time
	services    map[string]*service // by cluster/service
	targets     map[string]Target   // of autoscaling, by resource
	definitions []*definition
	images      []*Image
	outcomes    map[string]Outcome // by digest
	faults      []*Fault
	calls       map[string]int
	acts        []Act
	sessions    map[string]Act // by access key
	expired     bool
	late        time.Duration // of the request under way
	metrics     Metrics
	logs        []LogEvent
	queries     []*query
	queryEnd    string
	buckets     map[string]*bucket
}

// New starts a Server on loopback.
func New(o Options) *Server {
	s := &Server{
		o: o, born: o.Clock.Now(), services: map[string]*service{}, targets: map[string]Target{}, outcomes: map[string]Outcome{},
		calls: map[string]int{}, sessions: map[string]Act{},
	}
	s.http = httptest.NewServer(http.HandlerFunc(s.serve))
	return s
}

// URL is the endpoint.
func (s *Server) URL() string { return s.http.URL }

// Close ends the server.
func (s *Server) Close() {
	s.http.CloseClientConnections()
	s.http.Close()
}

// Inject has a fault strike.
func (s *Server) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// Expire has every credential refused, until it is called with false.
func (s *Server) Expire(expired bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expired = expired
}

// Calls counts the requests of an operation.
func (s *Server) Calls(op string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[op]
}

// Acts lists what UpdateService was taken for.
func (s *Server) Acts() []Act {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Act(nil), s.acts...)
}

// Effects counts them by the run's key.
func (s *Server) Effects(key string) int {
	n := 0
	for _, a := range s.Acts() {
		if a.Key == key {
			n++
		}
	}
	return n
}

// failure is an answer with an AWS error.
type failure struct {
	status  int
	code    string
	message string
}

func (f failure) Error() string { return f.code + ": " + f.message }

func refuse(code, format string, args ...any) error {
	return failure{http.StatusBadRequest, code, fmt.Sprintf(format, args...)}
}

var (
	scope   = regexp.MustCompile(`Credential=([A-Z0-9]+)/\d{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request`)
	runMark = regexp.MustCompile(`quarterdeck-run/(\S+)`)
)

const maxBody = 16 << 20

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return
	}
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	form, _ := url.ParseQuery(string(body))
	if op == "" {
		op = form.Get("Action")
	}
	measures := strings.HasPrefix(r.URL.Path, cloudWatch)
	if measures {
		op = strings.TrimPrefix(r.URL.Path, cloudWatch)
	}
	object := s3Op(r)
	if object != "" {
		op = object
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[op]++
	if f := s.strikes(op); f != nil {
		if f.Acts {
			s.late = f.Late
			if object != "" {
				s.serveS3(httptest.NewRecorder(), r, op, body)
			} else {
				_, _ = s.answer(r, op, body, form)
			}
			s.late = 0
		}
		if f.Status == 0 {
			panic(http.ErrAbortHandler)
		}
		if f.Code == "" {
			w.WriteHeader(f.Status)
			_, _ = io.WriteString(w, "<html>"+f.Message+"</html>")
			return
		}
		if measures {
			failCBOR(w, failure{f.Status, f.Code, f.Message})
			return
		}
		if object != "" {
			failS3(w, f.Status, f.Code)
			return
		}
		fail(w, op, failure{f.Status, f.Code, f.Message})
		return
	}
	if measures {
		s.serveMetrics(w, r, body)
		return
	}
	if object != "" {
		s.serveS3(w, r, op, body)
		return
	}
	out, err := s.answer(r, op, body, form)
	if err != nil {
		f, ok := err.(failure)
		if !ok {
			f = failure{http.StatusInternalServerError, "ServerException", err.Error()}
		}
		fail(w, op, f)
		return
	}
	if text, ok := out.(string); ok { // XML
		w.Header().Set("Content-Type", "text/xml")
		_, _ = io.WriteString(w, text)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(out) // whoever asked may be gone, which tests do on purpose
}

func fail(w http.ResponseWriter, op string, f failure) {
	if op == "AssumeRole" {
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(f.status)
		fmt.Fprintf(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>r</RequestId></ErrorResponse>`, f.code, f.message)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(f.status)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": f.code, "message": f.message}) // as above
}

// strikes gives the fault that strikes now. The caller holds mu.
func (s *Server) strikes(op string) *Fault {
	for i, f := range s.faults {
		if f == nil || f.Op != op {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				s.faults[i] = nil
			}
		}
		return f
	}
	return nil
}

// caller finds who sent a request. The caller holds mu.
func (s *Server) caller(r *http.Request) (caller, error) {
	m := scope.FindStringSubmatch(r.Header.Get("Authorization"))
	switch {
	case m == nil:
		return caller{}, refuse("MissingAuthenticationTokenException", "Missing Authentication Token")
	case s.expired:
		return caller{}, refuse("ExpiredTokenException", "The security token included in the request is expired")
	}
	session, assumed := s.sessions[m[1]]
	if !assumed && m[1] != s.o.AccessKey {
		return caller{}, refuse("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	if assumed && r.Header.Get("X-Amz-Security-Token") == "" {
		return caller{}, refuse("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	return caller{session, m[2]}, nil
}

// answer executes a request. The caller holds mu.
func (s *Server) answer(r *http.Request, op string, body []byte, form url.Values) (any, error) {
	who, err := s.caller(r)
	if err != nil {
		return nil, err
	}
	if op == "AssumeRole" {
		return s.assumeRole(form), nil
	}
	if key := runMark.FindStringSubmatch(r.Header.Get("User-Agent")); key != nil {
		who.Key = key[1]
	}
	handle, found := map[string]func(caller, []byte) (any, error){
		"DescribeServices": s.describeServices, "UpdateService": s.updateService,
		"DescribeTaskDefinition": s.describeTaskDefinition, "RegisterTaskDefinition": s.registerTaskDefinition, "ListTaskDefinitions": s.listTaskDefinitions,
		"ListServiceDeployments": s.listServiceDeployments, "DescribeServiceDeployments": s.describeServiceDeployments,
		"DescribeServiceRevisions": s.describeServiceRevisions, "StopServiceDeployment": s.stopServiceDeployment,
		"DescribeImages": s.describeImages, "DescribeScalableTargets": s.describeScalableTargets,
		"StartQuery": s.startQuery, "GetQueryResults": s.getQueryResults, "StopQuery": s.stopQuery,
	}[op]
	if !found {
		return nil, refuse("UnknownOperationException", "%s", op)
	}
	return handle(who, body)
}

// caller is who asks, and in which region.
type caller struct {
	Act
	region string
}

func (s *Server) assumeRole(form url.Values) string {
	key := fmt.Sprintf("ASIATEST%08d", len(s.sessions)+1)
	a := Act{Session: form.Get("RoleSessionName")}
	if form.Get("Tags.member.1.Key") == "quarterdeck-person" {
		a.Person = form.Get("Tags.member.1.Value")
	}
	s.sessions[key] = a
	return fmt.Sprintf(`<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>`+
		`<Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken><Expiration>%s</Expiration></Credentials>`+
		`</AssumeRoleResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></AssumeRoleResponse>`, key, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
}

// seconds is how the JSON protocol writes a time.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func decode[T any](body []byte) (T, error) {
	var v T
	if err := json.Unmarshal(body, &v); err != nil {
		return v, refuse("SerializationException", "%v", err)
	}
	return v, nil
}
