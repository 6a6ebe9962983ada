package audit

import (
	"context"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// TailOptions says where Tail begins and how often it looks.
type TailOptions struct {
	// Last is how many of the records that are there already are given first.
	Last int64
	// Every is how often it looks for new ones; default 500 milliseconds.
	Every time.Duration
	// Wake, when set, makes it look at once.
	Wake <-chan struct{}
}

// Tail calls f with each record as it is written, in order, until ctx ends,
// when it gives nil, or f gives an error, which it gives back. A record that no
// longer decodes is given with its sequence and an Error of kind Internal.
func Tail(ctx context.Context, s store.Store, o TailOptions, f func(r bot.Record, err error) error) error {
	if o.Every <= 0 {
		o.Every = 500 * time.Millisecond
	}
	head, err := headOf(ctx, s)
	if err != nil {
		return tailEnd(ctx, err)
	}
	next := max(head.Seq-o.Last+1, 1)
	ticker := time.NewTicker(o.Every)
	defer ticker.Stop()
	for {
		err := each(ctx, s, next, func(sealed store.Sealed) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			next = sealed.Seq + 1
			r, err := Decode(sealed)
			if err != nil {
				r = bot.Record{Seq: sealed.Seq, At: sealed.At, Kind: sealed.Kind}
			}
			return f(r, err)
		})
		if err != nil {
			return tailEnd(ctx, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-o.Wake:
		case <-ticker.C:
		}
	}
}

// tailEnd gives nil for the errors that the end of ctx brings about.
func tailEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
