package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

const (
	queryTimeout = 10 * time.Second
	maxQueried   = 5_000_000 // samples of one query
	maxPoints    = 11_000    // as Prometheus has it
	maxForm      = 1 << 20
)

// API answers Prometheus' query API over samples: /api/v1/query and query_range,
// with its errors and bounds. Safe for concurrent use.
type API struct {
	samples *Samples
	engine  *promql.Engine
}

// NewAPI makes an API.
func NewAPI(s *Samples) *API {
	return &API{s, promql.NewEngine(promql.EngineOpts{MaxSamples: maxQueried, Timeout: queryTimeout, EnableAtModifier: true,
		EnableNegativeOffset: true, Parser: parser.NewParser(parser.Options{}), NoStepSubqueryIntervalFn: func(int64) int64 { return time.Second.Milliseconds() }})}
}

// Serve answers on l until ctx ends. Its error is nil then.
func (a *API) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{Handler: a, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: queryTimeout, WriteTimeout: 2 * queryTimeout, IdleTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-ctx.Done()
		_ = server.Close() // who still asks is the bot, which ends too
	}()
	err := server.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		<-done
		return nil
	}
	return fmt.Errorf("serve the monitor: %w", err)
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		refuse(w, http.StatusBadRequest, "bad_data", err)
		return
	}
	var query promql.Query
	var err error
	switch r.URL.Path {
	case "/api/v1/query_range":
		query, err = a.ranged(r)
	case "/api/v1/query":
		var at time.Time
		if at, err = moment(r, "time"); err == nil {
			if query, err = a.engine.NewInstantQuery(r.Context(), a.samples, nil, r.Form.Get("query"), at); err != nil {
				err = invalid("query", err)
			}
		}
	default:
		http.NotFound(w, r)
		return
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "bad_data", err)
		return
	}
	defer query.Close()
	result := query.Exec(r.Context())
	if result.Err != nil {
		status, kind := http.StatusUnprocessableEntity, "execution"
		var timeout promql.ErrQueryTimeout
		var cancelled promql.ErrQueryCanceled
		switch {
		case errors.As(result.Err, &timeout):
			status, kind = http.StatusServiceUnavailable, "timeout"
		case errors.As(result.Err, &cancelled):
			status, kind = http.StatusServiceUnavailable, "canceled"
		}
		refuse(w, status, kind, result.Err)
		return
	}
	answer := map[string]any{"status": "success", "data": map[string]any{"resultType": result.Value.Type(), "result": encoded(result.Value)}}
	if warnings, _ := result.Warnings.AsStrings(r.Form.Get("query"), 10, 10); len(warnings) > 0 {
		answer["warnings"] = warnings
	}
	write(w, http.StatusOK, answer)
}

func (a *API) ranged(r *http.Request) (promql.Query, error) {
	start, err := moment(r, "start")
	if err != nil {
		return nil, err
	}
	end, err := moment(r, "end")
	if err != nil {
		return nil, err
	}
	seconds, err := strconv.ParseFloat(r.Form.Get("step"), 64)
	step := time.Duration(seconds * float64(time.Second))
	switch {
	case err != nil:
		return nil, invalid("step", fmt.Errorf("cannot parse %q to a valid duration", r.Form.Get("step")))
	case end.Before(start):
		return nil, invalid("end", errors.New("end timestamp must not be before start time"))
	case step <= 0:
		return nil, invalid("step", errors.New("zero or negative query resolution step widths are not accepted. Try a positive integer"))
	case end.Sub(start)/step > maxPoints:
		return nil, errors.New("exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)")
	}
	query, err := a.engine.NewRangeQuery(r.Context(), a.samples, nil, r.Form.Get("query"), start, end, step)
	if err != nil {
		return nil, invalid("query", err)
	}
	return query, nil
}

func invalid(name string, err error) error { return fmt.Errorf("invalid parameter %q: %w", name, err) }

func moment(r *http.Request, name string) (time.Time, error) {
	text := r.Form.Get(name)
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.Abs(v) > 1e11 {
		return time.Time{}, invalid(name, fmt.Errorf("cannot parse %q to a valid timestamp", text))
	}
	return time.UnixMilli(int64(math.Round(v * 1000))).UTC(), nil
}

// encoded gives a result as the API's JSON has it.
func encoded(v parser.Value) any {
	switch v := v.(type) {
	case promql.Matrix:
		out := make([]any, 0, len(v))
		for _, s := range v {
			values := make([][2]any, 0, len(s.Floats))
			for _, p := range s.Floats {
				values = append(values, pair(p.T, p.F))
			}
			out = append(out, map[string]any{"metric": texts(s.Metric), "values": values})
		}
		return out
	case promql.Vector:
		out := make([]any, 0, len(v))
		for _, s := range v {
			out = append(out, map[string]any{"metric": texts(s.Metric), "value": pair(s.T, s.F)})
		}
		return out
	case promql.Scalar:
		return pair(v.T, v.V)
	case promql.String:
		return [2]any{float64(v.T) / 1000, v.V}
	}
	return []any{}
}

func texts(l labels.Labels) map[string]string {
	out := map[string]string{}
	l.Range(func(one labels.Label) { out[one.Name] = one.Value })
	return out
}

func pair(t int64, v float64) [2]any {
	return [2]any{float64(t) / 1000, strconv.FormatFloat(v, 'f', -1, 64)}
}

func refuse(w http.ResponseWriter, status int, kind string, err error) {
	write(w, status, map[string]any{"status": "error", "errorType": kind, "error": err.Error()})
}

func write(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // whoever asked may be gone
}
