package bot

import "strings"

// Target is one service in one environment, written "shop/prod".
type Target struct {
	Service     string `json:"service"`
	Environment string `json:"environment"`
}

// String gives "service/environment", or "" for the zero Target.
func (t Target) String() string {
	if t == (Target{}) {
		return ""
	}
	return t.Service + "/" + t.Environment
}

// ParseTarget reads "service/environment"; ok is false for anything else.
func ParseTarget(s string) (t Target, ok bool) {
	service, env, found := strings.Cut(s, "/")
	if !found || service == "" || env == "" || strings.Contains(env, "/") {
		return Target{}, false
	}
	return Target{Service: service, Environment: env}, true
}

// MarshalText writes the target as "service/environment".
func (t Target) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (t *Target) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*t = Target{}
		return nil
	}
	parsed, ok := ParseTarget(string(b))
	if !ok {
		return Errorf(Invalid, "%q is not a target; write SERVICE/ENVIRONMENT", string(b))
	}
	*t = parsed
	return nil
}

// Resource is what RBAC is asked about: "target:shop/prod",
// "flag:prod/new-checkout", "page:12", "schedule:primary", "digest:daily",
// "bot". Patterns compare whole segments.
type Resource string

// The resource kinds: the part before the colon, or the whole for "bot".
const (
	KindTarget   = "target"
	KindFlag     = "flag"
	KindPage     = "page"
	KindSchedule = "schedule"
	KindDigest   = "digest"
	KindAction   = "action" // a verb of the team's own that is about no target
	KindBot      = "bot"
)

// TheBot is the resource that stands for the bot itself: its log, its people.
const TheBot Resource = KindBot

// Resource gives "target:service/environment".
func (t Target) Resource() Resource { return Resource(KindTarget + ":" + t.String()) }

// Kind gives the part before the colon.
func (r Resource) Kind() string {
	k, _, _ := strings.Cut(string(r), ":")
	return k
}

// Name gives the part after the colon, "" for "bot".
func (r Resource) Name() string {
	_, n, _ := strings.Cut(string(r), ":")
	return n
}

// FlagResource gives "flag:environment/name".
func FlagResource(environment, name string) Resource {
	return Resource(KindFlag + ":" + environment + "/" + name)
}
