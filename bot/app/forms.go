package app

import (
	"context"

	"quarterdeck/bot"
	"quarterdeck/bot/form"
	"quarterdeck/bot/router"
)

// newForms gives the forms of a's configuration.
func (a *App) newForms(r *router.Router) *form.Forms {
	return form.New(form.Config{Router: r, Catalog: a.Catalog, Permissions: a.Actions.Permissions(), StepUp: r})
}

// forms implements bot.Forms by what the bot works by now. There are none before
// it runs.
type forms struct{ a *App }

func (f forms) now() *form.Forms { return f.a.current().form.Load() }

func (f forms) Form(ctx context.Context, m bot.Message) (bot.Form, bool) {
	if now := f.now(); now != nil {
		return now.Form(ctx, m)
	}
	return bot.Form{}, false
}

func (f forms) Choices(ctx context.Context, e bot.Entry, input, typed string, limit int) []string {
	if now := f.now(); now != nil {
		return now.Choices(ctx, e, input, typed, limit)
	}
	return nil
}

func (f forms) Entered(ctx context.Context, e bot.Entry) (bot.Message, map[string]string, error) {
	if now := f.now(); now != nil {
		return now.Entered(ctx, e)
	}
	return bot.Message{}, nil, bot.Errorf(bot.Unavailable, "the bot is starting; please send it again in a moment")
}
