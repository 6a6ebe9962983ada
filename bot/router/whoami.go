package router

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"quarterdeck/bot"
)

// Whoami implements bot.Guide. What one may do is gathered by where one may do it,
// because most people may do the same few things in many places.
func (g *Guide) Whoami(ctx context.Context, c bot.Call) bot.Card {
	card := bot.Card{Title: "you are " + c.Who.Name(), Fields: []bot.Field{{Name: "account", Value: string(c.Who.Account)}}}
	roles := "none"
	if len(c.Who.Roles) > 0 {
		roles = strings.Join(c.Who.Roles, ", ")
	}
	card.Fields = append(card.Fields, bot.Field{Name: "roles", Value: roles})
	if g.Factor != nil && c.Who.Person != "" {
		if says := g.Factor(ctx, c.Who.Person); says != "" {
			card.Fields = append(card.Fields, bot.Field{Name: "second factor", Value: says})
		}
	}
	table := &bot.Table{Columns: []string{"WHERE", "WHAT YOU MAY DO"}}
	for _, at := range g.rights(c) {
		table.Rows = append(table.Rows, []string{at.where, strings.Join(at.may, ", ")})
	}
	if len(table.Rows) == 0 {
		card.Text = "no grant gives you anything to do here; ask whoever keeps this bot's configuration"
		return card
	}
	card.Table = table
	return card
}

// right is what may be done in one place or in several alike.
type right struct {
	where string
	may   []string
}

// rights gives what c's asker may do: on each target, those alike together, then
// on the bot itself.
func (g *Guide) rights(c bot.Call) []right {
	all := g.Catalog.Targets()
	may := map[bot.Target][]string{}
	var here []string
	for _, p := range append(bot.Permissions(), g.Permissions...) {
		if p.Resource != bot.KindTarget {
			if g.Router.Policy.Decide(bot.Request{Who: c.Who, Permission: p.Name, Resources: []bot.Resource{bot.TheBot}, Channel: c.Channel, At: c.At}).Allowed {
				here = append(here, string(p.Name))
			}
			continue
		}
		for _, t := range bot.Permitted(g.Router.Policy, c, p.Name, all) {
			may[t] = append(may[t], string(p.Name))
		}
	}
	var found []right
	alike := map[string][]bot.Target{}
	for _, t := range all {
		key := strings.Join(may[t], " ")
		if len(may[t]) > 0 && alike[key] == nil {
			found = append(found, right{where: key, may: may[t]})
		}
		alike[key] = append(alike[key], t)
	}
	for i := range found {
		found[i].where = places(alike[found[i].where], all)
	}
	if len(here) > 0 {
		found = append(found, right{where: "the bot", may: here})
	}
	return found
}

// mostPlaces is how many targets are named one by one.
const mostPlaces = 4

// places names targets in a few words: all of them, all of some environments, or
// one by one, of many the first ones.
func places(some, all []bot.Target) string {
	if len(some) == len(all) && len(all) > 1 {
		return "everywhere"
	}
	var words []string
	for i, t := range some {
		alike := func(x bot.Target) bool { return x.Environment == t.Environment }
		switch whole := count(some, alike); {
		case whole == 1 || whole < count(all, alike):
			words = append(words, t.String())
		case !slices.ContainsFunc(some[:i], alike):
			words = append(words, "*/"+t.Environment)
		}
	}
	if len(words) > mostPlaces {
		words = append(words[:mostPlaces-1], fmt.Sprintf("%d more", len(words)-mostPlaces+1))
	}
	return strings.Join(words, " ")
}

func count(targets []bot.Target, f func(bot.Target) bool) int {
	n := 0
	for _, t := range targets {
		if f(t) {
			n++
		}
	}
	return n
}
