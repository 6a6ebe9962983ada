package providertest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// Readings is a source of metrics in memory, for tests of what reads one. Its
// queries are functions by Expr. Safe for concurrent use.
type Readings struct {
	// Hostile makes it as unwelcome as a source may be: it takes larger steps than
	// it is asked for, warns, and hangs or fails when told to.
	Hostile bool

	mu      sync.Mutex
	lines   map[string]map[string]func(at time.Time) (value float64, found bool)
	trouble map[string]Trouble // by Expr; "" for all
}

// Line makes the Expr give a line; found is false where it has no value. Several
// lines of one Expr are told apart by their labels.
func (r *Readings) Line(expr, label string, value func(at time.Time) (value float64, found bool)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lines == nil {
		r.lines = map[string]map[string]func(time.Time) (float64, bool){}
	}
	if r.lines[expr] == nil {
		r.lines[expr] = map[string]func(time.Time) (float64, bool){}
	}
	if value != nil {
		r.lines[expr][label] = value
	}
}

// Bring brings the answers to an Expr, or with "" to all, into trouble: Down,
// Hanging, Denying, or "" for none.
func (r *Readings) Bring(expr string, trouble Trouble) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.trouble == nil {
		r.trouble = map[string]Trouble{}
	}
	r.trouble[expr] = trouble
}

func (r *Readings) ask(ctx context.Context, q provider.Query) (map[string]func(time.Time) (float64, bool), error) {
	r.mu.Lock()
	trouble := r.trouble[q.Expr]
	if trouble == "" {
		trouble = r.trouble[""]
	}
	lines, known := r.lines[q.Expr]
	r.mu.Unlock()
	switch trouble {
	case Hanging:
		<-ctx.Done()
	case Down:
		return nil, bot.Errorf(bot.Unavailable, "readings cannot be reached")
	case Denying:
		return nil, bot.Errorf(bot.Denied, "readings does not accept us")
	}
	if ctx.Err() != nil {
		return nil, bot.Errorf(bot.Timeout, "readings gives no answer in time")
	}
	if !known {
		return nil, bot.Errorf(bot.Invalid, "readings refuses the query %q: there is no %s", q.Name, q.Expr)
	}
	return lines, nil
}

// Range implements provider.MetricSource.
func (r *Readings) Range(ctx context.Context, q provider.Query, over provider.Span) (provider.Measured, error) {
	if over.Step <= 0 || over.To.Before(over.From) {
		return provider.Measured{}, bot.Errorf(bot.Invalid, "a range needs a step, and an end that is not before its beginning")
	}
	lines, err := r.ask(ctx, q)
	if err != nil {
		return provider.Measured{}, err
	}
	return r.walk(lines, over), nil
}

func (r *Readings) walk(lines map[string]func(time.Time) (float64, bool), over provider.Span) provider.Measured {
	m := provider.Measured{Step: over.Step}
	if least := over.To.Sub(over.From) / 10_000; m.Step < least {
		m.Step = provider.NiceStep(least)
		m.Warnings = append(m.Warnings, "the points are farther apart than was asked for")
	}
	if r.Hostile {
		m.Step *= 3
		m.Warnings = append(m.Warnings, "a part of what there is could not be read, and the points are farther apart than was asked for")
	}
	for _, label := range slices.Sorted(maps.Keys(lines)) {
		s := provider.Series{Label: label}
		for at := over.From; !at.After(over.To); at = at.Add(m.Step) {
			if v, found := lines[label](at); found {
				s.Points = append(s.Points, provider.Point{At: at, Value: v})
			}
		}
		if len(s.Points) > 0 {
			m.Series = append(m.Series, s)
		}
	}
	if len(m.Series) == 1 {
		m.Series[0].Label = ""
	}
	return m
}

// Instant implements provider.MetricSource.
func (r *Readings) Instant(ctx context.Context, q provider.Query, at time.Time) (provider.Measured, error) {
	lines, err := r.ask(ctx, q)
	if err != nil {
		return provider.Measured{}, err
	}
	m := r.walk(lines, provider.Span{From: at, To: at, Step: time.Second})
	m.Step = 0
	return m, nil
}
