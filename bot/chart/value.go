package chart

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// scale is how values of one size are written: divided by per, with suffix behind.
type scale struct {
	per    float64
	suffix string // with its space: "k req/s", " ms"
}

// scaleOf gives the scale for values of a unit that are about as large as size.
// Times become ns to days, bytes take powers of 1,024, everything else of 1,000.
func scaleOf(unit string, size float64) scale {
	size = math.Abs(size)
	pick := func(base float64, steps []scale) scale {
		best := steps[0]
		for _, s := range steps {
			if size*base >= s.per*0.9995 { // what would be written 1000 of the smaller one
				best = s
			}
		}
		return scale{best.per / base, best.suffix}
	}
	times := []scale{{1e-9, " ns"}, {1e-6, " µs"}, {1e-3, " ms"}, {1, " s"}, {120, " min"}, {7200, " h"}, {2 * 86400, " d"}}
	time := func(base float64, zero string) scale {
		if size == 0 {
			return scale{1, zero}
		}
		s := pick(base, times)
		switch s.suffix { // they begin late, so that 90 s stays 90 s
		case " min":
			s.per = 60 / base
		case " h":
			s.per = 3600 / base
		case " d":
			s.per = 86400 / base
		}
		return s
	}
	switch unit {
	case "s", "seconds":
		return time(1, " s")
	case "ms":
		return time(1e-3, " ms")
	case "us", "µs":
		return time(1e-6, " µs")
	case "ns":
		return time(1e-9, " ns")
	case "B", "bytes", "By":
		return pick(1, bytesOf("B"))
	case "B/s", "bytes/s":
		return pick(1, bytesOf("B/s"))
	case "":
		return pick(1, thousands(""))
	case "%":
		return scale{1, " %"}
	}
	return pick(1, thousands(" "+unit))
}

// measure says that a unit's own sign stands at each tick, because it changes
// with the size, or is one character.
func measure(unit string) bool {
	switch unit {
	case "s", "seconds", "ms", "us", "µs", "ns", "B", "bytes", "By", "B/s", "bytes/s", "%":
		return true
	}
	return false
}

func bytesOf(unit string) []scale {
	out := []scale{{1, " " + unit}}
	for i, p := range []string{"Ki", "Mi", "Gi", "Ti", "Pi"} {
		out = append(out, scale{math.Pow(1024, float64(i+1)), " " + p + unit})
	}
	return out
}

func thousands(behind string) []scale {
	out := []scale{{1, behind}}
	for i, p := range []string{"k", "M", "G", "T", "P"} {
		out = append(out, scale{math.Pow(1000, float64(i+1)), p + behind})
	}
	return out
}

// Value writes one value for people, with three digits that count: "1.25k req/s",
// "340 ms", "2.1 %", "1.5 GiB". NaN is "no value".
func Value(v float64, unit string) string {
	if math.IsNaN(v) {
		return "no value"
	}
	if math.IsInf(v, 0) {
		return map[bool]string{true: "∞", false: "-∞"}[v > 0] + scaleOf(unit, 0).suffix
	}
	s := scaleOf(unit, v)
	return digits(v/s.per) + s.suffix
}

// digits writes a number with three digits that count.
func digits(v float64) string {
	a := math.Abs(v)
	switch {
	case a == 0:
		return "0"
	case a >= 999.5 && a < 1e6:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 1e6 || a < 1e-3:
		return exponent(strconv.FormatFloat(v, 'e', 2, 64))
	}
	places := 2 - int(math.Floor(math.Log10(a)))
	return trimmed(strconv.FormatFloat(v, 'f', max(0, places), 64))
}

func trimmed(s string) string {
	if !strings.Contains(s, ".") {
		return s
	}
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// exponent writes "1.20e-06" as "1.2e-6".
func exponent(s string) string {
	m, e, _ := strings.Cut(s, "e")
	n, _ := strconv.Atoi(e)
	return trimmed(m) + "e" + strconv.Itoa(n)
}

// axis is the ticks of the values.
type axis struct {
	lo, hi float64
	ticks  []float64
	labels []string
}

// axisOf gives round ticks, about n of them, over the values from lo to hi; both
// are widened to ticks. All labels have one scale and as many decimals.
func axisOf(lo, hi float64, unit string, n int) axis {
	// What differs by less than a number can tell is one value.
	if size := max(math.Abs(lo), math.Abs(hi)); !(hi-lo > max(1e-290, size*1e-9)) {
		hi = lo + max(1, size*0.1)
	}
	if !measure(unit) {
		unit = ""
	}
	s := scaleOf(unit, max(math.Abs(lo), math.Abs(hi)))
	a, b := lo/s.per, hi/s.per
	step := roundStep(b/float64(n) - a/float64(n))
	if strings.HasSuffix(s.suffix, "B") || strings.HasSuffix(s.suffix, "B/s") {
		if s.per == 1 && step > 50 {
			step = math.Exp2(math.Ceil(math.Log2(step)))
		}
	}
	first, last := math.Floor(a/step+1e-9), math.Ceil(b/step-1e-9)
	x := axis{lo: first * step * s.per, hi: last * step * s.per}
	for i := first; i <= last && len(x.ticks) < 50; i++ {
		x.ticks = append(x.ticks, i*step*s.per)
		x.labels = append(x.labels, tickText(i*step, step)+s.suffix)
		if i == 0 && unit == "" {
			x.labels[len(x.labels)-1] = "0"
		}
	}
	return x
}

// roundStep gives the next of 1, 2, 2.5, 5, 10 at or over what is wished.
func roundStep(wish float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(wish)))
	for _, m := range []float64{1, 2, 2.5, 5, 10} {
		if m*power >= wish*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

func tickText(v, step float64) string {
	if v == 0 {
		return "0"
	}
	if math.Abs(v) >= 1e6 || step < 1e-4 {
		return exponent(strconv.FormatFloat(v, 'e', 2, 64))
	}
	places := 0
	for p := step; places < 6 && math.Abs(p-math.Round(p)) > 1e-6*p; p *= 10 {
		places++
	}
	return strconv.FormatFloat(v, 'f', places, 64)
}

// span writes how long ago in the largest unit that fits: "1w", "1d", "6h".
func span(d time.Duration) string {
	for _, u := range []struct {
		d    time.Duration
		name string
	}{{7 * 24 * time.Hour, "w"}, {24 * time.Hour, "d"}} {
		if d >= u.d && d%u.d == 0 {
			return strconv.Itoa(int(d/u.d)) + u.name
		}
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
