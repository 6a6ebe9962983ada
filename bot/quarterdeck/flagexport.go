package main

import (
	"context"
	"os"
	"slices"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/app"
	"quarterdeck/bot/flag"
	"quarterdeck/bot/nearest"
)

type flagExportCmd struct {
	configured
	Environment string `arg:"" help:"Whose flags."`
}

// Run prints the flags of an environment as flagd's own file. It reads the database
// and needs no running bot: so services can go on should it be away for long.
func (f flagExportCmd) Run(ctx context.Context) error {
	c, err := f.load()
	if err != nil {
		return err
	}
	if !slices.Contains(c.Environments, f.Environment) {
		err := bot.Errorf(bot.Invalid, "there is no environment %q; there are %s", f.Environment, strings.Join(c.Environments, ", "))
		if near := nearest.Of(f.Environment, c.Environments); near != "" {
			err = bot.Errorf(bot.Invalid, "there is no environment %q; did you mean %q?", f.Environment, near)
		}
		return err
	}
	s, err := app.OpenStore(ctx, c, tables())
	if err != nil {
		return err
	}
	defer s.Close()
	set := &flag.Set{Store: s, Clock: bot.SystemClock{}}
	if err := set.Load(ctx); err != nil {
		return err
	}
	now, _ := set.Now()
	out, err := flag.Flagd(now.In(f.Environment))
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(out, '\n'))
	return err
}
