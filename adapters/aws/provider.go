package awsprovider

import (
	"net"
	"net/url"
	"regexp"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// Type gives the row "aws" for the table of provider types.
func Type() provider.Type { return provider.Type{Name: "aws", Open: Open} }

// Settings is the [provider.NAME] table. Credentials come from where AWS's own
// tools take them: the environment, shared files, the machine's role.
type Settings struct {
	Type   string `toml:"type"`
	Region string `toml:"region"` // required: "eu-central-1"
	// RoleARN is assumed for every call, in a session that names the person who
	// acts, with the tag quarterdeck-person.
	RoleARN string `toml:"role_arn"`
	// Endpoint takes the place of AWS's own addresses: https, or loopback.
	Endpoint string `toml:"endpoint"`
}

// DeployTable is a target's deploy table.
type DeployTable struct {
	Provider  string `toml:"provider"`
	Cluster   string `toml:"cluster"`   // required; name or ARN
	Service   string `toml:"service"`   // required; its name within the cluster
	Container string `toml:"container"` // whose image is deployed; the service's name by default
	// Image is the repository, without tag: required. Only of one in ECR are tags
	// known.
	Image string `toml:"image"`
	// Timeout is after how long a deployment that ECS does not end is given up as
	// unknown; 30m by default.
	Timeout Duration `toml:"timeout"`
}

// ScaleTable is a target's scale table, without the keys that are the bot's own.
type ScaleTable struct {
	Provider string `toml:"provider"`
	Cluster  string `toml:"cluster"` // required; name or ARN
	Service  string `toml:"service"` // required; its name within the cluster
	// Timeout is how long the tasks may take to be there; 15m by default.
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

// or gives the duration, or fallback where none is configured.
func (d Duration) or(fallback time.Duration) time.Duration {
	if d == 0 {
		return fallback
	}
	return time.Duration(d)
}

const (
	defaultTimeout      = 30 * time.Minute
	defaultScaleTimeout = 15 * time.Minute
)

// The forms that AWS gives for these names.
var (
	regionName    = regexp.MustCompile(`^[a-z]{2,3}(-[a-z]+)+-\d{1,2}$`)
	roleARN       = regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,512}$`)
	clusterName   = regexp.MustCompile(`^(arn:aws[a-z-]*:ecs:[a-z0-9-]+:\d{12}:cluster/)?[A-Za-z0-9_-]{1,255}$`)
	serviceName   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
	imageName     = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9.-]*(:\d{1,5})?(/[a-z0-9][a-z0-9._-]*)*$`)
	ecrRepository = regexp.MustCompile(`^(\d{12})\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/(.+)$`)
)

// awsProvider is one [provider.NAME] of type aws.
type awsProvider struct {
	name     string
	clock    bot.Clock
	redact   func(string) string
	settings Settings
	sessions
}

// Open checks a [provider.NAME] table offline: it reads no credentials and asks
// AWS nothing. Errors are of kind Invalid and say where. The provider is safe for
// concurrent use.
func Open(o provider.Options) (provider.Provider, error) {
	var s Settings
	if err := o.Raw.Decode(&s); err != nil {
		return nil, err
	}
	wrong := func(format string, args ...any) (provider.Provider, error) {
		return nil, bot.Errorf(bot.Invalid, "%s: "+format, append([]any{o.Raw.Where()}, args...)...)
	}
	switch {
	case !regionName.MatchString(s.Region):
		return wrong(`provider %s needs region, such as "eu-central-1"; it is %q`, o.Name, s.Region)
	case s.RoleARN != "" && !roleARN.MatchString(s.RoleARN):
		return wrong(`role_arn of provider %s is %q; expected a role such as "arn:aws:iam::123456789012:role/deployer"`, o.Name, s.RoleARN)
	case s.Endpoint != "" && !goodEndpoint(s.Endpoint):
		return wrong("endpoint of provider %s is %q; expected https://HOST, or an address on loopback", o.Name, s.Endpoint)
	}
	p := &awsProvider{name: o.Name, clock: o.Clock, redact: o.Redact, settings: s}
	p.http = awshttp.NewBuildableClient().WithTimeout(httpTimeout)
	if p.clock == nil {
		p.clock = bot.SystemClock{}
	}
	if p.redact == nil {
		p.redact = func(text string) string { return text }
	}
	return p, nil
}

func goodEndpoint(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	return u.Scheme == "https" || u.Scheme == "http" && loopback
}

// Name gives the NAME of [provider.NAME].
func (p *awsProvider) Name() string { return p.name }

// BindDeploy checks a target's deploy table offline and binds it.
func (p *awsProvider) BindDeploy(t bot.Target, raw provider.Raw) (provider.Deployer, error) {
	var table DeployTable
	if err := raw.Decode(&table); err != nil {
		return nil, err
	}
	wrong := func(format string, args ...any) (provider.Deployer, error) {
		return nil, bot.Errorf(bot.Invalid, "%s: "+format, append([]any{raw.Where()}, args...)...)
	}
	if table.Container == "" {
		table.Container = table.Service
	}
	switch {
	case !clusterName.MatchString(table.Cluster):
		return wrong(`the deploy table of %s needs cluster, the name or ARN of an ECS cluster, such as "prod"`, t)
	case !serviceName.MatchString(table.Service):
		return wrong(`the deploy table of %s needs service, the name of an ECS service, such as "web"`, t)
	case !serviceName.MatchString(table.Container):
		return wrong("container of %s is %q, which is no name of a container", t, table.Container)
	case !imageName.MatchString(table.Image):
		return wrong(`the deploy table of %s needs image, a repository without tag, such as "123456789012.dkr.ecr.eu-central-1.amazonaws.com/web"; it is %q`, t, table.Image)
	}
	return &deployer{awsProvider: p, site: site{table.Cluster, table.Service}, target: t, table: table}, nil
}

// BindScale checks a target's scale table offline and binds it.
func (p *awsProvider) BindScale(t bot.Target, raw provider.Raw) (provider.Scaler, error) {
	var table ScaleTable
	if err := raw.Decode(&table); err != nil {
		return nil, err
	}
	switch {
	case !clusterName.MatchString(table.Cluster):
		return nil, bot.Errorf(bot.Invalid, `%s: the scale table of %s needs cluster, the name or ARN of an ECS cluster, such as "prod"`, raw.Where(), t)
	case !serviceName.MatchString(table.Service):
		return nil, bot.Errorf(bot.Invalid, `%s: the scale table of %s needs service, the name of an ECS service, such as "web"`, raw.Where(), t)
	}
	return &scaler{awsProvider: p, site: site{table.Cluster, table.Service}, target: t, timeout: table.Timeout.or(defaultScaleTimeout)}, nil
}

var (
	_ provider.DeployBinder = (*awsProvider)(nil)
	_ provider.ScaleBinder  = (*awsProvider)(nil)
	_ provider.Deployer     = (*deployer)(nil)
	_ provider.Limited      = (*deployer)(nil)
	_ provider.Scaler       = (*scaler)(nil)
	_ bot.Timed             = (*deployer)(nil)
	_ bot.Timed             = (*scaler)(nil)
)

// deployer is one target bound to the provider.
type deployer struct {
	*awsProvider
	site
	target bot.Target
	table  DeployTable
}

// Ways gives the only way back: the earlier image as a new deployment.
func (d *deployer) Ways() []provider.Way { return []provider.Way{provider.Redeploy} }

// Can implements provider.Limited.
func (d *deployer) Can(a provider.Action) error {
	switch a {
	case provider.Deploy, provider.Rollback, provider.Restart:
		return nil
	}
	return bot.Errorf(bot.Invalid, "%q is nothing that %s can do; expected deploy, rollback or restart", a, d.target)
}

// Timing tells the engine how long a call takes, and how long after one its
// marker may not be seen yet.
func (d *deployer) Timing(bot.Target) bot.Timing { return timing }
