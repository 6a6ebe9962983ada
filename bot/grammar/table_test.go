package grammar_test

import (
	"context"
	"errors"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/grammar"
)

// names are the words of a small catalog; "prod" is not everywhere.
type names struct{}

func (names) Services() []string { return []string{"billing", "shop", "zoë"} }

func (names) Environments(service string) []string {
	switch service {
	case "":
		return []string{"staging", "prod", "lab"}
	case "shop":
		return []string{"staging", "prod"}
	case "billing":
		return []string{"prod"}
	case "zoë":
		return []string{"lab"}
	}
	return nil
}

func (names) Persons() []string { return []string{"dev-one", "admin", "sre"} }

// nobody is a configuration in which nothing has been declared.
type nobody struct{}

func (nobody) Services() []string           { return nil }
func (nobody) Environments(string) []string { return nil }
func (nobody) Persons() []string            { return nil }

func resolve(bot.Call) (bot.Ask, error) { return bot.Ask{}, nil }

func read(c bot.Command) bot.Command {
	c.Resolve = resolve
	c.Read = func(context.Context, bot.Call) (bot.Reply, error) { return bot.Reply{}, nil }
	return c
}

func plan(c bot.Command) bot.Command {
	c.Resolve = resolve
	c.Plan = func(context.Context, bot.Call) (bot.Plan, error) { return bot.Plan{}, nil }
	return c
}

func answer(c bot.Command) bot.Command {
	c.Answer = func(context.Context, bot.Call) (bot.Reply, error) { return bot.Reply{}, nil }
	return c
}

// table has the shapes of the real one and a few that are still to come.
func table() []bot.Command {
	service := bot.Param{Name: "service", Type: bot.TypeService, Help: "which service"}
	environment := bot.Param{Name: "environment", Type: bot.TypeEnvironment, Help: "where"}
	run := bot.Param{Name: "run", Type: bot.TypeRun, Help: "which run"}
	to := environment
	to.Filler = "to"
	maybe := func(p bot.Param) bot.Param { p.Optional = true; return p }
	last := bot.Param{Name: "last", Type: bot.TypeDuration, Help: "how far back"}
	flag := bot.Param{Name: "flag", Type: bot.TypeText, Help: "which flag"}
	return []bot.Command{
		plan(bot.Command{Name: "deploy", Summary: "put a version live", Permission: bot.MayDeploy,
			Help:     "The plan is shown first; nothing happens before it is confirmed where the rules ask for it.",
			Examples: []string{"deploy shop v2 prod", `deploy shop/prod v2 --reason "bug 12"`},
			Params:   []bot.Param{service, {Name: "version", Type: bot.TypeVersion, Help: "which version"}, to}}),
		plan(bot.Command{Name: "rollback", Summary: "go back to the last good release", Permission: bot.MayRollback,
			Params: []bot.Param{service, environment, {Name: "version", Type: bot.TypeVersion, Optional: true, Help: "which version"}}}),
		plan(bot.Command{Name: "restart", Summary: "restart what is live", Permission: bot.MayRestart, Params: []bot.Param{service, environment}}),
		plan(bot.Command{Name: "scale", Summary: "change the desired count", Permission: bot.MayScale,
			Params:  []bot.Param{service, environment, {Name: "count", Type: bot.TypeCount, Help: "how many"}},
			Options: []bot.Param{{Name: "for", Type: bot.TypeDuration, Help: "go back after"}}}),
		read(bot.Command{Name: "status", Summary: "what is live", Permission: bot.MaySeeStatus, Params: []bot.Param{maybe(service), maybe(environment)}}),
		read(bot.Command{Name: "history", Summary: "what changed", Permission: bot.MaySeeHistory,
			Params: []bot.Param{maybe(service), maybe(environment)}, Options: []bot.Param{last}}),
		read(bot.Command{Name: "releases", Summary: "what could be deployed", Permission: bot.MaySeeHistory,
			Params: []bot.Param{service, maybe(bot.Param{Name: "version", Type: bot.TypeVersion, Help: "which version"}), maybe(environment)}}),
		read(bot.Command{Name: "runs", Summary: "what is under way", Permission: bot.MaySeeRuns}),
		read(bot.Command{Name: "run", Summary: "one run with its steps", Permission: bot.MaySeeRuns, Params: []bot.Param{run}}),
		answer(bot.Command{Name: "cancel", Summary: "stop a run", Permission: bot.MayCancelRun, Params: []bot.Param{maybe(run)}}),
		answer(bot.Command{Name: "confirm", Summary: "go ahead with a plan of yours", Permission: bot.MayAskSelf, Params: []bot.Param{maybe(run)}}),
		answer(bot.Command{Name: "approve", Summary: "let a run of somebody else's go ahead", Permission: bot.MayApproveRun, Params: []bot.Param{maybe(run)}}),
		answer(bot.Command{Name: "deny", Summary: "refuse a run of somebody else's", Permission: bot.MayApproveRun, Params: []bot.Param{maybe(run)}}),
		read(bot.Command{Name: "flag", Summary: "one flag", Permission: "flag.read", Params: []bot.Param{flag}}),
		plan(bot.Command{Name: "flag on", Summary: "turn a flag on", Permission: "flag.set", Params: []bot.Param{flag, maybe(environment)}}),
		plan(bot.Command{Name: "flag off", Summary: "turn a flag off", Permission: "flag.set", Params: []bot.Param{flag, maybe(environment)}}),
		read(bot.Command{Name: "page list", Summary: "open pages", Permission: "page.read"}),
		plan(bot.Command{Name: "page ack", Summary: "take a page", Permission: "page.ack",
			Params: []bot.Param{{Name: "how", Type: bot.TypeChoice, Choices: []string{"quietly", "loudly"}, Help: "who is told"}}}),
		plan(bot.Command{Name: "lock", Summary: "hold a target", Permission: "lock", Params: []bot.Param{service},
			Options: []bot.Param{environment, {Name: "steal", Type: bot.TypeFlag, Help: "take it from its holder"}}}),
		plan(bot.Command{Name: "note", Summary: "add a note to a run", Permission: "note",
			Params: []bot.Param{run, {Name: "text", Type: bot.TypeLine, Help: "what to note"}}}),
		read(bot.Command{Name: "oncall", Summary: "who is on call", Permission: "oncall", Params: []bot.Param{service}}),
		read(bot.Command{Name: "audit", Summary: "what was done, by whom", Permission: bot.MayReadAudit, Options: []bot.Param{
			{Name: "target", Type: bot.TypeService, Help: "only this service or target"},
			{Name: "by", Type: bot.TypePerson, Help: "only this person"}, last}}),
		read(bot.Command{Name: "whoami", Summary: "who the bot takes you for", Permission: bot.MayAskSelf}),
		read(bot.Command{Name: "can", Summary: "whether you may do something, and why", Permission: bot.MayAskSelf,
			Params: []bot.Param{{Name: "command", Type: bot.TypeLine, Help: "the line you would type"}}}),
		read(bot.Command{Name: "help", Summary: "what there is, or more about one command", Permission: bot.MayAskSelf,
			Params: []bot.Param{{Name: "verb", Type: bot.TypeLine, Optional: true, Help: "the command"}}}),
	}
}

func fake(t testing.TB) *grammar.Grammar {
	t.Helper()
	g, err := grammar.New(table(), names{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// only makes the commands visible that have one of the permissions.
func only(permissions ...bot.Permission) func(bot.Command) bool {
	return func(c bot.Command) bool {
		for _, p := range permissions {
			if c.Permission == p {
				return true
			}
		}
		return false
	}
}

// sentence gives the sentence of an error after checking that it is one of
// kind Invalid, and "" for nil.
func sentence(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var e *bot.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no *bot.Error", err)
	}
	if e.Kind != bot.Invalid {
		t.Errorf("%v is of kind %q", err, e.Kind)
	}
	return e.Say
}
