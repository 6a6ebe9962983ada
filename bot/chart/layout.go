package chart

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot/provider"
)

// The measures of a picture, in CSS pixels. No text is under 14, which can be
// read when a phone shows the whole width.
const (
	sheetWidth = 800
	margin     = 22.0
	plotHeight = 250.0
	titleSize  = 20.0
	textSize   = 14.0
	tickSize   = 15.0
	laneHeight = 25.0
	rowHeight  = 24.0
)

// layout places everything that the scene shows.
func (s Scene) layout() *sheet {
	l := &layouter{Scene: s, sheet: &sheet{width: sheetWidth}, look: s.theme()}
	l.now, l.ghosts = s.tracks()
	l.head()
	l.frame()
	l.times()
	l.breaches()
	l.lines()
	l.marks()
	l.guides()
	l.legend()
	l.notes()
	l.height = math.Ceil(l.bottom + margin - 6)
	return l.sheet
}

type layouter struct {
	Scene
	*sheet
	look        theme
	now, ghosts []*track
	values      axis
	clusters    []cluster // of markers
	lanes       int
	bottom      float64 // of what stands so far
}

func (l *layouter) any() bool {
	for _, t := range slices.Concat(l.now, l.ghosts) {
		if t.summary.Count > 0 {
			return true
		}
	}
	return false
}

func (l *layouter) x(t time.Time) float64 {
	return l.plot.x0 + (l.plot.x1-l.plot.x0)*float64(t.Sub(l.From))/float64(l.To.Sub(l.From))
}

func (l *layouter) y(v float64) float64 {
	return l.plot.y1 - (l.plot.y1-l.plot.y0)*(v/(l.values.hi-l.values.lo)-l.values.lo/(l.values.hi-l.values.lo))
}

func (l *layouter) head() {
	room := sheetWidth - 2*margin
	l.write(forTitle, fitted(clean(l.Title), titleSize, true, room), margin, 38, 0, titleSize, true, l.look.ink)
	var parts []string
	unit := clean(l.Unit)
	if unit != "" && !measure(unit) {
		unit = "in " + unit
	} else {
		unit = ""
	}
	for _, p := range []string{clean(l.Subtitle), unit, l.Zone.Note()} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	l.write(forSubtitle, fitted(strings.Join(parts, "  ·  "), textSize, false, room), margin, 61, 0, textSize, false, l.look.muted)
	l.bottom = 70
}

// extent gives the range of values that the axis has to span: those of the lines,
// and the thresholds that are near enough not to flatten them.
func (l *layouter) extent() (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, t := range slices.Concat(l.now, l.ghosts) {
		for _, piece := range t.pieces {
			for _, p := range piece {
				lo, hi = min(lo, p.Value), max(hi, p.Value)
			}
		}
	}
	if !l.Floating {
		lo, hi = min(lo, 0), max(hi, 0)
	}
	low, high := lo, hi
	for _, g := range l.guidesShown() {
		if near := g.Value <= high+2*(high-low) && g.Value >= low-2*(high-low); near || low == high {
			lo, hi = min(lo, g.Value), max(hi, g.Value)
		}
	}
	return lo, hi
}

func (l *layouter) guidesShown() []Threshold {
	var out []Threshold
	for _, g := range l.Thresholds {
		if finite(g.Value) && len(out) < maxGuides {
			g.Value = max(-1e300, min(1e300, g.Value))
			out = append(out, g)
		}
	}
	return out
}

// frame places the plot and the axis of values.
func (l *layouter) frame() {
	left := margin
	if l.any() {
		lo, hi := l.extent()
		l.values = axisOf(lo, hi, l.Unit, 5)
		l.headroom(lo, hi)
		for _, label := range l.values.labels {
			left = max(left, margin+width(label, tickSize, false)+10)
		}
	} else {
		l.values = axis{lo: 0, hi: 1}
	}
	l.plot = box{left, 0, sheetWidth - margin, 0}
	l.cluster()
	l.plot.y0 = l.bottom + 14 + float64(l.lanes)*laneHeight
	l.plot.y1 = l.plot.y0 + plotHeight
	for i, v := range l.values.ticks {
		y := l.y(v)
		ink := l.look.grid
		if v == 0 || i == 0 {
			ink = l.look.axis
		}
		l.stroke(forGrid, ink, 1, nil, spot{l.plot.x0, y}, spot{l.plot.x1, y})
		l.write(forValueTick, l.values.labels[i], l.plot.x0-10, y+0.35*tickSize, 1, tickSize, false, l.look.muted)
	}
	if !l.any() {
		for _, y := range []float64{l.plot.y0, l.plot.y1} {
			l.stroke(forGrid, l.look.axis, 1, nil, spot{l.plot.x0, y}, spot{l.plot.x1, y})
		}
		text := fitted(l.empty(), titleSize, false, l.plot.x1-l.plot.x0-2*margin)
		l.write(forEmpty, text, (l.plot.x0+l.plot.x1)/2, (l.plot.y0+l.plot.y1)/2+7, 0.5, titleSize, false, l.look.muted)
	}
}

// headroom adds a tick above where a threshold is so near the top that its label
// would have no place.
func (l *layouter) headroom(lo, hi float64) {
	near := func(g Threshold) bool {
		return g.Value <= l.values.hi && (l.values.hi-g.Value)/(l.values.hi-l.values.lo)*plotHeight < 24
	}
	if n := len(l.values.ticks); n > 1 && slices.ContainsFunc(l.guidesShown(), near) {
		l.values = axisOf(lo, hi+0.5*(l.values.ticks[1]-l.values.ticks[0]), l.Unit, 5)
	}
}

// times places the time axis: round times, and below them each day's date.
func (l *layouter) times() {
	c := calendarOf(l.From, l.To, l.Zone.Location, int((l.plot.x1-l.plot.x0)/88))
	y := l.plot.y1
	for _, d := range c.dates[1:] {
		l.stroke(forDate, l.look.day, 1.5, nil, spot{l.x(d.at), l.plot.y0}, spot{l.x(d.at), y + 8})
	}
	last := math.Inf(-1)
	for _, t := range c.ticks {
		x := l.x(t.at)
		half := width(t.label, tickSize, false) / 2
		at := min(max(x, margin+half), sheetWidth-margin/2-half)
		if at-half < last+12 {
			continue
		}
		l.stroke(forGrid, l.look.axis, 1, nil, spot{x, y}, spot{x, y + 6})
		last = l.write(forTimeTick, t.label, at, y+23, 0.5, tickSize, false, l.look.muted).x1
	}
	// The dates from the right to the left, so that the newest is there in any case.
	next := sheetWidth - margin/2
	for _, d := range slices.Backward(c.dates) {
		w := width(d.label, textSize, true)
		x := max(margin, min(l.x(d.at), next-w))
		if l.x(d.at) == l.plot.x0 {
			x = l.plot.x0
		}
		if x+w > next || x < l.x(d.at)-w {
			continue
		}
		l.write(forDate, d.label, x, y+44, 0, textSize, true, l.look.muted)
		next = x - 14
	}
	l.bottom = y + 50
	for _, d := range c.shifts {
		x := l.x(d.at)
		l.stroke(forShift, l.look.axis, 1.5, []float64{2, 4}, spot{x, l.plot.y0}, spot{x, y})
		half := width(d.label, textSize, false) / 2
		at := min(max(x, margin+half), sheetWidth-margin-half)
		l.write(forShift, d.label, at, y+64, 0.5, textSize, false, l.look.muted)
		l.bottom = y + 70
	}
}

// breaches shades where a value must not be.
func (l *layouter) breaches() {
	if !l.any() {
		return
	}
	shown := l.guidesShown()
	if len(shown) != 1 {
		return // where there are several, each is for a line of its own
	}
	for _, g := range shown {
		y := min(max(l.y(g.Value), l.plot.y0), l.plot.y1)
		b := box{l.plot.x0, l.plot.y0, l.plot.x1, y}
		if g.Floor {
			b = box{l.plot.x0, y, l.plot.x1, l.plot.y1}
		}
		if b.y1-b.y0 > 1 {
			l.fill(forThreshold, l.look.breach, b.corners()...)
		}
	}
}

// lines draws the series: those without a colour first, then ghosts, then the rest,
// the first of them on top.
func (l *layouter) lines() {
	for i, t := range slices.Backward(l.now) {
		if i >= MaxColours && i < maxLines {
			l.line(t, i, forRest)
		}
	}
	for _, t := range l.ghosts[:min(len(l.ghosts), MaxColours)] {
		i := slices.IndexFunc(l.now, func(o *track) bool { return o.label == t.label })
		l.line(t, i, forGhost)
	}
	for i, t := range slices.Backward(l.now) {
		if i < MaxColours {
			l.line(t, i, forLine)
		}
	}
}

func (l *layouter) line(t *track, index int, r role) {
	ink, w, dash := l.look.rest, 1.2, []float64(nil)
	if index >= 0 && index < MaxColours {
		ink, w = l.look.lines[index], 2.2
	}
	if r == forGhost {
		ink, w, dash = faint(ink, 0.65), 1.6, []float64{3, 3}
	}
	alone := r == forLine && len(l.now) == 1 && l.values.lo == 0
	for _, piece := range t.pieces {
		path := l.thinned(piece)
		if len(path) == 1 {
			l.shapes = append(l.shapes, shape{role: r, index: index, ink: ink, path: path, dot: max(w, 2)})
			continue
		}
		if alone {
			area := append(slices.Clone(path), spot{path[len(path)-1].x, l.plot.y1}, spot{path[0].x, l.plot.y1})
			l.shapes = append(l.shapes, shape{role: forGrid, index: index, ink: faint(ink, 0.10), path: area})
		}
		l.shapes = append(l.shapes, shape{role: r, index: index, ink: ink, width: w, dash: dash, path: path})
	}
	if r == forLine && len(t.pieces) > 0 {
		piece := t.pieces[len(t.pieces)-1]
		p := piece[len(piece)-1]
		l.shapes = append(l.shapes, shape{role: r, index: index, ink: ink, path: []spot{{l.x(p.At), l.y(p.Value)}}, dot: 3.4})
	}
}

// thinned gives a piece's path with at most the first, the lowest, the highest
// and the last value of each column of the picture: no spike is lost.
func (l *layouter) thinned(piece []provider.Point) []spot {
	var out []spot
	for i := 0; i < len(piece); {
		column := int(l.x(piece[i].At) * density)
		j, low, high := i, i, i
		for ; j < len(piece) && int(l.x(piece[j].At)*density) == column; j++ {
			if piece[j].Value < piece[low].Value {
				low = j
			}
			if piece[j].Value > piece[high].Value {
				high = j
			}
		}
		last := -1
		for _, k := range []int{i, min(low, high), max(low, high), j - 1} {
			if k > last {
				out = append(out, spot{l.x(piece[k].At), l.y(piece[k].Value)})
				last = k
			}
		}
		i = j
	}
	return out
}

// guides draws the thresholds and their labels, which do not cover one another.
func (l *layouter) guides() {
	if !l.any() {
		return
	}
	var taken []box
	for _, g := range l.guidesShown() {
		label := clean(g.Label)
		if label == "" {
			label = Value(g.Value, l.Unit)
		}
		label = shortened(label, 40)
		y := l.y(g.Value)
		switch {
		case y < l.plot.y0-1:
			label, y = label+" ↑", l.plot.y0-1
		case y > l.plot.y1+1:
			label, y = label+" ↓", l.plot.y1+1
		default:
			l.stroke(forThreshold, l.look.limit, 1.8, []float64{7, 5}, spot{l.plot.x0, y}, spot{l.plot.x1, y})
		}
		w := width(label, textSize, true)
		best, least := box{}, math.MaxInt
		for right := l.plot.x1 - 8; right-w > l.plot.x0; right -= 30 {
			for _, base := range []float64{y - 7, y + 17} {
				b := box{right - w, base - 0.8*textSize, right, base + 0.25*textSize}
				if b.y0 < l.plot.y0-1 || b.y1 > l.plot.y1 || slices.ContainsFunc(taken, b.grown(3).overlaps) {
					continue
				}
				if n := l.covered(b); n < least {
					best, least = b, n
				}
			}
		}
		if least == math.MaxInt {
			continue // the line still stands, and the alt text names it
		}
		if least > 0 {
			l.fill(forThreshold, faint(l.look.paper, 0.7), best.grown(2).corners()...)
		}
		l.write(forThreshold, label, best.x1, best.y1-0.25*textSize, 1, textSize, true, l.look.limit)
		taken = append(taken, best)
	}
}

// covered counts the points of lines and markers that a label there would hide.
func (l *layouter) covered(b box) int {
	n := 0
	for _, s := range l.shapes {
		if s.role != forLine && s.role != forGhost && s.role != forMarker && s.role != forDate || s.text != "" {
			continue
		}
		for i, p := range s.path {
			// also what lies between two points, in steps that no label fits through
			from := s.path[max(0, i-1)]
			steps := min(200, 1+int(math.Hypot(p.x-from.x, p.y-from.y)/8))
			for k := range steps {
				part := float64(k) / float64(steps)
				x, y := p.x+(from.x-p.x)*part, p.y+(from.y-p.y)*part
				if x > b.x0-3 && x < b.x1+3 && y > b.y0-2 && y < b.y1+2 {
					n++
				}
			}
		}
	}
	return n
}

// legend lists the lines below, with their last and highest value.
func (l *layouter) legend() {
	if !l.any() {
		return
	}
	unit := "" // one that does not change with the size stands above
	if measure(l.Unit) {
		unit = l.Unit
	}
	const column = 132.0
	right := sheetWidth - margin
	y := l.bottom + 20
	l.write(forLegend, "last", right-column, y, 1, textSize, false, l.look.muted)
	l.write(forLegend, "max", right, y, 1, textSize, false, l.look.muted)
	row := func(text string, index int, r role, s Summary, stale bool) {
		y += rowHeight
		ink, dash := l.look.rest, []float64(nil)
		if index >= 0 && index < MaxColours {
			ink = l.look.lines[index]
		}
		if r == forGhost {
			dash = []float64{3, 3}
		}
		l.stroke(forLegend, ink, 3, dash, spot{margin, y - 5}, spot{margin + 22, y - 5})
		last, most := "no data", ""
		if s.Count > 0 {
			last, most = Value(s.Last, unit), Value(s.Max, unit)
		}
		if stale {
			last += " at " + l.clock(s.LastAt)
		}
		b := l.write(forLegend, last, right-column, y, 1, textSize, false, l.look.ink)
		l.write(forLegend, most, right, y, 1, textSize, false, l.look.ink)
		l.write(forLegend, fitted(text, textSize, false, b.x0-margin-32-14), margin+32, y, 0, textSize, false, l.look.ink)
	}
	for i, t := range l.now[:min(len(l.now), MaxColours)] {
		row(t.label, i, forLine, t.summary, t.stale(l.To))
	}
	if rest := l.now[min(len(l.now), MaxColours):]; len(rest) > 0 {
		text := fmt.Sprintf("other (%d)", len(rest))
		if len(l.now) > maxLines {
			text = fmt.Sprintf("other (%d, of which %d are drawn)", len(rest), maxLines-MaxColours)
		}
		y += rowHeight
		l.stroke(forLegend, l.look.rest, 1.6, nil, spot{margin, y - 5}, spot{margin + 22, y - 5})
		l.write(forLegend, text, margin+32, y, 0, textSize, false, l.look.muted)
		if rest[0].summary.Count > 0 {
			l.write(forLegend, Value(rest[0].summary.Max, unit), right, y, 1, textSize, false, l.look.muted)
		}
	}
	switch {
	case len(l.ghosts) == 1:
		i := slices.IndexFunc(l.now, func(o *track) bool { return o.label == l.ghosts[0].label })
		row(span(l.ghosts[0].ago)+" before", i, forGhost, l.ghosts[0].summary, false)
	case len(l.ghosts) > 1:
		y += rowHeight
		l.stroke(forLegend, l.look.muted, 1.6, []float64{3, 3}, spot{margin, y - 5}, spot{margin + 22, y - 5})
		l.write(forLegend, "the same "+span(l.ghosts[0].ago)+" before", margin+32, y, 0, textSize, false, l.look.ink)
	}
	l.bottom = y + 8
}

func (l *layouter) notes() {
	for _, n := range l.Notes[:min(len(l.Notes), maxNotes)] {
		l.bottom += 22
		l.write(forNote, fitted("Note: "+clean(n), textSize, false, sheetWidth-2*margin), margin, l.bottom, 0, textSize, false, l.look.muted)
	}
}
