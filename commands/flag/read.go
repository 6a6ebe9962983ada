package flag

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/flag"
	"quarterdeck/bot/provider"
)

// visible gives every flag that the caller may see, by environment in order, and
// what could not be read.
func (v *verbs) visible(ctx context.Context, c bot.Call, environment string) (all []provider.Flag, silent []string, err error) {
	for _, t := range v.flagged(environment) {
		flagger, err := v.Catalog.Flagger(t)
		if err != nil {
			return nil, nil, err
		}
		list, err := flagger.Flags(ctx)
		if err != nil {
			silent = append(silent, fmt.Sprintf("%s: %s", t, bot.Sentence(err, c.ID)))
			continue
		}
		for _, f := range list {
			if v.may(c, bot.MayReadFlag, f.Resource()) {
				all = append(all, f)
			}
		}
	}
	if len(all) > 0 {
		return all, silent, nil
	}
	for _, e := range v.environments() {
		if environment == "" || environment == e {
			if v.may(c, bot.MayReadFlag, bot.FlagResource(e, "any")) {
				return nil, silent, nil
			}
		}
	}
	return nil, nil, bot.Errorf(bot.Denied, "no grant lets you see flags")
}

func (v *verbs) list() bot.Command {
	return bot.Command{
		Name:       "flag list",
		Summary:    "which flags there are, and whom they reach",
		Examples:   []string{"flag list", "flag list prod"},
		Params:     []bot.Param{environmentParam(true)},
		Permission: bot.MayReadFlag,
		Resolve:    bot.AskSelf, // every flag is checked by itself
		Read: func(ctx context.Context, c bot.Call) (bot.Reply, error) {
			all, silent, err := v.visible(ctx, c, c.Args["environment"])
			if err != nil {
				return bot.Reply{}, err
			}
			if len(all) == 0 && len(silent) == 0 {
				return bot.Reply{Card: bot.Card{Title: "there are no flags that you may see; flag create makes one"}}, nil
			}
			return bot.Reply{Card: bot.Card{Title: "flags", Table: v.table(all), Text: strings.Join(silent, "\n")}}, nil
		},
	}
}

// table shows flags, a line each, with a column for each environment.
func (v *verbs) table(all []provider.Flag) *bot.Table {
	t := &bot.Table{Columns: []string{"FLAG"}}
	var environments []string
	for _, e := range v.environments() {
		if slices.ContainsFunc(all, func(f provider.Flag) bool { return f.Target.Environment == e }) {
			environments = append(environments, e)
			t.Columns = append(t.Columns, strings.ToUpper(e))
		}
	}
	t.Columns = append(t.Columns, "OWNER", "CHANGED")
	slices.SortStableFunc(all, func(a, b provider.Flag) int { return strings.Compare(a.Key, b.Key) })
	for len(all) > 0 {
		n := slices.IndexFunc(all, func(f provider.Flag) bool { return f.Key != all[0].Key })
		if n < 0 {
			n = len(all)
		}
		row, newest := []string{all[0].Key}, all[0]
		for _, e := range environments {
			cell := "-"
			for _, f := range all[:n] {
				if f.Target.Environment == e {
					cell = f.Reach()
				}
				if f.Changed.At.After(newest.Changed.At) {
					newest = f
				}
			}
			row = append(row, cell)
		}
		t.Rows = append(t.Rows, append(row, newest.Owner, changed(newest, v.Zone)))
		all = all[n:]
	}
	return t
}

func changed(f provider.Flag, z bot.Zone) string {
	if f.Changed.At.IsZero() {
		return "-"
	}
	s := z.Minute(f.Changed.At)
	if f.Changed.Person != "" {
		s += " by " + f.Changed.Person
	}
	return s
}

func (v *verbs) stale() bot.Command {
	return bot.Command{
		Name:       "flag stale",
		Summary:    "which flags could be taken out of the code",
		Help:       "A temporary flag is stale once it is older than it was meant to be, or has been the same for everybody for 30 days.",
		Examples:   []string{"flag stale"},
		Permission: bot.MayReadFlag,
		Resolve:    bot.AskSelf,
		Read: func(ctx context.Context, c bot.Call) (bot.Reply, error) {
			all, silent, err := v.visible(ctx, c, "")
			if err != nil {
				return bot.Reply{}, err
			}
			t := &bot.Table{Columns: []string{"FLAG", "ENV", "OWNER", "WHY"}}
			for _, f := range all {
				if why := flag.Stale(f, c.At); why != "" {
					t.Rows = append(t.Rows, []string{f.Key, f.Target.Environment, f.Owner, why})
				}
			}
			card := bot.Card{Title: "stale flags; once the code does without them: flag archive FLAG", Table: t, Text: strings.Join(silent, "\n")}
			if len(t.Rows) == 0 {
				card.Title, card.Table = "no flag is stale", nil
			}
			return bot.Reply{Card: card}, nil
		},
	}
}

func (v *verbs) show() bot.Command {
	return bot.Command{
		Name:       "flag show",
		Summary:    "what a flag gives to whom",
		Examples:   []string{"flag show new-checkout", "flag show new-checkout prod"},
		Params:     []bot.Param{v.knownParam(), environmentParam(true)},
		Permission: bot.MayReadFlag,
		Resolve:    v.readable,
		Read: func(ctx context.Context, c bot.Call) (bot.Reply, error) {
			flags, err := v.flags(ctx, c)
			if err != nil {
				return bot.Reply{}, err
			}
			f := flags[0]
			card := bot.Card{Title: f.Key, Text: f.Description}
			for _, f := range flags {
				card.Fields = append(card.Fields, reaches(f)...)
			}
			var values []string
			for _, variant := range f.Variants {
				values = append(values, fmt.Sprintf("%s = %s", variant.Name, variant.Value))
			}
			lasts := "permanent"
			if f.Lifetime > 0 {
				lasts = fmt.Sprintf("until %s", v.Zone.Minute(f.Created.Add(f.Lifetime)))
			}
			card.Fields = append(card.Fields, bot.Field{Name: "type", Value: string(f.Type)}, bot.Field{Name: "variants", Value: strings.Join(values, ", ")},
				bot.Field{Name: "service", Value: f.Target.Service}, bot.Field{Name: "owner", Value: f.Owner}, bot.Field{Name: "meant", Value: lasts})
			for _, f := range flags {
				card.Fields = append(card.Fields, bot.Field{Name: "changed", Value: fmt.Sprintf("%s: %s, %s", f.Target.Environment, f.Changed.Text, changed(f, v.Zone))})
			}
			card.Footer = v.Zone.Note()
			return bot.Reply{Card: card}, nil
		},
	}
}

// readable asks about the one environment that is named; without, every one is
// checked by itself.
func (v *verbs) readable(c bot.Call) (bot.Ask, error) {
	if c.Args["environment"] == "" {
		return bot.AskSelf(c)
	}
	return v.resolve(bot.MayReadFlag)(c)
}

// flags gives a flag in each environment that the call is about and the caller may
// see; at least one.
func (v *verbs) flags(ctx context.Context, c bot.Call) (found []provider.Flag, err error) {
	key := c.Args["flag"]
	where := []string{c.Args["environment"]}
	if where[0] == "" {
		where = v.where(key)
	}
	var missing error
	for _, environment := range where {
		if !v.may(c, bot.MayReadFlag, bot.FlagResource(environment, key)) {
			continue
		}
		f, _, err := v.get(ctx, environment, key)
		switch bot.KindOf(err) {
		case "":
			found = append(found, f)
		case bot.NotFound:
			missing = err
		default:
			return nil, err
		}
	}
	switch {
	case len(found) > 0:
		return found, nil
	case missing != nil:
		return nil, missing
	}
	return nil, bot.Errorf(bot.Denied, "no grant lets you see the flag %s", key)
}

// shown bounds how many states of a flag history shows.
const shown = 20

func (v *verbs) history() bot.Command {
	return bot.Command{
		Name:       "flag history",
		Summary:    "who changed a flag",
		Examples:   []string{"flag history new-checkout prod"},
		Params:     []bot.Param{v.knownParam(), environmentParam(true)},
		Permission: bot.MayReadFlag,
		Resolve:    v.readable,
		Read: func(ctx context.Context, c bot.Call) (bot.Reply, error) {
			flags, err := v.flags(ctx, c)
			if err != nil {
				return bot.Reply{}, err
			}
			var all []provider.Flag
			for _, f := range flags {
				flagger, err := v.Catalog.Flagger(f.Target)
				if err != nil {
					return bot.Reply{}, err
				}
				h, keeps := flagger.(provider.FlagHistorian)
				if !keeps {
					continue
				}
				versions, err := h.Versions(ctx, f.Key, shown)
				if err != nil {
					return bot.Reply{}, err
				}
				all = append(all, versions...)
			}
			if len(all) == 0 {
				return bot.Reply{}, bot.Errorf(bot.NotFound, "what was before is not kept where %s is; history shows what was done from here", c.Args["flag"])
			}
			slices.SortStableFunc(all, func(a, b provider.Flag) int { return b.Changed.At.Compare(a.Changed.At) })
			t := &bot.Table{Columns: []string{"WHEN", "ENV", "WHAT", "BY", "RUN", "WHY"}}
			for _, f := range all[:min(len(all), shown)] {
				t.Rows = append(t.Rows, []string{v.Zone.Minute(f.Changed.At.Truncate(time.Second)), f.Target.Environment, f.Changed.Text, f.Changed.Person, run(f.Changed.Key), f.Changed.Reason})
			}
			return bot.Reply{Card: bot.Card{Title: "history of " + c.Args["flag"], Table: t, Footer: v.Zone.Note()}}, nil
		},
	}
}

// run gives the run's number that an operation's key holds.
func run(key string) string {
	rest, found := strings.CutPrefix(key, "run-")
	number, _, _ := strings.Cut(rest, "-")
	if !found || number == "" {
		return "-"
	}
	return "#" + number
}
