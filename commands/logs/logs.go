// Package logs shows the newest lines that a target logged.
package logs

import (
	"context"
	"fmt"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

const (
	// shown is what fits a screen; who needs more has the log system itself.
	shown    = 25
	maxLine  = 300
	last     = 15 * time.Minute
	mostLast = 7 * 24 * time.Hour
	maxGrep  = 200
	patience = 25 * time.Second
)

// New makes the command.
func New(c *provider.Catalog, z bot.Zone) bot.Command {
	return bot.Command{
		Name:     "logs",
		Summary:  "the newest lines of a target's logs",
		Examples: []string{"logs shop prod", `logs shop prod --grep "timed out" --last 1h`},
		Params: []bot.Param{
			{Name: "service", Type: bot.TypeService, Help: "whose logs"},
			{Name: "environment", Type: bot.TypeEnvironment, Help: "where"},
		},
		Options: []bot.Param{
			{Name: "grep", Type: bot.TypeText, Help: "only lines that hold this text, whatever the case", Check: checkGrep},
			{Name: "last", Type: bot.TypeDuration, Help: "how far back: 15m unless said, at most 7d", Check: checkLast},
		},
		Permission: bot.MayReadLogs,
		Private:    true,
		Resolve: func(call bot.Call) (bot.Ask, error) {
			t := call.Args.Target()
			if !c.Has(t) {
				return bot.Ask{}, bot.Errorf(bot.NotFound, "%s is not bound to anything; %s is in: %s", t, t.Service, strings.Join(c.Environments(t.Service), ", "))
			}
			return bot.Ask{Permission: bot.MayReadLogs, Resources: []bot.Resource{t.Resource()}, Target: t}, nil
		},
		Read: func(ctx context.Context, call bot.Call) (bot.Reply, error) {
			t := call.Args.Target()
			source, err := c.Logs(t)
			if err != nil {
				return bot.Reply{}, err
			}
			back := last
			if v := call.Args["last"]; v != "" {
				if back, err = time.ParseDuration(v); err != nil {
					return bot.Reply{}, err
				}
			}
			q := provider.LogQuery{Grep: call.Args["grep"], From: call.At.Add(-back), To: call.At, Limit: shown}
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			found, err := source.Lines(ctx, q)
			if err != nil {
				return bot.Reply{}, err
			}
			return bot.Reply{Card: card(t, q, back, found, z)}, nil
		},
	}
}

func card(t bot.Target, q provider.LogQuery, back time.Duration, found provider.LogLines, z bot.Zone) bot.Card {
	holding := ""
	if q.Grep != "" {
		holding = fmt.Sprintf(" with %q", q.Grep)
	}
	c := bot.Card{Link: found.Link, Footer: z.Note()}
	if len(found.Lines) == 0 {
		c.Title = fmt.Sprintf("logs of %s: no lines%s in the last %s", t, holding, bot.Span(back))
		return c
	}
	c.Title = fmt.Sprintf("logs of %s: %d lines%s in the last %s", t, len(found.Lines), holding, bot.Span(back))
	switch {
	case found.Matched > int64(len(found.Lines)):
		c.Title = fmt.Sprintf("logs of %s: the newest %d of %d lines%s in the last %s", t, len(found.Lines), found.Matched, holding, bot.Span(back))
	case len(found.Lines) == q.Limit:
		c.Title = fmt.Sprintf("logs of %s: the newest %d lines%s in the last %s", t, len(found.Lines), holding, bot.Span(back))
	case len(found.Lines) == 1:
		c.Title = fmt.Sprintf("logs of %s: 1 line%s in the last %s", t, holding, bot.Span(back))
	}
	for _, l := range found.Lines {
		text := strings.Join(strings.Fields(l.Text), " ")
		if l.Stream != "" {
			text = l.Stream + " " + text
		}
		if r := []rune(text); len(r) > maxLine {
			text = string(r[:maxLine-3]) + "..."
		}
		c.Lines = append(c.Lines, z.Clock(l.At)+" "+text)
	}
	return c
}

func checkGrep(value string) error {
	if value == "" || len(value) > maxGrep {
		return bot.Errorf(bot.Invalid, "--grep takes a text of 1 to %d characters", maxGrep)
	}
	return nil
}

func checkLast(value string) error {
	if d, err := time.ParseDuration(value); err != nil || d < time.Second || d > mostLast {
		return bot.Errorf(bot.Invalid, "--last takes 1s to 7d")
	}
	return nil
}
