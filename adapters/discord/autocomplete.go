package discordchat

import (
	"strconv"

	"github.com/bwmarrin/discordgo"

	"quarterdeck/bot"
)

// offered makes choices as Discord takes them: at most 25, of at most 100
// characters. One whose value is longer is left out, because shortened it would
// be another.
func offered(all []bot.Choice, p bot.Param) []*discordgo.ApplicationCommandOptionChoice {
	shown := make([]*discordgo.ApplicationCommandOptionChoice, 0, min(len(all), maxOptions))
	for _, c := range all {
		if len(shown) == maxOptions {
			break
		}
		label := cutPlain(bot.LegibleLine(orElse(c.Label, c.Value)), maxChoice)
		if label == "" || plainLength(c.Value) > maxChoice || bot.LegibleLine(c.Value) != c.Value {
			continue
		}
		choice := &discordgo.ApplicationCommandOptionChoice{Name: label, Value: c.Value}
		switch p.Type {
		case bot.TypeRun, bot.TypeCount, bot.TypeNumber:
			n, err := strconv.ParseInt(c.Value, 10, 64)
			if err != nil {
				continue
			}
			choice.Value = n
		}
		shown = append(shown, choice)
	}
	return shown
}
