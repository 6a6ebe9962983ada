package config_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"quarterdeck/bot/config"
)

// scaled gives good with a scale table below deploy.
func scaled(t *testing.T, table string) string {
	t.Helper()
	deploy := `deploy = { provider = "scripts", argv = ["./deploy"] }`
	return edited(t, deploy, deploy+"\nscale = "+table)
}

func TestGoodScale(t *testing.T) {
	for table, want := range map[string]map[string]config.Bounds{
		`{ provider = "scripts", argv = ["./scale"], max = 8 }`:                               {"": {Min: 1, Max: 8}},
		`{ provider = "scripts", min = 2, max = 8, step = 3, zero = true }`:                   {"": {Min: 2, Max: 8, Step: 3, Zero: true}},
		`{ provider = "scripts", choices = ["small", "large"] }`:                              {"": {Min: 1, Choices: []string{"small", "large"}}},
		`{ provider = "scripts", max = 8, dimension = { storage = { min = 20, max = 90 } } }`: {"": {Min: 1, Max: 8}, "storage": {Min: 20, Max: 90}},
		`{ provider = "scripts", dimension.class.choices = ["small"] }`:                       {"class": {Min: 1, Choices: []string{"small"}}},
	} {
		c, err := load(t, scaled(t, table))
		if err != nil {
			t.Errorf("%s: %v", table, err)
			continue
		}
		s := c.Services[0].Scale
		if s == nil || s.Provider != "scripts" || !reflect.DeepEqual(s.Bounds, want) {
			t.Errorf("%s gives %+v, want %+v", table, s, want)
			continue
		}
		var theirs struct {
			Argv []string `toml:"argv"`
		}
		if err := s.Raw.Decode(&theirs); err != nil {
			t.Errorf("%s leaves the provider: %v", table, err)
		}
	}
}

func TestFaultyScale(t *testing.T) {
	for _, r := range []struct{ table, want string }{
		{`"scripts"`, `service.shop.prod.scale takes a table, such as { provider = "NAME" }; it is a text`},
		{`{ max = 8 }`, `scale of shop/prod names no provider; there is scripts alone`},
		{`{ provider = "script", max = 8 }`, `scale of shop/prod names the provider "script", which has no [provider.script]; did you mean "scripts"?`},
		{`{ provider = "scripts" }`, `scale of shop/prod says nothing of how much there may be; add max = N`},
		{`{ provider = "scripts", min = 2 }`, `scale of shop/prod does not say how much there may be at most; add max = N`},
		{`{ provider = "scripts", max = 0 }`, `max of scale of shop/prod is 0; it takes 1 to 1000000000`},
		{`{ provider = "scripts", max = 5000000000 }`, `max of scale of shop/prod is 5000000000; it takes 1 to 1000000000`},
		{`{ provider = "scripts", min = 0, max = 8 }`, `min of scale of shop/prod is 0, but nothing at all is allowed by a word of its own; leave it at 1 and add zero = true`},
		{`{ provider = "scripts", min = 9, max = 8 }`, `min of scale of shop/prod is 9, which is more than its max of 8`},
		{`{ provider = "scripts", step = 0, max = 8 }`, `step of scale of shop/prod is 0; it takes 1 to 1000000000`},
		{`{ provider = "scripts", max = "many" }`, `service.shop.prod.scale.max takes a whole number; it is a text`},
		{`{ provider = "scripts", max = 8, zero = 1 }`, `service.shop.prod.scale.zero takes true or false; it is a whole number`},
		{`{ provider = "scripts", choices = [] }`, `service.shop.prod.scale.choices is an empty list; name something or take the key away`},
		{`{ provider = "scripts", choices = ["s", "s"] }`, `scale of shop/prod has the choice "s" twice; leave one`},
		{`{ provider = "scripts", choices = ["s"], max = 3 }`, `scale of shop/prod has choices and figures; leave choices, or min, max, step and zero`},
		{`{ provider = "scripts", dimension = 3 }`, `service.shop.prod.scale.dimension takes a table for each, such as { storage = { max = 500 } }; it is a whole number`},
		{`{ provider = "scripts", dimension = { storage = 3 } }`, `service.shop.prod.scale.dimension.storage takes a table, such as { max = 500 }; it is a whole number`},
		{`{ provider = "scripts", dimension = { storage = { mx = 3 } } }`, `unknown key "mx" in service.shop.prod.scale.dimension.storage; did you mean "max"?`},
		{`{ provider = "scripts", dimension = { storage = { min = 3 } } }`, `storage of shop/prod does not say how much there may be at most; add max = N`},
		{`{ provider = "scripts", dimension = { "a b" = { max = 3 } } }`, `the name of a dimension takes letters, digits, dots, dashes and underscores, a letter or digit first, at most 64; it is "a b"`},
	} {
		t.Run(r.table, func(t *testing.T) {
			text := scaled(t, r.table)
			before, _, _ := strings.Cut(text, "\nscale = ")
			says(t, text, fmt.Sprintf("config.toml:%d: %s", strings.Count(before, "\n")+2, r.want))
		})
	}
}
