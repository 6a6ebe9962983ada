package discordchat

import "quarterdeck/bot"

// Spill implements bot.Spiller.
func (s *chat) Spill(c bot.Card, _ bool) []bot.Card { return spill(c) }
