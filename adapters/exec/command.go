package execprovider

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// defaultPath is the PATH of a bot that has none.
const defaultPath = "/usr/local/bin:/usr/bin:/bin"

// environment gives what every command of this target gets, and the values in
// it that must not be shown.
func (d *deployer) environment(action string) (env []string, hide secrets, err error) {
	path := os.Getenv("PATH")
	if path == "" {
		path = defaultPath
	}
	env = []string{"PATH=" + path}
	for _, name := range []string{"HOME", "LANG"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	for name, value := range d.settings.Env {
		resolved, secret, err := d.lookUp(name, value)
		if err != nil {
			return nil, nil, err
		}
		if secret {
			hide = hide.with(resolved)
		}
		env = append(env, name+"="+resolved)
	}
	env = append(env,
		"OP_SERVICE="+d.target.Service,
		"OP_ENV="+d.target.Environment,
		"OP_ACTION="+action)
	slices.Sort(env[1:])
	return env, hide, nil
}

// Lacks implements provider.Lacking.
func (p *execProvider) Lacks() (all []provider.Lack) {
	d := &deployer{execProvider: p}
	for _, name := range slices.Sorted(maps.Keys(p.settings.Env)) {
		if _, _, err := d.lookUp(name, p.settings.Env[name]); err != nil {
			all = append(all, provider.Lack{Key: []string{"env", name}, Why: bot.Sentence(err, "")})
		}
	}
	return all
}

var _ provider.Lacking = (*execProvider)(nil)

// lookUp resolves a value that is a reference to a secret, as it is now.
func (d *deployer) lookUp(name, value string) (resolved string, secret bool, err error) {
	if !bot.IsSecret(value) {
		return value, false, nil
	}
	s, err := d.secrets.Open(value, d.dir)
	if err != nil {
		return "", false, err
	}
	v, err := s.Value()
	if err != nil {
		e := bot.Errorf(bot.Unavailable, "env %s of provider %s is not known: %s", name, d.name, bot.Sentence(err, ""))
		e.Err = err
		return "", false, e
	}
	return v, true, nil
}

// program finds the program of an argv: from the provider's dir if its name has
// a slash, from PATH otherwise.
func (d *deployer) program(argv []string) (string, error) {
	name := argv[0]
	if strings.ContainsRune(name, filepath.Separator) {
		return absolute(d.dir, name)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}
