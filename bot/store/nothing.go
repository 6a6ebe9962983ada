package store

import (
	"context"
	"time"

	"quarterdeck/bot"
)

// Nothing is a Store in which nothing is and that takes nothing: what is made
// with it knows of no record, and works without one.
type Nothing struct{}

// Update implements Store: it refuses.
func (Nothing) Update(context.Context, func(Tx) error) error {
	return &bot.Error{Op: "store.update", Kind: bot.Unavailable, Say: "nothing can be written"}
}

// View implements Store.
func (Nothing) View(_ context.Context, f func(Reader) error) error { return f(nothing{}) }

// Close implements Store.
func (Nothing) Close() error { return nil }

type nothing struct{}

func (nothing) Head() (Head, error)                                          { return Head{}, nil }
func (nothing) Record(int64) (s Sealed, found bool, err error)               { return s, false, nil }
func (nothing) Records(bot.RecordFilter) ([]Sealed, error)                   { return nil, nil }
func (nothing) RecordsFrom(int64, int) ([]Sealed, error)                     { return nil, nil }
func (nothing) Run(int64) (r RunRow, found bool, err error)                  { return r, false, nil }
func (nothing) Runs(bot.RunFilter) ([]RunRow, error)                         { return nil, nil }
func (nothing) RunsDue(time.Time, int) ([]RunRow, error)                     { return nil, nil }
func (nothing) SlotHolder(string) (r RunRow, found bool, err error)          { return r, false, nil }
func (nothing) NextWake() (at time.Time, found bool, err error)              { return at, false, nil }
func (nothing) Document(_, _ string) (d bot.Document, found bool, e error)   { return d, false, nil }
func (nothing) Documents(_, _ string, _ int, _ bool) ([]bot.Document, error) { return nil, nil }
func (nothing) Bodies(Shelf, string, int) ([]Body, error)                    { return nil, nil }
func (nothing) Unfinished(int) ([]Inbound, error)                            { return nil, nil }
func (nothing) OutgoingDue(time.Time, string, []bot.ChannelID, int) ([]Outgoing, error) {
	return nil, nil
}
func (nothing) NextOutgoing() (at time.Time, found bool, err error) { return at, false, nil }
