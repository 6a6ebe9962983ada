package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
)

// number is a figure's value, where 0 stands for none: null in bench.json, an
// empty cell in the table.
type number float64

// MarshalJSON gives null for none.
func (n number) MarshalJSON() ([]byte, error) {
	if n == 0 || math.IsInf(float64(n), 0) || math.IsNaN(float64(n)) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

func (n number) cell(format string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(format, float64(n))
}

// figure is one row. Ratio is the median of each round's value over its bound;
// Value and Bound are medians of their own. Spread is the largest over the
// smallest of the rounds' ratios, for an absolute figure of their values. OK is
// nil for a figure without a ratio to reach, which is reported and never
// judged, and for a spread over 2, which is inconclusive.
type figure struct {
	Name   string `json:"name"`
	Value  number `json:"value"`
	Unit   string `json:"unit"`
	Bound  number `json:"bound"`
	Ratio  number `json:"ratio"`
	Target string `json:"target"` // such as ">= 0.25x" or "<= 40 MB"; "" for none
	Spread number `json:"spread"`
	OK     *bool  `json:"ok"`
}

// aim is the ratio that a figure should reach or stay under; zero for none.
type aim struct {
	atLeast, atMost float64
}

// maxSpread is beyond which the rounds say nothing certain.
const maxSpread = 2

// relative makes a judged row. values and bounds are of the same rounds.
func relative(name, unit string, values, bounds []float64, a aim) figure {
	ratios := make([]float64, len(values))
	for i := range values {
		ratios[i] = values[i] / bounds[i]
	}
	f := figure{Name: name, Value: number(median(values)), Unit: unit, Bound: number(median(bounds)),
		Ratio: number(median(ratios)), Spread: number(spread(ratios))}
	var reached bool
	switch {
	case a.atLeast > 0:
		f.Target, reached = fmt.Sprintf(">= %.2fx", a.atLeast), float64(f.Ratio) >= a.atLeast
	case a.atMost > 0:
		f.Target, reached = fmt.Sprintf("<= %.2fx", a.atMost), float64(f.Ratio) <= a.atMost
	default:
		return f
	}
	if f.Spread <= maxSpread {
		f.OK = &reached
	}
	return f
}

// absolute makes a row that is reported and never judged.
func absolute(name, unit string, values []float64, target string) figure {
	return figure{Name: name, Value: number(median(values)), Unit: unit, Target: target, Spread: number(spread(values))}
}

// median gives the middle value, of an even number the greater of the two.
func median(v []float64) float64 {
	sorted := slices.Sorted(slices.Values(v))
	return sorted[len(sorted)/2]
}

func spread(v []float64) float64 { return slices.Max(v) / slices.Min(v) }

// verdict is the last cell of a row.
func (f figure) verdict() string {
	switch {
	case f.OK != nil && *f.OK:
		return "yes"
	case f.OK != nil:
		return "NO"
	case f.Ratio != 0 && f.Target != "":
		return "inconclusive"
	}
	return "-"
}

// printTable writes the figures in aligned columns.
func printTable(w io.Writer, figures []figure) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "WHAT\tVALUE\tUNIT\tRAW BOUND\tRATIO\tTARGET\tSPREAD\tOK")
	for _, f := range figures {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.Name, f.Value.cell("%.4g"), f.Unit,
			f.Bound.cell("%.4g"), f.Ratio.cell("%.2fx"), f.Target, f.Spread.cell("%.2f"), f.verdict())
	}
	return t.Flush()
}

// encode gives the figures as bench.json holds them.
func encode(figures []figure) ([]byte, error) {
	if figures == nil {
		figures = []figure{}
	}
	raw, err := json.MarshalIndent(figures, "", "  ")
	return append(raw, '\n'), err
}
