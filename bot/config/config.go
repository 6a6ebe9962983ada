// Package config reads the configuration: strict TOML in, checked values out.
// Whatever is wrong is reported all at once, each fault with its file, line and
// remedy, and nothing starts.
package config

import (
	"log/slog"
	"regexp"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/action"
)

// Known is the names that a configuration may use, from the program's tables.
type Known struct {
	Chats []string // chat networks: "terminal", "slack"
	// NoRule holds the function of that name of those networks that have one; see
	// bot.ChatType.
	NoRule    map[string]func(bot.ChannelID) string
	Providers []string // provider types: "exec"
	Bindings  []string // keys of [service.NAME.ENV]: "deploy"
	Verbs     []string // names of the commands that are built in: "deploy", "freeze add"
}

// Config is a whole configuration. All paths are absolute.
type Config struct {
	Path         string
	Files        []string // the files it was read from, as messages call them; the first is Path
	Partial      bool     // from Survey: a rule may lack what it was to have
	Bot          Bot
	Audit        Audit
	Auth         Auth
	Chats        map[string]bot.Raw // [chat.NAME]
	People       []Person
	Roles        []Role
	Grants       []Grant
	Denies       []Deny
	Requires     []Require
	Environments []string          // in the order of the file
	After        map[string]string // environment -> where a version must have been live first
	Providers    []Provider
	Services     []Service
	Freezes      []Freeze
	Listen       map[bot.Listener]string // "HOST:PORT" of the listeners that are on
	ListenAt     map[bot.Listener]string // where that stands: "config.toml:33"
	Log          Log
	StopWithin   time.Duration // for what is under way when the bot is told to stop
	Heartbeat    *Heartbeat    // nil for none
	Actions      []Action
	Observe      Observe
	Pager        bot.Raw             // [pager]; nil for none
	Panels       map[string][]Metric // [panels.NAME], each in the order of the file
	Digests      []Digest
	Jobs         []Job

	// A function, so that whoever prints the configuration does not print what
	// may be secret in it.
	// Warnings are sentences about the files themselves, "config.toml:1: ...".
	Warnings []string

	settings func() map[string]string
	common   func() string
	at       func(key ...string) string
}

// At gives the place of a key, "config.toml:12", or of the nearest table around
// it that is written.
func (c *Config) At(key ...string) string { return c.at(key...) }

// Bot is the [bot] table.
type Bot struct {
	Database        string // "sqlite:/abs/path" or "postgres://USER@HOST/NAME"
	Socket          string
	SocketGroup     string // the system's group that may open it too; "" for none
	State           string // folder for what providers keep
	Journal         string // path of the emergency journal; "" for none
	Location        *time.Location
	ConfirmExpires  time.Duration
	ApprovalExpires time.Duration
	Rate            int // commands a minute and person
}

// Audit is the [audit] table.
type Audit struct {
	Channels    []bot.ChannelID
	Key         string // path of the key that signs checkpoints
	Checkpoints string // path of the checkpoint file
	Redact      []*regexp.Regexp
	Retain      time.Duration // how long records stay in the database; 0 for ever
	Archive     string        // folder they are moved to then
	Copy        *AuditCopy    // where the log is copied to; nil for nowhere
}

// AuditCopy is the [audit.copy] table.
type AuditCopy struct {
	Binding
	Retain time.Duration // how long the copy is kept from being changed
	Every  time.Duration // after how long what is new is copied
}

// Observe is the [observe] table: how what is live is watched.
type Observe struct {
	Every   time.Duration // between two looks at everything
	Timeout time.Duration // for one target
}

// Person is one [[person]].
type Person struct {
	Where    string
	Name     string
	Accounts []bot.AccountID
	Roles    []string
	RolesAt  string // where they stand: "config.toml:33"
	Email    string
	GitHub   string
	Disabled bool // left: everything is refused to all of the person's accounts
}

// Role is one [[role]].
type Role struct {
	Where  string
	Name   string
	Groups []string
}

// Grant is one [[grant]].
type Grant struct {
	Where                                                        string
	Roles, Persons, Permissions, Targets, Flags, Channels, Hours []string
}

// Deny is one [[deny]].
type Deny struct {
	Where                                                        string
	Roles, Persons, Permissions, Targets, Flags, Channels, Hours []string
	Reason                                                       string
}

// Require is one [[require]].
type Require struct {
	Where                       string
	Permissions, Targets, Flags []string
	Confirm                     bool
	Approvals                   *bot.ApprovalRule
	Reason                      bool
	Ticket                      string
	StepUp                      bool
}

// Auth is the [auth] table: how people show that they are themselves.
type Auth struct {
	TOTPKey string // path of the key that second factors are kept under; "" for none
}

// Provider is one [provider.NAME].
type Provider struct {
	Name string
	Type string
	Raw  bot.Raw // without type
}

// Freeze is one [[freeze]]: environments that are left alone every week.
type Freeze struct {
	Where        string
	Environments []string
	Every        string // as it is written; what it means is the guard's to say
	Reason       string
}

// Action is one [[action]]: what it is, and what runs it.
type Action struct {
	action.Definition
	Where string
	Run   *Binding // nil where a fault was found in it
}

// Service is one [service.NAME.ENV].
type Service struct {
	Where  string
	Target bot.Target
	// Deploy is the whole deploy table. Where it names components it has no
	// provider of its own, and Components says what it holds.
	Deploy     *Binding
	Components *Components
	Scale      *Scale
	Backup     *Backup
	Flags      *Binding
	Rollback   *Binding // what goes back instead of Deploy; nil for the same
	Alerts     *Alerts  // which alerts are about it; nil for none
	Logs       *Binding
	Metrics    *Metrics
	Guard      *Guard // what watches over deployments; nil for nothing
}

// Components is a deploy table over several components.
type Components struct {
	Order         []string // all of them, as a deployment goes through them
	Of            map[string]*Binding
	Before, After *Binding // steps; nil for none
}

// Binding is one key of a service's table: the provider, and the provider's
// own keys.
type Binding struct {
	Provider string
	Raw      bot.Raw // without provider
}

// Log is the [log] table: how the program's own log is written.
type Log struct {
	JSON  bool
	Level slog.Level
}

// Heartbeat is the [heartbeat] table: what is told, for as long as the bot
// works, that it does.
type Heartbeat struct {
	Where string
	// URL is a reference, "env:NAME" or "file:PATH" with an absolute path, or
	// the address itself. It is a secret: whoever knows it can keep it quiet.
	URL   string
	Every time.Duration
}

// Login gives the GitHub login of a declared person, "" where there is none.
func (c *Config) Login(person string) string {
	for _, p := range c.People {
		if p.Name == person {
			return p.GitHub
		}
	}
	return ""
}
