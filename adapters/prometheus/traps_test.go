package prometheusprovider

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quarterdeck/adapters/prometheus/fakeprometheus"
	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

var hour = provider.Span{From: now.Add(-time.Hour), To: now, Step: time.Minute}

// saying gives a source whose server answers everything in one way.
func saying(t *testing.T, status int, body string) *source {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return opened(t, server.URL, "")
}

// TestRefusals gives people the server's own sentence, and never what it does not
// mean for them.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		kind   bot.Kind
		want   string
	}{
		"bad query":     {400, `{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:6: parse error: unclosed left parenthesis"}`, bot.Invalid, `prom refuses the query "errors": invalid parameter "query": 1:6: parse error: unclosed left parenthesis`},
		"cannot be run": {422, `{"status":"error","errorType":"execution","error":"found duplicate series for the match group"}`, bot.Invalid, `prom refuses the query "errors": found duplicate series for the match group`},
		"too slow":      {503, `{"status":"error","errorType":"timeout","error":"query timed out in expression evaluation"}`, bot.Timeout, `prom gave up the query "errors": query timed out in expression evaluation`},
		"cancelled":     {503, `{"status":"error","errorType":"canceled","error":"query was canceled"}`, bot.Timeout, `prom gave up the query "errors": query was canceled`},
		"starting":      {503, `{"status":"error","errorType":"unavailable","error":"TSDB not ready"}`, bot.Unavailable, "prom cannot answer: TSDB not ready"},
		"internal":      {500, `{"status":"error","errorType":"internal","error":"disk"}`, bot.Unavailable, "prom cannot answer: disk"},
		"a proxy":       {502, "<html>Bad Gateway</html>", bot.Unavailable, "prom is out of order: it answers with the status 502"},
		"not there":     {404, "404 page not found", bot.Unavailable, "prom has no query API there; is its api_url that of a Prometheus?"},
		"unauthorised":  {401, "", bot.Denied, "prom does not accept the credentials of its provider table"},
		"forbidden":     {403, "{}", bot.Denied, "prom denies to answer queries with the credentials of its provider table"},
		"too many":      {429, "slow down", bot.Unavailable, "prom has too many queries to answer"},
		"an error as 200": {200, `{"status":"error","errorType":"execution","error":"no"}`, bot.Invalid,
			`prom refuses the query "errors": no`},
		"no JSON":        {200, "<html>sign in</html>", bot.Unavailable, "the answer of prom makes no sense; is its api_url that of a Prometheus?"},
		"other JSON":     {200, `{"data":[]}`, bot.Unavailable, "the answer of prom makes no sense; is its api_url that of a Prometheus?"},
		"a list as data": {200, `{"status":"success","data":[]}`, bot.Unavailable, "the answer of prom makes no sense; is its api_url that of a Prometheus?"},
		"unknown result": {200, `{"status":"success","data":{"resultType":"tensor","result":[]}}`, bot.Unavailable, "the answer of prom makes no sense; is its api_url that of a Prometheus?"},
		"a value that is none": {200, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"much"]]}]}}`, bot.Unavailable,
			"the answer of prom makes no sense; is its api_url that of a Prometheus?"},
		"a time that is none": {200, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1e300,"1"]]}]}}`, bot.Unavailable,
			"the answer of prom makes no sense; is its api_url that of a Prometheus?"},
		"a text": {200, `{"status":"success","data":{"resultType":"string","result":[1,"x"]}}`, bot.Invalid, `the query "errors" gives a text and no number`},
		"a long sentence over lines": {400, `{"status":"error","errorType":"bad_data","error":"a\n\tb ` + strings.Repeat("x", 400) + `"}`, bot.Invalid,
			`prom refuses the query "errors": a b ` + strings.Repeat("x", 296) + "..."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := saying(t, c.status, c.body).Range(context.Background(), provider.Query{Name: "errors", Expr: "x"}, hour)
			if bot.KindOf(err) != c.kind || bot.Sentence(err, "x") != c.want || len(m.Series) > 0 {
				t.Errorf("says %s: %v\nwant %s: %s", bot.KindOf(err), err, c.kind, c.want)
			}
		})
	}
}

// TestOddValues keeps what is no number as it is, and what has no value apart.
func TestOddValues(t *testing.T) {
	s := saying(t, 200, `{"status":"success","warnings":["a part is missing"],"infos":["might not be a counter"],"data":{"resultType":"matrix","result":[
		{"metric":{"__name__":"x","job":"a","code":"500"},"values":[[1732000060,"+Inf"],[1732000000.123,"NaN"],[1732000120,"-Inf"],[1732000180,"1e-3"]]},
		{"metric":{"__name__":"x","job":"a"},"values":[[1732000000,"2"]]},
		{"metric":{"__name__":"y","job":"a"},"histograms":[[1,{}]]}]}}`)
	m, err := s.Range(context.Background(), provider.Query{Name: "x"}, hour)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Series) != 2 || m.Series[0].Label != "x" || m.Series[1].Label != "x, code=500" {
		t.Fatalf("the lines are %+v", m.Series)
	}
	p := m.Series[1].Points
	if len(p) != 4 || !math.IsNaN(p[0].Value) || !math.IsInf(p[1].Value, 1) || !math.IsInf(p[2].Value, -1) || p[3].Value != 0.001 || p[0].At.UnixMilli() != 1732000000123 {
		t.Errorf("the points are %v", p)
	}
	want := []string{"a part is missing", "1 lines are histograms, which are no numbers; put histogram_quantile around them"}
	if fmt.Sprint(m.Warnings) != fmt.Sprint(want) {
		t.Errorf("the warnings are %q, want %q", m.Warnings, want)
	}
	if _, err := s.Instant(context.Background(), provider.Query{Name: "x"}, now); bot.KindOf(err) != bot.Invalid || !strings.Contains(err.Error(), "many values at one time") {
		t.Errorf("a matrix as of now gives %v", err)
	}
	scalar := saying(t, 200, `{"status":"success","data":{"resultType":"scalar","result":[1732000000,"7"]}}`)
	if m, err := scalar.Instant(context.Background(), provider.Query{Name: "x"}, now); err != nil || len(m.Series) != 1 || m.Series[0].Points[0].Value != 7 {
		t.Errorf("a scalar gives %+v, %v", m, err)
	}
}

func TestManyLines(t *testing.T) {
	f, server, _ := far(t)
	var lines []fakeprometheus.Line
	for i := range 250 {
		lines = append(lines, fakeprometheus.Line{Labels: map[string]string{"pod": fmt.Sprint(i)}, Value: zero})
	}
	f.Set("pods", lines...)
	m, err := opened(t, server.URL, "").Instant(context.Background(), provider.Query{Name: "pods", Expr: "pods"}, now)
	if err != nil || len(m.Series) != maxSeries || len(m.Warnings) != 1 || m.Warnings[0] != "there are 250 lines, of which 200 are read; aggregate them" {
		t.Errorf("%d lines, %q, %v", len(m.Series), m.Warnings, err)
	}
}

// TestTwentyThousandPoints are asked for in one range: the server refuses more
// than 11,000, so fewer come, which is said.
func TestTwentyThousandPoints(t *testing.T) {
	f, server, h := far(t)
	m, err := opened(t, server.URL, "").Range(context.Background(), h.Known, provider.Span{From: now.Add(-20_000 * time.Second), To: now, Step: time.Second})
	if err != nil || m.Step != 2*time.Second || len(m.Series[0].Points) != 10_001 {
		t.Fatalf("%d points, %s apart: %v", len(m.Series[0].Points), m.Step, err)
	}
	if want := "20000 points were asked for and Prometheus gives 11000 at most, so they are 2s apart"; len(m.Warnings) != 1 || m.Warnings[0] != want {
		t.Errorf("it says %q, want %q", m.Warnings, want)
	}
	asked := f.Asked()[0]
	if asked.Path != "/api/v1/query_range" || asked.Form["step"] != "2.000" || asked.Form["timeout"] != "10000ms" || asked.Form["limit"] != "200" {
		t.Errorf("it asked %+v", asked)
	}
}

func TestCredentials(t *testing.T) {
	for name, c := range map[string]struct{ table, secret, want string }{
		"none":   {"", "", ""},
		"bearer": {`token = "file:secret"`, "s3cret-token", "Bearer s3cret-token"},
		"basic":  {"username = \"ops\"\npassword = \"file:secret\"", "s3cret-password", "Basic b3BzOnMzY3JldC1wYXNzd29yZA=="},
	} {
		t.Run(name, func(t *testing.T) {
			f, server, h := far(t)
			dir, secrets := t.TempDir(), &bot.Secrets{}
			if err := os.WriteFile(filepath.Join(dir, "secret"), []byte(c.secret+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			p, err := Open(provider.Options{Name: "prom", Raw: raw{"api_url = \"" + server.URL + "/\"\n" + c.table, dir}, Secrets: secrets})
			if err != nil {
				t.Fatal(err)
			}
			s := &source{p.(*prometheus)}
			if _, err := s.Instant(context.Background(), h.Known, now); err != nil {
				t.Fatal(err)
			}
			if got := f.Asked()[0].Authorization; got != c.want {
				t.Errorf("it says %q, want %q", got, c.want)
			}
			if c.secret == "" {
				return
			}
			if lacks := s.Lacks(); len(lacks) > 0 {
				t.Errorf("it lacks %+v", lacks)
			}
			if err := os.Remove(filepath.Join(dir, "secret")); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Instant(context.Background(), h.Known, now); bot.KindOf(err) != bot.Unavailable {
				t.Errorf("without the secret: %v", err)
			}
			if lacks := s.Lacks(); len(lacks) != 1 {
				t.Errorf("without the secret it lacks %+v", lacks)
			}
		})
	}
}

// TestOwnWordsHoldNoSecret: a server that repeats what it was sent does not bring
// it to the chat.
func TestOwnWordsHoldNoSecret(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(400)
		_, _ = fmt.Fprintf(w, `{"status":"error","errorType":"bad_data","error":"you sent %s"}`, r.Header.Get("Authorization"))
	}))
	t.Cleanup(server.Close)
	s := opened(t, server.URL, "")
	dir, secrets := t.TempDir(), &bot.Secrets{}
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("s3cret-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	token, err := secrets.Open("file:token", dir)
	if err != nil {
		t.Fatal(err)
	}
	s.client.secret = &token
	s.client.redact = func(text string) string { return strings.ReplaceAll(text, "s3cret-token", bot.Redacted) }
	_, err = s.Instant(context.Background(), provider.Query{Name: "x", Expr: "x"}, now)
	if say := bot.Sentence(err, "x"); !strings.Contains(say, "you sent Bearer [redacted]") || strings.Contains(fmt.Sprintf("%v %+v", err, err), "s3cret") {
		t.Errorf("it says %q", say)
	}
}

// TestRedirects are not followed: the form would be lost, or the credentials be
// brought elsewhere.
func TestRedirects(t *testing.T) {
	f, server, _ := far(t)
	f.Set("x", fakeprometheus.Line{Value: zero})
	for _, status := range []int{301, 302, 307, 308} {
		elsewhere := httptest.NewServer(http.RedirectHandler(server.URL+"/api/v1/query_range", status))
		t.Cleanup(elsewhere.Close)
		_, err := opened(t, elsewhere.URL, "").Range(context.Background(), provider.Query{Name: "x", Expr: "x"}, hour)
		if want := "prom sends queries to another address, which is not followed; write that in its api_url"; bot.KindOf(err) != bot.Unavailable || bot.Sentence(err, "x") != want {
			t.Errorf("%d: %v", status, err)
		}
	}
	if asked := f.Asked(); len(asked) != 0 {
		t.Errorf("the other server was asked %+v", asked)
	}
}

func TestTLS(t *testing.T) {
	f := &fakeprometheus.Server{}
	f.Set("x", fakeprometheus.Line{Value: zero})
	server := httptest.NewUnstartedServer(f)
	server.Config.ErrorLog = nil
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	q := provider.Query{Name: "x", Expr: "x"}
	if _, err := opened(t, server.URL, "ca_file = \""+ca+"\"").Instant(context.Background(), q, now); err != nil {
		t.Errorf("with its authority: %v", err)
	}
	_, err := opened(t, server.URL, "").Instant(context.Background(), q, now)
	if bot.KindOf(err) != bot.Unavailable || !strings.HasPrefix(bot.Sentence(err, "x"), "the certificate of prom is not trusted: ") {
		t.Errorf("without its authority: %v", err)
	}
	late := opened(t, server.URL, "ca_file = \""+ca+".late\"")
	if _, err := late.Instant(context.Background(), q, now); bot.Sentence(err, "x") != "the ca_file of provider prom cannot be used" {
		t.Errorf("with none that can be read: %v", err)
	}
	if err := os.Rename(ca, ca+".late"); err != nil {
		t.Fatal(err)
	}
	if _, err := late.Instant(context.Background(), q, now); err != nil {
		t.Errorf("once it can be read: %v", err)
	}
}

func TestUnreachable(t *testing.T) {
	_, err := opened(t, refusing(t), "").Instant(context.Background(), provider.Query{Name: "x", Expr: "x"}, now)
	if bot.KindOf(err) != bot.Unavailable || bot.Sentence(err, "x") != "prom cannot be reached" {
		t.Errorf("it says %v", err)
	}
}

func TestLink(t *testing.T) {
	s := opened(t, "http://127.0.0.1:1", `web_url = "https://prom.example.com/"`)
	want := "https://prom.example.com/graph?g0.end_input=2026-11-20+09%3A00%3A00&g0.expr=up%7Bjob%3D%22a+b%22%7D&g0.range_input=3600s&g0.tab=0"
	if got := s.Link(provider.Query{Expr: `up{job="a b"}`}, hour); got != want {
		t.Errorf("the link is %s", got)
	}
	if got := opened(t, "http://127.0.0.1:1", "").Link(provider.Query{Expr: "up"}, hour); got != "" {
		t.Errorf("without web_url the link is %s", got)
	}
}

func TestSettings(t *testing.T) {
	for table, want := range map[string]string{
		"":                                    `config.toml:7: provider prom needs api_url, such as "https://prometheus.example.com"`,
		`api_url = "http://prom.example.com"`: `config.toml:7: api_url of provider prom is "http://prom.example.com"; expected https://HOST, or http on loopback, without credentials in it`,
		`api_url = "https://ops:hunter2@prom.example.com"`: `config.toml:7: api_url of provider prom is "...@prom.example.com"; expected https://HOST, or http on loopback, without credentials in it`,
		`api_url = "prom"`: `config.toml:7: api_url of provider prom is "prom"; expected https://HOST, or http on loopback, without credentials in it`,
		"api_url = \"https://p\"\ntoken = \"hunter2\"":                                   `config.toml:7: token of provider prom is not a reference; write "env:NAME" or "file:PATH"`,
		"api_url = \"https://p\"\ntoken = \"env:A\"\nusername=\"u\"\npassword=\"env:B\"": `config.toml:7: provider prom has a token and a password; keep one of them`,
		"api_url = \"https://p\"\nusername=\"u\"":                                        `config.toml:7: provider prom needs both of username and password`,
		"api_url = \"https://p\"\nusername=\"u:v\"\npassword=\"env:B\"":                  `config.toml:7: username of provider prom holds a colon, which ends it`,
		"api_url = \"https://p\"\ntimeout = \"5m\"":                                      `config.toml:7: timeout of provider prom is 5m0s; it takes 100ms to 2m`,
		"api_url = \"https://p\"\nscrape_interval = \"1h\"":                              `config.toml:7: scrape_interval of provider prom is 1h0m0s; it takes 100ms to 5m`,
		"api_url = \"https://p\"\nweb_url = \"javascript:alert(1)\"":                     `config.toml:7: web_url of provider prom is "javascript:alert(1)"; expected an address such as https://prometheus.example.com`,
	} {
		_, err := Open(provider.Options{Name: "prom", Raw: raw{table, ""}, Secrets: &bot.Secrets{}})
		if bot.KindOf(err) != bot.Invalid || bot.Sentence(err, "x") != want {
			t.Errorf("%s\nsays %v\nwant %s", table, err, want)
		}
	}
	for _, good := range []string{"https://p/prometheus/", "http://127.0.0.1:9090", "http://[::1]:9090", "http://localhost:9090"} {
		if _, err := Open(provider.Options{Name: "prom", Raw: raw{"api_url = \"" + good + "\"", ""}, Secrets: &bot.Secrets{}}); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}
