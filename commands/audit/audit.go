// Package audit reads the audit log in chat.
package audit

import (
	"context"
	"fmt"
	"strings"
	"time"

	"quarterdeck/bot"
)

const shown = 20

// New makes the command.
func New(log bot.Log, z bot.Zone) bot.Command {
	return bot.Command{
		Name:     "audit",
		Summary:  "who did what, from the audit log",
		Help:     "The newest records first. The whole log can be checked with: quarterdeck audit verify",
		Examples: []string{"audit", "audit --target shop/prod --last 24h", "audit --by dev-one"},
		Options: []bot.Param{
			{Name: "target", Type: bot.TypeService, Help: "only SERVICE/ENVIRONMENT"},
			{Name: "by", Type: bot.TypePerson, Help: "only what this person did"},
			{Name: "run", Type: bot.TypeRun, Help: "only this run"},
			{Name: "last", Type: bot.TypeDuration, Help: "only the last 24h, 7d, ..."},
		},
		Permission: bot.MayReadAudit,
		Resolve: func(bot.Call) (bot.Ask, error) {
			return bot.Ask{Permission: bot.MayReadAudit, Resources: []bot.Resource{bot.TheBot}}, nil
		},
		Read: func(ctx context.Context, c bot.Call) (bot.Reply, error) {
			f := bot.RecordFilter{Person: c.Args["by"], Run: c.Args.Run(), Limit: shown}
			if t := c.Args["target"]; t != "" {
				if _, ok := bot.ParseTarget(t); !ok {
					return bot.Reply{}, bot.Errorf(bot.Invalid, "%q is not a target; write SERVICE/ENVIRONMENT", t)
				}
				f.Target = t
			}
			if last := c.Args["last"]; last != "" {
				d, err := time.ParseDuration(last)
				if err != nil {
					return bot.Reply{}, bot.Errorf(bot.Invalid, "%q is not a duration", last)
				}
				f.Since = c.At.Add(-d)
			}
			records, err := log.Records(ctx, f)
			if err != nil {
				return bot.Reply{}, err
			}
			older, err := archived(ctx, log, f, len(records), z)
			if err != nil {
				return bot.Reply{}, err
			}
			if len(records) == 0 {
				return bot.Reply{Card: bot.Card{Title: "no records match", Text: older}}, nil
			}
			table := &bot.Table{Columns: []string{"SEQ", "AT", "WHO", "WHAT"}}
			for _, r := range records {
				table.Rows = append(table.Rows, row(r, z))
			}
			title := fmt.Sprintf("the last %d records", len(records))
			footer := z.Note()
			if len(records) == shown {
				footer += "; older ones by --target, --by or --run; all: quarterdeck audit report"
			}
			return bot.Reply{Card: bot.Card{Title: title, Table: table, Text: older, Footer: footer}}, nil
		},
	}
}

// archived says that what was asked for reaches back into the archive, where
// this does not look; "" when it does not.
func archived(ctx context.Context, log bot.Log, f bot.RecordFilter, found int, z bot.Zone) (string, error) {
	a, ok := log.(bot.Archived)
	if !ok || found == f.Limit {
		return "", nil
	}
	mark, err := a.Archived(ctx)
	if err != nil || mark.Seq == 0 || mark.Latest.Before(f.Since) {
		return "", err
	}
	return fmt.Sprintf("records up to %d, of %s and before, lie in the archive; a report reaches them: quarterdeck audit report --archive DIR",
		mark.Seq, z.Day(mark.Latest)), nil
}

// row writes a record. What was done and what came of it share the last column,
// which is wrapped where there is little room: beside one another both would be cut.
func row(r bot.Record, z bot.Zone) []string {
	who := r.Person
	if who == "" {
		who = string(r.Account)
	}
	if who == "" {
		who = "the bot"
	}
	what := r.Text["line"]
	if what == "" {
		what = r.Words("summary")
	}
	if what == "" {
		what = strings.TrimSpace(r.Verb + " " + r.Target)
	}
	if r.Run != 0 {
		what = fmt.Sprintf("#%d %s", r.Run, what)
	}
	what = strings.TrimPrefix(what+": "+string(r.Kind), ": ")
	switch {
	case r.Detail["parent"] != "": // nobody typed it
		what += ": follows #" + r.Detail["parent"] + " by itself"
	case r.Detail["changes"] != "":
		what += ": " + r.Detail["changes"] + " changes"
	case r.Text["result"] != "":
		what += ": " + r.Text["result"]
	case r.Text["progress"] != "":
		what += ": " + r.Text["progress"]
	}
	return []string{fmt.Sprint(r.Seq), z.Second(r.At), who, what}
}
