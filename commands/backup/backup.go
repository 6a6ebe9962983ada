// Package backup shows which backups there are, and what they were seen to be
// worth.
package backup

import (
	"context"
	"fmt"

	"quarterdeck/bot"
	"quarterdeck/bot/backup"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/release"
)

// shown is how many backups one list shows.
const shown = 12

// New makes the command.
func New(c *provider.Catalog, l *backup.Ledger, z bot.Zone) bot.Command {
	return bot.Command{
		Name:     "backup list",
		Summary:  "which backups there are, and when one was last restored",
		Examples: []string{"backup list shop prod", "backup list shop/prod"},
		Params: []bot.Param{
			{Name: "service", Type: bot.TypeService, Help: "whose backups"},
			{Name: "environment", Type: bot.TypeEnvironment, Help: "where"},
		},
		Permission: bot.MaySeeBackups,
		Resolve:    release.Resolve(bot.MaySeeBackups),
		Read: func(ctx context.Context, call bot.Call) (bot.Reply, error) {
			t := call.Args.Target()
			tester, err := c.RestoreTester(t)
			if err != nil {
				return bot.Reply{}, err
			}
			all, err := tester.Backups(ctx, shown+1)
			if err != nil {
				return bot.Reply{}, err
			}
			standing, err := l.Standing(ctx, t)
			if err != nil {
				return bot.Reply{}, err
			}
			wanted := c.Objectives(t)
			card := bot.Card{Title: fmt.Sprintf("backups of %s, newest first", t), Footer: z.Note(), Fields: fields(standing, wanted, call, z)}
			if len(all) == 0 {
				card.Title, card.Tone = fmt.Sprintf("there are no backups of %s where they should be", t), bot.Bad
				return bot.Reply{Card: card}, nil
			}
			if old := call.At.Sub(all[0].Created); wanted.RPO > 0 && old > wanted.RPO {
				card.Tone = bot.Warning
				card.Text = fmt.Sprintf("the newest is %s old, and the RPO is %s", backup.Age(old), bot.Span(wanted.RPO))
			}
			card.Table = &bot.Table{Columns: []string{"BACKUP", "MADE", "AGE", "SIZE", "TESTED"}}
			for _, b := range all[:min(len(all), shown)] {
				card.Table.Rows = append(card.Table.Rows, []string{b.ID, z.Minute(b.Created), backup.Age(max(call.At.Sub(b.Created), 0)), backup.Size(b.Bytes), tested(standing, b)})
			}
			if len(all) > shown {
				card.Lines = append(card.Lines, "there are more, which are older")
			}
			return bot.Reply{Card: card}, nil
		},
	}
}

// tested says what a backup was seen to be worth; "no manifest" where it could not
// be held against anything.
func tested(s backup.Standing, b provider.Backup) string {
	for _, r := range []*backup.Result{s.Last, s.Passed} {
		if r == nil || r.Backup != b.ID {
			continue
		}
		if r.Passed {
			return fmt.Sprintf("passed, #%d", r.Run)
		}
		return fmt.Sprintf("failed, #%d", r.Run)
	}
	if !b.Described {
		return "-, no manifest"
	}
	return "-"
}

func fields(s backup.Standing, o provider.Objectives, call bot.Call, z bot.Zone) []bot.Field {
	var all []bot.Field
	if s.Passed != nil {
		all = append(all, bot.Field{Name: "last passed", Value: fmt.Sprintf("#%d at %s: %s", s.Passed.Run, z.Minute(s.Passed.At), s.Passed.Backup)})
	} else {
		all = append(all, bot.Field{Name: "last passed", Value: "never; type " + backup.Line(call.Args.Target())})
	}
	if s.Last != nil && !s.Last.Passed {
		all = append(all, bot.Field{Name: "last failed", Value: fmt.Sprintf("#%d at %s: %s", s.Last.Run, z.Minute(s.Last.At), s.Last.Text)})
	}
	if due := s.Overdue(o, call.At); due != "" {
		all = append(all, bot.Field{Name: "due", Value: due})
	}
	return all
}
