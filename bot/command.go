package bot

import (
	"context"
	"strconv"
	"time"
)

// ParamType says how one argument is read, checked, completed and shown.
type ParamType string

// The closed set of parameter types.
const (
	TypeService     ParamType = "service"     // a service of the catalog; may be written SERVICE/ENV
	TypeEnvironment ParamType = "environment" // an environment of the catalog
	TypeVersion     ParamType = "version"     // what a Deployer resolves: v2, latest, previous, a SHA
	TypeRun         ParamType = "run"         // a run number: 12 or #12
	TypePerson      ParamType = "person"      // a declared person
	TypeChoice      ParamType = "choice"      // one of Param.Choices
	TypeCount       ParamType = "count"       // a whole number of 0 or more
	TypeNumber      ParamType = "number"      // a whole number, perhaps negative
	TypeDuration    ParamType = "duration"    // 90s, 30m, 6h, 2d, 1w
	TypeText        ParamType = "text"        // quoted text, or one word
	TypeLine        ParamType = "line"        // the rest of the line as typed
	TypeWords       ParamType = "words"       // all words that are left, a space between; options may stand among them
	TypeFlag        ParamType = "switch"      // an option without a value
	// TypeCode is a one-time code of a second factor. It is taken off the line
	// before that is kept or parsed, so no Args hold it; see Message.Code.
	TypeCode ParamType = "code"
)

// Param declares one argument, once: parsing, usage errors, help, completion
// and the typed options of chat networks all come from it.
type Param struct {
	Name     string
	Type     ParamType
	Help     string
	Optional bool
	Filler   string   // a word that may stand before it: "to"
	Choices  []string // for TypeChoice
	// Check is a further check of the canonical value, nil for none. Its Error of
	// kind Invalid is the answer to the line.
	Check func(value string) error
	// Known gives the values, from memory, that the argument may have for whoever
	// the call is of, nil for none that are known by name: what is offered while it
	// is typed. The call says who types, where, and the other arguments so far. It
	// gives no name that they may not know of.
	Known func(c Call) []string
}

// Args are the parsed arguments by parameter name. Values are canonical text:
// a run is "12", a duration is what time.Duration.String gives, a switch is
// "true". Absent optional arguments have no entry.
type Args map[string]string

// Target gives the target that "service" and "environment" name together.
func (a Args) Target() Target {
	return Target{Service: a["service"], Environment: a["environment"]}
}

// Run gives the number of the argument "run", or 0 when it was left out.
func (a Args) Run() int64 {
	n, err := strconv.ParseInt(a["run"], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Ask is what a command line asks RBAC for, found from memory alone.
type Ask struct {
	Permission Permission
	Resources  []Resource
	Target     Target // zero when the command has none
}

// Call is one command line of one person, parsed and identified.
type Call struct {
	ID      string    `json:"id"` // the request's id, in logs and records
	Who     Identity  `json:"who"`
	Message string    `json:"message"` // Message.ID
	Channel ChannelID `json:"channel"`
	Thread  string    `json:"thread,omitempty"`
	At      time.Time `json:"at"`
	Line    string    `json:"line"` // canonical: what to type to ask for the same
	Command string    `json:"command"`
	Args    Args      `json:"args,omitempty"`

	// Factor is the second factor that was shown with the message.
	Factor Factor `json:"factor,omitempty"`

	// Bound is the digest of the Spec that a pressed button was shown with;
	// "" for a typed line.
	Bound string `json:"bound,omitempty"`

	DryRun   bool   `json:"dry_run,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Override string `json:"override,omitempty"` // the reason given for passing what would stop it
	// BreakGlass is the reason given for acting now and being reviewed after.
	BreakGlass string `json:"break_glass,omitempty"`
}

// Command is one verb. Exactly one of Read, Plan and Answer is set.
type Command struct {
	Name     string // as typed: "deploy", "flag on"
	Summary  string // one line for help, lower case, no full stop
	Help     string // a paragraph, may be empty
	Examples []string
	Params   []Param
	Options  []Param // --name value, or --name for TypeFlag
	// Permission is what help and near-match hints check; a command whose
	// permission the asker holds nowhere is hidden from them.
	Permission Permission
	Private    bool // answers are for the asker alone
	// Posts marks an Answer that posts for others to read. It takes --dry-run, which
	// shows that to the asker alone.
	Posts bool
	// Urgent commands are never held back by a busy router or a rate limit:
	// the ways back.
	Urgent bool

	// Resolve names the permission and resources the call is about, from
	// memory alone.
	Resolve func(c Call) (Ask, error)
	// Read answers without changing anything.
	Read func(ctx context.Context, c Call) (Reply, error)
	// Plan reads providers and says what would be done; it changes nothing.
	Plan func(ctx context.Context, c Call) (Plan, error)
	// Answer decides about a run that waits (confirm, approve, deny, cancel), or
	// changes what is the asker's own (totp enrol). It checks rights itself,
	// finishes the message and records what it does; what it replies was said.
	Answer func(ctx context.Context, c Call) (Reply, error)

	// Workflows execute the Specs that Plan makes; older versions stay listed
	// so that a new binary can finish an old run.
	Workflows []Workflow
}

// Changes reports whether the command makes runs.
func (c Command) Changes() bool { return c.Plan != nil }

// Guide answers questions about the bot's own grammar and rules. Safe for
// concurrent use.
type Guide interface {
	// Help shows what the caller may run, or one verb in full.
	Help(c Call, verb string) (Card, error)
	// Can says whether the caller may run line, which rule decides that, and
	// what would change it. It runs nothing.
	Can(ctx context.Context, c Call, line string) (Card, error)
	// Whoami says who the caller is and where they may do what.
	Whoami(ctx context.Context, c Call) Card
}

// AskSelf is the Resolve of commands that only speak of the asker.
func AskSelf(Call) (Ask, error) {
	return Ask{Permission: MayAskSelf, Resources: []Resource{TheBot}}, nil
}

// AskAbout gives the Resolve function of a command that reads what one target,
// or several of which each is checked by itself, is about: where the call names
// one target, that is what is asked for.
func AskAbout(p Permission) func(Call) (Ask, error) {
	return func(c Call) (Ask, error) {
		t := c.Args.Target()
		if t.Service == "" || t.Environment == "" {
			return AskSelf(c)
		}
		return Ask{Permission: p, Resources: []Resource{t.Resource()}, Target: t}, nil
	}
}
