// Package adapters is the tables of what the bot can be configured to use: one
// line for each chat network, provider and store.
package adapters

import (
	"quarterdeck/adapters/aws"
	"quarterdeck/adapters/backup"
	"quarterdeck/adapters/discord"
	"quarterdeck/adapters/exec"
	"quarterdeck/adapters/file"
	"quarterdeck/adapters/flags"
	"quarterdeck/adapters/github"
	"quarterdeck/adapters/postgres"
	"quarterdeck/adapters/prometheus"
	"quarterdeck/adapters/slack"
	"quarterdeck/adapters/sqlite"
	"quarterdeck/adapters/terminal"
	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/store"
)

// Chats gives the chat networks.
func Chats() []bot.ChatType {
	return []bot.ChatType{
		terminal.Type(),
		file.Type(),
		slackchat.Type(),
		discordchat.Type(),
	}
}

// Providers gives the provider types.
func Providers() []provider.Type {
	return []provider.Type{
		execprovider.Type(),
		githubprovider.Type(),
		awsprovider.Type(),
		prometheusprovider.Type(),
		backupprovider.Type(),
		flagsprovider.Type(),
	}
}

// Stores gives the stores.
func Stores() []store.Type {
	return []store.Type{
		sqlite.Type(),
		postgres.Type(),
	}
}
