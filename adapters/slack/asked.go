package slackchat

import (
	"context"
	"errors"
	"sync"
	"time"

	"quarterdeck/bot"
)

const (
	// afresh is how old an answer may be that somebody's acting depends on: what
	// was said before does not count, also where it was a moment ago.
	afresh = time.Duration(0)
	// sorryFor is how long a question is not asked again that Slack will not
	// answer differently soon.
	sorryFor = time.Minute
)

// asked is what Slack said to one question, kept for a while. However many ask
// at once, Slack is asked once.
type asked[T any] struct {
	mu     sync.Mutex
	value  T
	at     time.Time // when the question was put; zero for never
	flight *flight[T]
	until  time.Time // when it may be put again
	err    error     // why not before
}

// flight is a question on its way.
type flight[T any] struct {
	done  chan struct{} // closed once value and err are there
	value T
	err   error
}

// get gives the answer if it is younger than life, and puts the question
// otherwise; whoever comes meanwhile shares what comes of it. The question is
// bounded by itself, so that one who gives up does not take it from the others.
// Its error is an *bot.Error or that of ctx.
func (a *asked[T]) get(ctx context.Context, clock bot.Clock, life time.Duration, ask func(ctx context.Context) (T, error)) (T, error) {
	now := clock.Now()
	a.mu.Lock()
	if age := now.Sub(a.at); !a.at.IsZero() && age >= 0 && age < life {
		defer a.mu.Unlock()
		return a.value, nil
	}
	if now.Before(a.until) && a.until.Sub(now) <= sorryFor {
		defer a.mu.Unlock()
		var none T
		return none, a.err
	}
	if f := a.flight; f != nil {
		a.mu.Unlock()
		select {
		case <-f.done:
			return f.value, f.err
		case <-ctx.Done():
			var none T
			return none, ctx.Err()
		}
	}
	f := &flight[T]{done: make(chan struct{}), err: bot.Errorf(bot.Internal, "the question to Slack panicked")}
	a.flight = f
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.flight = nil
		if f.err == nil {
			a.value, a.at, a.until = f.value, now, time.Time{}
		} else {
			a.err, a.until = f.err, now.Add(restAfter(f.err))
		}
		close(f.done)
	}()
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookUp)
	defer cancel()
	f.value, f.err = ask(call)
	return f.value, f.err
}

// restAfter gives how long a failed question is not put again: as long as Slack
// asks, a while for what only a change of the set-up mends, and not at all for
// an outage, which may be over.
func restAfter(err error) time.Duration {
	var e *bot.Error
	if !errors.As(err, &e) {
		return 0
	}
	switch {
	case e.RetryAfter > 0:
		return min(e.RetryAfter, sorryFor)
	case e.Kind == bot.Invalid || e.Kind == bot.Denied || e.Kind == bot.NotFound:
		return sorryFor
	}
	return 0
}

// had gives the answer that came last, whatever became of later questions, if it
// is younger than within.
func (a *asked[T]) had(clock bot.Clock, within time.Duration) (T, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	age := clock.Now().Sub(a.at)
	return a.value, !a.at.IsZero() && age >= 0 && age < within
}
