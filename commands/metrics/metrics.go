// Package metrics shows how services are doing: the golden signals of all of them
// in one table, and one of them in numbers and as a picture.
package metrics

import (
	"context"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/panel"
	"quarterdeck/bot/provider"
)

const (
	// defaultLast is what is shown unless it is said: long enough to see what was
	// before, short enough to see what is now.
	defaultLast = 6 * time.Hour
	// overviewLast is that of the table of all, whose sparklines are short.
	overviewLast = time.Hour
	leastLast    = time.Minute
	mostLast     = 400 * 24 * time.Hour
	// points is how many a picture shows: a third of its width.
	points = 240
)

// Needs is what the command is made with.
type Needs struct {
	Board   *panel.Board
	Catalog *provider.Catalog
	Runs    bot.Runs
	Policy  bot.Policy
	Log     bot.Log
	Zone    bot.Zone
}

// New makes the command.
func New(n Needs) bot.Command {
	return bot.Command{
		Name:    "metrics",
		Summary: "how services are doing, in numbers and as a picture",
		Help: "Without a service, the golden signals of all of them. A panel is one chart; those of a target are named beside its numbers. " +
			"Deployments, flips and scalings are marked in the picture, also those that others made.",
		Examples: []string{"metrics", "metrics shop prod", "metrics shop/prod errors --last 2h", "metrics shop prod latency --last 24h --compare 1w"},
		Params: []bot.Param{
			{Name: "service", Type: bot.TypeService, Optional: true, Help: "only this service"},
			{Name: "environment", Type: bot.TypeEnvironment, Optional: true, Help: "only this environment"},
			{Name: "panel", Type: bot.TypeText, Optional: true, Help: "the chart to draw, or one metric"},
		},
		Options: []bot.Param{
			{Name: "last", Type: bot.TypeDuration, Help: "how far back: 30m, 6h, 7d; 6h unless it is said", Check: lasting},
			{Name: "compare", Type: bot.TypeDuration, Help: "beside what was this much earlier: 1d, 1w", Check: lasting},
		},
		Permission: bot.MaySeeMetrics,
		Resolve:    bot.AskAbout(bot.MaySeeMetrics), // of several, each is checked by itself
		Read: func(ctx context.Context, call bot.Call) (bot.Reply, error) {
			last := defaultLast
			if t := call.Args.Target(); t.Service == "" || t.Environment == "" {
				last = overviewLast
			}
			last = argument(call, "last", last)
			over := provider.Span{From: call.At.Add(-last), To: call.At}
			if t := call.Args.Target(); t.Service != "" && t.Environment != "" {
				return n.one(ctx, call, t, over)
			}
			return n.all(ctx, call, over)
		},
	}
}

// lasting refuses times that no chart shows.
func lasting(value string) error {
	if d, err := time.ParseDuration(value); err != nil || d < leastLast || d > mostLast {
		return bot.Errorf(bot.Invalid, "a chart shows 1m to 400d; write such as 30m, 6h or 7d")
	}
	return nil
}

// argument gives a duration of the call, or what stands for it.
func argument(call bot.Call, name string, standard time.Duration) time.Duration {
	if d, err := time.ParseDuration(call.Args[name]); err == nil {
		return d
	}
	return standard
}

// span writes a time back in the units that people typed it in.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d%(7*day) == 0:
		return count(int(d/(7*day)), "w")
	case d%day == 0:
		return count(int(d/day), "d")
	}
	return bot.Span(d)
}
