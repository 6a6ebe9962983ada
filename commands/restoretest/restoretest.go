// Package restoretest is the verb that shows whether a backup can be restored: by
// restoring it.
package restoretest

import (
	"context"
	"fmt"

	"quarterdeck/bot"
	"quarterdeck/bot/backup"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/release"
)

// maxListed bounds how many backups are looked through for the one that is named.
const maxListed = 2000

// New makes the command.
func New(c *provider.Catalog, l *backup.Ledger, clock bot.Clock) bot.Command {
	return bot.Command{
		Name:    "restore-test",
		Summary: "restore a backup into a throw-away place, and check it there",
		Help: "The newest backup is taken unless --id names another. It is copied, compared with what was written down when it was made, restored " +
			"where nothing else is, counted and asked; what was restored is removed whatever came of that. It passes when every check that is " +
			"configured did.",
		Examples: []string{"restore-test shop prod", "restore-test shop/prod --id orders-20261121T140500Z.db"},
		Params: []bot.Param{
			{Name: "service", Type: bot.TypeService, Help: "whose backup"},
			{Name: "environment", Type: bot.TypeEnvironment, Help: "where"},
		},
		Options: []bot.Param{
			{Name: "id", Type: bot.TypeText, Help: "the backup, as backup list shows it"},
		},
		Permission: bot.MayTestRestore,
		Resolve:    release.Resolve(bot.MayTestRestore),
		Plan: func(ctx context.Context, call bot.Call) (bot.Plan, error) {
			t := call.Args.Target()
			tester, err := c.RestoreTester(t)
			if err != nil {
				return bot.Plan{}, err
			}
			most := 1
			if call.Args["id"] != "" {
				most = maxListed
			}
			all, err := tester.Backups(ctx, most)
			if err != nil {
				return bot.Plan{}, err
			}
			b, err := backup.Find(t, all, call.Args["id"])
			if err != nil {
				return bot.Plan{}, err
			}
			test := backup.Test{Trial: provider.Trial{Target: t, Backup: b}, Objectives: c.Objectives(t)}
			spec, err := bot.NewSpec(backup.Kind, "restore-test", t, []bot.Resource{t.Resource()}, test)
			if err != nil {
				return bot.Plan{}, err
			}
			plan := bot.Plan{
				Spec: spec, Slot: backup.Slot(t),
				Preconditions: backup.Facts(test, c.Digest(t)),
				Summary:       fmt.Sprintf("restore-test %s in %s", t.Service, t.Environment),
				Preview: []bot.Field{
					{Name: "backup", Value: fmt.Sprintf("%s, %s", b.ID, backup.Size(b.Bytes))},
					{Name: "made", Value: fmt.Sprintf("%s, %s ago", bot.Moment(b.Created), backup.Age(max(call.At.Sub(b.Created), 0)))},
				},
			}
			if wanted := objectives(test.Objectives); wanted != "" {
				plan.Preview = append(plan.Preview, bot.Field{Name: "wanted", Value: wanted})
			}
			if standing, err := l.Standing(ctx, t); err != nil {
				return bot.Plan{}, err
			} else if standing.Passed != nil {
				plan.Preview = append(plan.Preview, bot.Field{Name: "last passed", Value: fmt.Sprintf("#%d at %s", standing.Passed.Run, bot.Moment(standing.Passed.At))})
			}
			return plan, nil
		},
		Workflows: []bot.Workflow{backup.NewWorkflow(c, l, clock)},
	}
}

func objectives(o provider.Objectives) string {
	s := ""
	if o.RPO > 0 {
		s = "RPO " + bot.Span(o.RPO)
	}
	if o.RTO > 0 {
		if s != "" {
			s += ", "
		}
		s += "RTO " + bot.Span(o.RTO)
	}
	return s
}
