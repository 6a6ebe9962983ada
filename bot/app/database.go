package app

import (
	"context"
	"io"
	"os"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/config"
	"quarterdeck/bot/store"
)

// OpenStore opens the configured database. An address that is configured by
// reference is read now, and is in no error.
func OpenStore(ctx context.Context, c *config.Config, t Tables) (store.Store, error) {
	address, err := address(c.Bot.Database)
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
func address(database string) (string, error) {
	kind, name, _ := strings.Cut(database, ":")
	var value string
	switch kind {
	case "env":
		value = os.Getenv(name)
		if value == "" {
			return "", bot.Errorf(bot.Invalid, "bot.database is in the environment variable %s, which is empty or not set", name)
		}
	case "file":
		f, err := os.Open(name)
		if err != nil {
			return "", &bot.Error{Op: "app.database", Kind: bot.Invalid, Say: "bot.database is in the file " + name + ", which cannot be read", Err: err}
		}
		defer f.Close()
		raw, err := io.ReadAll(io.LimitReader(f, maxAddress+1))
		if err != nil {
			return "", &bot.Error{Op: "app.database", Kind: bot.Invalid, Say: "bot.database is in the file " + name + ", which cannot be read", Err: err}
		}
		value = string(raw)
	default:
		return database, nil
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
