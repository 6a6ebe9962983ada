package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// Evidence is what an auditor is shown of one restore test, as JSON and as
// Markdown. Fields are only ever added.
type Evidence struct {
	Version    int                 `json:"version"`
	Operation  string              `json:"operation"` // the key of the run, as in the log
	Target     bot.Target          `json:"target"`
	By         string              `json:"by"`
	Reason     string              `json:"reason,omitempty"`
	Backup     provider.Backup     `json:"backup"`
	Source     string              `json:"source,omitempty"` // digest of what was fetched
	Tools      []string            `json:"tools,omitempty"`
	Scratch    string              `json:"scratch,omitempty"`
	Attempts   int                 `json:"attempts,omitempty"`
	Began      time.Time           `json:"began"`
	Ended      time.Time           `json:"ended"`
	Objectives provider.Objectives `json:"objectives"` // in nanoseconds
	// MeasuredRPO is how old the newest data was, MeasuredRTO how long it took until
	// it could be asked, both in nanoseconds; 0 where that was not measured.
	MeasuredRPO time.Duration   `json:"measured_rpo,omitempty"`
	MeasuredRTO time.Duration   `json:"measured_rto,omitempty"`
	Outcome     string          `json:"outcome"` // passed, failed, cancelled
	Rungs       []provider.Rung `json:"rungs"`
}

func evidenceOf(s state, now time.Time) Evidence {
	e := Evidence{Version: 1, Operation: s.Task.Key, Target: s.Test.Target, By: s.Task.Actor, Reason: s.Task.Reason, Backup: s.Test.Backup,
		Source: s.Findings.Source, Tools: s.Findings.Tools, Scratch: s.Findings.Scratch, Attempts: s.Findings.Attempts,
		Began: s.Begun, Ended: now, Objectives: s.Test.Objectives, MeasuredRTO: s.Findings.Ready, Outcome: "passed", Rungs: s.Rungs}
	if !s.Findings.Newest.IsZero() {
		e.MeasuredRPO = max(s.Findings.Began.Sub(s.Findings.Newest), 0)
	}
	switch {
	case fault(s.Rungs) != nil:
		e.Outcome = "failed"
	case s.Cancelled:
		e.Outcome = "cancelled"
	}
	return e
}

// Markdown gives the evidence as a page for people.
func (e Evidence) Markdown(digest string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Restore test of %s: %s\n", e.Target, e.Outcome)
	line("| | |\n|---|---|")
	row := func(name, value string) {
		if value != "" {
			line("| %s | %s |", name, cell(value))
		}
	}
	row("backup", fmt.Sprintf("%s, made %s", e.Backup.ID, e.Backup.Created.UTC().Format(time.RFC3339)))
	row("fetched", e.Source)
	row("asked for by", e.By)
	row("why", e.Reason)
	row("began", e.Began.UTC().Format(time.RFC3339))
	row("ended", e.Ended.UTC().Format(time.RFC3339))
	row("restored into", e.Scratch)
	row("with", strings.Join(e.Tools, "; "))
	row("measured RPO", measured(e.MeasuredRPO, e.Objectives.RPO))
	row("measured RTO", measured(e.MeasuredRTO, e.Objectives.RTO))
	row("operation", e.Operation)
	row("digest", digest+" of the JSON beside this page")
	line("\n| rung | result | what was seen |\n|---|---|---|")
	for _, r := range e.Rungs {
		line("| %s | %s | %s |", r.Name, r.State, cell(r.Text))
	}
	for _, r := range e.Rungs {
		if len(r.Checks) == 0 {
			continue
		}
		line("\n## %s\n", r.Name)
		for _, c := range r.Checks {
			line("- %s", cell(c))
		}
	}
	return b.String()
}

func measured(got, want time.Duration) string {
	switch {
	case got == 0:
		return ""
	case want == 0:
		return took(got) + "; nothing is wanted"
	}
	return fmt.Sprintf("%s; wanted %s", took(got), bot.Span(want))
}

// cell keeps what came from elsewhere inside of its cell.
func cell(s string) string {
	s = strings.NewReplacer("\\", "\\\\", "|", "\\|", "`", "\\`", "<", "&lt;", ">", "&gt;", "[", "\\[", "\n", " ", "\r", " ").Replace(s)
	return strings.TrimSpace(s)
}

// write writes the evidence as JSON and as Markdown, durably, and gives the path
// of the JSON and its digest. Writing it again replaces it.
func (l *Ledger) write(e Evidence) (path, digest string, err error) {
	if l.dir == "" {
		return "", "", errNoFolder
	}
	raw, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return "", "", err
	}
	raw = append(raw, '\n')
	raw = []byte(l.redact(string(raw)))
	sum := sha256.Sum256(raw)
	digest = "sha256:" + hex.EncodeToString(sum[:])
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return "", "", err
	}
	// Targets and keys are made of letters, digits, dots, dashes and underscores, but
	// the name must be one of this folder whatever they hold.
	name := strings.Map(func(r rune) rune {
		if r == '/' || r == filepath.Separator || r < ' ' {
			return '-'
		}
		return r
	}, fmt.Sprintf("%s-%s-%s", e.Target.Service, e.Target.Environment, e.Operation))
	path = filepath.Join(l.dir, name+".json")
	if err := replace(path, raw); err != nil {
		return "", "", err
	}
	return path, digest, replace(filepath.Join(l.dir, name+".md"), []byte(l.redact(e.Markdown(digest))))
}

// replace writes a file whole or not at all, so that it survives a power failure.
func replace(path string, raw []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
