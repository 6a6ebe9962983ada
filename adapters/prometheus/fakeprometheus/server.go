// Package fakeprometheus is a Prometheus for tests: its query API, over lines that
// are functions of the time, with its bounds, its sentences and its troubles. What
// it says is held against a real server by the conformance suite of the adapter.
package fakeprometheus

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Line is one series: its labels, and its value at a time; found is false where it
// has none.
type Line struct {
	Labels map[string]string
	Value  func(at time.Time) (value float64, found bool)
}

// Asked is one query as it came.
type Asked struct {
	Path, Authorization string
	Form                map[string]string
}

// Server is an http.Handler. Its zero value knows no expression. Safe for
// concurrent use.
type Server struct {
	mu       sync.Mutex
	lines    map[string][]Line
	warnings []string
	respond  func(w http.ResponseWriter, r *http.Request) bool
	asked    []Asked
}

// Set makes an expression give lines; none is an empty answer. An expression that
// was never set is one that it does not understand.
func (s *Server) Set(expr string, lines ...Line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lines == nil {
		s.lines = map[string][]Line{}
	}
	s.lines[expr] = lines
}

// Warn puts warnings into every answer.
func (s *Server) Warn(warnings ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.warnings = warnings
}

// Respond answers requests in another way; it reports whether it did. Nil ends
// that.
func (s *Server) Respond(f func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.respond = f
}

// Asked gives what was asked for, oldest first.
func (s *Server) Asked() []Asked {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

const maxPoints = 11_000

// duration is what Prometheus takes for one: whole units, or a number of seconds.
var duration = regexp.MustCompile(`^([0-9]+(\.[0-9]+)?|([0-9]+(ms|[smhdwy]))+)$`)

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	respond := s.respond
	s.mu.Unlock()
	if respond != nil && respond(w, r) {
		return
	}
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		fail(w, http.StatusBadRequest, "bad_data", "this server is asked by form POST")
		return
	}
	if err := r.ParseForm(); err != nil {
		fail(w, http.StatusBadRequest, "bad_data", err.Error())
		return
	}
	form := map[string]string{}
	for key := range r.PostForm {
		form[key] = r.PostForm.Get(key)
	}
	s.mu.Lock()
	s.asked = append(s.asked, Asked{r.URL.Path, r.Header.Get("Authorization"), form})
	lines, known := s.lines[form["query"]]
	warnings := slices.Clone(s.warnings)
	s.mu.Unlock()
	if text, given := form["timeout"]; given && !duration.MatchString(text) {
		fail(w, http.StatusBadRequest, "bad_data", fmt.Sprintf(`invalid parameter "timeout": cannot parse %q to a valid duration`, text))
		return
	}
	switch r.URL.Path {
	case "/api/v1/query_range":
		start, okStart := moment(form["start"])
		end, okEnd := moment(form["end"])
		step, err := strconv.ParseFloat(form["step"], 64)
		switch {
		case !okStart || !okEnd || err != nil:
			fail(w, http.StatusBadRequest, "bad_data", `invalid parameter "start", "end" or "step"`)
		case end.Before(start):
			fail(w, http.StatusBadRequest, "bad_data", `invalid parameter "end": end timestamp must not be before start time`)
		case step <= 0:
			fail(w, http.StatusBadRequest, "bad_data", `invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a positive integer`)
		case end.Sub(start).Seconds()/step > maxPoints:
			fail(w, http.StatusBadRequest, "bad_data", "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)")
		case !known:
			misunderstood(w, form["query"])
		default:
			give(w, "matrix", matrix(lines, start, end, time.Duration(step*float64(time.Second))), warnings)
		}
	case "/api/v1/query":
		at, ok := moment(form["time"])
		switch {
		case !ok:
			fail(w, http.StatusBadRequest, "bad_data", `invalid parameter "time"`)
		case !known:
			misunderstood(w, form["query"])
		default:
			give(w, "vector", vector(lines, at), warnings)
		}
	default:
		http.NotFound(w, r)
	}
}

func misunderstood(w http.ResponseWriter, query string) {
	fail(w, http.StatusBadRequest, "bad_data", fmt.Sprintf(`invalid parameter "query": 1:1: parse error: unexpected %.60q`, query))
}

func moment(text string) (time.Time, bool) {
	v, err := strconv.ParseFloat(text, 64)
	return time.UnixMilli(int64(math.Round(v * 1000))).UTC(), err == nil
}

func matrix(lines []Line, start, end time.Time, step time.Duration) []any {
	result := []any{}
	for _, l := range lines {
		values := [][2]any{}
		for at := start; !at.After(end); at = at.Add(step) {
			if v, found := l.Value(at); found {
				values = append(values, sample(at, v))
			}
		}
		if len(values) > 0 {
			result = append(result, map[string]any{"metric": labels(l), "values": values})
		}
	}
	return result
}

func vector(lines []Line, at time.Time) []any {
	result := []any{}
	for _, l := range lines {
		if v, found := l.Value(at); found {
			result = append(result, map[string]any{"metric": labels(l), "value": sample(at, v)})
		}
	}
	return result
}

func labels(l Line) map[string]string {
	made := map[string]string{}
	maps.Copy(made, l.Labels)
	return made
}

func sample(at time.Time, v float64) [2]any {
	return [2]any{float64(at.UnixMilli()) / 1000, strconv.FormatFloat(v, 'f', -1, 64)} // "+Inf" and "NaN" as Prometheus has them
}

func give(w http.ResponseWriter, kind string, result []any, warnings []string) {
	answer := map[string]any{"status": "success", "data": map[string]any{"resultType": kind, "result": result}}
	if len(warnings) > 0 {
		answer["warnings"] = warnings
	}
	write(w, http.StatusOK, answer)
}

func fail(w http.ResponseWriter, status int, kind, say string) {
	write(w, status, map[string]any{"status": "error", "errorType": kind, "error": say})
}

func write(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // whoever asked may be gone
}
