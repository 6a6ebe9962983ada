package config_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot/provider"
)

// watched gives good with metrics and a guard below deploy.
func watched(t *testing.T, table string) string {
	t.Helper()
	deploy := `deploy = { provider = "scripts", argv = ["./deploy"] }`
	return edited(t, deploy, deploy+"\nmetrics = { provider = \"scripts\" }\nguard = "+table)
}

func TestGoodGuards(t *testing.T) {
	for table, want := range map[string]provider.Guard{
		`{ metrics = ["errors"] }`: {Metrics: []string{"errors"}, Bake: 10 * time.Minute, Every: 30 * time.Second, OnBreach: provider.Offer, OnSilence: provider.Offer},
		`{ metrics = ["errors", "p95"], bake = "1h", every = "2m", on_breach = "rollback", on_silence = "rollback" }`: {Metrics: []string{"errors", "p95"}, Bake: time.Hour, Every: 2 * time.Minute,
			OnBreach: provider.GoBack, OnSilence: provider.GoBack},
		`{ metrics = ["errors"], bake = "5s" }`: {Metrics: []string{"errors"}, Bake: 5 * time.Second, Every: 5 * time.Second, OnBreach: provider.Offer, OnSilence: provider.Offer},
	} {
		c, err := load(t, watched(t, table))
		if err != nil {
			t.Errorf("%s: %v", table, err)
			continue
		}
		if g := c.Services[0].Guard; g == nil || !reflect.DeepEqual(g.Guard, want) {
			t.Errorf("%s is read as %+v, want %+v", table, g, want)
		}
	}
}

func TestGuardFaults(t *testing.T) {
	for _, r := range []struct{ table, want string }{
		{`"errors"`, `service.shop.prod.guard takes a table, such as { metrics = ["errors"], bake = "10m" }; it is a text`},
		{`{ bake = "10m" }`, `guard of shop/prod watches no metric; name them: metrics = ["errors"]`},
		{`{ metrics = ["errors", "errors"] }`, `guard of shop/prod names the metric "errors" twice; leave one`},
		{`{ metrics = "errors" }`, `service.shop.prod.guard.metrics takes a list, such as ["one", "two"]; it is a text`},
		{`{ metrics = ["errors"], bake = "long" }`, `service.shop.prod.guard.bake takes a time from 1s to 24h, such as "10m"; it is "long"`},
		{`{ metrics = ["errors"], bake = "3d" }`, `service.shop.prod.guard.bake takes a time from 1s to 24h, such as "10m"; it is "3d"`},
		{`{ metrics = ["errors"], every = "10ms" }`, `service.shop.prod.guard.every takes a time from 1s to 1h, such as "30s"; it is "10ms"`},
		{`{ metrics = ["errors"], bake = "1m", every = "5m" }`, `guard of shop/prod looks every 5m, and watches for 1m only`},
		{`{ metrics = ["errors"], on_breach = "rolback" }`, `service.shop.prod.guard.on_breach does not know "rolback"; did you mean "rollback"?`},
		{`{ metrics = ["errors"], on_silence = "ignore" }`, `service.shop.prod.guard.on_silence does not know "ignore"; there are offer, rollback`},
		{`{ metrics = ["errors"], on_brech = "offer" }`, `unknown key "on_brech" in service.shop.prod.guard; did you mean "on_breach"?`},
	} {
		t.Run(r.table, func(t *testing.T) {
			_, err := load(t, watched(t, r.table))
			if err == nil || !strings.Contains(err.Error(), r.want) || strings.Count(err.Error(), "\n") > 0 {
				t.Errorf("says %v\nwant %s", err, r.want)
			}
		})
	}
	deploy := `deploy = { provider = "scripts", argv = ["./deploy"] }`
	says(t, edited(t, deploy, deploy+"\nguard = { metrics = [\"errors\"] }"), `config.toml:61: guard of shop/prod watches over its deployments by its metrics, and it has no metrics`)
}
