package terminal

import (
	"strings"
	"testing"

	"quarterdeck/bot"
)

// On a phone nothing is cut to where it says nothing: the table becomes a list,
// and every word of it is there.
func TestNarrowTableKeepsItsWords(t *testing.T) {
	table := &bot.Table{Columns: []string{"SEQ", "AT", "WHO", "WHAT"}, Rows: [][]string{
		{"21", "11-21 15:02:42", "dev-one", "deploy shop v3 prod: denied: v3 is marked bad in shop/prod since run #3 by sre"},
		{"20", "11-21 15:02:41", "sre", "#3 rollback shop/prod: succeeded"},
	}}
	for _, width := range []int{40, 60, 80} {
		lines := tableLines(table, width, palette{})
		for _, l := range lines {
			if measure(l) > width {
				t.Errorf("%d columns: %q is wider", width, l)
			}
		}
		all := strings.Join(strings.Fields(strings.Join(lines, " ")), " ")
		for _, row := range table.Rows {
			for word := range strings.FieldsSeq(row[3]) {
				if !strings.Contains(all, word) {
					t.Errorf("%d columns: %q is gone:\n%s", width, word, strings.Join(lines, "\n"))
				}
			}
		}
	}
}
