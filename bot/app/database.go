package app

import (
	"context"
	"errors"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/config"
	"quarterdeck/bot/store"
)

// OpenStore opens the configured database. An address that is configured by
// reference is read now, and is in no error.
func OpenStore(ctx context.Context, c *config.Config, t Tables) (store.Store, error) {
	return openStore(ctx, c, t, &bot.Secrets{})
}

// openStore is OpenStore in a process that hides secrets.
func openStore(ctx context.Context, c *config.Config, t Tables, secrets *bot.Secrets) (store.Store, error) {
	address, err := address(c.Bot.Database, secrets)
	if err != nil {
		return nil, err
	}
	scheme, dsn, _ := strings.Cut(address, ":")
	for _, s := range t.Stores {
		if s.Scheme == scheme {
			return s.Open(ctx, dsn)
		}
	}
	return nil, bot.Errorf(bot.Invalid, "no store is called %q; write database = \"sqlite:PATH\"", scheme)
}

// maxAddress bounds a database's address, in bytes.
const maxAddress = 4096

// address gives the database's address where database is a reference to it.
func address(database string, secrets *bot.Secrets) (string, error) {
	if !bot.IsSecret(database) {
		return database, nil
	}
	secret, err := secrets.Open(database, "")
	var value string
	if err == nil {
		value, err = secret.Value()
	}
	if err != nil {
		kind, name, _ := strings.Cut(database, ":")
		say := "bot.database is in the file " + name + ", which cannot be read: " + bot.Sentence(err, "database")
		if kind == "env" {
			say = "bot.database is in the environment variable " + name + ", which is empty or not set"
		}
		return "", &bot.Error{Op: "app.database", Kind: bot.Invalid, Say: say, Err: errors.Unwrap(err)}
	}
	value = strings.TrimSpace(value)
	rest, server := strings.CutPrefix(value, "postgres://")
	if !server {
		rest, server = strings.CutPrefix(value, "postgresql://")
	}
	if !server || len(value) > maxAddress {
		return "", bot.Errorf(bot.Invalid, "what %s holds is no address of a database; expected postgres://USER:PASSWORD@HOST/NAME", database)
	}
	return "postgres://" + rest, nil
}
