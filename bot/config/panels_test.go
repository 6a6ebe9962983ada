package config_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot/provider"
)

const goodPanels = `[panels.web.requests]
expr = 'sum(rate(http_requests_total{job="{job}"}[{window}]))'
unit = "req/s"
signal = "traffic"
[panels.web.errors]
expr = 'vector(1)'
unit = "%"
panel = "failures"
level = "service"
signal = "errors"
above = 2
below = 0.5
over = "2m"
needs = { requests = 1 }
`

// metered gives good with a metrics table below deploy.
func metered(t *testing.T, table string) string {
	t.Helper()
	deploy := `deploy = { provider = "scripts", argv = ["./deploy"] }`
	return edited(t, deploy, deploy+"\nmetrics = "+table)
}

func TestGoodPanels(t *testing.T) {
	c, err := load(t, metered(t, `{ provider = "scripts", panels = "web", variables = { job = "shop-.*" }, theirs = 1 }`))
	if err != nil {
		t.Fatal(err)
	}
	above, below := 2.0, 0.5
	want := []provider.Metric{
		{Query: provider.Query{Name: "requests", Expr: `sum(rate(http_requests_total{job="{job}"}[{window}]))`, Unit: "req/s"}, Panel: "requests",
			Level: provider.Service, Signal: provider.Traffic, Over: 5 * time.Minute},
		{Query: provider.Query{Name: "errors", Expr: "vector(1)", Unit: "%"}, Panel: "failures", Level: provider.Service, Signal: provider.Errors,
			Limits: provider.Limits{Above: &above, Below: &below}, Over: 2 * time.Minute, Needs: map[string]float64{"requests": 1}},
	}
	var got []provider.Metric
	for _, m := range c.Panels["web"] {
		got = append(got, m.Metric)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the set is\n%+v\nwant\n%+v", got, want)
	}
	m := c.Services[0].Metrics
	if m == nil || m.Provider != "scripts" || m.Panels != "web" || m.Variables["job"] != "shop-.*" {
		t.Errorf("metrics of the service are %+v", m)
	}
	var theirs struct {
		Theirs int `toml:"theirs"`
	}
	if err := m.Raw.Decode(&theirs); err != nil || theirs.Theirs != 1 {
		t.Errorf("the provider gets %+v, %v", theirs, err)
	}
}

func TestFaultyMetrics(t *testing.T) {
	for _, r := range []struct{ table, want string }{
		{`"scripts"`, `service.shop.prod.metrics takes a table, such as { provider = "NAME" }; it is a text`},
		{`{ panels = "web" }`, `metrics of shop/prod names no provider; there is scripts alone`},
		{`{ provider = "script", panels = "web" }`, `metrics of shop/prod names the provider "script", which has no [provider.script]; did you mean "scripts"?`},
		{`{ provider = "scripts", panels = "wep" }`, `metrics of shop/prod names the set of panels "wep", which has no [panels.wep]; did you mean "web"?`},
		{`{ provider = "scripts", panels = 3 }`, `service.shop.prod.metrics.panels takes a text in quotes; it is a whole number`},
		{`{ provider = "scripts", panels = "" }`, `service.shop.prod.metrics.panels is empty; give it a value or take it away`},
		{`{ provider = "scripts", variables = "x" }`, `service.shop.prod.metrics.variables takes a table; it is a text`},
		{`{ provider = "scripts", variables = { env = "x" } }`, `service.shop.prod.metrics.variables.env is filled in by itself; give it another name`},
		{`{ provider = "scripts", variables = { "a-b" = "x" } }`, `the name of a variable takes letters, digits and underscores; it is "a-b"`},
		{`{ provider = "scripts", variables = { job = 'x"} or vector(1)' } }`, `service.shop.prod.metrics.variables.job takes a text without quotes, braces and backslashes`},
		{`{ provider = "scripts", variables = { job = "` + strings.Repeat("x", 201) + `" } }`, `service.shop.prod.metrics.variables.job takes up to 200 characters`},
	} {
		t.Run(r.table, func(t *testing.T) {
			text := metered(t, r.table)
			before, _, _ := strings.Cut(text, "\nmetrics = ")
			says(t, text, fmt.Sprintf("config.toml:%d: %s", strings.Count(before, "\n")+2, r.want))
		})
	}
}

func TestFaultyPanels(t *testing.T) {
	line := strings.Count(good[:strings.Index(good, "[panels.web.errors]")], "\n") + 1
	for _, r := range []struct {
		from, to string
		at       int
		want     string
	}{
		{"expr = 'vector(1)'\n", "", 0, `the metric "errors" has no expr; add expr = "...": what its source is asked`},
		{"expr = 'vector(1)'", "expr = '  '", 1, `panels.web.errors.expr is blank; give it a value or take it away`},
		{"expr = 'vector(1)'", "expr = '" + strings.Repeat("1+", 2001) + "1'", 1, `panels.web.errors.expr has more than 4000 characters`},
		{"expr = 'vector(1)'", "expr = 1", 1, `panels.web.errors.expr takes a text in quotes; it is a whole number`},
		{"unit = \"%\"", `unit = "furlongs a fortnight or so"`, 2, `panels.web.errors.unit takes up to 20 characters, such as "req/s"`},
		{`panel = "failures"`, `panel = "all of it"`, 3, `the name of a panel takes letters, digits, dots, dashes and underscores, a letter or digit first, at most 64; it is "all of it"`},
		{`panel = "failures"`, `panel = "requests"`, 0, `requests and errors share the panel "requests", but not the unit; give one of them another panel`},
		{`level = "service"`, `level = "servise"`, 4, `panels.web.errors.level does not know "servise"; did you mean "service"?`},
		{`level = "service"`, `level = "cosmic"`, 4, `panels.web.errors.level does not know "cosmic"; there are business, service, technical`},
		{`signal = "errors"`, `signal = "error"`, 5, `panels.web.errors.signal does not know "error"; did you mean "errors"?`},
		{`signal = "errors"`, `signal = "traffic"`, 5, `requests and errors are both the signal "traffic"; leave one`},
		{`above = 2`, `above = "2"`, 6, `panels.web.errors.above takes a number; it is a text`},
		{`above = 2`, `above = nan`, 6, `panels.web.errors.above takes a number; it is no number`},
		{`below = 0.5`, `below = 3`, 7, `errors is a breach below 3 and above 2, which every value is; swap them`},
		{`over = "2m"`, `over = "1s"`, 8, `panels.web.errors.over takes a time from 10s to 24h, such as "5m"; it is "1s"`},
		{`{ requests = 1 }`, `{ request = 1 }`, 9, `errors needs the metric "request", which its set does not have beside it; did you mean "requests"?`},
		{`{ requests = 1 }`, `{ errors = 1 }`, 9, `errors needs the metric "errors", which its set does not have beside it; there is requests alone`},
		{`{ requests = 1 }`, `{ requests = "1" }`, 9, `panels.web.errors.needs.requests takes a number; it is a text`},
		{`[panels.web.errors]`, `[panels.web."all errors"]`, 0, `the name of a metric takes letters, digits, dots, dashes and underscores, a letter or digit first, at most 64; it is "all errors"`},
		{`over = "2m"`, `ovr = "2m"`, 8, `unknown key "ovr" in [panels.web.errors]; did you mean "over"?`},
	} {
		t.Run(r.to, func(t *testing.T) {
			says(t, edited(t, r.from, r.to), fmt.Sprintf("config.toml:%d: %s", line+r.at, r.want))
		})
	}
	says(t, good+"[panels.none]\n", fmt.Sprintf("config.toml:%d: the set of panels \"none\" has no metric; add one: [panels.none.errors] with expr = \"...\"", strings.Count(good, "\n")+1))
	var many strings.Builder
	for i := range 41 {
		fmt.Fprintf(&many, "[panels.many.m%d]\nexpr = \"1\"\n", i)
	}
	says(t, good+many.String(), fmt.Sprintf("config.toml:%d: the set of panels \"many\" has 41 metrics; at most 40 are asked for at once; make two sets of it", strings.Count(good, "\n")+1))
	if _, err := load(t, good+"[panels]\nweb2 = 3\n"); err == nil || !strings.Contains(err.Error(), "panels.web2 takes a table; it is a whole number") {
		t.Errorf("a set that is a number: %v", err)
	}
}
