package app

import (
	"context"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/router"
	"quarterdeck/bot/run"
)

const (
	// homeWithin bounds what a home is gathered from.
	homeWithin = 15 * time.Second
	// maxAwaiting is how many runs a home shows that wait for somebody.
	maxAwaiting = 10
)

// home implements bot.Home from what commands read.
func (a *App) home(ctx context.Context, account bot.AccountID, standing bot.Standing) []bot.Card {
	now := a.current()
	r, engine := now.works()
	if r == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, homeWithin)
	defer cancel()
	channel := bot.ChannelID(account.Network() + ":home")
	who, err := r.Directory.Identify(ctx, account, standing)
	if err != nil {
		return nil
	}
	if !who.Known() {
		return []bot.Card{r.Refuse(ctx, who, channel)}
	}
	var cards []bot.Card
	runs, found := r.Look(ctx, who, channel, "runs")
	waiting, err := engine.Awaiting(ctx, who, maxAwaiting)
	if err != nil {
		a.options.Logger.WarnContext(ctx, "what waits for somebody cannot be read", "err", err)
	}
	if len(waiting) > 0 {
		var shown []int64
		for _, c := range waiting {
			shown = append(shown, c.Run)
		}
		cards = append(cards, bot.Card{Title: "waits for you", Text: r.Showed(ctx, who, channel, shown), Tone: bot.Question})
		cards = append(cards, waiting...)
	} else if err == nil {
		cards = append(cards, bot.Card{Title: "nothing waits for you", Tone: bot.Good})
	}
	if found {
		cards = append(cards, runs)
	}
	if live, found := r.Look(ctx, who, channel, "status"); found {
		cards = append(cards, live)
	}
	return append(cards, bot.Card{Footer: "as of " + bot.Moment(r.Clock.Now()) + "; open this page again for a newer one"})
}

// works gives what answers, nil before the bot runs.
func (a *App) works() (*router.Router, *run.Engine) {
	if a.guide == nil || a.guide.Router == nil {
		return nil, nil
	}
	return a.guide.Router, a.guide.Router.Engine
}
