package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"quarterdeck/bot"
	"quarterdeck/bot/app"
	"quarterdeck/bot/audit"
)

type auditCmd struct {
	Verify  verifyCmd  `cmd:"" help:"Check that nothing in the audit log was edited, removed, reordered or cut off."`
	Report  reportCmd  `cmd:"" help:"Write what an auditor needs about a period: one row per change, and what bears it out."`
	Erase   eraseCmd   `cmd:"" help:"Erase a value that should never have been recorded; the chain stays whole."`
	Archive archiveCmd `cmd:"" help:"Move old records out of the database into signed files; the chain stays whole."`
	Export  exportCmd  `cmd:"" help:"Write the audit log to standard output, one JSON object a line."`
	Tail    tailCmd    `cmd:"" help:"Follow the audit log."`
}

type verifyCmd struct {
	configured
	Against []string `help:"A further checkpoint, as posted to the audit channel, or a file of them." sep:"none"`
	Export  string   `help:"Verify this file, which audit export wrote, instead of the database; - reads standard input. It needs no configuration." placeholder:"FILE"`
	Archive string   `help:"Check the archived segments in this folder too, as the beginning of the log; with --key and without a configuration, by themselves." placeholder:"DIR" type:"path"`
	Copy    bool     `help:"Check the copy that [audit.copy] has made, by itself and against the database."`
	Key     string   `help:"With --export or for an archive by itself: the public key of the checkpoints, which lies beside the audit key as FILE.pub." placeholder:"FILE" type:"path"`
	JSON    bool     `help:"Print the report as JSON." name:"json"`
}

// verify verifies the database, or an export.
func (v verifyCmd) verify(ctx context.Context) (audit.Report, error) {
	if v.Copy {
		if v.Archive != "" || v.Key != "" || v.Export != "" {
			return audit.Report{}, bot.Errorf(bot.Invalid, "--copy stands alone, or with --against; the configuration says where the copy is")
		}
		c, err := v.load()
		if err != nil {
			return audit.Report{}, err
		}
		return app.VerifyCopy(ctx, c, tables(), app.Options{Version: version()}, v.Against)
	}
	if v.Archive != "" && v.Key != "" && v.Export == "" {
		return app.VerifyArchive(ctx, v.Archive, v.Key, v.Against)
	}
	if v.Export == "" {
		if v.Key != "" {
			return audit.Report{}, bot.Errorf(bot.Invalid, "--key goes with --export or --archive; the database is verified with the key that the configuration names")
		}
		c, err := v.load()
		if err != nil {
			return audit.Report{}, err
		}
		return app.Verify(ctx, c, tables(), v.Against, v.Archive)
	}
	if len(v.Against) > 0 && v.Key == "" {
		return audit.Report{}, bot.Errorf(bot.Invalid, "a checkpoint is checked with the public key of the log; name it with --key FILE, it lies beside the audit key and ends in .pub")
	}
	in := os.Stdin
	if v.Export != "-" {
		f, err := os.Open(v.Export)
		if err != nil {
			return audit.Report{}, &bot.Error{Op: "audit.verify", Kind: bot.Invalid, Say: fmt.Sprintf("the export %s cannot be read", v.Export), Err: err}
		}
		defer f.Close()
		in = f
	}
	return app.VerifyExport(ctx, in, v.Key, v.Against)
}

// Run verifies the log. It ends with 1 when something is wrong.
func (v verifyCmd) Run(ctx context.Context) error {
	report, err := v.verify(ctx)
	if err != nil {
		return err
	}
	if v.JSON {
		if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
			return err
		}
	} else {
		fmt.Println(report.Summary())
		for _, p := range report.Problems {
			fmt.Printf("  %s: %s\n", p.Kind, p.Say)
		}
		if report.OK && v.Export != "" && len(report.Checkpoints) == 0 {
			fmt.Println("  whoever could write the file could make all of it; hold it against a checkpoint: --against CHECKPOINT --key FILE")
		}
	}
	if !report.OK {
		return exitCode(exitFailed)
	}
	return nil
}

type exportCmd struct {
	configured
	Format string `help:"jsonl, which audit verify --export reads, or a projection: ocsf (1.6.0, API Activity), cloudevents (1.0)." enum:"jsonl,ocsf,cloudevents" default:"jsonl"`
}

// Run exports the log.
func (e exportCmd) Run(ctx context.Context) error {
	c, err := e.load()
	if err != nil {
		return err
	}
	s, err := app.OpenStore(ctx, c, tables())
	if err != nil {
		return err
	}
	defer s.Close()
	return audit.Export(ctx, s, os.Stdout, audit.Format(e.Format))
}

type tailCmd struct {
	configured
	Last int64 `help:"Begin with this many of the records that are there." default:"10"`
}

// Run follows the log until it is interrupted.
func (t tailCmd) Run(ctx context.Context) error {
	c, err := t.load()
	if err != nil {
		return err
	}
	s, err := app.OpenStore(ctx, c, tables())
	if err != nil {
		return err
	}
	defer s.Close()
	out := json.NewEncoder(os.Stdout)
	return audit.Tail(ctx, s, audit.TailOptions{Last: t.Last}, func(r bot.Record, err error) error {
		if err != nil {
			return out.Encode(struct {
				Seq   int64  `json:"seq"`
				Error string `json:"error"`
			}{r.Seq, err.Error()})
		}
		return out.Encode(tailed{r, r.Text})
	})
}

// tailed is a record with the values that are kept beside its hashed text.
type tailed struct {
	bot.Record
	Text map[string]string `json:"text,omitempty"`
}
