package monitor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

var began = time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)

// asked gives the answer to a form, as one line of JSON.
func asked(t *testing.T, a *API, path string, form url.Values) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	raw, err := io.ReadAll(w.Body)
	if err != nil || !json.Valid(raw) && w.Code != http.StatusNotFound {
		t.Fatalf("%d %s: %v", w.Code, raw, err)
	}
	return fmt.Sprintf("%d %s", w.Code, strings.TrimSpace(string(raw)))
}

func instant(t *testing.T, a *API, query string, at time.Time) string {
	return asked(t, a, "/api/v1/query", url.Values{"query": {query}, "time": {fmt.Sprint(at.Unix())}})
}

// TestQueries runs what the demo asks over instances that count, one of which is
// replaced.
func TestQueries(t *testing.T) {
	s := &Samples{}
	env := map[string]string{"service": "shop", "env": "prod"}
	at := func(i int) time.Time { return began.Add(time.Duration(i) * time.Second) }
	for i := range 60 {
		s.Scraped("shop-1", env, at(i), fmt.Appendf(nil, "# HELP x y\n# TYPE x counter\nhttp_requests_total{code=\"200\",path=\"/\"} %d\nhttp_requests_total{code=\"500\",path=\"/\"} %d\nnonsense\nhalf{ 3\n\n", 30*i, 10*i))
		if i < 30 {
			s.Scraped("shop-2", env, at(i), fmt.Appendf(nil, "http_requests_total{code=\"200\",path=\"/\"} %d\n", 40*i))
		}
	}
	s.Gone("shop-2", at(30))
	a := NewAPI(s)
	for query, want := range map[string]string{
		`sum(rate(http_requests_total{service="shop",env="prod"}[10s]))`:                                                      `[{"metric":{},"value":[1795269659,"40"]}]`,
		`100 * sum(rate(http_requests_total{env="prod",code=~"5.."}[10s])) / sum(rate(http_requests_total{env="prod"}[10s]))`: `[{"metric":{},"value":[1795269659,"25"]}]`,
		`up`:                   `[{"metric":{"__name__":"up","env":"prod","instance":"shop-1","service":"shop"},"value":[1795269659,"1"]}]`,
		`count(up offset 40s)`: `[{"metric":{},"value":[1795269659,"2"]}]`,
		`nothing`:              `[]`,
	} {
		if got := instant(t, a, query, at(59)); !strings.HasPrefix(got, "200 ") || !strings.Contains(got, `"result":`+want) {
			t.Errorf("%s\ngives %s\nwant  %s", query, got, want)
		}
	}
	if got := instant(t, a, "1+1", at(59)); !strings.Contains(got, `"result":[1795269659,"2"],"resultType":"scalar"`) {
		t.Errorf("a scalar is %s", got)
	}
	form := url.Values{"query": {`sum(rate(http_requests_total{instance="shop-1"}[10s]))`}, "start": {fmt.Sprint(at(20).Unix())}, "end": {fmt.Sprint(at(40).Unix())}, "step": {"10"}}
	want := `"result":[{"metric":{},"values":[[1795269620,"40"],[1795269630,"40"],[1795269640,"40"]]}],"resultType":"matrix"`
	if got := asked(t, a, "/api/v1/query_range", form); !strings.Contains(got, want) {
		t.Errorf("a range is %s, want %s", got, want)
	}
}

// TestDown ends the series of an instance that cannot be scraped, and says that it
// is down, as Prometheus does.
func TestDown(t *testing.T) {
	s := &Samples{}
	s.Scraped("shop-1", nil, began, []byte("x 1\ny 1\n"))
	s.Scraped("shop-1", nil, began.Add(time.Second), []byte("x 2\n"))
	a := NewAPI(s)
	if got := instant(t, a, "y", began.Add(time.Second)); !strings.Contains(got, `"result":[]`) {
		t.Errorf("a series that is there no longer gives %s", got)
	}
	s.Scraped("shop-1", nil, began.Add(2*time.Second), nil)
	if got := instant(t, a, "x", began.Add(2*time.Second)); !strings.Contains(got, `"result":[]`) {
		t.Errorf("an instance that is down gives %s", got)
	}
	if got := instant(t, a, "up", began.Add(2*time.Second)); !strings.Contains(got, `"value":[1795269602,"0"]`) {
		t.Errorf("up of an instance that is down is %s", got)
	}
}

func TestRefusals(t *testing.T) {
	a := NewAPI(&Samples{})
	span := func(query, start, end, step string) url.Values {
		return url.Values{"query": {query}, "start": {start}, "end": {end}, "step": {step}}
	}
	for _, c := range []struct {
		form url.Values
		want string
	}{
		{span("rate(", "0", "10", "1"), `400 {"error":"invalid parameter \"query\": 1:6: parse error: unclosed left parenthesis","errorType":"bad_data","status":"error"}`},
		{span("up", "0", "20000", "1"), `exceeded maximum resolution of 11,000 points per timeseries`},
		{span("up", "10", "0", "1"), `invalid parameter \"end\": end timestamp must not be before start time`},
		{span("up", "0", "10", "0"), `invalid parameter \"step\": zero or negative`},
		{span("up", "0", "10", "x"), `invalid parameter \"step\"`},
		{span("up", "", "10", "1"), `invalid parameter \"start\"`},
		{span("up", "1e300", "10", "1"), `invalid parameter \"start\"`},
	} {
		if got := asked(t, a, "/api/v1/query_range", c.form); !strings.HasPrefix(got, "400 ") || !strings.Contains(got, c.want) {
			t.Errorf("%v gives %s, want %s", c.form, got, c.want)
		}
	}
	s := &Samples{}
	s.Scraped("a", nil, began, []byte("x{p=\"1\"} 1\nx{p=\"2\"} 1\ny 1\n"))
	if got := instant(t, NewAPI(s), "x * on() y", began); !strings.HasPrefix(got, "422 ") || !strings.Contains(got, `"errorType":"execution"`) {
		t.Errorf("what cannot be joined gives %s", got)
	}
	if got := asked(t, a, "/elsewhere", nil); !strings.HasPrefix(got, "404 ") {
		t.Errorf("another path gives %s", got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r := httptest.NewRequest(http.MethodGet, "/api/v1/query?query=up&time=1", nil).WithContext(ctx)
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("an ended query gives %d %s", w.Code, w.Body)
	}
}

// TestForgets keeps no more than the retention, and no series that ended before.
func TestForgets(t *testing.T) {
	s := &Samples{}
	s.Scraped("old", nil, began, []byte("x 1\n"))
	for i := range 100 {
		s.Scraped("new", nil, began.Add(time.Duration(i)*2*time.Minute), []byte("x 1\n"))
	}
	for key, one := range s.series {
		if strings.Contains(key, "old") {
			t.Errorf("%s is still there", key)
		}
		if n := len(one.points); n > 61 {
			t.Errorf("%s has %d points", key, n)
		}
	}
}
