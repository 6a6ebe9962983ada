package platform

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"time"
)

const (
	// service is the one service this platform knows.
	service = "shop"

	// maxInstances bounds an environment, so that a slip of the finger does not
	// start a thousand processes on somebody's laptop.
	maxInstances = 16
)

// Config says what a Supervisor runs. Zero durations take their defaults.
type Config struct {
	// Dir is the platform's folder: socket, log, orders databases, backups.
	Dir string
	// Self is the beginning of the command line that starts an instance, such
	// as {"/path/to/demo", "shop"}; the instance's flags are appended.
	Self []string
	// Environments are served in this order.
	Environments []Environment
	// HealthTimeout is how long a new instance may take to answer its health
	// check. Default 5 s.
	HealthTimeout time.Duration
	// MinReady is how long a new instance must stay healthy before an old one
	// is stopped for it. Default 1 s.
	MinReady time.Duration
	// DrainTimeout bounds the wait for open requests of an instance that goes.
	// Default 5 s.
	DrainTimeout time.Duration
	// BackupEvery is the time between two backups. Default one minute.
	BackupEvery time.Duration
	// Now tells the time that is written down. Default time.Now.
	Now func() time.Time
	// Scraped is told of every look at an instance, with what it printed of itself in
	// Prometheus' text format; nil where it could not be read, and gone where it is
	// no more. It is called from several goroutines. Default: nobody.
	Scraped func(env, instance string, at time.Time, exposition []byte, gone bool)
	// Log receives the platform's own log. Default: none.
	Log *slog.Logger
}

// Environment is one place in which the service runs. Desired and StartVersion
// count for the first start only; afterwards the log knows.
type Environment struct {
	Name         string
	Desired      int
	StartVersion string
	// FrontAddr is the loopback address of the front. Where its port is taken,
	// or none is named, any free port is used.
	FrontAddr string
	// LoadPerSecond is how many requests a second the load generator sends.
	LoadPerSecond float64
}

// DefaultEnvironments returns staging and prod as the demo shows them.
func DefaultEnvironments() []Environment {
	return []Environment{
		{Name: "staging", Desired: 1, StartVersion: "v1", FrontAddr: "127.0.0.1:40101", LoadPerSecond: 5},
		{Name: "prod", Desired: 2, StartVersion: "v1", FrontAddr: "127.0.0.1:40102", LoadPerSecond: 40},
	}
}

// complete returns the configuration with its defaults, or what is wrong.
func (c Config) complete() (Config, error) {
	if c.Dir == "" {
		return c, errors.New("the platform needs a folder")
	}
	if len(c.Self) == 0 {
		return c, errors.New("the platform needs a command line that starts an instance")
	}
	if len(c.Environments) == 0 {
		return c, errors.New("the platform needs at least one environment")
	}
	seen := map[string]bool{}
	for i, e := range c.Environments {
		if err := e.check(); err != nil {
			return c, fmt.Errorf("environment %d: %w", i+1, err)
		}
		if seen[e.Name] {
			return c, fmt.Errorf("environment %q is named twice", e.Name)
		}
		seen[e.Name] = true
	}
	for _, d := range []struct {
		have *time.Duration
		def  time.Duration
	}{
		{&c.HealthTimeout, 5 * time.Second}, {&c.MinReady, time.Second},
		{&c.DrainTimeout, 5 * time.Second}, {&c.BackupEvery, time.Minute},
	} {
		if *d.have <= 0 {
			*d.have = d.def
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Scraped == nil {
		c.Scraped = func(string, string, time.Time, []byte, bool) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

func (e Environment) check() error {
	// The name becomes part of file names.
	if !regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`).MatchString(e.Name) {
		return fmt.Errorf("name %q is not lower-case letters, digits and dashes", e.Name)
	}
	if e.Desired < 1 || e.Desired > maxInstances {
		return fmt.Errorf("%s wants %d instances, expected 1 to %d", e.Name, e.Desired, maxInstances)
	}
	if _, ok := findRelease(e.StartVersion); !ok {
		return fmt.Errorf("%s starts with %q, expected one of %s", e.Name, e.StartVersion, versionNames())
	}
	if e.FrontAddr == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(e.FrontAddr)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("%s has front address %q, expected a loopback address such as 127.0.0.1:40101", e.Name, e.FrontAddr)
	}
	return nil
}
