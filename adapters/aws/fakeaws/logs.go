package fakeaws

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// LogEvent is one event in a log group.
type LogEvent struct {
	Group, Stream string
	At            time.Time
	Message       string
}

// query is one query of Logs Insights. It is scheduled, then running, then over:
// each look moves it on.
type query struct {
	groups   []string
	from, to int64
	pattern  *regexp.Regexp
	limit    int
	looks    int
	state    string // how it ends; "" for Complete
	stopped  bool
}

// Log adds events.
func (s *Server) Log(events ...LogEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logs = append(s.logs, events...)
}

// QueriesEnd has all queries from now on end in a state; "" for Complete, and one
// that is no end, such as Running, for never.
func (s *Server) QueriesEnd(state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queryEnd = state
}

// OpenQueries counts the queries that go on.
func (s *Server) OpenQueries() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, q := range s.queries {
		if !q.stopped {
			n++
		}
	}
	return n
}

// insights is the only form of query that the fake understands; anything else,
// such as a text that ends the pattern, is a MalformedQueryException.
var insights = regexp.MustCompile(`^fields @timestamp, @message, @logStream(?: \| filter @message like /([^/]*)/)? \| sort @timestamp desc \| limit (\d+)$`)

func (s *Server) startQuery(_ caller, body []byte) (any, error) {
	in, err := decode[struct {
		LogGroupIdentifiers []string
		QueryString         string
		StartTime, EndTime  int64
		Limit               int
	}](body)
	if err != nil {
		return nil, err
	}
	m := insights.FindStringSubmatch(in.QueryString)
	if m == nil || in.Limit < 1 || in.Limit > 10000 {
		return nil, refuse("MalformedQueryException", "unexpected symbol found")
	}
	if in.EndTime < in.StartTime {
		return nil, refuse("InvalidParameterException", "Query's end date and time is before its start")
	}
	for _, g := range in.LogGroupIdentifiers {
		if !slices.ContainsFunc(s.logs, func(e LogEvent) bool { return e.Group == g }) {
			return nil, refuse("ResourceNotFoundException", "Log group '%s' does not exist", g)
		}
	}
	pattern, err := regexp.Compile(m[1])
	if err != nil {
		return nil, refuse("MalformedQueryException", "%v", err)
	}
	limit, err := strconv.Atoi(m[2])
	if err != nil {
		return nil, refuse("MalformedQueryException", "%v", err)
	}
	s.queries = append(s.queries, &query{groups: in.LogGroupIdentifiers, from: in.StartTime, to: in.EndTime, pattern: pattern, limit: min(limit, in.Limit), state: s.queryEnd})
	return map[string]any{"queryId": strconv.Itoa(len(s.queries))}, nil
}

func (s *Server) queryOf(body []byte) (*query, error) {
	in, err := decode[struct{ QueryId string }](body)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(in.QueryId)
	if err != nil || n < 1 || n > len(s.queries) {
		return nil, refuse("ResourceNotFoundException", "no query %s", in.QueryId)
	}
	return s.queries[n-1], nil
}

func (s *Server) getQueryResults(_ caller, body []byte) (any, error) {
	q, err := s.queryOf(body)
	if err != nil {
		return nil, err
	}
	q.looks++
	state := cmp.Or(q.state, "Complete")
	if q.looks < 3 {
		state = []string{"Scheduled", "Running"}[q.looks-1]
	}
	rows := []any{}
	matched := 0
	if state == "Complete" {
		q.stopped = true
		events := slices.Clone(s.logs)
		slices.SortStableFunc(events, func(a, b LogEvent) int { return b.At.Compare(a.At) })
		for _, e := range events {
			at := e.At.Unix()
			if !slices.Contains(q.groups, e.Group) || at < q.from || at > q.to || !q.pattern.MatchString(e.Message) {
				continue
			}
			if matched++; len(rows) < q.limit {
				field := func(name, value string) map[string]string { return map[string]string{"field": name, "value": value} }
				rows = append(rows, []any{field("@timestamp", e.At.UTC().Format("2006-01-02 15:04:05.000")), field("@message", e.Message),
					field("@logStream", e.Stream), field("@ptr", "p")})
			}
		}
	}
	return map[string]any{"status": state, "results": rows, "statistics": map[string]any{"recordsMatched": float64(matched)}}, nil
}

func (s *Server) stopQuery(_ caller, body []byte) (any, error) {
	q, err := s.queryOf(body)
	if err != nil {
		return nil, err
	}
	q.stopped = true
	return map[string]any{"success": true}, nil
}
