// Package status shows what is live where.
package status

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sourcegraph/conc/iter"

	"quarterdeck/bot"
	"quarterdeck/bot/guard"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/release"
)

// patience bounds how long one target may take to answer; a slow one is named
// and holds nobody up.
const patience = 5 * time.Second

// New makes the command.
func New(c *provider.Catalog, l *release.Ledger, runs bot.Runs, p bot.Policy, k *guard.Keeper, z bot.Zone) bot.Command {
	return bot.Command{
		Name:     "status",
		Summary:  "what is live where, and what is under way",
		Examples: []string{"status", "status shop", "status shop/prod"},
		Params: []bot.Param{
			{Name: "service", Type: bot.TypeService, Optional: true, Help: "only this service"},
			{Name: "environment", Type: bot.TypeEnvironment, Optional: true, Help: "only this environment"},
		},
		Permission: bot.MaySeeStatus,
		Resolve:    bot.AskAbout(bot.MaySeeStatus), // of several, each is checked by itself
		Read: func(ctx context.Context, call bot.Call) (bot.Reply, error) {
			targets := bot.Permitted(p, call, bot.MaySeeStatus, c.Matching(call.Args["service"], call.Args["environment"]))
			if len(targets) == 0 {
				return bot.Reply{}, bot.Errorf(bot.Denied, "no grant lets you see the status of that")
			}
			open, err := runs.Runs(ctx, bot.RunFilter{Open: true, Limit: 100})
			if err != nil {
				return bot.Reply{}, err
			}
			stands, err := k.Look(ctx, call.At)
			if err != nil {
				return bot.Reply{}, err
			}
			var silent atomic.Int64
			look := iter.Mapper[bot.Target, []string]{MaxGoroutines: 16}
			rows := look.Map(targets, func(t *bot.Target) []string {
				cells, answered := row(ctx, c, l, *t, open, call.At, z)
				last := len(cells) - 1
				if s := stands.On(*t); s != "" {
					cells[last] = join(cells[last], s)
				}
				if !answered {
					silent.Add(1)
				}
				return cells
			})
			card := bot.Card{
				Title: "what is live",
				Table: &bot.Table{Columns: []string{"TARGET", "LIVE", "UP", "SINCE", "NOW"}, Rows: rows},
			}
			if stands.Halt != "" {
				card.Text, card.Tone = stands.Halt, bot.Warning
			}
			if int(silent.Load()) == len(targets) {
				card.Title, card.Tone, card.Outcome = "what is live is not known: nothing answers", bot.Bad, bot.OutcomeFailed
			}
			if len(targets) == 1 {
				card.Fields = dimensions(ctx, c, targets[0])
			}
			return bot.Reply{Card: card}, nil
		},
	}
}

// row gives a target's row; answered is false when it was asked in vain.
func row(ctx context.Context, c *provider.Catalog, l *release.Ledger, t bot.Target, open []bot.Run, at time.Time, z bot.Zone) (cells []string, answered bool) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	now := under(t, open, z)
	deployer, err := c.Deployer(t)
	if scaler, bound := c.Scaler(t); err != nil && bound == nil {
		return capacityRow(ctx, scaler, t, now)
	}
	if err != nil {
		return []string{t.String(), "-", "-", "-", bot.Sentence(err, "status")}, true
	}
	live, err := deployer.Current(ctx)
	if err != nil {
		return []string{t.String(), "?", "?", "?", "no answer: " + bot.Sentence(err, "status")}, false
	}
	version := live.Artefact.Version
	if len(live.Mixed) > 1 {
		version = "mixed: " + strings.Join(live.Mixed, ", ")
	}
	since := "-"
	if began := sinceWhen(ctx, l, t, live); !began.IsZero() {
		since = ago(at.Sub(began))
	}
	if marks, err := l.Bad(ctx, t); err == nil {
		if m, bad := marks[live.Artefact.ID]; bad {
			now = join(now, fmt.Sprintf("marked bad by #%d", m.Run))
		}
	}
	if now == "" && live.Deploying != "" {
		now = live.Deploying + " being deployed by somebody else"
	}
	up := fmt.Sprintf("%d/%d", live.Healthy, live.Desired)
	if live.Uncounted {
		up = "-"
	}
	return []string{t.String(), version, up, since, now}, true
}

// sinceWhen gives since when that is live: what the provider says, else what our
// record does of what we brought there; zero where neither knows.
func sinceWhen(ctx context.Context, l *release.Ledger, t bot.Target, live provider.Live) time.Time {
	if !live.Since.IsZero() || len(live.Mixed) > 1 {
		return live.Since
	}
	entries, err := l.History(ctx, t, release.Depth)
	if err != nil {
		return time.Time{}
	}
	var since time.Time
	for _, e := range entries { // newest first; one without an artefact brought none
		if e.Artefact.ID != "" && e.Artefact.ID != live.Artefact.ID {
			break
		}
		if e.Artefact.ID != "" {
			since = e.At
		}
	}
	return since
}

func under(t bot.Target, open []bot.Run, z bot.Zone) string {
	s := ""
	for _, r := range open {
		if r.Ask.Target == t {
			s = join(s, fmt.Sprintf("#%d %s %s", r.Number, r.Plan.Summary, r.Standing(z)))
		}
	}
	return s
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
