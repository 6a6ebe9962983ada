package main

import (
	"math"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/chart"
	"quarterdeck/bot/provider"
)

// charts measures how long a panel of three lines over a day takes to be drawn
// as a PNG, with a threshold and a deployment.
func charts(s *suite) error {
	to := time.Date(2026, 11, 21, 14, 10, 0, 0, time.UTC)
	from := to.Add(-24 * time.Hour)
	scene := chart.Scene{Title: "duration of shop/prod", Subtitle: "last 24h", Unit: "ms", From: from, To: to,
		Thresholds: []chart.Threshold{{Value: 400, Label: "at most 400 ms"}}, Markers: []chart.Marker{{At: from.Add(9 * time.Hour), Label: "deploy v2"}}}
	for i, label := range []string{"p50", "p95", "p99"} {
		line := chart.Line{Label: label, Step: time.Minute}
		for k := range 1440 {
			wave := math.Sin(float64(k)/200+float64(i)) + 0.2*math.Sin(float64(k*k%97))
			line.Points = append(line.Points, provider.Point{At: from.Add(time.Duration(k) * time.Minute), Value: math.Pow(3, float64(i)) * (30 + 8*wave)})
		}
		scene.Lines = append(scene.Lines, line)
	}
	var took []float64
	var made *bot.Image
	for range rounds {
		begun := time.Now()
		i, err := scene.Picture("bench.png")
		if err != nil {
			return err
		}
		took, made = append(took, ms(time.Since(begun))), i
	}
	s.absolute("a panel of 3 x 1,440 points as a PNG", median(took), "ms", "aim 150 ms", spread(took))
	s.absolute("the same, size", float64(len(made.PNG))/1024, "KiB", "", 1)
	return nil
}
