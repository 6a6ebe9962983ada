package execprovider

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"quarterdeck/bot"
)

// defaultPath is the PATH of a bot that has none.
const defaultPath = "/usr/local/bin:/usr/bin:/bin"

// maxSecretFile bounds what file:PATH may hold.
const maxSecretFile = 64 << 10

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

// lookUp resolves a value that is a reference to a secret.
func (d *deployer) lookUp(name, value string) (resolved string, secret bool, err error) {
	kind, ref, _ := strings.Cut(value, ":")
	switch kind {
	case "env":
		v, ok := os.LookupEnv(ref)
		if !ok {
			return "", false, bot.Errorf(bot.Unavailable, "env %s of provider %s is to come from the environment variable %s, which is not set", name, d.name, ref)
		}
		return v, true, nil
	case "file":
		path, err := absolute(d.dir, ref)
		if err != nil {
			return "", false, err
		}
		info, err := os.Stat(path)
		var raw []byte
		if err == nil && info.Size() <= maxSecretFile {
			raw, err = os.ReadFile(path)
		}
		v := strings.TrimRight(string(raw), "\r\n")
		if err != nil || v == "" || strings.ContainsRune(v, 0) {
			e := bot.Errorf(bot.Unavailable, "env %s of provider %s is to come from a file that cannot be used as a value", name, d.name)
			e.Err = err
			return "", false, e
		}
		return v, true, nil
	}
	return value, false, nil
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
