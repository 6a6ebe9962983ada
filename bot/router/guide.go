package router

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/run"
)

// Guide implements bot.Guide over the router's grammar and policy.
type Guide struct {
	// Router is set by the assembly before the first message; commands hold
	// the Guide, and the Router's grammar holds the commands.
	Router  *Router
	Catalog *provider.Catalog
	// Permissions are those beyond bot.Permissions: of the verbs of the team's own.
	Permissions []bot.PermissionInfo
	// Factor says in a few words how a person's second factor stands, "" where
	// none is configured. Nil is as if none were.
	Factor func(ctx context.Context, person string) string
}

// explainer is implemented by policies that can say at length why.
type explainer interface {
	Explain(r bot.Request) string
}

// Help implements bot.Guide.
func (g *Guide) Help(c bot.Call, verb string) (bot.Card, error) {
	visible := g.Router.Visible(c.Who)
	if verb == "" {
		return g.Router.Grammar.Help(visible), nil
	}
	return g.Router.telling(c.Who).HelpFor(strings.ToLower(verb), visible)
}

// Can implements bot.Guide.
func (g *Guide) Can(_ context.Context, c bot.Call, line string) (bot.Card, error) {
	p, err := g.Router.telling(c.Who).ParseFor(line, g.Router.Visible(c.Who))
	if err != nil {
		return bot.Card{}, err
	}
	asked := c
	asked.Command, asked.Args, asked.Line = p.Command.Name, p.Args, p.Line
	ask, resources, d, err := g.Router.decide(asked, p.Command)
	if err != nil {
		return bot.Card{}, err
	}
	if p.Command.Answer != nil && d.Allowed && takesRun(p.Command) {
		return bot.Card{Title: "it depends on the run: " + p.Line, Tone: bot.Question,
			Text: "who may " + p.Command.Name + " a run is decided by the run itself, when it is answered; its card says whom it waits for"}, nil
	}
	card := bot.Card{Title: fmt.Sprintf("yes: %s", p.Line), Tone: bot.Good}
	switch {
	case !d.Allowed:
		card.Title, card.Tone = fmt.Sprintf("no: %s", p.Line), bot.Bad
	case !d.Needs.None():
		card.Title, card.Tone = fmt.Sprintf("yes, after more is given: %s", p.Line), bot.Question
	}
	if !d.Allowed && !g.tells(c.Who, resources) {
		card.Text = run.Refusal(d).Say
	} else if e, ok := g.Router.Policy.(explainer); ok {
		card.Text = e.Explain(bot.Request{Who: c.Who, Permission: ask.Permission, Resources: resources, Channel: c.Channel, At: c.At})
	} else {
		card.Text = d.Because
	}
	if d.Allowed && p.Command.Changes() && !d.Needs.None() {
		now := g.Router.Policy.Decide(bot.Request{Who: c.Who, Permission: bot.MayBreakGlass, Resources: resources, Channel: c.Channel, At: c.At})
		if now.Allowed {
			how := `--break-glass "why"`
			if d.Needs.StepUp {
				how += " --code 123456"
			}
			card.Text += fmt.Sprintf("\nor at once with %s (%s); another person reviews it after", how, now.Rule)
		}
	}
	if d.Allowed && p.Command.Changes() {
		card.Text += "\nthese are the rules alone; --dry-run also looks at what is live and what is marked bad"
	}
	return card, nil
}

// tells reports whether who is told of all these targets; of others is said no
// more than a refusal says.
func (g *Guide) tells(who bot.Identity, resources []bot.Resource) bool {
	if g.Router.Words == nil {
		return true
	}
	words := g.Router.Words(who)
	return !slices.ContainsFunc(resources, func(r bot.Resource) bool {
		t, ok := bot.ParseTarget(r.Name())
		return ok && r.Kind() == bot.KindTarget && !slices.Contains(words.Environments(t.Service), t.Environment)
	})
}

// Complete gives the completions of a half-typed line for an account. It is
// given to chat networks that offer completion.
func (g *Guide) Complete(ctx context.Context, account bot.AccountID, line string) []string {
	who, err := g.Router.Directory.Identify(ctx, account, bot.Member)
	if err != nil || !who.Known() {
		return nil
	}
	return g.Router.telling(who).CompleteLine(line, g.Router.Visible(who))
}

// Describe says in a few words who an account is.
func (g *Guide) Describe(ctx context.Context, account bot.AccountID) string {
	who, err := g.Router.Directory.Identify(ctx, account, bot.Member)
	if err != nil || !who.Known() {
		return string(account) + " (unknown here)"
	}
	if len(who.Roles) == 0 {
		return who.Person
	}
	return who.Person + " (" + strings.Join(who.Roles, ", ") + ")"
}

// takesRun reports whether the command answers a run, rather than something of the
// asker's own.
func takesRun(c bot.Command) bool {
	return slices.ContainsFunc(c.Params, func(p bot.Param) bool { return p.Type == bot.TypeRun })
}
