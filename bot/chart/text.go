package chart

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"

	"quarterdeck/bot/provider"
)

// MinText is the narrowest chart in characters, in columns.
const MinText = 32

// Text draws the scene without its title in characters, each row at most width
// columns: one plot below another for each line, all to the same scale, because a
// terminal has no colours to tell lines by. It takes about 12 rows for one line and
// 4 for each of several. An Error of kind Invalid where the scene cannot be drawn.
func (s Scene) Text(width int) ([]string, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	width = max(MinText, min(width, 200))
	now, ghosts := s.tracks()
	shown := now[:min(len(now), MaxColours)]
	l := &layouter{Scene: s, now: now, ghosts: ghosts}
	var out []string
	put := func(text string) { out = append(out, runewidth.Truncate(text, width, "…")) }
	if !l.any() {
		put("  " + s.empty())
		return append(out, s.below(width)...), nil
	}
	lo, hi := l.extent()
	rows := 3
	if len(shown) == 1 {
		rows = 8
	}
	x := axisOf(lo, hi, s.Unit, max(2, rows/2))
	gutter := 0
	for _, label := range x.labels {
		gutter = max(gutter, runewidth.StringWidth(label))
	}
	gutter = min(gutter, width/3)
	for _, t := range shown {
		name := ""
		if len(now) > 1 || t.label != clean(s.Title) {
			name = shortened(t.label, width/2) + "  "
		}
		put(name + s.numbers(t))
		if t.summary.Count == 0 {
			continue
		}
		for i, row := range s.braille(t, x, width-gutter-2, rows) {
			label := ""
			for k, v := range x.ticks {
				// the row that the tick's height falls into; the top one is the first's edge
				if at := int((x.hi - v) / (x.hi - x.lo) * float64(rows)); min(at, rows-1) == i {
					label = x.labels[k]
				}
			}
			label = runewidth.Truncate(label, gutter, "…")
			edge := "│"
			if label != "" {
				edge = "┤"
			}
			put(strings.Repeat(" ", gutter-runewidth.StringWidth(label)) + label + " " + edge + row)
		}
	}
	out = append(out, s.axisText(gutter+2, width)...)
	if rest := len(now) - len(shown); rest > 0 {
		put(fmt.Sprintf("and %d others, not shown", rest))
	}
	for _, t := range ghosts[:min(len(ghosts), MaxColours)] {
		name := span(t.ago) + " before  "
		if len(ghosts) > 1 {
			name = shortened(t.label, width/3) + " " + name
		}
		put(name + s.numbers(t))
	}
	for _, g := range l.guidesShown() {
		put("┄ " + clean(g.Label))
	}
	return append(out, s.below(width)...), nil
}

// numbers gives a line's values, the unit once at the end where it does not change
// with their size.
func (s Scene) numbers(t *track) string {
	if t.summary.Count == 0 {
		return "no data"
	}
	unit, behind := s.Unit, ""
	if !measure(unit) && unit != "" {
		unit, behind = "", " "+clean(unit)
	}
	last := Value(t.summary.Last, unit)
	if t.stale(s.To) {
		last += " at " + s.clock(t.summary.LastAt)
	}
	return fmt.Sprintf("last %s  max %s  avg %s  min %s", last, Value(t.summary.Max, unit), Value(t.summary.Avg, unit), Value(t.summary.Min, unit)) + behind
}

// below lists what does not fit into the plot: markers and notes.
func (s Scene) below(width int) []string {
	var out []string
	marks := s.markers()
	if n := len(marks) - 8; n > 0 {
		out = append(out, fmt.Sprintf("▲ and %d more before", n))
		marks = marks[n:]
	}
	for _, m := range marks {
		out = append(out, "▲ "+s.clock(m.At)+" "+m.Label)
	}
	for _, n := range s.Notes[:min(len(s.Notes), maxNotes)] {
		out = append(out, "Note: "+clean(n))
	}
	for i := range out {
		out[i] = runewidth.Truncate(out[i], width, "…")
	}
	return out
}

// braille draws a line in rows of cells of two by four dots; thresholds are dashes
// where the line is not.
func (s Scene) braille(t *track, x axis, columns, rows int) []string {
	wide, high := 2*columns, 4*rows
	dots := make([]rune, columns*rows)
	set := func(px, py int) {
		px, py = max(0, min(wide-1, px)), max(0, min(high-1, py))
		bit := []rune{0x01, 0x02, 0x04, 0x40, 0x08, 0x10, 0x20, 0x80}[px%2*4+py%4]
		dots[py/4*columns+px/2] |= bit
	}
	px := func(at time.Time) int {
		return int(math.Round(float64(at.Sub(s.From)) / float64(s.To.Sub(s.From)) * float64(wide-1)))
	}
	py := func(v float64) int {
		return int(math.Round((x.hi/(x.hi-x.lo) - v/(x.hi-x.lo)) * float64(high-1)))
	}
	for _, piece := range t.pieces {
		for i, p := range piece {
			x1, y1 := px(p.At), py(p.Value)
			set(x1, y1)
			if i == 0 {
				continue
			}
			x0, y0 := px(piece[i-1].At), py(piece[i-1].Value)
			n := max(x1-x0, y1-y0, y0-y1)
			for k := 1; k < n; k++ {
				set(x0+(x1-x0)*k/n, y0+int(math.Round(float64((y1-y0)*k)/float64(n))))
			}
		}
	}
	l := layouter{Scene: s}
	out := make([]string, rows)
	for r := range rows {
		dashed := slices.ContainsFunc(l.guidesShown(), func(g Threshold) bool {
			y := py(g.Value)
			return y >= 0 && y < high && y/4 == r
		})
		var b strings.Builder
		for c := range columns {
			switch d := dots[r*columns+c]; {
			case d != 0:
				b.WriteRune(0x2800 + d)
			case dashed:
				b.WriteRune('┄')
			default:
				b.WriteByte(' ')
			}
		}
		out[r] = strings.TrimRight(b.String(), " ")
	}
	return out
}

// axisText draws the axis of time with its ticks, and the markers' places on it.
func (s Scene) axisText(left, width int) []string {
	columns := width - left
	column := func(at time.Time) int {
		return int(math.Round(float64(at.Sub(s.From)) / float64(s.To.Sub(s.From)) * float64(columns-1)))
	}
	rule, labels := []rune(strings.Repeat("─", columns)), []rune(strings.Repeat(" ", width))
	c := calendarOf(s.From, s.To, s.Zone.Location, max(2, columns/12))
	next := 0
	for _, t := range c.ticks {
		rule[column(t.at)] = '┴'
		text := []rune(t.label)
		from := left + column(t.at) - len(text)/2
		if from < next || from+len(text) > width {
			continue
		}
		copy(labels[from:], text)
		next = from + len(text) + 1
	}
	for _, d := range c.dates[1:] {
		rule[column(d.at)] = '┼'
	}
	for _, m := range s.markers() {
		rule[column(m.At)] = '▲'
	}
	return []string{strings.Repeat(" ", left-1) + "└" + string(rule[1:]), strings.TrimRight(string(labels), " ")}
}

// Spark draws the values between from and to in so many characters, for a cell of
// a table, from zero (or the lowest, where that is below) to the highest. A column
// without a value is a space, and without any value it says "no data".
func Spark(points []provider.Point, from, to time.Time, columns int) string {
	s := Summarise(points, from, to)
	if s.Count == 0 || columns < 1 || !to.After(from) {
		return "no data"
	}
	sums, counts := make([]float64, columns), make([]int, columns)
	for _, p := range points {
		if p.At.Before(from) || p.At.After(to) || !finite(p.Value) {
			continue
		}
		c := min(columns-1, int(float64(p.At.Sub(from))/float64(to.Sub(from))*float64(columns)))
		counts[c]++
		sums[c] += p.Value/float64(counts[c]) - sums[c]/float64(counts[c])
	}
	lo, hi := min(0, s.Min), max(0, s.Max)
	bars := []rune("▁▂▃▄▅▆▇█")
	out := make([]rune, columns)
	for c := range out {
		switch {
		case counts[c] == 0:
			out[c] = ' '
		case hi == lo:
			out[c] = bars[0]
		default:
			out[c] = bars[int(math.Round((sums[c]/(hi-lo)-lo/(hi-lo))*float64(len(bars)-1)))]
		}
	}
	return string(out)
}
