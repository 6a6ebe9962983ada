package prometheusprovider

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"quarterdeck/adapters/prometheus/fakeprometheus"
	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
)

var (
	target = bot.Target{Service: "shop", Environment: "prod"}
	now    = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
)

// raw is a table of a configuration.
type raw struct {
	text string
	dir  string
}

func (r raw) Decode(dst any) error {
	d := toml.NewDecoder(strings.NewReader(r.text))
	d.DisallowUnknownFields()
	if err := d.Decode(dst); err != nil {
		return bot.Errorf(bot.Invalid, "%v", err)
	}
	return nil
}
func (r raw) Dir() string   { return r.dir }
func (r raw) Where() string { return "config.toml:7" }

// opened gives the source of a table, whose api_url is added.
func opened(t testing.TB, url, table string) *source {
	t.Helper()
	p, err := Open(provider.Options{Name: "prom", Raw: raw{"api_url = \"" + url + "\"\n" + table, t.TempDir()}, Secrets: &bot.Secrets{}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.(provider.MetricBinder).BindMetrics(target, raw{})
	if err != nil {
		t.Fatal(err)
	}
	return s.(*source)
}

func unix(at time.Time) (float64, bool) { return float64(at.Unix()), true }
func zero(time.Time) (float64, bool)    { return 0, true }

// far is a fake server with what the conformance suite asks for, in PromQL that a
// real one answers in the same way.
func far(t testing.TB) (*fakeprometheus.Server, *httptest.Server, providertest.MetricHarness) {
	f := &fakeprometheus.Server{}
	server := httptest.NewServer(f)
	hung := make(chan struct{})
	t.Cleanup(func() { close(hung); server.Close() })
	h := questions(now)
	f.Set(h.Known.Expr, fakeprometheus.Line{Value: unix})
	f.Set(h.Zero.Expr, fakeprometheus.Line{Value: zero})
	f.Set(h.Several.Expr, fakeprometheus.Line{Labels: map[string]string{"code": "500", "job": "x"}, Value: zero}, fakeprometheus.Line{Labels: map[string]string{"code": "200", "job": "x"}, Value: unix})
	f.Set(h.Empty.Expr)
	f.Set(h.Gap.Expr, fakeprometheus.Line{Value: func(at time.Time) (float64, bool) {
		ago := now.Sub(at)
		return float64(at.Unix()), ago >= 2*time.Hour || ago <= time.Hour
	}})
	h.Bring = func(trouble providertest.Trouble) {
		if trouble == providertest.Down {
			server.Close()
		}
		f.Respond(func(w http.ResponseWriter, r *http.Request) bool {
			return trouble != "" && misbehave(w, r, trouble, hung)
		})
	}
	h.Troubles = []providertest.Trouble{providertest.Down, providertest.Hanging, providertest.Cut, providertest.Garbage, providertest.Denying, providertest.Overrun, providertest.Flooding}
	return f, server, h
}

// misbehave answers as a server in trouble.
func misbehave(w http.ResponseWriter, r *http.Request, trouble providertest.Trouble, hung <-chan struct{}) bool {
	begun := `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[`
	_, _ = io.Copy(io.Discard, r.Body)
	switch trouble {
	case providertest.Hanging:
		_, _ = io.WriteString(w, begun)
		w.(http.Flusher).Flush()
		select {
		case <-hung:
		case <-r.Context().Done():
		}
	case providertest.Cut:
		w.Header().Set("Content-Length", "100000")
		_, _ = io.WriteString(w, begun)
	case providertest.Garbage:
		_, _ = io.WriteString(w, "<html>welcome</html>")
	case providertest.Denying:
		http.Error(w, "who are you", http.StatusUnauthorized)
	case providertest.Overrun:
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"status":"error","errorType":"timeout","error":"query timed out in expression evaluation"}`)
	case providertest.Flooding:
		_, _ = io.WriteString(w, begun)
		more := strings.Repeat(`[1795165200,"1"],`, 10_000)
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, more); err != nil {
				return true
			}
		}
	}
	return true
}

// questions are those of the conformance suite to any Prometheus.
func questions(to time.Time) providertest.MetricHarness {
	query := func(name, expr string) provider.Query { return provider.Query{Name: name, Expr: expr} }
	from, until := seconds(to.Add(-2*time.Hour)), seconds(to.Add(-time.Hour))
	return providertest.MetricHarness{To: to, Finest: time.Minute,
		Known: query("known", "vector(time())"), Zero: query("zero", "vector(0)"),
		Several: query("several", `label_replace(vector(1), "code", "500", "", "") or label_replace(vector(time()), "code", "200", "", "")`),
		Empty:   query("empty", "nothing_of_this_name"), Gap: query("gap", "vector(time()) unless (vector(time()) > "+from+" < "+until+")"),
		Bad: query("bad", "rate("), Said: "parse error", Most: maxPoints}
}

// refusing gives an address of loopback where nobody listens.
func refusing(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}
