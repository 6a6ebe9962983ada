package main

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/app"
	"quarterdeck/bot/audit"
)

type eraseCmd struct {
	configured
	Seq      int64  `arg:"" optional:"" help:"The record's sequence."`
	Field    string `arg:"" optional:"" help:"The value's name: line, reason, result, progress, ..."`
	Matching string `help:"Instead: every value that this regular expression matches." placeholder:"REGEXP"`
	Reason   string `help:"Why; it is recorded, so do not repeat the value." placeholder:"TEXT"`
	Here     bool   `help:"Only the value itself, not what repeats it elsewhere."`
	DryRun   bool   `help:"List the places and change nothing."`
}

// Run erases a value for good. It says what it cannot reach.
func (e eraseCmd) Run(ctx context.Context) error {
	what := audit.Erasure{Seq: e.Seq, Field: e.Field, Here: e.Here, Reason: e.Reason, DryRun: e.DryRun}
	switch {
	case e.Matching != "" && (e.Seq != 0 || e.Here):
		return bot.Errorf(bot.Invalid, "--matching looks everywhere; leave out the record and --here")
	case e.Matching == "" && (e.Seq < 1 || e.Field == ""):
		return bot.Errorf(bot.Invalid, "say which value: quarterdeck audit erase 12 line --reason \"...\", or --matching REGEXP --dry-run to look for it")
	case e.Reason == "" && !e.DryRun:
		return bot.Errorf(bot.Invalid, "say why with --reason \"...\"; it is recorded")
	}
	if e.Matching != "" {
		re, err := regexp.Compile(e.Matching)
		if err != nil {
			return &bot.Error{Op: "audit.erase", Kind: bot.Invalid, Say: "--matching is not a regular expression", Err: err}
		}
		what.Matching = re
	}
	c, err := e.load()
	if err != nil {
		return err
	}
	done, err := app.Erase(ctx, c, tables(), app.Options{}, what)
	said := "erased"
	if e.DryRun {
		said = "would erase"
	}
	for _, s := range done.Values {
		fmt.Println(said, s)
	}
	for _, s := range done.Places {
		fmt.Println(said, "what repeats it:", s)
	}
	for _, s := range done.ByHand {
		fmt.Println("by hand:", s)
	}
	if err == nil && done.Purged {
		fmt.Println("the database was written anew without it; the chain is whole: quarterdeck audit verify")
	}
	return err
}

type archiveCmd struct {
	configured
	Before string `help:"Move records of before this day, such as 2026-01-01, or this month." required:""`
	Out    string `help:"The archive's folder; default the configured one." placeholder:"DIR" type:"path"`
	Shrink bool   `help:"Write the database anew afterwards, so that its file shrinks; writers wait for as long as that takes."`
}

// Run moves old records into the archive.
func (a archiveCmd) Run(ctx context.Context) error {
	c, err := a.load()
	if err != nil {
		return err
	}
	before, err := app.Day(a.Before, c.Bot.Location)
	if err != nil {
		return err
	}
	dir := a.Out
	if dir == "" {
		dir = c.Audit.Archive
	}
	if dir == "" {
		return bot.Errorf(bot.Invalid, "say where to with --out DIR, or configure [audit] archive = \"DIR\"")
	}
	moved, err := app.Archive(ctx, c, tables(), app.Options{}, dir, audit.ArchiveOptions{Before: before, Purge: a.Shrink})
	for _, f := range moved.Files {
		fmt.Println(f)
	}
	if err != nil {
		return err
	}
	switch {
	case moved.Records > 0:
		fmt.Printf("moved %s, up to %d; check both with: quarterdeck audit verify --archive %s\n", count(int(moved.Records), "record", "records"), moved.Through, dir)
	default:
		fmt.Printf("no record is from before %s, so nothing was moved\n", before.Format(time.DateOnly))
	}
	if moved.Kept > 0 {
		fmt.Printf("record %d and what follows it stay: %s\n", moved.Kept, moved.KeptSays)
	}
	return nil
}
