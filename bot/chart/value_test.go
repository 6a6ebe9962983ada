package chart

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"

	"quarterdeck/bot/provider"
)

func columns(s string) int { return runewidth.StringWidth(s) }

func TestValue(t *testing.T) {
	for _, c := range []struct {
		v    float64
		unit string
		want string
	}{
		{0, "%", "0 %"}, {2.1, "%", "2.1 %"}, {33.333, "%", "33.3 %"}, {12345, "%", "12345 %"},
		{0, "ms", "0 ms"}, {0.25, "ms", "250 µs"}, {340, "ms", "340 ms"}, {999.9, "ms", "1 s"}, {1500, "ms", "1.5 s"}, {90, "s", "90 s"}, {150, "s", "2.5 min"}, {9000, "s", "2.5 h"}, {3 * 86400, "s", "3 d"},
		{512, "B", "512 B"}, {1536, "B", "1.5 KiB"}, {-1 << 31, "B", "-2 GiB"}, {2048, "B/s", "2 KiB/s"},
		{1250, "req/s", "1.25k req/s"}, {0.5, "req/s", "0.5 req/s"}, {3e17, "", "300P"}, {2e-9, "", "2e-9"}, {1e300, "", "1e285P"}, {0.00123, "", "0.00123"}, {99.99, "", "100"},
		{math.NaN(), "ms", "no value"}, {math.Inf(1), "ms", "∞ ms"}, {math.Inf(-1), "req/s", "-∞ req/s"},
	} {
		if got := Value(c.v, c.unit); got != c.want {
			t.Errorf("Value(%v, %q) = %q, not %q", c.v, c.unit, got, c.want)
		}
	}
}

func TestSummarise(t *testing.T) {
	from := at("2026-11-21 08:00")
	var points []provider.Point
	for i, v := range []float64{500, 4, math.NaN(), 8, math.Inf(1), 6, 900} {
		points = append(points, provider.Point{At: from.Add(time.Duration(i-1) * time.Minute), Value: v})
	}
	s := Summarise(points, from, from.Add(4*time.Minute))
	if s != (Summary{Min: 4, Avg: 6, Max: 8, Last: 6, LastAt: from.Add(4 * time.Minute), Count: 3}) {
		t.Errorf("%+v", s)
	}
	if s := Summarise(nil, from, from.Add(time.Hour)); s.Count != 0 {
		t.Errorf("%+v", s)
	}
	huge := []provider.Point{{At: from, Value: math.MaxFloat64}, {At: from.Add(time.Second), Value: math.MaxFloat64}}
	if s := Summarise(huge, from, from.Add(time.Hour)); s.Avg != math.MaxFloat64 {
		t.Errorf("the mean of the largest is %v", s.Avg)
	}
}

func TestSpark(t *testing.T) {
	from := at("2026-11-21 08:00")
	to := from.Add(8 * time.Minute)
	rising := drawn(from, to, time.Minute, func(p float64) float64 {
		if p > 0.4 && p < 0.6 {
			return math.NaN()
		}
		return p * 7
	})
	if got := Spark(rising, from, to, 8); got != "▁▂▃▄ ▅▆█" {
		t.Errorf("%q", got)
	}
	if got := Spark(nil, from, to, 8); got != "no data" {
		t.Errorf("%q", got)
	}
	if got := Spark(drawn(from, to, time.Minute, func(float64) float64 { return 0 }), from, to, 8); got != "▁▁▁▁▁▁▁▁" {
		t.Errorf("%q", got)
	}
}

func TestText(t *testing.T) {
	s := Scene{Title: "errors of shop/prod", Unit: "err/s", From: at("2026-11-21 08:00"), To: at("2026-11-21 12:00")}
	s.Lines = []Line{{Step: time.Minute, Points: drawn(s.From, s.To, time.Minute, func(p float64) float64 {
		if p > 0.3 && p < 0.5 {
			return math.NaN()
		}
		if p > 0.7 {
			return 8
		}
		return 1
	})}}
	s.Thresholds = []Threshold{{Value: 4, Label: "at most 4 err/s"}}
	s.Markers = []Marker{{at("2026-11-21 10:48"), "deploy v3"}}
	s.Zone.Location = berlin
	got, err := s.Text(48)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"last 8  max 8  avg 3.6  min 1 err/s",
		"8 ┤                               ⡎⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉⠉",
		"  │                               ⡇",
		"6 ┤                               ⡇",
		"  │                               ⡇",
		"4 ┤┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄⡇┄┄┄┄┄┄┄┄┄┄┄┄┄",
		"  │                               ⡇",
		"2 ┤⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣀        ⢀⣀⣀⣀⣀⣀⣀⣀⣀⡇",
		"0 ┤",
		"  └─────────────────────┴────────▲────────────┴",
		" 08:00                 10:00",
		"┄ at most 4 err/s",
		"▲ 10:48 deploy v3",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
