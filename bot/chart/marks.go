package chart

import "fmt"

// cluster is markers that share one label because they are too close together
// for one each.
type cluster struct {
	at    []float64 // where each of them is
	label string    // of the newest
	lane  int
	box   box // the label's, its x alone
}

func (c cluster) text() string {
	if len(c.at) == 1 {
		return c.label
	}
	return fmt.Sprintf("%s +%d", c.label, len(c.at)-1)
}

// maxLanes is how many labels of markers can stand above one another.
const maxLanes = 3

// cluster finds a lane for each marker's label; where they are full, the two
// nearest of those that crowd one another become one.
func (l *layouter) cluster() {
	for _, m := range l.markers() {
		l.clusters = append(l.clusters, cluster{at: []float64{l.x(m.At)}, label: m.Label})
	}
	for {
		full, ok := l.placed()
		if ok {
			return
		}
		first := max(1, full-maxLanes+1)
		best := first
		gap := func(i int) float64 {
			before := l.clusters[i-1].at
			return l.clusters[i].at[0] - before[len(before)-1]
		}
		for i := first; i <= full; i++ {
			if gap(i) < gap(best) {
				best = i
			}
		}
		l.clusters[best].at = append(l.clusters[best-1].at, l.clusters[best].at...)
		l.clusters = append(l.clusters[:best-1], l.clusters[best:]...)
	}
}

// placed gives each cluster the lowest lane that has room, or says which has none.
func (l *layouter) placed() (full int, ok bool) {
	var ends [maxLanes]float64
	l.lanes = 0
	for i := range l.clusters {
		c := &l.clusters[i]
		w := width(c.text(), textSize, true) + 14
		middle := c.at[len(c.at)-1]
		x := min(max(middle-w/2, l.plot.x0), l.plot.x1-w)
		lane := 0
		for lane < maxLanes && ends[lane] > 0 && ends[lane]+6 > x {
			lane++
		}
		if lane == maxLanes {
			return i, false
		}
		c.lane, c.box = lane, box{x0: x, x1: x + w}
		ends[lane] = x + w
		l.lanes = max(l.lanes, lane+1)
	}
	return 0, true
}

// marks draws what was done, and when.
func (l *layouter) marks() {
	for _, c := range l.clusters {
		for i, x := range c.at {
			top := l.plot.y0
			if i == len(c.at)-1 {
				top = l.plot.y0 - 6 - float64(c.lane)*laneHeight
			}
			l.stroke(forMarker, l.look.mark, 1.4, nil, spot{x, top}, spot{x, l.plot.y1})
			l.fill(forMarker, l.look.mark, spot{x - 5, l.plot.y1 + 1}, spot{x + 5, l.plot.y1 + 1}, spot{x, l.plot.y1 - 7})
		}
	}
	for _, c := range l.clusters {
		bottom := l.plot.y0 - 6 - float64(c.lane)*laneHeight
		b := box{c.box.x0, bottom - 20, c.box.x1, bottom}
		l.fill(forMarker, l.look.markPaper, b.corners()...)
		l.write(forMarker, c.text(), (b.x0+b.x1)/2, bottom-5, 0.5, textSize, true, l.look.markInk)
	}
}
