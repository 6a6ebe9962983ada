package config_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const single = `deploy = { provider = "scripts", argv = ["./deploy"] }`

// componentPlaced gives a sentence with the line of the deploy table, HERE, or the one
// below it.
func componentPlaced(want string) string {
	line := lines(good)["service.shop.prod.deploy"]
	return strings.NewReplacer("HERE", fmt.Sprint("config.toml:", line), "BELOW", fmt.Sprint("config.toml:", line+1)).Replace(want)
}

// A deploy table over components says what they are, in which order they go and
// what runs around them.
func TestComponents(t *testing.T) {
	c, err := load(t, edited(t, single, `deploy = { order = ["worker", "web"], before = { provider = "scripts", argv = ["./migrate"] }, components = { web = { provider = "scripts" }, worker = { provider = "scripts" } } }`))
	if err != nil {
		t.Fatal(err)
	}
	s := c.Services[0]
	if s.Components == nil || !slices.Equal(s.Components.Order, []string{"worker", "web"}) || s.Components.Of["web"].Provider != "scripts" ||
		s.Components.Before == nil || s.Components.After != nil || s.Deploy.Provider != "" {
		t.Errorf("read as %+v", s.Components)
	}
	if c, err = load(t, edited(t, single, `deploy = { components = { web = { provider = "scripts" } } }`)); err != nil || !slices.Equal(c.Services[0].Components.Order, []string{"web"}) {
		t.Errorf("one component needs no order: %v", err)
	}
	if c, err = load(t, edited(t, single, single+"\nrollback = { provider = \"scripts\" }")); err != nil || c.Services[0].Rollback.Provider != "scripts" {
		t.Errorf("a rollback beside deploy: %v", err)
	}
}

func TestComponentFaults(t *testing.T) {
	two := `components = { web = { provider = "scripts" }, worker = { provider = "scripts" } }`
	for _, r := range []struct{ deploy, want string }{
		{`deploy = { ` + two + ` }`, `HERE: deploy of shop/prod does not say in which order its components are deployed; write order = ["web", "worker"]: the components in the order in which a deployment goes through them`},
		{`deploy = { order = ["web"], ` + two + ` }`, `HERE: the order of shop/prod leaves out worker; name every component once`},
		{`deploy = { order = ["web", "worke"], ` + two + ` }`, `HERE: the order of shop/prod names "worke", which is no component; did you mean "worker"?`},
		{`deploy = { order = ["web", "web"], ` + two + ` }`, `HERE: the order of shop/prod names "web" twice; leave one`},
		{`deploy = { order = "web", ` + two + ` }`, `HERE: service.shop.prod.deploy.order takes a list, such as ["web", "worker"]; it is a text`},
		{`deploy = { order = [7, "web", "worker"], ` + two + ` }`, `HERE: service.shop.prod.deploy.order takes texts in quotes; it is a whole number`},
		{`deploy = { order = ["web"] }`, `HERE: deploy of shop/prod has no components; name at least one: components = { web = { provider = "NAME" } }` + "\n" +
			`HERE: the order of shop/prod names "web", which is no component`},
		{`deploy = { components = {} }`, `HERE: deploy of shop/prod has no components; name at least one: components = { web = { provider = "NAME" } }`},
		{`deploy = { components = "web" }`, `HERE: service.shop.prod.deploy.components takes a table of components, such as { web = { provider = "NAME" } }; it is a text`},
		{`deploy = { components = { before = { provider = "scripts" } } }`, `HERE: a component of shop/prod is called "before", which is the name of a step; give it another name`},
		{`deploy = { components = { web = { provider = "script" } } }`, `HERE: component web of shop/prod names the provider "script", which has no [provider.script]; did you mean "scripts"?`},
		{`deploy = { components = { web = { provider = "scripts" } }, after = "x" }`, `HERE: service.shop.prod.deploy.after takes a table, such as { provider = "NAME" }; it is a text`},
		{`deploy = { components = { web = { provider = "scripts" } }, before = { argv = ["x"] } }`, `HERE: the step before of shop/prod names no provider; there is scripts alone`},
		{`deploy = { components = { web = { provider = "scripts" } }, argv = ["x"] }`, `HERE: unknown key "argv" in service.shop.prod.deploy; it knows after, before, components, order`},
	} {
		t.Run(r.deploy, func(t *testing.T) { says(t, edited(t, single, r.deploy), componentPlaced(r.want)) })
	}
	for _, r := range []struct{ tables, want string }{
		{`rollback = { provider = "scripts" }`, `HERE: shop/prod can be rolled back and not deployed; add deploy beside it`},
		{"deploy = { components = { web = { provider = \"scripts\" } } }\nrollback = { provider = \"scripts\" }",
			`BELOW: shop/prod has a rollback beside components; take it away: each component goes back through its own provider`},
	} {
		if _, err := load(t, edited(t, single, r.tables)); err == nil || err.Error() != componentPlaced(r.want) {
			t.Errorf("says %v, want %q", err, componentPlaced(r.want))
		}
	}
}
