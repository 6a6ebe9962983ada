// Package restart is the verb that restarts what is live, without a change of
// release.
package restart

import (
	"context"
	"fmt"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/release"
)

// New makes the command.
func New(c *provider.Catalog, l *release.Ledger) bot.Command {
	return bot.Command{
		Name:     "restart",
		Summary:  "restart what is live, one instance after another",
		Examples: []string{"restart shop staging"},
		Params: []bot.Param{
			{Name: "service", Type: bot.TypeService, Help: "what to restart"},
			{Name: "environment", Type: bot.TypeEnvironment, Help: "where"},
		},
		Permission: bot.MayRestart,
		Resolve:    release.Resolve(bot.MayRestart),
		Plan: func(ctx context.Context, call bot.Call) (bot.Plan, error) {
			t := call.Args.Target()
			deployer, err := c.Deployer(t)
			if err != nil {
				return bot.Plan{}, err
			}
			if l, ok := deployer.(provider.Limited); ok {
				if err := l.Can(provider.Restart); err != nil {
					return bot.Plan{}, err
				}
			}
			live, err := deployer.Current(ctx)
			if err != nil {
				return bot.Plan{}, err
			}
			now := live.Artefact.Identity()
			spec, err := bot.NewSpec(release.Kind("restart", c, t), "restart", t, []bot.Resource{t.Resource()},
				provider.Deployment{Action: provider.Restart, Target: t, From: now, To: now})
			if err != nil {
				return bot.Plan{}, err
			}
			return bot.Plan{
				Spec:          spec,
				Slot:          release.Slot(t),
				Guarded:       true,
				Preconditions: release.Facts(c, t, now),
				Summary:       fmt.Sprintf("restart %s in %s", t.Service, t.Environment),
				Preview:       []bot.Field{{Name: "live", Value: live.Artefact.Label()}, {Name: "instances", Value: fmt.Sprintf("%d of %d up", live.Running, live.Desired)}},
			}, nil
		},
		Workflows: release.Workflows("restart", c, l),
	}
}
