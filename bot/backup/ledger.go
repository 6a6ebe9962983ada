package backup

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/store"
)

// kind is the kind of the documents. Of every target there is "last/TARGET", and
// "passed/TARGET" once a test passed.
const (
	kind         = "restore-test"
	lastPrefix   = "last/"
	passedPrefix = "passed/"
)

// Result is how one restore test ended.
type Result struct {
	Run      int64         `json:"run"`
	Target   bot.Target    `json:"target"`
	Backup   string        `json:"backup"`
	Created  time.Time     `json:"created"` // of the backup
	At       time.Time     `json:"at"`
	Passed   bool          `json:"passed"`
	Text     string        `json:"text,omitempty"`
	Evidence string        `json:"evidence,omitempty"` // path of the JSON; the Markdown lies beside it
	Digest   string        `json:"digest,omitempty"`
	RTO      time.Duration `json:"rto,omitempty"` // measured
}

func documents(r Result) ([]bot.Document, error) {
	raw, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode result of #%d: %w", r.Run, err)
	}
	all := []bot.Document{{Kind: kind, ID: lastPrefix + r.Target.String(), Body: raw}}
	if r.Passed {
		all = append(all, bot.Document{Kind: kind, ID: passedPrefix + r.Target.String(), Body: raw})
	}
	return all, nil
}

// Ledger knows how restore tests ended, and where their evidence lies. Safe for
// concurrent use.
type Ledger struct {
	store  store.Store
	dir    string
	redact func(string) string
}

// NewLedger makes a Ledger. dir is the folder of the evidence, made on demand;
// redact hides secrets in it.
func NewLedger(s store.Store, dir string, redact func(string) string) *Ledger {
	if redact == nil {
		redact = func(text string) string { return text }
	}
	return &Ledger{s, dir, redact}
}

// Standing is how a target's restore tests stand. Last and Passed are nil where
// there is none.
type Standing struct {
	Last, Passed *Result
}

// Standing reads how a target's restore tests stand.
func (l *Ledger) Standing(ctx context.Context, t bot.Target) (s Standing, err error) {
	err = l.store.View(ctx, func(tx store.Reader) error {
		s = Standing{}
		for prefix, into := range map[string]**Result{lastPrefix: &s.Last, passedPrefix: &s.Passed} {
			d, found, err := tx.Document(kind, prefix+t.String())
			if err != nil || !found {
				if err != nil {
					return err
				}
				continue
			}
			r := new(Result)
			if err := json.Unmarshal(d.Body, r); err != nil {
				return fmt.Errorf("decode %s: %w", d.ID, err)
			}
			*into = r
		}
		return nil
	})
	return s, err
}

// Overdue says why a restore test of a target is due, "" when it is not: none
// passed within the time that its objectives give, or the last one failed.
func (s Standing) Overdue(o provider.Objectives, now time.Time) string {
	switch {
	case s.Last != nil && !s.Last.Passed:
		return fmt.Sprintf("the last restore test failed (#%d)", s.Last.Run)
	case o.Every == 0:
		return ""
	case s.Passed == nil:
		return fmt.Sprintf("no restore test has passed yet; one is wanted every %s", Age(o.Every))
	case now.Sub(s.Passed.At) > o.Every:
		return fmt.Sprintf("overdue: the last restore test passed %s ago, and one is wanted every %s", Age(now.Sub(s.Passed.At)), Age(o.Every))
	}
	return ""
}
