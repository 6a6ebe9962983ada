package panel

import (
	"testing"
	"time"

	"quarterdeck/bot"
)

// TestFill puts names and variables into expressions so that they stay what they
// are: a text stays one text, a dot in a name a dot.
func TestFill(t *testing.T) {
	target := bot.Target{Service: "shop.v2", Environment: "prod"}
	variables := map[string]string{"job": "shop-.*", "name": "http_requests_total", "odd": "a b"}
	for _, c := range []struct{ expr, want string }{
		{`up{job="{service}",env='{env}'}`, `up{job="shop.v2",env='prod'}`},
		{`rate({name}{job=~"{job}"}[{window}])`, `rate(http_requests_total{job=~"shop-.*"}[90s])`},
		{`up{job=~"{service}.*"}`, `up{job=~"shop\\.v2.*"}`},
		{`up{job !~ "{service}"}`, `up{job !~ "shop\\.v2"}`},
		{"up{job=~`{service}`}", "up{job=~`shop\\.v2`}"},
		{`up{a="=~",job="{service}"}`, `up{a="=~",job="shop.v2"}`},
		{`up{a="\"",job="{odd}"}`, `up{a="\"",job="a b"}`},
		{`SEARCH('{AWS/ECS,ServiceName} ServiceName="{service}"', 'Average')`, `SEARCH('{AWS/ECS,ServiceName} ServiceName="shop.v2"', 'Average')`},
		{`SEARCH('{{CWAgent}} x')`, `SEARCH('{CWAgent} x')`},
		{`sum(x{})`, `sum(x{})`},
	} {
		got, err := fill(c.expr, target, variables)
		if err != nil {
			t.Errorf("%s: %v", c.expr, err)
			continue
		}
		if s := got.in(90 * time.Second); s != c.want {
			t.Errorf("%s\ngives %s\nwant  %s", c.expr, s, c.want)
		}
	}
	for expr, want := range map[string]string{
		`up{job="{servce}"}`: `shop.v2/prod has no variable "servce"; did you mean "service"?`,
		`up{job="{xyzzy}"}`:  `shop.v2/prod has no variable "xyzzy"; it has env, job, name, odd, service, window`,
		`up{job={odd}}`:      `{odd} is "a b" for shop.v2/prod, which has to stand in quotes; write "{odd}"`,
		`up{job={job}}`:      `{job} is "shop-.*" for shop.v2/prod, which has to stand in quotes; write "{job}"`,
	} {
		if _, err := fill(expr, target, variables); bot.KindOf(err) != bot.Invalid || bot.Sentence(err, "x") != want {
			t.Errorf("%s says %v, want %s", expr, err, want)
		}
	}
}
