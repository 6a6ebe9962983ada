package main

import (
	"context"
	"fmt"
	"time"

	"quarterdeck/bot/app"
	"quarterdeck/bot/audit"
)

type dbCmd struct {
	Backup  backupCmd  `cmd:"" help:"Copy the bot's database to a file, also while the bot serves."`
	Restore restoreCmd `cmd:"" help:"Put a backup in the place of the bot's database, while the bot does not serve."`
}

type backupCmd struct {
	configured
	Out string `arg:"" help:"The file to make; what is there is not written over." type:"path"`
}

// Run makes a backup.
func (b backupCmd) Run(ctx context.Context) error {
	c, err := b.load()
	if err != nil {
		return err
	}
	made, err := app.Backup(ctx, c, tables(), app.Options{Version: version()}, b.Out)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d bytes, the log up to record %d, schema %d; described in %s\n", b.Out, made.Size, made.Seq, made.Schema, audit.ManifestOf(b.Out))
	fmt.Printf("the audit key is not in it; keep %s apart from it, and off this machine: without the key, no backup can be put back\n", c.Audit.Key)
	return nil
}

type restoreCmd struct {
	configured
	File string `arg:"" help:"A file that db backup made, with its description beside it." type:"path"`
}

// Run puts a backup back.
func (r restoreCmd) Run(ctx context.Context) error {
	c, err := r.load()
	if err != nil {
		return err
	}
	done, err := app.Restore(ctx, c, tables(), app.Options{Version: version()}, r.File)
	if done.Kept != "" {
		fmt.Println("the replaced database is kept as", done.Kept)
	}
	if err != nil {
		return err
	}
	fmt.Printf("restored the log up to record %d, as of %s\n", done.Backup.Seq, done.Backup.At.In(c.Bot.Location).Format(time.RFC3339))
	fmt.Println("at its start the bot says what it cannot know; then compare what is live with its record: quarterdeck run -- status")
	return nil
}
