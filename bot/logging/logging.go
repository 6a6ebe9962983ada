// Package logging is the program's own log: which lines belong together, and
// that no secret gets into it. The audit log is another thing, see package
// audit; this one is for whoever runs the bot, and holds no more than is needed
// to find there what happened: ids, never what people typed.
package logging

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
)

type key struct{}

// With gives a context whose lines carry attrs, beside those that ctx has. An
// attribute of the same key is replaced. The standard keys are message (a
// delivery key), request, run (its number) and person.
func With(ctx context.Context, attrs ...slog.Attr) context.Context {
	all := slices.DeleteFunc(slices.Clone(of(ctx)), func(old slog.Attr) bool {
		return slices.ContainsFunc(attrs, func(a slog.Attr) bool { return a.Key == old.Key })
	})
	return context.WithValue(ctx, key{}, append(all, attrs...))
}

func of(ctx context.Context) []slog.Attr {
	attrs, _ := ctx.Value(key{}).([]slog.Attr)
	return attrs
}

// New gives a Logger that writes to what l writes to, adds the attributes of
// each line's context (see With), and has every text pass redact.
func New(l *slog.Logger, redact func(string) string) *slog.Logger {
	return slog.New(&handler{to: l.Handler(), redact: redact})
}

type handler struct {
	to      slog.Handler
	redact  func(string) string
	has     []string // keys that every line has
	grouped bool     // keys are below a group, where they cannot be mistaken
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.to.Enabled(ctx, level)
}

// Handle implements slog.Handler. What the line itself says of a key counts, and
// what the context says of it is left out.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, h.redact(r.Message), r.PC)
	has := h.has
	r.Attrs(func(a slog.Attr) bool {
		if !h.grouped {
			has = append(slices.Clip(has), a.Key)
		}
		clean.AddAttrs(h.clean(a))
		return true
	})
	for _, a := range of(ctx) {
		if !slices.Contains(has, a.Key) {
			clean.AddAttrs(h.clean(a))
		}
	}
	return h.to.Handle(ctx, clean)
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	cleaned := make([]slog.Attr, len(attrs))
	next.has = slices.Clip(h.has)
	for i, a := range attrs {
		cleaned[i] = h.clean(a)
		if !h.grouped {
			next.has = append(next.has, a.Key)
		}
	}
	next.to = h.to.WithAttrs(cleaned)
	return &next
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	next := *h
	next.to, next.grouped = h.to.WithGroup(name), h.grouped || name != ""
	return &next
}

// clean redacts what could hold a text. Numbers, times and truths hold none.
func (h *handler) clean(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		v = slog.StringValue(h.redact(v.String()))
	case slog.KindGroup:
		members := v.Group()
		cleaned := make([]slog.Attr, len(members))
		for i, m := range members {
			cleaned[i] = h.clean(m)
		}
		v = slog.GroupValue(cleaned...)
	case slog.KindAny:
		// As the text handler shows it: what a JSON handler would make of it
		// could hold fields that nobody looked at.
		v = slog.StringValue(h.redact(fmt.Sprintf("%+v", v.Any())))
	}
	return slog.Attr{Key: a.Key, Value: v}
}
