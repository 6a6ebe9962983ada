package terminal

import (
	"regexp"
	"slices"
	"strings"

	"quarterdeck/bot"
)

const (
	// gap stands between two columns.
	gap = "  "
	// narrowest is how far a column may be cut before the table is turned into
	// a list.
	// Nor is a column cut to a third of its text, of which nothing can be read.
	narrowest = 8
	// prose is how wide the last column must be for its text to be wrapped.
	prose = 14
	// maxWrapped bounds the lines of one row.
	maxWrapped = 6
)

// quantity is what is lined up at its right end: 5, 0.0 %, 120ms, #12, +3.
var quantity = regexp.MustCompile(`^#?[-+]?\d[\d.,]*( ?%| ?[a-zA-Z]{1,3})?$`)

// tableLines draws a table in at most width columns. Where it is too wide, the
// text of the last column is wrapped, which is where reasons stand; else the
// widest cells are cut; a table that cannot be cut that far is drawn as a list
// of its rows.
func tableLines(t *bot.Table, width int, p palette) []string {
	columns := len(t.Columns)
	if columns == 0 {
		return nil
	}
	head := make([]string, columns)
	for i, c := range t.Columns {
		head[i] = clean(c)
	}
	rows := make([][]string, len(t.Rows))
	for i, r := range t.Rows {
		rows[i] = make([]string, columns)
		for j := range min(len(r), columns) {
			rows[i][j] = clean(r[j])
		}
	}
	widths, wrapped, ok := fit(head, rows, width)
	if !ok {
		return list(head, rows, width, p)
	}
	right := make([]bool, columns)
	for j := range columns {
		right[j] = rightward(rows, j)
	}
	lines := []string{p.bold(tableLine(head, widths, right))}
	for _, r := range rows {
		last := wrap(r[columns-1], widths[columns-1], 0)
		if wrapped && len(last) > 1 {
			last = append(last[:min(len(last), maxWrapped)-1], cut(strings.Join(last[min(len(last), maxWrapped)-1:], " "), widths[columns-1]))
			r[columns-1] = last[0]
			lines = append(lines, tableLine(r, widths, right))
			for _, l := range last[1:] {
				rest := make([]string, columns)
				rest[columns-1] = l
				lines = append(lines, tableLine(rest, widths, right))
			}
			continue
		}
		lines = append(lines, tableLine(r, widths, right))
	}
	return lines
}

// fit gives each column's width, and whether the last one's text is to be
// wrapped; ok is false when the table cannot be cut to width.
func fit(head []string, rows [][]string, width int) (widths []int, wrapped, ok bool) {
	widths = make([]int, len(head))
	total := len(gap) * (len(head) - 1)
	for j, h := range head {
		widths[j] = measure(h)
		for _, r := range rows {
			widths[j] = max(widths[j], measure(r[j]))
		}
		total += widths[j]
	}
	last := len(widths) - 1
	if room := widths[last] - (total - width); total > width && room >= max(prose, measure(head[last])) {
		widths[last] = room
		return widths, true, true
	}
	natural := slices.Clone(widths)
	for total > width {
		widest := 0
		for j, w := range widths {
			if w >= widths[widest] { // of equal ones the last, which says least
				widest = j
			}
		}
		if widths[widest] <= max(narrowest, measure(head[widest])) || 3*widths[widest] <= natural[widest] {
			return nil, false, false
		}
		widths[widest]--
		total--
	}
	return widths, false, true
}

func rightward(rows [][]string, column int) bool {
	found := false
	for _, r := range rows {
		switch cell := r[column]; {
		case cell == "" || cell == "-":
		case quantity.MatchString(cell):
			found = true
		default:
			return false
		}
	}
	return found
}

func tableLine(cells []string, widths []int, right []bool) string {
	parts := make([]string, len(cells))
	for j, c := range cells {
		parts[j] = pad(cut(c, widths[j]), widths[j], right[j])
	}
	return strings.TrimRight(strings.Join(parts, gap), " ")
}

// list draws every row as a block of labelled values.
func list(head []string, rows [][]string, width int, p palette) []string {
	var lines []string
	for _, r := range rows {
		for j, cell := range r {
			if cell == "" {
				continue
			}
			indent := "  "
			if len(lines) == 0 || j == 0 {
				indent = ""
			}
			lines = append(lines, wrap(indent+head[j]+": "+cell, width, 4)...)
		}
	}
	if len(lines) == 0 {
		return []string{p.bold(cut(strings.Join(head, gap), width))}
	}
	return lines
}
