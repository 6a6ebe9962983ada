package run

import (
	"fmt"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Abandon ends, within tx, every run that is open in a database which was put
// back to an earlier state. What was at a provider then has gone on without us:
// it is unknown, and never taken up blindly. What waited, for people or for its
// slot, may have been answered and done since: it is to be asked for again. why
// ends the sentence that people read. It gives the numbers, newest first.
func (e *Engine) Abandon(tx store.Tx, why string) (unknown, dropped []int64, err error) {
	for {
		rows, err := tx.Runs(bot.RunFilter{Open: true, Limit: maxQueue})
		if err != nil || len(rows) == 0 {
			return unknown, dropped, err
		}
		for _, row := range rows {
			c, err := e.decode(row)
			if c == nil {
				return nil, nil, err
			}
			c.run.Number, c.run.Tokens = row.Number, nil
			r, state, rec := &c.run, bot.Cancelled, bot.Record{Kind: bot.CancelledKind}
			r.Result = "not run: " + why + "; ask again if it is still wanted"
			if r.Acted || r.State == bot.Running || r.State == bot.Cancelling {
				state, rec = bot.Unknown, bot.Record{Kind: bot.UnknownKind}
				r.Result = fmt.Sprintf("what happened cannot be known: %s; look at the provider itself for %s", why, r.Handle.Key)
				unknown = append(unknown, row.Number)
			} else {
				dropped = append(dropped, row.Number)
			}
			rec.Detail = map[string]string{"restored": "true"}
			if err := e.finish(tx, c, state, rec, nil); err != nil {
				return nil, nil, err
			}
		}
	}
}
