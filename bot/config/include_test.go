package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"quarterdeck/bot/config"
)

// write writes one file of a configuration, readable by its owner alone.
func write(t testing.TB, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// including gives a folder with the good configuration, which includes what
// patterns say, beside further files.
func including(t testing.TB, patterns string, files map[string]string) (path string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, dir, name, text)
	}
	write(t, dir, "config.toml", "include = ["+patterns+"]\n"+good)
	return filepath.Join(dir, "config.toml")
}

// placed1 gives a text with the line numbers that "@table@" stands for, one line
// further down than in the good configuration.
func placed1(s string) string {
	for path, line := range lines(good) {
		s = strings.ReplaceAll(s, "@"+path+"@", strconv.Itoa(line+1))
	}
	return s
}

func TestIncludeJoinsFiles(t *testing.T) {
	c, err := config.Load(including(t, `"conf.d/*.toml", "team/a.toml", "conf.d/b.toml"`, map[string]string{
		"conf.d/b.toml":     "[service.cart.prod]\ndeploy = { provider = \"scripts\", argv = [\"./b\"] }\n[[person]]\nname = \"b\"\naccounts = [\"os:2\"]\n",
		"conf.d/a.toml":     "[[person]]\nname = \"a\"\naccounts = [\"os:1\"]\n[environment.lab]\n[provider.more]\ntype = \"exec\"\n",
		"conf.d/.#a.toml":   "an editor's lock",
		"conf.d/README.txt": "not one of them",
		"team/a.toml":       "\n[service.shop.lab]\ndeploy = { provider = \"more\", argv = [\"./lab\"] }\n[[grant]]\nroles = [\"sre\"]\npermissions = [\"halt\"]\n",
	}), known)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"config.toml", "conf.d/a.toml", "conf.d/b.toml", "team/a.toml"}; !slices.Equal(c.Files, want) {
		t.Errorf("read %v, want %v", c.Files, want)
	}
	var people, services []string
	for _, p := range c.People {
		people = append(people, p.Name+" "+p.Where)
	}
	for _, s := range c.Services {
		services = append(services, s.Target.String()+" "+s.Where)
	}
	if want := []string{placed1("dev-one config.toml:@person@"), "a conf.d/a.toml:1", "b conf.d/b.toml:3"}; !slices.Equal(people, want) {
		t.Errorf("people are %v, want %v", people, want)
	}
	if want := []string{placed1("shop/prod config.toml:@service.shop.prod@"), "shop/lab team/a.toml:2", "cart/prod conf.d/b.toml:1"}; !slices.Equal(services, want) {
		t.Errorf("services are %v, want %v", services, want)
	}
	if want := []string{"prod", "lab"}; !slices.Equal(c.Environments, want) {
		t.Errorf("environments are %v, want %v", c.Environments, want)
	}
	if got := c.Grants[len(c.Grants)-1].Where; got != "team/a.toml:4" {
		t.Errorf("the last grant is at %s", got)
	}
	if got := c.Settings()["service.cart.prod.deploy"]; !strings.Contains(got, "./b") {
		t.Errorf("the settings hold %q of an included service", got)
	}
}

// TestIncludeFaults names the included file and its line, for whatever is wrong
// in it and between files.
func TestIncludeFaults(t *testing.T) {
	for _, r := range []struct{ name, patterns, text, want string }{
		{"matches nothing", `"conf.d/*.tml"`, "", `config.toml:1: include "conf.d/*.tml" matches no file; write the file or take the pattern away`},
		{"not there", `"people.toml"`, "", `config.toml:1: include "people.toml" matches no file; write the file or take the pattern away`},
		{"no pattern", `"conf.d/[.toml"`, "", `config.toml:1: include "conf.d/[.toml" is not a pattern of file names; write such as "conf.d/*.toml"`},
		{"no text", `7`, "", `config.toml:1: include takes a text in quotes; it is a whole number`},
		{"itself", `"*.toml"`, "", `config.toml:1: include "*.toml" takes in config.toml itself; keep included files in a folder of their own`},
		{"a folder", `"conf.d"`, "", `config.toml:1: include "conf.d": DIR/conf.d is a folder; name the configuration file in it`},
		{"further", `"conf.d/*.toml"`, `include = ["x"]`, `conf.d/a.toml:1: an included file includes no others; name the files in the include of config.toml`},
		{"no TOML", `"conf.d/*.toml"`, "\n[", `conf.d/a.toml:2: this is not TOML: `},
		{"a key twice", `"conf.d/*.toml"`, "\n\n[bot]\nrate = 6\n", `conf.d/a.toml:3: [bot] stands in config.toml:2 already; leave one`},
		{"a provider twice", `"conf.d/*.toml"`, "[provider.scripts]\ntype = \"exec\"\n", `conf.d/a.toml:1: [provider.scripts] stands in config.toml:@provider.scripts@ already; leave one`},
		{"a service twice", `"conf.d/*.toml"`, "[service.shop.prod]\n", `conf.d/a.toml:1: [service.shop.prod] stands in config.toml:@service.shop.prod@ already; leave one`},
		{"a key of a service", `"conf.d/*.toml"`, "[service.shop.prod]\ndeploy = {}\n", `conf.d/a.toml:1: [service.shop.prod] stands in config.toml:@service.shop.prod@ already; leave one`},
		{"a list as a table", `"conf.d/*.toml"`, "[person]\n", `conf.d/a.toml:1: [person] stands in config.toml:@person@ already; leave one`},
		{"an unknown key", `"conf.d/*.toml"`, "[[person]]\nnme = \"a\"\n", "conf.d/a.toml:1: a person needs a name\nconf.d/a.toml:2: unknown key \"nme\" in [[person]]; did you mean \"name\"?"},
		{"a dangling name", `"conf.d/*.toml"`, "[service.cart.prod]\ndeploy = { provider = \"script\" }\n", `conf.d/a.toml:2: deploy of cart/prod names the provider "script", which has no [provider.script]; did you mean "scripts"?`},
	} {
		t.Run(r.name, func(t *testing.T) {
			path := including(t, r.patterns, map[string]string{"conf.d/a.toml": r.text})
			_, err := config.Load(path, known)
			if err == nil {
				t.Fatal("is loaded")
			}
			want := strings.ReplaceAll(placed1(r.want), "DIR", filepath.Dir(path))
			if say := err.Error(); say != want && !(strings.HasSuffix(want, ": ") && strings.HasPrefix(say, want)) {
				t.Errorf("says\n%s\nwant\n%s", say, want)
			}
		})
	}
}

// TestIncludeOrder has the faults of several files come file by file.
func TestIncludeOrder(t *testing.T) {
	_, err := config.Load(including(t, `"conf.d/*.toml"`, map[string]string{
		"conf.d/a.toml": "\n\n[[person]]\nnme = \"a\"\n", "conf.d/b.toml": "[[role]]\nnme = \"b\"\n"}), known)
	if err == nil {
		t.Fatal("is loaded")
	}
	var at []string
	for line := range strings.Lines(err.Error()) {
		file, _, _ := strings.Cut(line, ": ")
		at = append(at, file)
	}
	if want := []string{"conf.d/a.toml:3", "conf.d/a.toml:4", "conf.d/b.toml:1", "conf.d/b.toml:2"}; !slices.Equal(at, want) {
		t.Errorf("faults are at %v, want %v", at, want)
	}
}

// TestIncludeByOthers is about who else could add rules: whoever can write an
// included file, or can add one to a folder that is included whole.
func TestIncludeByOthers(t *testing.T) {
	path := including(t, `"conf.d/*.toml"`, map[string]string{"conf.d/a.toml": ""})
	dir := filepath.Join(filepath.Dir(path), "conf.d")
	if _, err := config.Load(path, known); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "a.toml"), 0o620); err != nil {
		t.Fatal(err)
	}
	_, err := config.Load(path, known)
	if want := fmt.Sprintf(`config.toml:1: include "conf.d/*.toml": a.toml can be changed by others than its owner; run: chmod go-w %s/a.toml`, dir); err == nil || err.Error() != want {
		t.Errorf("says %v, want %s", err, want)
	}
	if err := os.Chmod(filepath.Join(dir, "a.toml"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o770); err != nil {
		t.Fatal(err)
	}
	_, err = config.Load(path, known)
	if want := fmt.Sprintf(`config.toml:1: include "conf.d/*.toml": others than its owner can add files to conf.d; run: chmod go-w %s`, dir); err == nil || err.Error() != want {
		t.Errorf("says %v, want %s", err, want)
	}
}

// TestIncludeIsBounded refuses more files than anybody keeps.
func TestIncludeIsBounded(t *testing.T) {
	files := map[string]string{}
	for i := range 1001 {
		files[fmt.Sprintf("conf.d/%04d.toml", i)] = ""
	}
	_, err := config.Load(including(t, `"conf.d/*.toml"`, files), known)
	if want := "config.toml:1: include takes in more than 1000 files; join some of them"; err == nil || err.Error() != want {
		t.Errorf("says %v, want %s", err, want)
	}
}
