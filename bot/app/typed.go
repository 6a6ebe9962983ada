package app

import (
	"context"

	"quarterdeck/bot"
	"quarterdeck/bot/grammar"
)

// typed implements bot.Typed by what the bot works by now. Before it runs there
// are the verbs alone.
type typed struct{ a *App }

// Verbs implements bot.Typed.
func (t typed) Verbs() []bot.Verb {
	if now := t.a.current().form.Load(); now != nil {
		return now.Verbs()
	}
	// The commands hold what does the work, which there is none of yet; what they
	// are called, and what they take, they say without it.
	a := t.a.current()
	g, err := grammar.New(a.tables.Commands(CommandNeeds{Catalog: a.Catalog, Actions: a.Actions, Policy: a.Policy, Guide: a.guide, Clock: a.options.Clock}), words{a.Catalog, a.Directory})
	if err != nil {
		return nil // which running the bot says
	}
	return g.Verbs()
}

// Line implements bot.Typed.
func (t typed) Line(verb string, values map[string]string) string {
	if now := t.a.current().form.Load(); now != nil {
		return now.Line(verb, values)
	}
	return verb
}

// Choices implements bot.Typed.
func (t typed) Choices(ctx context.Context, p bot.Picking) []bot.Choice {
	if now := t.a.current().form.Load(); now != nil {
		return now.Pick(ctx, p)
	}
	return nil
}
