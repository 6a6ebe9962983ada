package grammar

import (
	"strings"

	"quarterdeck/bot"
)

// Help gives a table of the commands for which visible is true, in the table's
// order; of all when visible is nil.
func (g *Grammar) Help(visible func(bot.Command) bool) bot.Card {
	commands := g.Commands(visible)
	if len(commands) == 0 {
		return bot.Card{Title: "Commands", Text: "There is no command that you may run."}
	}
	card := tableOf("Commands", commands)
	var hints []string
	for _, c := range commands {
		if c.Name == "help" {
			hints = append(hints, "help COMMAND says more.")
		}
	}
	for _, c := range commands {
		if _, ok := ofType(c, bot.TypeEnvironment); ok {
			hints = append(hints, "SERVICE ENV may be written SERVICE/ENV.")
			break
		}
	}
	for _, c := range commands {
		if c.Changes() {
			hints = append(hints, `What changes something takes --dry-run and --reason "why".`)
			break
		}
	}
	card.Footer = strings.Join(hints, " ")
	return card
}

func tableOf(title string, commands []bot.Command) bot.Card {
	table := &bot.Table{Columns: []string{"COMMAND", "WHAT IT DOES"}}
	for _, c := range commands {
		// Declared options are left to HelpFor, so that the table stays narrow.
		usage := positional(c)
		if len(c.Options) > 0 {
			usage += " [OPTIONS]"
		}
		table.Rows = append(table.Rows, []string{usage, c.Summary})
	}
	return bot.Card{Title: title, Table: table}
}

// HelpFor gives what there is to know about one command, or a table of those
// whose names begin with the given word ("flag"). Case and a surplus of spaces
// do not matter. For a name that is unknown or hidden it gives the same Error
// of kind Invalid as ParseFor.
func (g *Grammar) HelpFor(name string, visible func(bot.Command) bool) (bot.Card, error) {
	if err := checkLine(name); err != nil {
		return bot.Card{}, err
	}
	seen := g.Commands(visible)
	heads := g.heads(name)
	if n := len(heads); n > 0 && strings.TrimSpace(name[heads[n-1].end:]) == "" {
		if c, ok := find(seen, join(heads, n)); ok {
			return cardOf(c), nil
		}
		var group []bot.Command
		for _, c := range seen {
			if strings.HasPrefix(c.Name, join(heads, n)+" ") {
				group = append(group, c)
			}
		}
		if len(group) > 0 {
			return tableOf(join(heads, n), group), nil
		}
	}
	// "help deploy shop" is about deploy.
	if c, n := match(seen, heads); n > 0 {
		return cardOf(c), nil
	}
	return bot.Card{}, g.unknown(name, heads, visible)
}

// cardOf describes one command.
func cardOf(c bot.Command) bot.Card {
	card := bot.Card{Title: Usage(c), Text: sentence(c.Summary)}
	if c.Help != "" {
		card.Text += "\n" + c.Help
	}
	if all := Options(c); len(all) > 0 {
		card.Table = &bot.Table{Columns: []string{"ARGUMENT", "WHAT IT IS"}}
		for _, a := range all {
			card.Table.Rows = append(card.Table.Rows, []string{describe(a), meaning(a)})
		}
	}
	if len(c.Examples) > 0 {
		card.Fields = append(card.Fields, bot.Field{Name: "Examples", Value: strings.Join(c.Examples, "\n")})
	}
	return card
}

func describe(a Argument) string {
	if a.Option {
		return optionUsage(a.Param)
	}
	return placeholder(a.Param)
}

func meaning(a Argument) string {
	if a.Optional && !a.Option && !strings.Contains(a.Help, "unless ") { // that says it already
		return a.Help + " (may be left out)"
	}
	return a.Help
}

// sentence makes a summary a sentence.
func sentence(s string) string {
	return strings.ToUpper(s[:1]) + s[1:] + "."
}
