package config_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"quarterdeck/bot/config"
)

// placed gives a text with the line numbers that "good+N" stands for: N lines
// after the good configuration.
func placed(s string) string {
	return regexp.MustCompile(`good\+[0-9]+`).ReplaceAllStringFunc(s, func(at string) string {
		n, err := strconv.Atoi(strings.TrimPrefix(at, "good+"))
		if err != nil {
			panic(err)
		}
		return strconv.Itoa(strings.Count(good, "\n") + n)
	})
}

const shared = `[template.web]
deploy = { provider = "scripts", argv = ["./deploy", "{service}", "{env}", "{{{service}}}"], timeout = "15m", env = { APP = "{service}-{env}" } }
`

// TestTemplate fills in the names, lets what the service says itself win, key by
// key, and leaves the service's own texts alone.
func TestTemplate(t *testing.T) {
	c, err := load(t, good+shared+`[service.cart.prod]
template = "web"
[service.till.prod]
template = "web"
deploy = { timeout = "{env}", env = { MORE = "yes" } }
`)
	if err != nil {
		t.Fatal(err)
	}
	settings := c.Settings()
	for key, want := range map[string]string{
		"service.cart.prod.deploy":   `{"argv":["./deploy","cart","prod","{cart}"],"env":{"APP":"cart-prod"},"provider":"scripts","timeout":"15m"}`,
		"service.till.prod.deploy":   `{"argv":["./deploy","till","prod","{till}"],"env":{"APP":"till-prod","MORE":"yes"},"provider":"scripts","timeout":"{env}"}`,
		"service.cart.prod.template": "",
		"template.web":               "",
	} {
		if got := settings[key]; got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
	for _, s := range c.Services[1:] {
		want := "config.toml:good+2" // of the template
		if s.Target.Service == "till" {
			want = "config.toml:good+7"
		}
		if got := s.Deploy.Raw.Where(); got != placed(want) {
			t.Errorf("deploy of %s is at %s, want %s", s.Target, got, want)
		}
	}
}

func TestTemplateFaults(t *testing.T) {
	user := "[service.cart.prod]\ntemplate = \"web\"\n"
	for _, r := range []struct{ name, text, want string }{
		{"unknown", "[template.web]\n[service.cart.prod]\ntemplate = \"wbe\"\n", `config.toml:good+3: cart/prod has the template "wbe", which has no [template.wbe]; did you mean "web"?` + "\n" +
			`config.toml:good+2: cart/prod is bound to nothing; bind it with deploy`},
		{"no text", "[template.web]\n[service.cart.prod]\ntemplate = 3\n", `config.toml:good+3: the template of cart/prod is its name, a text in quotes` + "\n" +
			`config.toml:good+2: cart/prod is bound to nothing; bind it with deploy`},
		{"no table", "[template]\nweb = 3\n", `config.toml:good+2: template.web takes a table; it is a whole number`},
		{"name", "[template.\"a b\"]\n", `config.toml:good+1: the name of a template takes letters, digits, dots, dashes and underscores, a letter or digit first, at most 64; it is "a b"`},
		{"placeholder", "[template.web]\ndeploy = { provider = \"scripts\", argv = [\"./deploy\", \"{srvice}\"] }\n",
			`config.toml:good+2: template.web.deploy.argv holds the unknown placeholder {srvice}; it fills in {service} and {env}; write {{ for {`},
		{"brace", "[template.web]\ndeploy = { provider = \"scripts\", argv = [\"a}\"] }\n",
			`config.toml:good+2: template.web.deploy.argv holds a single }; write }} for the character itself`},
		{"key", "[template.web]\ndeploi = {}\n" + user, `config.toml:good+2: unknown key "deploi" in [service.cart.prod] (cart/prod takes it from its template); did you mean "deploy"?`},
		{"provider", "[template.web]\ndeploy = { provider = \"script\" }\n" + user,
			`config.toml:good+2: deploy of cart/prod names the provider "script", which has no [provider.script] (cart/prod takes it from its template); did you mean "scripts"?`},
	} {
		t.Run(r.name, func(t *testing.T) {
			_, err := load(t, good+r.text)
			if err == nil {
				t.Fatal("is loaded")
			}
			got, want := strings.Split(err.Error(), "\n"), strings.Split(placed(r.want), "\n")
			if len(got) != len(want) {
				t.Fatalf("says\n%s\nwant\n%s", err, r.want)
			}
			for _, line := range want {
				if !strings.Contains(err.Error(), line) {
					t.Errorf("says\n%s\nwant\n%s", err, r.want)
				}
			}
		})
	}
}

// TestTemplateFaultIsToldOnce where forty services use the template.
func TestTemplateFaultIsToldOnce(t *testing.T) {
	text := good + "[template.web]\ndeploi = {}\n"
	for i := range 40 {
		text += fmt.Sprintf("[service.s%02d.prod]\ntemplate = \"web\"\n", i)
	}
	_, err := load(t, text)
	want := `config.toml:good+2: unknown key "deploi" in [service.s00.prod] (s00/prod and 39 more take it from their template); did you mean "deploy"?`
	if err == nil || err.Error() != placed(want) {
		t.Errorf("says\n%v\nwant\n%s", err, want)
	}
}

// TestTemplateDecode gives the template's place, and the service, for what an
// adapter finds wrong in its table.
func TestTemplateDecode(t *testing.T) {
	c, err := load(t, good+shared+"[service.cart.prod]\ntemplate = \"web\"\n")
	if err != nil {
		t.Fatal(err)
	}
	var dst struct {
		Argv []string `toml:"argv"`
	}
	err = c.Services[1].Deploy.Raw.Decode(&dst)
	if err == nil || !strings.HasPrefix(err.Error(), placed(`config.toml:good+2: unknown key "timeout" in service.cart.prod.deploy (cart/prod takes it from its template)`)) {
		t.Errorf("says %v", err)
	}
	if len(dst.Argv) != 4 || dst.Argv[1] != "cart" {
		t.Errorf("argv is %v", dst.Argv)
	}
	var _ config.Texter = c.Services[1].Deploy.Raw.(config.Texter)
}

// TestDisabled takes true or false, and nothing that could be read as either.
func TestDisabled(t *testing.T) {
	leaver := "[[person]]\nname = \"dev-gone\"\naccounts = [\"os:1001\"]\ndisabled = "
	for value, want := range map[string]bool{"true": true, "false": false} {
		c, err := load(t, good+leaver+value+"\n")
		if err != nil {
			t.Fatal(err)
		}
		if got := c.People[1].Disabled; got != want {
			t.Errorf("disabled = %s gives %v", value, got)
		}
	}
	for value, is := range map[string]string{`"true"`: "a text", "1": "a whole number", "[true]": "a list"} {
		says(t, good+leaver+value+"\n", placed("config.toml:good+4: person.disabled takes true or false; it is ")+is)
	}
}
