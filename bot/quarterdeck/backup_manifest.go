package main

import (
	"context"
	"fmt"

	"quarterdeck/bot"
	"quarterdeck/bot/app"
	"quarterdeck/bot/provider"
)

type backupManifestCmd struct {
	configured
	Target string `arg:"" help:"Whose backup it is, such as shop/prod."`
	ID     string `arg:"" optional:"" help:"The name of the backup; the newest without it."`
}

// Run writes sizes, checksums and row counts of a backup beside it. It is what a
// backup job calls last.
func (b backupManifestCmd) Run(ctx context.Context) error {
	t, ok := bot.ParseTarget(b.Target)
	if !ok {
		return bot.Errorf(bot.Invalid, "%q is not a target; write SERVICE/ENVIRONMENT", b.Target)
	}
	a, err := b.app(app.Options{})
	if err != nil {
		return err
	}
	tester, err := a.Catalog.RestoreTester(t)
	if err != nil {
		return err
	}
	describer, ok := tester.(provider.Describer)
	if !ok {
		return bot.Errorf(bot.Invalid, "the backups of %s are described by whoever makes them, so nothing is written", t)
	}
	id := b.ID
	if id == "" {
		all, err := tester.Backups(ctx, 1)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			return bot.Errorf(bot.NotFound, "there are no backups of %s where they should be", t)
		}
		id = all[0].ID
	}
	path, err := describer.Describe(ctx, id)
	if err != nil {
		return err
	}
	fmt.Println(path)
	return nil
}
