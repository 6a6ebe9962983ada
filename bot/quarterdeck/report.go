package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/app"
)

type reportCmd struct {
	configured
	From    string   `help:"First day of the period, such as 2026-10-01, or a month." required:""`
	To      string   `help:"Last day of the period, such as 2026-10-31, or a month." required:""`
	Target  string   `help:"Only these targets: shop/prod, */prod." placeholder:"PATTERN"`
	Format  string   `help:"csv or html; as the name after --out ends, else html." enum:",csv,html" default:""`
	Out     string   `help:"Write to this file; - is standard output." default:"-" placeholder:"FILE"`
	Against []string `help:"A further checkpoint, as posted to the audit channel, or a file of them." sep:"none"`
	Archive string   `help:"Folder of archived segments, when the period reaches back into them; default the configured one." placeholder:"DIR" type:"path"`
}

// Run writes the report. It ends with 1 when the log is not intact, which the
// report itself says too.
func (r reportCmd) Run(ctx context.Context) error {
	c, err := r.load()
	if err != nil {
		return err
	}
	scope, err := app.Period(r.From, r.To, c.Bot.Location)
	if err != nil {
		return err
	}
	scope.Target = r.Target
	out, done, err := output(r.Out)
	if err != nil {
		return err
	}
	report, err := app.Report(ctx, c, tables(), out, app.ReportOptions{Scope: scope, Format: r.format(), Made: bot.SystemClock{}.Now(), Against: r.Against, Archive: r.Archive})
	if err = done(err); err != nil {
		return err
	}
	if !report.OK {
		fmt.Fprintln(os.Stderr, report.Summary())
		return exitCode(exitFailed)
	}
	if r.Out != "-" {
		fmt.Printf("%s is written; %s\n", r.Out, report.Summary())
	}
	return nil
}

// format gives the one that was asked for, or else that of the file's name.
func (r reportCmd) format() string {
	switch {
	case r.Format != "":
		return r.Format
	case strings.EqualFold(filepath.Ext(r.Out), ".csv"):
		return "csv"
	}
	return "html"
}

// output opens what is written to. A file gets its name only once all of it is
// there: done is given how the writing ended, and gives that or what went wrong
// with the file.
func output(path string) (w io.Writer, done func(error) error, err error) {
	if path == "-" {
		return os.Stdout, func(err error) error { return err }, nil
	}
	fault := func(err error) error {
		return &bot.Error{Op: "report.write", Kind: bot.Invalid, Say: fmt.Sprintf("%s cannot be written", path), Err: err}
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".quarterdeck-*")
	if err != nil {
		return nil, nil, fault(err)
	}
	out := bufio.NewWriter(f)
	return out, func(err error) error {
		defer os.Remove(f.Name()) // gone when all went well
		if err == nil {
			err = out.Flush()
		}
		if closing := f.Close(); err == nil {
			err = closing
		}
		if err == nil {
			err = os.Rename(f.Name(), path)
			if err != nil {
				return fault(err)
			}
		}
		return err
	}, nil
}
