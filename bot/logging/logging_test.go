package logging_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot/audit"
	"quarterdeck/bot/logging"
)

// secretive is a value that says what it is in several ways.
type secretive struct{ Token string }

func (s secretive) LogValue() slog.Value {
	return slog.GroupValue(slog.String("inner", "password="+s.Token))
}

type plain struct{ Token string }

// Whatever way a secret takes into a line, it does not come out.
func TestNoSecretPasses(t *testing.T) {
	redact := audit.New(audit.Config{}).Redact
	for name, log := range map[string]func(l *slog.Logger){
		"message":     func(l *slog.Logger) { l.Info("password=hunter2xyz was typed") },
		"text":        func(l *slog.Logger) { l.Info("x", "line", "password=hunter2xyz") },
		"error":       func(l *slog.Logger) { l.Info("x", "err", fmt.Errorf("call: %w", errors.New("password=hunter2xyz"))) },
		"with":        func(l *slog.Logger) { l.With("line", "password=hunter2xyz").Info("x") },
		"group":       func(l *slog.Logger) { l.Info("x", slog.Group("g", slog.String("a", "password=hunter2xyz"))) },
		"in a group":  func(l *slog.Logger) { l.WithGroup("g").Info("x", "a", "password=hunter2xyz") },
		"log value":   func(l *slog.Logger) { l.Info("x", "v", secretive{"hunter2xyz"}) },
		"a structure": func(l *slog.Logger) { l.Info("x", "v", map[string]string{"password": "hunter2xyz"}) },
		"bytes":       func(l *slog.Logger) { l.Info("x", "v", &plain{Token: "hunter2xyz"}) },
		"context": func(l *slog.Logger) {
			l.InfoContext(logging.With(context.Background(), slog.String("line", "password=hunter2xyz")), "x")
		},
	} {
		t.Run(name, func(t *testing.T) {
			for kind, h := range handlers() {
				log(logging.New(slog.New(h.handler), redact))
				if out := h.out.String(); strings.Contains(out, "hunter2xyz") || !strings.Contains(out, "redacted") && out != "" {
					t.Errorf("%s: %s", kind, out)
				}
			}
		})
	}
}

type written struct {
	out     *bytes.Buffer
	handler slog.Handler
}

func handlers() map[string]written {
	a, b := &bytes.Buffer{}, &bytes.Buffer{}
	return map[string]written{"text": {a, slog.NewTextHandler(a, nil)}, "json": {b, slog.NewJSONHandler(b, nil)}}
}

// A line carries what its context says, once, and the line's own word counts.
func TestContext(t *testing.T) {
	var out bytes.Buffer
	l := logging.New(slog.New(slog.NewJSONHandler(&out, nil)), func(s string) string { return s })
	ctx := logging.With(t.Context(), slog.String("message", "terminal:1:2"), slog.Int64("run", 7))
	inner := logging.With(ctx, slog.String("person", "dev"), slog.Int64("run", 8))
	l.InfoContext(ctx, "outer")
	l.With("part", "engine").WarnContext(inner, "inner", "took", 3*time.Second)
	l.With("run", 1).InfoContext(inner, "own", "person", "sre")
	l.Info("no context")
	var got []map[string]any
	for line := range strings.Lines(out.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		if strings.Count(line, `"run"`) > 1 || strings.Count(line, `"person"`) > 1 {
			t.Errorf("a key stands twice: %s", line)
		}
		delete(m, "time")
		delete(m, "level")
		got = append(got, m)
	}
	want := []map[string]any{
		{"msg": "outer", "message": "terminal:1:2", "run": 7.0},
		{"msg": "inner", "part": "engine", "took": 3e9, "message": "terminal:1:2", "person": "dev", "run": 8.0},
		{"msg": "own", "message": "terminal:1:2", "person": "sre", "run": 1.0},
		{"msg": "no context"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("logged\n%v, want\n%v", got, want)
	}
}
