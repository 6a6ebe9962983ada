package prometheusprovider

import (
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// Type gives the row "prometheus" for the table of provider types.
func Type() provider.Type { return provider.Type{Name: "prometheus", Open: Open} }

// Settings is the [provider.NAME] table.
type Settings struct {
	Type string `toml:"type"`
	// APIURL is the server's address, with a path where it has one; https, or
	// loopback.
	APIURL string `toml:"api_url"`
	// Token is "env:NAME" or "file:PATH" of a bearer token.
	Token string `toml:"token"`
	// Username and Password are for basic authentication in place of a token; the
	// password is "env:NAME" or "file:PATH".
	Username string `toml:"username"`
	Password string `toml:"password"`
	// CAFile holds the certificates, in PEM, that the server's is checked with in
	// place of the system's.
	CAFile string `toml:"ca_file"`
	// Timeout bounds one query; 10s by default.
	Timeout Duration `toml:"timeout"`
	// ScrapeInterval is how far apart the server's values are; 1m by default, as
	// Prometheus' own.
	ScrapeInterval Duration `toml:"scrape_interval"`
	// WebURL is where people open the server; without it no links are given.
	WebURL string `toml:"web_url"`
}

// MetricsTable is what of a target's metrics table is the provider's: nothing.
type MetricsTable struct{}

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

const (
	defaultTimeout = Duration(10 * time.Second)
	maxTimeout     = Duration(2 * time.Minute) // the default of Prometheus' own --query.timeout
	defaultScrape  = Duration(time.Minute)
	maxScrape      = Duration(5 * time.Minute) // a value is stale after that
)

// prometheus is one [provider.NAME] of type prometheus.
type prometheus struct {
	name   string
	client *client
	scrape time.Duration
	web    string
}

var (
	_ provider.MetricBinder = (*prometheus)(nil)
	_ provider.Presetter    = (*prometheus)(nil)
	_ provider.Lacking      = (*prometheus)(nil)
)

// Open checks a [provider.NAME] table offline: it reads no secret and asks the
// server nothing. Errors are of kind Invalid and say where. The provider is safe
// for concurrent use.
func Open(o provider.Options) (provider.Provider, error) {
	var s Settings
	if err := o.Raw.Decode(&s); err != nil {
		return nil, err
	}
	wrong := func(format string, args ...any) (provider.Provider, error) {
		return nil, bot.Errorf(bot.Invalid, "%s: "+format, append([]any{o.Raw.Where()}, args...)...)
	}
	base := apiURL(s.APIURL)
	web, err := url.Parse(s.WebURL)
	if s.Timeout == 0 {
		s.Timeout = defaultTimeout
	}
	if s.ScrapeInterval == 0 {
		s.ScrapeInterval = defaultScrape
	}
	switch {
	case s.APIURL == "":
		return wrong(`provider %s needs api_url, such as "https://prometheus.example.com"`, o.Name)
	case base == nil:
		return wrong("api_url of provider %s is %q; expected https://HOST, or http on loopback, without credentials in it", o.Name, hidden(s.APIURL))
	case s.WebURL != "" && (err != nil || web.Host == "" || web.User != nil || web.Scheme != "https" && web.Scheme != "http"):
		return wrong("web_url of provider %s is %q; expected an address such as https://prometheus.example.com", o.Name, hidden(s.WebURL))
	case s.Token != "" && (s.Username != "" || s.Password != ""):
		return wrong("provider %s has a token and a password; keep one of them", o.Name)
	case (s.Username == "") != (s.Password == ""):
		return wrong("provider %s needs both of username and password", o.Name)
	case strings.ContainsRune(s.Username, ':'):
		return wrong("username of provider %s holds a colon, which ends it", o.Name)
	case s.Timeout < Duration(100*time.Millisecond) || s.Timeout > maxTimeout:
		return wrong("timeout of provider %s is %s; it takes 100ms to 2m", o.Name, time.Duration(s.Timeout))
	case s.ScrapeInterval < Duration(100*time.Millisecond) || s.ScrapeInterval > maxScrape:
		return wrong("scrape_interval of provider %s is %s; it takes 100ms to 5m", o.Name, time.Duration(s.ScrapeInterval))
	}
	p := &prometheus{name: o.Name, scrape: time.Duration(s.ScrapeInterval), web: strings.TrimSuffix(s.WebURL, "/"),
		client: &client{name: o.Name, base: base, user: s.Username, timeout: time.Duration(s.Timeout), redact: o.Redact}}
	if p.client.redact == nil {
		p.client.redact = func(text string) string { return text }
	}
	for _, secret := range []struct{ key, ref string }{{"token", s.Token}, {"password", s.Password}} {
		if secret.ref == "" {
			continue
		}
		opened, err := o.Secrets.Open(secret.ref, o.Raw.Dir())
		if err != nil {
			return wrong(`%s of provider %s is not a reference; write "env:NAME" or "file:PATH"`, secret.key, o.Name)
		}
		p.client.secret, p.client.secretKey = &opened, secret.key
	}
	if s.CAFile != "" {
		p.client.caFile = s.CAFile
		if !filepath.IsAbs(s.CAFile) {
			p.client.caFile = filepath.Join(o.Raw.Dir(), s.CAFile)
		}
	}
	return p, nil
}

// apiURL gives the server's address without a slash at its end; nil for none that
// may be used.
func apiURL(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && !(u.Scheme == "http" && loopback) {
		return nil
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u
}

// hidden gives an address without what may be a password in it.
func hidden(address string) string {
	if i := strings.LastIndexByte(address, '@'); i >= 0 {
		return "..." + address[i:]
	}
	return address
}

// Name gives the NAME of [provider.NAME].
func (p *prometheus) Name() string { return p.name }

// BindMetrics checks a target's metrics table and binds it.
func (p *prometheus) BindMetrics(_ bot.Target, raw provider.Raw) (provider.MetricSource, error) {
	var table MetricsTable
	if err := raw.Decode(&table); err != nil {
		return nil, err
	}
	return &source{p}, nil
}

// Lacks names the secret that cannot be read.
func (p *prometheus) Lacks() []provider.Lack {
	if p.client.secret == nil {
		return nil
	}
	if _, err := p.client.secret.Value(); err != nil {
		return []provider.Lack{{Key: []string{p.client.secretKey}, Why: bot.Sentence(err, "prometheus")}}
	}
	return nil
}
