package chart

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot/provider"
)

// Summary is a line in numbers.
type Summary struct {
	Min, Avg, Max, Last float64
	LastAt              time.Time
	Count               int // of values; 0 is no data, and the rest means nothing
}

// Summarise reckons over what was measured between from and to. NaN and infinities are no values.
func Summarise(points []provider.Point, from, to time.Time) Summary {
	var s Summary
	var mean float64
	for _, p := range points {
		if p.At.Before(from) || p.At.After(to) || !finite(p.Value) {
			continue
		}
		s.Count++
		if s.Count == 1 {
			s.Min, s.Max = p.Value, p.Value
		}
		s.Min, s.Max = min(s.Min, p.Value), max(s.Max, p.Value)
		// in this order, so that the sum of huge values does not overflow
		mean += p.Value/float64(s.Count) - mean/float64(s.Count)
		s.Last, s.LastAt = p.Value, p.At
	}
	s.Avg = mean
	return s
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// track is a line made ready: in the scene's time, cut into pieces at its gaps.
type track struct {
	label   string
	ago     time.Duration
	step    time.Duration
	pieces  [][]provider.Point
	summary Summary
	gaps    bool // a value is missing between others
}

// stale says that the newest value is not of the scene's end.
func (t *track) stale(to time.Time) bool {
	return t.summary.Count > 0 && to.Sub(t.summary.LastAt) > 2*t.step && to.Sub(t.summary.LastAt) > time.Minute
}

// tracks gives the scene's lines that are of now and those that are ghosts, the
// highest first where there are more than have a colour.
func (s Scene) tracks() (now, ghosts []*track) {
	for _, l := range s.Lines {
		t := s.track(l)
		if l.Ago != 0 {
			ghosts = append(ghosts, t)
		} else {
			now = append(now, t)
		}
	}
	if len(now) > MaxColours {
		slices.SortStableFunc(now, func(a, b *track) int {
			switch {
			case (a.summary.Count == 0) != (b.summary.Count == 0):
				return b.summary.Count - a.summary.Count
			case a.summary.Max != b.summary.Max:
				if a.summary.Max > b.summary.Max {
					return -1
				}
				return 1
			}
			return strings.Compare(a.label, b.label)
		})
	}
	return now, ghosts
}

func (s Scene) track(l Line) *track {
	t := &track{label: clean(l.Label), ago: l.Ago, step: l.Step}
	if t.label == "" {
		t.label = clean(s.Title)
	}
	var points []provider.Point
	for _, p := range l.Points {
		p.At = p.At.Add(l.Ago)
		if p.At.Before(s.From) || p.At.After(s.To) {
			continue
		}
		if len(points) > 0 && !p.At.After(points[len(points)-1].At) {
			continue // out of order, or twice
		}
		points = append(points, p)
	}
	points = points[max(0, len(points)-maxPoints):]
	t.summary = Summarise(points, s.From, s.To)
	if t.step <= 0 {
		t.step = usualStep(points)
	}
	var piece []provider.Point
	var last time.Time
	for _, p := range points {
		if !finite(p.Value) {
			continue
		}
		if len(piece) > 0 && p.At.Sub(last) > t.step+t.step/2 {
			t.pieces = append(t.pieces, piece)
			piece, t.gaps = nil, true
		}
		p.Value = max(-1e300, min(1e300, p.Value)) // the axis must be able to span it
		piece, last = append(piece, p), p.At
	}
	if len(piece) > 0 {
		t.pieces = append(t.pieces, piece)
	}
	return t
}

// usualStep gives the median distance of neighbours.
func usualStep(points []provider.Point) time.Duration {
	var apart []time.Duration
	for i := 1; i < len(points); i++ {
		apart = append(apart, points[i].At.Sub(points[i-1].At))
	}
	if len(apart) == 0 {
		return time.Minute
	}
	slices.Sort(apart)
	return apart[len(apart)/2]
}

// Alt says in words what the scene shows, for those who do not see it; at most 1,000 characters.
func (s Scene) Alt() string {
	now, ghosts := s.tracks()
	var b strings.Builder
	b.WriteString(clean(s.Title))
	if s.Subtitle != "" {
		b.WriteString(", " + clean(s.Subtitle))
	}
	said := 0
	for i, t := range append(slices.Clone(now), ghosts...) {
		if t.summary.Count == 0 || i < len(now) && i >= MaxColours || said >= 2*MaxColours {
			continue
		}
		said++
		b.WriteString("; ")
		if t.label != clean(s.Title) {
			b.WriteString(shortened(t.label, 40) + ": ")
		}
		if t.ago != 0 {
			b.WriteString(span(t.ago) + " before: ")
		}
		fmt.Fprintf(&b, "min %s, avg %s, max %s, last %s", Value(t.summary.Min, s.Unit), Value(t.summary.Avg, s.Unit), Value(t.summary.Max, s.Unit), Value(t.summary.Last, s.Unit))
		if t.stale(s.To) {
			b.WriteString(" at " + s.clock(t.summary.LastAt))
		}
		if t.gaps {
			b.WriteString(", with gaps")
		}
	}
	if said == 0 {
		b.WriteString("; " + s.empty())
	}
	if rest := len(now) - MaxColours; rest > 0 {
		fmt.Fprintf(&b, "; and %d others", rest)
	}
	for _, g := range s.Thresholds[:min(len(s.Thresholds), maxGuides)] {
		b.WriteString("; threshold " + shortened(clean(g.Label), 40))
	}
	marks := s.markers()
	for i, m := range marks[max(0, len(marks)-6):] {
		b.WriteString([]string{"; ", ", "}[min(i, 1)] + m.Label + " at " + s.clock(m.At))
	}
	return shortened(b.String(), 1000)
}

// clock gives a moment of the scene, with its day where the scene has more than one.
func (s Scene) clock(t time.Time) string {
	if s.To.Sub(s.From) < 24*time.Hour && s.Zone.Day(s.From) == s.Zone.Day(s.To) {
		return s.Zone.Clock(t)[:5]
	}
	return s.Zone.Minute(t)
}
