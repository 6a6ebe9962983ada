// Command bench measures what matters, as ratios against the raw bound of the
// same run, because absolute times drift on shared machines. It prints a table
// and writes bench.json.
//
//	go run ./bot/bench [-run REGEXP] [-quick]
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"text/tabwriter"
)

// figure is one row. Ratio is Value against Bound as the row's name says;
// Spread is the largest over the smallest of the rounds. OK is nil for an
// absolute figure, which is reported and never judged, and for a spread over 2,
// which is inconclusive.
type figure struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Bound  float64 `json:"bound,omitempty"`
	Ratio  float64 `json:"ratio,omitempty"`
	Target string  `json:"target,omitempty"`
	Spread float64 `json:"spread,omitempty"`
	OK     *bool   `json:"ok"`
}

// rounds is how often measurement and baseline alternate; the median counts.
const rounds = 7

// suite is what the measurements share.
type suite struct {
	dir     string
	quick   bool
	figures []figure
}

// scale gives n, or a tenth of it when quick.
func (s *suite) scale(n int) int {
	if s.quick {
		return max(n/10, 64)
	}
	return n
}

func (s *suite) absolute(name string, value float64, unit, target string, spread float64) {
	s.figures = append(s.figures, figure{Name: name, Value: value, Unit: unit, Target: target, Spread: spread})
}

// ratio adds a judged row. values and bounds are of the same rounds; atLeast
// says whether the ratio must reach target or stay under it.
func (s *suite) ratio(name, unit string, values, bounds []float64, target float64, atLeast bool) {
	ratios := make([]float64, len(values))
	for i := range values {
		ratios[i] = values[i] / bounds[i]
	}
	f := figure{Name: name, Value: median(values), Unit: unit, Bound: median(bounds), Ratio: median(ratios), Spread: spread(ratios)}
	if target > 0 {
		sign := "<="
		ok := f.Ratio <= target
		if atLeast {
			sign, ok = ">=", f.Ratio >= target
		}
		f.Target = fmt.Sprintf("%s %.2fx", sign, target)
		if f.Spread <= 2 {
			f.OK = &ok
		}
	}
	s.figures = append(s.figures, f)
}

func median(v []float64) float64 {
	sorted := slices.Sorted(slices.Values(v))
	return sorted[len(sorted)/2]
}

func spread(v []float64) float64 { return slices.Max(v) / slices.Min(v) }

func main() {
	if url := os.Getenv(rawSlackVar); url != "" {
		fmt.Fprintln(os.Stderr, "the raw bot ended:", rawSlack(url))
		return
	}
	if base := os.Getenv(rawDiscordVar); base != "" {
		fmt.Fprintln(os.Stderr, "the raw bot ended:", rawDiscord(base))
		return
	}
	only := flag.String("run", "", "only measurements whose name matches this regular expression")
	quick := flag.Bool("quick", false, "a tenth of the work, for a first look")
	flag.Parse()
	if err := bench(*only, *quick); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(only string, quick bool) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "quarterdeck-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := &suite{dir: dir, quick: quick}
	for _, m := range []struct {
		name string
		run  func(*suite) error
	}{
		{"decision", decision},
		{"appends", appends},
		{"commands", commandsAtWork},
		{"long log", longLog},
		{"reload", reloads},
		{"flags", flags},
		{"chart", charts},
		{"program", program},
		{"slack", inSlack},
		{"discord", inDiscord},
		{"choices", choices},
		{"timers", timers},
		{"replicas", replicas},
		{"take-over", takeOver},
	} {
		if !match.MatchString(m.name) {
			continue
		}
		fmt.Fprintln(os.Stderr, "measuring", m.name, "...")
		if err := m.run(s); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return s.report()
}

// report prints the table and writes bench.json.
func (s *suite) report() error {
	t := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "WHAT\tVALUE\tUNIT\tRAW BOUND\tRATIO\tTARGET\tSPREAD\tOK")
	for _, f := range s.figures {
		cell := func(v float64, format string) string {
			if v == 0 {
				return ""
			}
			return fmt.Sprintf(format, v)
		}
		ok := "-"
		if f.OK != nil {
			ok = map[bool]string{true: "yes", false: "NO"}[*f.OK]
		}
		fmt.Fprintf(t, "%s\t%.4g\t%s\t%s\t%s\t%s\t%s\t%s\n", f.Name, f.Value, f.Unit,
			cell(f.Bound, "%.4g"), cell(f.Ratio, "%.2fx"), f.Target, cell(f.Spread, "%.2f"), ok)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(s.figures, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile("bench.json", append(raw, '\n'), 0o644)
}
