// Package page is the verbs about pages: what a person must take.
package page

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/page"
)

const (
	longestSnooze = 7 * 24 * time.Hour
	listed        = 15
	maxText       = 1000
)

// All makes the commands.
func All(k *page.Keeper, p bot.Policy, z bot.Zone) []bot.Command {
	v := verbs{k, p, z}
	return []bot.Command{v.list(), v.show(), v.open(), v.ack(), v.resolve(), v.escalate(), v.snooze(), v.note(), v.update(), v.story()}
}

type verbs struct {
	keeper *page.Keeper
	policy bot.Policy
	zone   bot.Zone
}

var numbered = bot.Param{Name: "page", Type: bot.TypeCount, Optional: true, Help: "its number; may be left out when one is open"}

func number(c bot.Call) int64 {
	n, err := strconv.ParseInt(c.Args["page"], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// resolve asks about the page alone, which is known from memory; once it was read,
// its target is asked about too.
func resolve(p bot.Permission) func(bot.Call) (bot.Ask, error) {
	return func(c bot.Call) (bot.Ask, error) {
		return bot.Ask{Permission: p, Resources: []bot.Resource{page.Resource(number(c))}}, nil
	}
}

// may reports whether the caller may do something with a page.
func (v verbs) may(c bot.Call, permission bot.Permission, p *page.Page) bot.Decision {
	return v.policy.Decide(bot.Request{Who: c.Who, Permission: permission, Resources: p.Resources(), Channel: c.Channel, At: c.At})
}

// named gives the page that a call names, or the only open one that the caller
// may see. One that they may not is not there for them.
func (v verbs) named(ctx context.Context, c bot.Call, permission bot.Permission) (*page.Page, error) {
	n := number(c)
	if n == 0 && c.Args["page"] != "" {
		return nil, bot.Errorf(bot.Invalid, "pages are numbered from 1; page list shows those that are open")
	}
	if n != 0 {
		p, err := v.keeper.Get(ctx, n)
		if err != nil {
			return nil, err
		}
		if d := v.may(c, permission, p); !d.Allowed {
			return nil, bot.Errorf(bot.Denied, "%s", d.Because)
		}
		return p, nil
	}
	open, err := v.keeper.Open(ctx)
	if err != nil {
		return nil, err
	}
	var mine []*page.Page
	for _, p := range open {
		if v.may(c, permission, p).Allowed {
			mine = append(mine, p)
		}
	}
	switch len(mine) {
	case 1:
		return mine[0], nil
	case 0:
		return nil, bot.Errorf(bot.NotFound, "no page is open")
	}
	var names []string
	for _, p := range mine[:min(len(mine), 5)] {
		names = append(names, fmt.Sprintf("%d (%s)", p.Number, p.Title))
	}
	return nil, bot.Errorf(bot.Invalid, "%d pages are open; say which: %s", len(mine), strings.Join(names, ", "))
}

func (v verbs) list() bot.Command {
	return bot.Command{
		Name: "page list", Summary: "which pages are open", Examples: []string{"page list", "page list --all"},
		Options:    []bot.Param{{Name: "all", Type: bot.TypeFlag, Help: "the newest, also those that are resolved"}},
		Permission: bot.MaySeePages, Resolve: resolve(bot.MaySeePages),
		Read: func(ctx context.Context, c bot.Call) (bot.Reply, error) {
			pages, err := v.keeper.Open(ctx)
			title := "open pages"
			if err == nil && c.Args["all"] != "" {
				title = "pages, newest first"
				pages, err = v.keeper.Latest(ctx, 4*listed)
			}
			if err != nil {
				return bot.Reply{}, err
			}
			table, more := &bot.Table{Columns: []string{"PAGE", "TARGET", "WHAT", "STATE", "WHO", "SINCE"}}, 0
			for _, p := range pages {
				if !v.may(c, bot.MaySeePages, p).Allowed {
					continue
				}
				if len(table.Rows) >= listed {
					more++
					continue
				}
				who := p.Holder
				if who == "" {
					who = strings.Join(p.Asked, ", ")
				}
				if p.State == page.Resolved {
					who = p.By
				}
				table.Rows = append(table.Rows, []string{strconv.FormatInt(p.Number, 10), p.Target.String(), p.Title, string(p.State), who, v.zone.Minute(p.Opened)})
			}
			calm, err := v.keeper.Calmed(ctx, c.At.Add(-24*time.Hour))
			if err != nil {
				return bot.Reply{}, err
			}
			text := ""
			if calm > 0 {
				text = fmt.Sprintf("%d groups of alerts resolved themselves in the last day and paged nobody", calm)
			}
			if len(table.Rows) == 0 {
				return bot.Reply{Card: bot.Card{Title: "no page is open", Text: text}}, nil
			}
			if more > 0 {
				text = strings.TrimPrefix(text+fmt.Sprintf("\nand %d more", more), "\n")
			}
			return bot.Reply{Card: bot.Card{Title: title, Table: table, Text: text, Footer: v.zone.Note()}}, nil
		},
	}
}

func (v verbs) show() bot.Command {
	return bot.Command{
		Name: "page show", Summary: "what a page is about, what changed there, and what can be done", Examples: []string{"page show", "page show 12"},
		Params: []bot.Param{numbered}, Permission: bot.MaySeePages, Resolve: resolve(bot.MaySeePages),
		Read: func(ctx context.Context, c bot.Call) (bot.Reply, error) {
			p, err := v.named(ctx, c, bot.MaySeePages)
			if err != nil {
				return bot.Reply{}, err
			}
			return bot.Reply{Card: v.keeper.Card(p)}, nil
		},
	}
}

func (v verbs) story() bot.Command {
	return bot.Command{
		Name: "page story", Summary: "what happened to a page, as Markdown", Examples: []string{"page story 12"},
		Params: []bot.Param{numbered}, Permission: bot.MaySeePages, Resolve: resolve(bot.MaySeePages),
		Read: func(ctx context.Context, c bot.Call) (bot.Reply, error) {
			if number(c) == 0 { // a story is told when it is over, too
				pages, err := v.keeper.Latest(ctx, listed)
				if err != nil {
					return bot.Reply{}, err
				}
				for _, p := range pages {
					if v.may(c, bot.MaySeePages, p).Allowed {
						return v.told(ctx, p)
					}
				}
			}
			p, err := v.named(ctx, c, bot.MaySeePages)
			if err != nil {
				return bot.Reply{}, err
			}
			return v.told(ctx, p)
		},
	}
}

func (v verbs) told(ctx context.Context, p *page.Page) (bot.Reply, error) {
	events, err := v.keeper.Events(ctx, p.Number)
	if err != nil {
		return bot.Reply{}, err
	}
	return bot.Reply{Card: bot.Card{Title: "the story of " + p.Name(), Text: v.keeper.Story(p, events)}}, nil
}

func (v verbs) open() bot.Command {
	return bot.Command{
		Name: "page open", Summary: "page whoever is on call", Examples: []string{"page open shop prod the checkout is down"},
		Params: []bot.Param{
			{Name: "service", Type: bot.TypeService, Help: "what it is about"},
			{Name: "environment", Type: bot.TypeEnvironment, Help: "where"},
			{Name: "what", Type: bot.TypeLine, Help: "what is wrong"},
		},
		Permission: bot.MayOpenPage,
		Resolve: func(c bot.Call) (bot.Ask, error) {
			t := c.Args.Target()
			return bot.Ask{Permission: bot.MayOpenPage, Resources: []bot.Resource{t.Resource()}, Target: t}, nil
		},
		Plan: func(_ context.Context, c bot.Call) (bot.Plan, error) {
			if err := v.keeper.Configured(); err != nil {
				return bot.Plan{}, err
			}
			what, err := text(c.Args["what"])
			if err != nil {
				return bot.Plan{}, err
			}
			t := c.Args.Target()
			spec, err := bot.NewSpec(page.Kind, "page open", t, []bot.Resource{t.Resource()}, page.Change{Action: page.ActOpen, Target: t, Text: what})
			return bot.Plan{Spec: spec, Slot: "page open " + t.String(), Summary: fmt.Sprintf("page whoever is on call for %s: %s", t, what), Undo: "page resolve"}, err
		},
		Workflows: []bot.Workflow{page.NewWorkflow(v.keeper)},
	}
}

func text(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > maxText {
		return "", bot.Errorf(bot.Invalid, "say it in at most %d bytes", maxText)
	}
	return s, nil
}

// change makes a verb that changes one page.
func (v verbs) change(cmd bot.Command, action page.Action, plan func(c bot.Call, p *page.Page, change *page.Change, plan *bot.Plan) error) bot.Command {
	if len(cmd.Params) == 0 {
		cmd.Params = []bot.Param{numbered}
	}
	cmd.Resolve = resolve(cmd.Permission)
	cmd.Plan = func(ctx context.Context, c bot.Call) (bot.Plan, error) {
		p, err := v.named(ctx, c, cmd.Permission)
		if err != nil {
			return bot.Plan{}, err
		}
		change := page.Change{Action: action, Page: p.Number, Target: p.Target}
		out := bot.Plan{Slot: fmt.Sprintf("page %d", p.Number), Summary: fmt.Sprintf("%s page %d", action, p.Number), Preview: []bot.Field{{Name: "page", Value: p.Name()}, {Name: "now", Value: string(p.State)}}}
		if err := plan(c, p, &change, &out); err != nil {
			return bot.Plan{}, err
		}
		if out.Noop != "" { // that is so for good, so that nothing waits for a turn
			out.Slot = ""
		}
		out.Spec, err = bot.NewSpec(page.Kind, cmd.Name, p.Target, p.Resources(), change)
		return out, err
	}
	return cmd
}

// over says that nothing can be done with a page that is resolved.
func over(p *page.Page, plan *bot.Plan) {
	if !p.Open() {
		plan.Noop = fmt.Sprintf("page %d is resolved", p.Number)
	}
}

func (v verbs) ack() bot.Command {
	return v.change(bot.Command{
		Name: "page ack", Summary: "take a page: nobody else is asked", Examples: []string{"page ack", "page ack 12"},
		Help:       "The escalation stops until the page is resolved, or until pager.ack_timeout passed. It works also while the audit log cannot be written.",
		Permission: bot.MayAckPage, Urgent: true,
	}, page.ActAck, func(c bot.Call, p *page.Page, change *page.Change, plan *bot.Plan) error {
		over(p, plan)
		if p.State == page.Acknowledged && p.Holder == c.Who.Person {
			plan.Noop = fmt.Sprintf("you have page %d", p.Number)
		}
		if p.State == page.Acknowledged && p.Holder != c.Who.Person {
			plan.Warnings = append(plan.Warnings, "it is taken over from "+p.Holder)
		}
		plan.OffLog, plan.Undo = true, fmt.Sprintf("page escalate %d", p.Number)
		return nil
	})
}

func (v verbs) resolve() bot.Command {
	return v.change(bot.Command{
		Name: "page resolve", Summary: "end a page", Examples: []string{"page resolve 12", `page resolve --reason "rolled back"`},
		Help:       "What still fires pages again when its monitor next sends it.",
		Permission: bot.MayResolve,
	}, page.ActResolve, func(_ bot.Call, p *page.Page, _ *page.Change, plan *bot.Plan) error {
		over(p, plan)
		if n := p.Firing(); n > 0 {
			plan.Warnings = append(plan.Warnings, fmt.Sprintf("%d alerts fire still", n))
		}
		return nil
	})
}

func (v verbs) escalate() bot.Command {
	return v.change(bot.Command{
		Name: "page escalate", Summary: "ask the next level now", Examples: []string{"page escalate 12"},
		Permission: bot.MayEscalate,
	}, page.ActEscalate, func(_ bot.Call, p *page.Page, _ *page.Change, plan *bot.Plan) error {
		over(p, plan)
		plan.Undo = fmt.Sprintf("page ack %d", p.Number)
		return nil
	})
}

func (v verbs) snooze() bot.Command {
	return v.change(bot.Command{
		Name: "page snooze", Summary: "put a page off for a while; it comes back by itself", Examples: []string{"page snooze 12 --for 2h"},
		Options:    []bot.Param{{Name: "for", Type: bot.TypeDuration, Help: "how long, a minute to a week; an hour unless given"}},
		Permission: bot.MaySnooze,
	}, page.ActSnooze, func(c bot.Call, p *page.Page, change *page.Change, plan *bot.Plan) error {
		over(p, plan)
		change.For = time.Hour
		if s := c.Args["for"]; s != "" {
			d, err := time.ParseDuration(s)
			if err != nil || d < time.Second || d > longestSnooze {
				return bot.Errorf(bot.Invalid, "a page is snoozed for at most a week; type --for 2h")
			}
			change.For = d
		}
		plan.Summary += " for " + bot.Span(change.For)
		plan.Undo = fmt.Sprintf("page escalate %d", p.Number)
		return nil
	})
}

// said are the arguments of verbs that take a text.
func said(help string) []bot.Param {
	return []bot.Param{{Name: "page", Type: bot.TypeCount, Help: "its number"}, {Name: "text", Type: bot.TypeLine, Help: help}}
}

func (v verbs) note() bot.Command {
	return v.change(bot.Command{
		Name: "page note", Summary: "add a note to a page", Examples: []string{"page note 12 the database is slow too"},
		Params: said("what to note"), Permission: bot.MayNotePage,
	}, page.ActNote, v.texts)
}

func (v verbs) update() bot.Command {
	return v.change(bot.Command{
		Name: "page update", Summary: "tell those who follow a page from afar", Examples: []string{"page update 12 we are rolling back"},
		Help:   "It is posted to pager.updates, where one is configured, and kept with the page.",
		Params: said("what to tell"), Permission: bot.MayUpdatePage,
	}, page.ActUpdate, v.texts)
}

func (v verbs) texts(c bot.Call, p *page.Page, change *page.Change, plan *bot.Plan) (err error) {
	change.Text, err = text(c.Args["text"])
	plan.Summary = fmt.Sprintf("%s on page %d", change.Action, p.Number)
	return err
}
