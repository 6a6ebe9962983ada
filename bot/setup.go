package bot

import "context"

// Manifester is a chat network whose side is set up from a description of the
// app: a further power of a Chat, which may have been opened with
// ChatOptions.Setup. It does no I/O.
type Manifester interface {
	// Manifest describes the app as this Chat needs it: what it uses, and no more.
	// url is where the public listener is reached from outside, such as
	// "https://ops.example.com"; "" where the bot opens its connections itself. Its
	// Error is of kind Invalid.
	Manifest(url string) (Manifest, error)
}

// Manifest is the description of an app.
type Manifest struct {
	Text string // as it is pasted
	JSON []byte // the same as one JSON object
	// Next are the steps to a running bot that the manifest leaves, a line each.
	Next []string
}

// Surveyor is a chat network that can list what a configuration names: a further
// power of a Chat, which may have been opened with ChatOptions.Setup.
type Surveyor interface {
	// Survey asks the network, page by page and within bounds; it waits where the
	// network asks it to and returns when ctx ends.
	Survey(ctx context.Context) (Survey, error)
}

// Finder is a Surveyor that can look up members whom Survey does not list.
type Finder interface {
	// Find gives the full members whose id or name is name; none where there is no
	// such one. It waits as Survey does.
	Find(ctx context.Context, name string) ([]Surveyed, error)
}

// Survey is what there is on a network, each list in the order in which it is to
// be shown. Names are what people call it and may hold anything.
type Survey struct {
	Where string // "Acme (T0123)"
	// Keys are the lines of the network's own table, such as `teams = ["T0123"]`.
	Keys     []string
	Channels []Surveyed // an audit channel, where there is one that is fit, is first
	Groups   []Surveyed
	Members  []Surveyed // full members alone
	// Left says in a sentence each what was left out.
	Left []string
}

// Surveyed is one thing that a configuration may name.
type Surveyed struct {
	ID   string // as the configuration writes it: "slack:C0OPS"
	Name string // "ops"
	Note string // what else tells it from others, "" for nothing
	// Audit says of a channel that it is fit for the audit log: the bot is in it,
	// and nobody from outside is.
	Audit bool
}

// Prober is a chat network that can find out whether what is configured works: a
// further power of a Chat that does not run.
type Prober interface {
	// Probe asks the network and changes nothing there, except that with o.Post it
	// posts to each of o.Audit. It returns when ctx ends. No finding holds a secret.
	Probe(ctx context.Context, o ProbeOptions) []Finding
}

// ProbeOptions is what a network is probed for; all of it is the network's own.
type ProbeOptions struct {
	Audit    []ChannelID // audit channels
	Channels []ChannelID // other channels that are configured, such as those of rules
	Groups   []string    // of roles, without the prefix
	Accounts []AccountID // of people who are not disabled
	Post     bool        // post a test message
}

// Finding is one thing that a probe found, in one sentence that also says what to
// do about it.
type Finding struct {
	Level FindingLevel
	Say   string
}

// FindingLevel says how bad a finding is.
type FindingLevel string

// The closed set of levels.
const (
	InOrder  FindingLevel = "ok"
	Doubtful FindingLevel = "warning" // it works, and is not as it should be
	Broken   FindingLevel = "fault"   // something does not work, or is not safe
)
