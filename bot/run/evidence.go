package run

import (
	"encoding/json"
	"fmt"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// maxEvidence bounds how many records of one run are looked through. A run has
// no more than a few before it starts.
const maxEvidence = 1000

// evidence checks within tx, before the intent is committed, that the log
// tells of everything the run rests on: that it was asked for by whom it says,
// that what it will do was planned and shown, that each yes was given, and
// that it did not start already. The log is what is verified; a run that says
// more than its records was changed behind the bot's back. Of a sequel the same
// is asked about the run that it follows.
func (e *Engine) evidence(tx store.Tx, c *current) error {
	r := &c.run
	records, err := recordsOf(tx, r)
	if err != nil {
		return err
	}
	for _, rec := range records {
		if rec.Kind == bot.Started {
			return forged(r, "it started already, as record %d says", rec.Seq)
		}
	}
	if err := e.agreed(r, records, c.planned); err != nil || r.Parent == 0 {
		return err
	}
	return e.descent(tx, c, records)
}

func forged(r *bot.Run, format string, args ...any) error {
	return &bot.Error{Op: "run.evidence", Kind: bot.Conflict, Err: store.ErrForged,
		Say: fmt.Sprintf("not run: #%d does not match the log: ", r.Number) + fmt.Sprintf(format, args...)}
}

// recordsOf gives what the log holds about a run.
func recordsOf(tx store.Tx, r *bot.Run) ([]bot.Record, error) {
	rows, err := tx.Records(bot.RecordFilter{Run: r.Number, Limit: maxEvidence})
	if err != nil {
		return nil, err
	}
	records := make([]bot.Record, len(rows))
	for i, row := range rows {
		if err := json.Unmarshal(row.Body, &records[i]); err != nil {
			return nil, forged(r, "record %d cannot be read", row.Seq)
		}
	}
	return records, nil
}

// agreed checks that a run's records tell of what it rests on; planned says
// that its plan was made just now.
func (e *Engine) agreed(r *bot.Run, records []bot.Record, planned bool) error {
	if r.Plan.Spec.Digest() != r.Digest {
		return forged(r, "what it would do is not what was planned")
	}
	asked, confirmed, broke := false, false, false
	type yes struct {
		account        bot.AccountID
		person, digest string
	}
	approved := map[yes]bool{}
	for _, rec := range records {
		mine := rec.Account == r.Call.Who.Account && rec.Person == r.Call.Who.Person
		switch rec.Kind {
		case bot.Requested:
			asked = asked || mine && rec.Verb == r.Call.Command
			broke = broke || mine && rec.Detail[detailBroke] != ""
			planned = planned || rec.Spec == r.Digest
		case bot.Step:
			planned = planned || rec.Spec == r.Digest
		case bot.Started:
			planned = planned || rec.Spec == r.Digest // planned anew in its slot
		case bot.ConfirmedKind:
			confirmed = confirmed || rec.Person == r.Call.Who.Person && rec.Spec == r.Digest
		case bot.Approved:
			approved[yes{rec.Account, rec.Person, rec.Spec}] = true
		}
	}
	switch {
	case !asked:
		return forged(r, "no record says that %s asked for it", r.Call.Who.Name())
	case !planned:
		return forged(r, "no record says that this was planned")
	case r.Call.BreakGlass != "" && !broke:
		return forged(r, "no record says that %s asked to break glass", r.Call.Who.Name())
	case !r.Confirmed.IsZero() && !confirmed:
		return forged(r, "no record says that it was confirmed")
	}
	for _, a := range r.Approvals {
		if a.Digest == r.Digest && !approved[yes{a.Account, a.Person, a.Digest}] {
			return forged(r, "no record says that %s approved it", a.Person)
		}
	}
	return nil
}
