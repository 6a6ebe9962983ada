// Package memo remembers, for a while, what somebody elsewhere was asked: a chat
// network about a person, a group or a channel.
package memo

import (
	"context"
	"errors"
	"sync"
	"time"

	"quarterdeck/bot"
)

const (
	// Afresh is how old an answer may be that somebody's acting depends on: what
	// was said before does not count, also where it was a moment ago.
	Afresh = time.Duration(0)
	// SorryFor is how long a question is not asked again that will not be answered
	// differently soon.
	SorryFor = time.Minute
)

// Table keeps answers by what they are about. However many ask the same at once,
// it is asked once. Safe for concurrent use.
type Table[T any] struct {
	clock  bot.Clock
	most   int
	within time.Duration

	mu sync.Mutex
	by map[string]*asked[T]
}

// New makes a table of at most so many answers, which forgets them all when there
// are more; one question is given up after within.
func New[T any](clock bot.Clock, most int, within time.Duration) *Table[T] {
	return &Table[T]{clock: clock, most: most, within: within, by: map[string]*asked[T]{}}
}

// Get gives the answer about key if it is younger than life, and puts the question
// otherwise; whoever comes meanwhile shares what comes of it. The question is
// bounded by itself, so that one who gives up does not take it from the others. Its
// error is that of ask or of ctx; one that waiting does not mend is given again for
// SorryFor.
func (t *Table[T]) Get(ctx context.Context, key string, life time.Duration, ask func(ctx context.Context) (T, error)) (T, error) {
	return t.entry(key).get(ctx, t.clock, life, t.within, ask)
}

// Had gives the answer about key that came last, whatever became of later
// questions, if it is younger than within.
func (t *Table[T]) Had(key string, within time.Duration) (T, bool) {
	a := t.entry(key)
	a.mu.Lock()
	defer a.mu.Unlock()
	age := t.clock.Now().Sub(a.at)
	return a.value, !a.at.IsZero() && age >= 0 && age < within
}

// Learn keeps what was told about key without being asked.
func (t *Table[T]) Learn(key string, value T) {
	a := t.entry(key)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.value, a.at, a.until = value, t.clock.Now(), time.Time{}
}

// Forget has key asked about anew.
func (t *Table[T]) Forget(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.by, key)
}

// ForgetAll has everything asked about anew.
func (t *Table[T]) ForgetAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.by)
}

func (t *Table[T]) entry(key string) *asked[T] {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.by[key]
	if a == nil {
		if len(t.by) >= t.most {
			clear(t.by)
		}
		a = &asked[T]{}
		t.by[key] = a
	}
	return a
}

// asked is what was said to one question.
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

func (a *asked[T]) get(ctx context.Context, clock bot.Clock, life, within time.Duration, ask func(ctx context.Context) (T, error)) (T, error) {
	now := clock.Now()
	a.mu.Lock()
	if age := now.Sub(a.at); !a.at.IsZero() && age >= 0 && age < life {
		defer a.mu.Unlock()
		return a.value, nil
	}
	if now.Before(a.until) && a.until.Sub(now) <= SorryFor {
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
	f := &flight[T]{done: make(chan struct{}), err: bot.Errorf(bot.Internal, "the question panicked")}
	a.flight = f
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.flight = nil
		if f.err == nil && now.Before(a.at) {
			// it was told meanwhile
		} else if f.err == nil {
			a.value, a.at, a.until = f.value, now, time.Time{}
		} else {
			a.err, a.until = f.err, now.Add(restAfter(f.err))
		}
		close(f.done)
	}()
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	f.value, f.err = ask(call)
	return f.value, f.err
}

// restAfter gives how long a failed question is not put again: as long as the
// other side asks, a while for what only a change of the set-up mends, and not at
// all for an outage, which may be over.
func restAfter(err error) time.Duration {
	var e *bot.Error
	if !errors.As(err, &e) {
		return 0
	}
	switch {
	case e.RetryAfter > 0:
		return min(e.RetryAfter, SorryFor)
	case e.Kind == bot.Invalid || e.Kind == bot.Denied || e.Kind == bot.NotFound:
		return SorryFor
	}
	return 0
}
