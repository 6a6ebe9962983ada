package panel

import (
	"math"

	"quarterdeck/bot/chart"
	"quarterdeck/bot/provider"
)

// Breach reports whether a value is beyond the limits. What is no number is
// beyond none: that is for no data to say.
func Breach(l provider.Limits, v float64) bool {
	return l.Above != nil && v > *l.Above || l.Below != nil && v < *l.Below
}

// Beyond says how far beyond the limits a value is, in their own unit; it is
// negative within. Of several values the one with the largest stands worst.
func Beyond(l provider.Limits, v float64) float64 {
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
		return chart.Value(*l.Below, "") + " to " + chart.Value(*l.Above, unit)
	case l.Above != nil:
		return "at most " + chart.Value(*l.Above, unit)
	case l.Below != nil:
		return "at least " + chart.Value(*l.Below, unit)
	}
	return ""
}
