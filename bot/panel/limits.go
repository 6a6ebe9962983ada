package panel

import (
	"math"
	"strconv"
	"strings"

	"quarterdeck/bot/provider"
)

// Breach reports whether a value is beyond the limits. What is no number is
// beyond none: that is for no data to say.
func Breach(l provider.Limits, v float64) bool {
	return l.Above != nil && v > *l.Above || l.Below != nil && v < *l.Below
}

// distance says how far beyond the limits a value is, in their own unit; it is
// negative within. Of several values the one with the largest stands worst.
func distance(l provider.Limits, v float64) float64 {
	d := math.Inf(-1)
	if l.Above != nil {
		d = v - *l.Above
	}
	if l.Below != nil {
		d = max(d, *l.Below-v)
	}
	return d
}

// Words gives the limits as people say them: "at most 2 %".
func Words(l provider.Limits, unit string) string {
	switch {
	case l.Above != nil && l.Below != nil:
		return Amount(*l.Below, "") + " to " + Amount(*l.Above, unit)
	case l.Above != nil:
		return "at most " + Amount(*l.Above, unit)
	case l.Below != nil:
		return "at least " + Amount(*l.Below, unit)
	}
	return ""
}

// sizes are what large numbers are counted in.
var sizes = []struct {
	from, unit float64
	name       string
}{{1e12, 1e12, "T"}, {1e9, 1e9, "G"}, {1e6, 1e6, "M"}, {1e4, 1e3, "k"}}

// Amount writes a value in three digits and its unit: "2.31 %", "12.4k req/s",
// "1.5 GiB" for bytes. What is no number is "-".
func Amount(v float64, unit string) string {
	text, unit := amount(v, unit)
	if unit == "" {
		return text
	}
	return text + " " + unit
}

func amount(v float64, unit string) (text, as string) {
	switch {
	case math.IsNaN(v):
		return "-", ""
	case math.IsInf(v, 1):
		return "infinite", ""
	case math.IsInf(v, -1):
		return "-infinite", ""
	}
	if unit == "B" || unit == "bytes" {
		for _, name := range []string{"B", "KiB", "MiB", "GiB", "TiB"} {
			unit = name
			if math.Abs(v) < 1024 || name == "TiB" {
				break
			}
			v /= 1024
		}
		return digits(v), unit
	}
	for _, s := range sizes {
		if math.Abs(v) >= s.from {
			return digits(v/s.unit) + s.name, unit
		}
	}
	return digits(v), unit
}

// digits writes a number in three digits, more only before the point.
func digits(v float64) string {
	a := math.Abs(v)
	places := 0
	switch {
	case a == 0:
		return "0"
	case a < 0.001:
		return strconv.FormatFloat(v, 'g', 3, 64)
	case a < 1:
		places = 3
	case a < 10:
		places = 2
	case a < 100:
		places = 1
	}
	s := strconv.FormatFloat(v, 'f', places, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}
