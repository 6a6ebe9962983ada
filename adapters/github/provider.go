package githubprovider

import (
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// Type gives the row "github" for the table of provider types.
func Type() provider.Type { return provider.Type{Name: "github", Open: Open} }

// Settings is the [provider.NAME] table. It has either a token, or the three
// keys of a GitHub App.
type Settings struct {
	Type  string `toml:"type"`
	Owner string `toml:"owner"` // of the repositories: an organisation, or a login
	// Token is "env:NAME" or "file:PATH" of a fine-grained or classic token.
	Token string `toml:"token"`
	// The App, its installation in the owner's account, and "file:PATH" of its
	// private key.
	AppID          int64  `toml:"app_id"`
	InstallationID int64  `toml:"installation_id"`
	PrivateKey     string `toml:"private_key"`
	// APIURL is the address of another server's API, such as
	// https://github.example.com/api/v3; https, or loopback.
	APIURL string `toml:"api_url"`
}

// DeployTable is a target's deploy table.
type DeployTable struct {
	Provider string `toml:"provider"`
	Repo     string `toml:"repo"` // required; its name within the owner's account
	// Environment is its name at GitHub; the target's own by default.
	Environment string `toml:"environment"`
	// Workflow is the file in .github/workflows that deploys. Without it there is
	// a deployment alone, which somebody else's deployer takes up.
	Workflow string `toml:"workflow"`
	// Job is the one of the workflow's jobs that must have succeeded; without it
	// the run's own conclusion counts.
	Job string `toml:"job"`
	// Ref is the branch whose head is "latest" and from which the workflow's file
	// is taken; main by default.
	Ref string `toml:"ref"`
	// Inputs are given to the workflow beside key, sha and environment.
	Inputs map[string]string `toml:"inputs"`
	// Checks are the checks and statuses that must be green before a deployment.
	// Left out, all that there are must be; [] asks for none.
	Checks *[]string `toml:"checks"`
	// URL is where the environment can be looked at, for GitHub's own page.
	URL string `toml:"url"`
	// Timeout is how long a deployment without a workflow waits for whoever
	// deploys; 1h by default.
	Timeout Duration `toml:"timeout"`
}

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
	defaultAPI     = "https://api.github.com/"
	defaultRef     = "main"
	defaultTimeout = time.Hour
	maxInputs      = 25 // of one workflow_dispatch, by GitHub's description
)

// The inputs that every workflow gets.
const (
	inputKey         = "key"
	inputSHA         = "sha"
	inputEnvironment = "environment"
	inputService     = "service" // of an action's target
)

var (
	ownerName    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$`)
	repoName     = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)
	workflowName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,200}\.ya?ml$`)
	inputName    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,99}$`)
)

// githubProvider is one [provider.NAME] of type github.
type githubProvider struct {
	name   string
	owner  string
	client *client
	clock  bot.Clock
	login  func(person string) string
	redact func(string) string
}

// Open checks a [provider.NAME] table offline: it reads no secret and asks
// GitHub nothing. Errors are of kind Invalid and say where. The provider is safe
// for concurrent use.
func Open(o provider.Options) (provider.Provider, error) {
	var s Settings
	if err := o.Raw.Decode(&s); err != nil {
		return nil, err
	}
	where := o.Raw.Where()
	wrong := func(format string, args ...any) (provider.Provider, error) {
		return nil, bot.Errorf(bot.Invalid, "%s: "+format, append([]any{where}, args...)...)
	}
	if !ownerName.MatchString(s.Owner) {
		return wrong(`provider %s needs owner, the organisation or login that owns the repositories, such as "acme"`, o.Name)
	}
	base, err := apiURL(s.APIURL)
	if err != nil {
		return wrong("api_url of provider %s is %q; expected https://HOST/api/v3, or an address on loopback", o.Name, s.APIURL)
	}
	p := &githubProvider{name: o.Name, owner: s.Owner, clock: o.Clock, login: o.Login, redact: o.Redact}
	if p.clock == nil {
		p.clock = bot.SystemClock{}
	}
	if p.login == nil {
		p.login = func(string) string { return "" }
	}
	if p.redact == nil {
		p.redact = func(text string) string { return text }
	}
	p.client = newClient(o.Name, base, p.clock)
	isApp := s.AppID != 0 || s.InstallationID != 0 || s.PrivateKey != ""
	switch {
	case s.Token != "" && isApp:
		return wrong("provider %s has a token and an App; keep one of them", o.Name)
	case s.Token != "":
		secret, err := o.Secrets.Open(s.Token, o.Raw.Dir())
		if err != nil {
			return wrong(`token of provider %s is not a reference; write token = "env:GITHUB_TOKEN" or "file:PATH"`, o.Name)
		}
		p.client.auth = fixed{secret}
	case s.AppID > 0 && s.InstallationID > 0 && s.PrivateKey != "":
		secret, err := o.Secrets.Open(s.PrivateKey, o.Raw.Dir())
		if err != nil {
			return wrong(`private_key of provider %s is not a reference; write private_key = "file:PATH"`, o.Name)
		}
		p.client.auth = &app{name: o.Name, id: itoa(s.AppID), installation: s.InstallationID, key: secret, base: base, clock: p.clock,
			http: &http.Client{Timeout: callTimeout, Transport: p.client.far, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	case isApp:
		return wrong("provider %s needs all of app_id, installation_id and private_key", o.Name)
	default:
		return wrong(`provider %s needs token = "env:GITHUB_TOKEN", or app_id, installation_id and private_key`, o.Name)
	}
	return p, nil
}

// apiURL gives the address of the API with a slash at its end, as go-github
// wants it.
func apiURL(text string) (*url.URL, error) {
	if text == "" {
		text = defaultAPI
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, bot.Errorf(bot.Invalid, "no address")
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && !(u.Scheme == "http" && loopback) {
		return nil, bot.Errorf(bot.Invalid, "no https")
	}
	if !strings.HasSuffix(u.Path, "/") {
		u.Path += "/"
	}
	return u, nil
}

// Name gives the NAME of [provider.NAME].
func (p *githubProvider) Name() string { return p.name }

// BindDeploy checks a target's deploy table offline and binds it.
func (p *githubProvider) BindDeploy(t bot.Target, raw provider.Raw) (provider.Deployer, error) {
	var table DeployTable
	if err := raw.Decode(&table); err != nil {
		return nil, err
	}
	wrong := func(format string, args ...any) (provider.Deployer, error) {
		return nil, bot.Errorf(bot.Invalid, "%s: "+format, append([]any{raw.Where()}, args...)...)
	}
	if table.Environment == "" {
		table.Environment = t.Environment
	}
	if table.Ref == "" {
		table.Ref = defaultRef
	}
	if table.Timeout == 0 {
		table.Timeout = Duration(defaultTimeout)
	}
	switch {
	case !repoName.MatchString(table.Repo) || table.Repo == "." || table.Repo == "..":
		return wrong(`the deploy table of %s needs repo, the repository's name without its owner, such as "shop"`, t)
	case len(table.Environment) > 255 || !printable(table.Environment):
		return wrong("environment of %s is no name that GitHub takes", t)
	case table.Workflow != "" && !workflowName.MatchString(table.Workflow):
		return wrong(`workflow of %s is %q; expected a file's name in .github/workflows, such as "deploy.yml"`, t, table.Workflow)
	case !refName(table.Ref):
		return wrong(`ref of %s is %q; expected a branch, such as "main"`, t, table.Ref)
	case table.Workflow == "" && (len(table.Inputs) > 0 || table.Job != ""):
		return wrong("%s has inputs or a job and no workflow that they are for", t)
	case len(table.Inputs)+3 > maxInputs:
		return wrong("%s has %d inputs; GitHub takes %d, and three are the bot's own", t, len(table.Inputs), maxInputs)
	}
	for name := range table.Inputs {
		if !inputName.MatchString(name) {
			return wrong("%s has the input %q, which is no input's name", t, name)
		}
		if name == inputKey || name == inputSHA || name == inputEnvironment {
			return wrong("%s sets the input %s, which every deployment gets from the bot", t, name)
		}
	}
	if table.Checks != nil {
		for _, name := range *table.Checks {
			if name == "" {
				return wrong("checks of %s names an empty check", t)
			}
		}
	}
	if table.URL != "" {
		if u, err := url.Parse(table.URL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
			return wrong("url of %s is %q; expected an address such as https://shop.example.com", t, table.URL)
		}
	}
	return &deployer{githubProvider: p, target: t, table: table}, nil
}

var (
	_ provider.DeployBinder = (*githubProvider)(nil)
	_ provider.Lacking      = (*githubProvider)(nil)
	_ provider.Deployer     = (*deployer)(nil)
	_ provider.Limited      = (*deployer)(nil)
	_ provider.Vetted       = (*deployer)(nil)
	_ provider.Dated        = (*deployer)(nil)
	_ bot.Timed             = (*deployer)(nil)
)

// deployer is one target bound to the provider.
type deployer struct {
	*githubProvider
	target bot.Target
	table  DeployTable
}

// slug names the repository: "acme/shop".
func (d *deployer) slug() string { return d.owner + "/" + d.table.Repo }

// Ways gives the only way back: the earlier commit as a new deployment. It takes
// back no migration and no secret.
func (d *deployer) Ways() []provider.Way { return []provider.Way{provider.Redeploy} }

// settleTime is how long after a request its run may still not be listed.
const settleTime = 30 * time.Second

// Timing tells the engine how long a call takes, and how long after one its
// marker may not be found yet.
func (d *deployer) Timing(bot.Target) bot.Timing {
	return bot.Timing{Call: callTimeout, Settle: settleTime}
}
