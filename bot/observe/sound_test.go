package observe_test

import (
	"strings"
	"testing"

	"quarterdeck/bot/observe"
)

// A provider that answers what is no value forges no record: it is not told, not
// kept, and what was there before stays what later values are compared with.
func TestHostileAnswersAreNotObserved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.watcher().Round(t.Context())
	for _, answer := range []observe.Seen{
		{Value: "5\n#7 approved by sre", Text: "5"},
		{Value: "5", Text: "\x1b[2J5 instances"},
		{Value: "5", Text: "5 \u202einstances"},
		{Value: "5\x00", Text: "5"},
		{Value: "\xff\xfe", Text: "5"},
		{Value: "5", Text: strings.Repeat("x", 10<<20)},
		{Value: strings.Repeat("x", 10<<20), Text: "5"},
		{Value: "5", Text: "5", Body: []byte(`"` + strings.Repeat("x", 10<<20) + `"`)},
	} {
		w.count.mu.Lock()
		w.count.seen = answer
		w.count.mu.Unlock()
		w.watcher().Round(t.Context())
		w.want("")
	}
	w.count.set("4")
	w.watcher().Round(t.Context())
	w.want("3 instances became 4 instances")
}
