package nearest_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"quarterdeck/bot/nearest"
)

func TestOf(t *testing.T) {
	verbs := []string{"deploy", "rollback", "restart", "status", "history", "runs", "run", "cancel", "approve", "flag on", "flag off"}
	for _, row := range []struct {
		why        string
		word       string
		candidates []string
		want       string
	}{
		{"swapped neighbours", "depoly", verbs, "deploy"},
		{"swapped in a short word", "shpo", []string{"billing", "shop"}, "shop"},
		{"letter missing", "prd", []string{"staging", "prod"}, "prod"},
		{"letter doubled", "rollbback", verbs, "rollback"},
		{"letter wrong", "stotus", verbs, "status"},
		{"case alone", "DEPLOY", verbs, "deploy"},
		{"case alone, one letter", "X", []string{"x"}, "x"},
		{"two words", "flag no", verbs, "flag on"},
		{"equally near: the longer shared beginning", "flag of", verbs, "flag off"},
		{"equally near: the earlier", "cat", []string{"car", "can"}, "car"},
		{"nearer beats earlier", "rus", []string{"rust", "rvst", "rus"}, "rus"},
		{"beginning of one", "hist", verbs, "history"},
		{"beginning of one, named twice", "hist", []string{"history", "history"}, "history"},
		{"beginning of several", "fla", []string{"flags-on", "flags-off"}, ""},
		{"beginning too short to tell", "hi", verbs, ""},
		{"letters beyond ASCII", "münchn", []string{"münchen"}, "münchen"},
		{"another word", "xyzzy", verbs, ""},
		{"two letters are too few", "tx", []string{"to"}, ""},
		{"one letter is too few", "a", []string{"b"}, ""},
		{"four letters, two wrong", "prxx", []string{"prod"}, ""},
		{"nothing typed", "", verbs, ""},
		{"nothing to choose from", "deploy", nil, ""},
		{"empty candidate", "abc", []string{""}, ""},
		{"endless word", strings.Repeat("a", 65), []string{strings.Repeat("a", 64)}, ""},
		{"endless candidate", strings.Repeat("a", 64), []string{strings.Repeat("a", 65) + "b"}, strings.Repeat("a", 65) + "b"},
	} {
		t.Run(row.why, func(t *testing.T) {
			if got := nearest.Of(row.word, row.candidates); got != row.want {
				t.Errorf("Of(%q, %q) = %q, want %q", row.word, row.candidates, got, row.want)
			}
		})
	}
}

// One slip in a word of four or more letters is always forgiven, whichever it
// is and wherever it falls.
func TestOneSlipIsForgiven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := []rune(rapid.StringMatching(`[a-z]{4,20}`).Draw(t, "word"))
		i := rapid.IntRange(0, len(word)-2).Draw(t, "at")
		slip := slices.Clone(word)
		switch rapid.SampledFrom([]string{"swap", "drop", "double", "replace"}).Draw(t, "slip") {
		case "swap":
			slip[i], slip[i+1] = slip[i+1], slip[i]
		case "drop":
			slip = slices.Delete(slip, i, i+1)
		case "double":
			slip = slices.Insert(slip, i, slip[i])
		case "replace":
			slip[i] = 'ß'
		}
		if got := nearest.Of(string(slip), []string{"0123456789", string(word)}); got != string(word) {
			t.Fatalf("Of(%q) = %q, want %q", string(slip), got, string(word))
		}
	})
}

func TestAnswerIsACandidateOrNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.String().Draw(t, "word")
		candidates := rapid.SliceOfN(rapid.String(), 0, 5).Draw(t, "candidates")
		if got := nearest.Of(word, candidates); got != "" && !slices.Contains(candidates, got) {
			t.Fatalf("Of(%q, %q) = %q", word, candidates, got)
		}
	})
}
