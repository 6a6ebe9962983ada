package execprovider

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// Type gives the row "exec" for the table of provider types.
func Type() provider.Type { return provider.Type{Name: "exec", Open: Open} }

// Duration is a length of time written as in Go: "90s", "15m".
type Duration time.Duration

// UnmarshalText reads a positive duration.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v <= 0 {
		return bot.Errorf(bot.Invalid, "%q is not a positive duration; write it like 90s or 15m", string(text))
	}
	*d = Duration(v)
	return nil
}

// or gives the duration, or fallback where none is configured.
func (d Duration) or(fallback time.Duration) time.Duration {
	if d == 0 {
		return fallback
	}
	return time.Duration(d)
}

// Settings is the [provider.NAME] table. Everything is optional.
type Settings struct {
	Type string `toml:"type"`
	// Dir is the commands' working directory, relative to the configuration
	// file; its folder by default.
	Dir string `toml:"dir"`
	// Env is added to the commands' environment. A value env:NAME or file:PATH
	// is looked up when a command is called, and hidden from its output.
	Env map[string]string `toml:"env"`
	// Host names the machine on which the state folder and the processes are;
	// the machine-id and host name by default. A container needs a name that
	// its successor keeps.
	Host string `toml:"host"`
	// BootID is a file whose content changes with every boot of the host; by
	// default the system is asked.
	BootID string `toml:"boot_id"`
	// OutputBytes bounds what is kept of one command's output, beside its last
	// lines; 1 MiB by default.
	OutputBytes int `toml:"output_bytes"`
	// Lines bounds what one look at an operation passes on; 200 by default.
	Lines int `toml:"lines"`
	// ReadTimeout bounds current and releases; 10s by default.
	ReadTimeout Duration `toml:"read_timeout"`
	// RetryAfter is the first pause after exit status 75 and doubles with every
	// further one; 2s by default.
	RetryAfter Duration `toml:"retry_after"`
}

// DeployTable is a target's deploy table. Commands are argv arrays; a program
// with a slash in its name is taken from the provider's dir, one without from
// PATH.
type DeployTable struct {
	Provider string   `toml:"provider"`
	Argv     []string `toml:"argv"`     // required; deploys
	Current  []string `toml:"current"`  // required; prints what is live
	Releases []string `toml:"releases"` // required; prints what can be deployed
	Rollback []string `toml:"rollback"` // rolls back; argv by default
	Restart  []string `toml:"restart"`  // restarts; without it a restart is refused
	// Timeout bounds the whole operation; 15m by default.
	Timeout Duration `toml:"timeout"`
	// KillAfter is how long a command that was asked to end by TERM has before
	// it is killed; 10s by default.
	KillAfter Duration `toml:"kill_after"`
}

const (
	defaultOutputBytes = 1 << 20
	defaultLines       = 200
	defaultReadTimeout = 10 * time.Second
	defaultRetryAfter  = 2 * time.Second
	defaultTimeout     = 15 * time.Minute
	defaultKillAfter   = 10 * time.Second
)

// execProvider is one [provider.NAME] of type exec.
type execProvider struct {
	name     string
	dir      string
	state    string
	host     string
	settings Settings
	clock    bot.Clock
	redact   func(string) string
	secrets  *bot.Secrets
}

// Open checks a [provider.NAME] table. It starts nothing and creates nothing;
// errors are of kind Invalid and say where. The provider is safe for concurrent
// use.
func Open(o provider.Options) (provider.Provider, error) {
	if !supported {
		return nil, bot.Errorf(bot.Invalid, "%s: providers of type exec work on Linux and macOS only", o.Raw.Where())
	}
	var s Settings
	if err := o.Raw.Decode(&s); err != nil {
		return nil, err
	}
	if s.OutputBytes < 0 || s.Lines < 0 {
		return nil, bot.Errorf(bot.Invalid, "%s: output_bytes and lines of provider %s must not be negative", o.Raw.Where(), o.Name)
	}
	for name, value := range s.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
			return nil, bot.Errorf(bot.Invalid, "%s: env of provider %s has the name %q, which no environment can hold", o.Raw.Where(), o.Name, name)
		}
		if strings.HasPrefix(name, "OP_") {
			return nil, bot.Errorf(bot.Invalid, "%s: env of provider %s sets %s; names with OP_ are given by each operation", o.Raw.Where(), o.Name, name)
		}
	}
	if s.OutputBytes == 0 {
		s.OutputBytes = defaultOutputBytes
	}
	if s.Lines == 0 {
		s.Lines = defaultLines
	}
	p := &execProvider{name: o.Name, settings: s, clock: o.Clock, redact: o.Redact, secrets: o.Secrets, host: s.Host}
	if p.clock == nil {
		p.clock = bot.SystemClock{}
	}
	if p.redact == nil {
		p.redact = func(text string) string { return text }
	}
	if p.secrets == nil {
		p.secrets = &bot.Secrets{}
	}
	if p.host == "" {
		p.host = hostIdentity()
	}
	var err error
	if p.dir, err = absolute(o.Raw.Dir(), s.Dir); err == nil {
		p.state, err = absolute(o.Raw.Dir(), o.State)
	}
	if s.BootID != "" && err == nil {
		p.settings.BootID, err = absolute(o.Raw.Dir(), s.BootID)
	}
	if err != nil {
		return nil, bot.Errorf(bot.Invalid, "%s: the folder of provider %s cannot be told", o.Raw.Where(), o.Name)
	}
	if o.State == "" {
		return nil, bot.Errorf(bot.Invalid, "%s: provider %s has no state folder", o.Raw.Where(), o.Name)
	}
	return p, nil
}

func absolute(base, path string) (string, error) {
	if filepath.IsAbs(path) {
		return filepath.Clean(path), nil
	}
	return filepath.Abs(filepath.Join(base, path))
}

// hostIdentity names this machine: readable, and unique where the system keeps
// a machine-id.
func hostIdentity() string {
	name, err := os.Hostname()
	if err != nil {
		name = "this host"
	}
	for _, path := range []string{"/etc/machine-id", "/var/lib/dbus/machine-id"} {
		if raw, err := os.ReadFile(path); err == nil {
			if id := strings.TrimSpace(string(raw)); len(id) >= 8 {
				return name + "-" + id[:8]
			}
		}
	}
	return name
}

// Name gives the NAME of [provider.NAME].
func (p *execProvider) Name() string { return p.name }

// BindDeploy checks a target's deploy table and binds it. It starts nothing.
func (p *execProvider) BindDeploy(t bot.Target, raw provider.Raw) (provider.Deployer, error) {
	var table DeployTable
	if err := raw.Decode(&table); err != nil {
		return nil, err
	}
	for _, c := range []struct {
		key      string
		argv     []string
		required bool
	}{
		{"argv", table.Argv, true},
		{"current", table.Current, true},
		{"releases", table.Releases, true},
		{"rollback", table.Rollback, false},
		{"restart", table.Restart, false},
	} {
		switch {
		case len(c.argv) == 0 && c.required:
			return nil, bot.Errorf(bot.Invalid, "%s: the deploy table of %s needs %s, an array such as [\"./platform\", \"deploy\"]", raw.Where(), t, c.key)
		case c.argv != nil && len(c.argv) == 0, len(c.argv) > 0 && c.argv[0] == "":
			return nil, bot.Errorf(bot.Invalid, "%s: %s of %s names no program", raw.Where(), c.key, t)
		case slices.ContainsFunc(c.argv, func(a string) bool { return strings.ContainsRune(a, 0) }):
			return nil, bot.Errorf(bot.Invalid, "%s: %s of %s holds a NUL character, which no argument can hold", raw.Where(), c.key, t)
		}
	}
	if table.Rollback == nil {
		table.Rollback = table.Argv
	}
	return &deployer{execProvider: p, target: t, table: table}, nil
}

var (
	_ provider.DeployBinder = (*execProvider)(nil)
	_ provider.Deployer     = (*deployer)(nil)
	_ provider.Limited      = (*deployer)(nil)
	_ bot.Timed             = (*deployer)(nil)
)

// deployer is one target bound to the provider.
type deployer struct {
	*execProvider
	target bot.Target
	table  DeployTable
	action *actor   // whose operation it runs, nil for deployments
	step   []string // the program of a step before or after, from a StepTable
}

// Ways gives the only way back: the older release as a new deployment.
func (d *deployer) Ways() []provider.Way { return []provider.Way{provider.Redeploy} }

// Timing tells the engine how long a call takes, and how long after one a shim
// that it started may still need for its claim.
func (d *deployer) Timing(bot.Target) bot.Timing {
	return bot.Timing{Call: 5 * time.Second, Settle: time.Second}
}
