package chart

import (
	"math"
	"math/rand/v2"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

var berlin = func() *time.Location {
	l, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	return l
}()

func at(s string) time.Time {
	t, err := time.ParseInLocation("2006-01-02 15:04", s, berlin)
	if err != nil {
		panic(err)
	}
	return t
}

// drawn gives a point each step of what f says of the part of the time that is
// past; NaN leaves the point out.
func drawn(from, to time.Time, step time.Duration, f func(part float64) float64) []provider.Point {
	var out []provider.Point
	for t := from; !t.After(to); t = t.Add(step) {
		if v := f(float64(t.Sub(from)) / float64(to.Sub(from))); !math.IsNaN(v) {
			out = append(out, provider.Point{At: t, Value: v})
		}
	}
	return out
}

// wave is a plausible load: it sways and it flickers.
func wave(seed uint64, mean, sway, flicker float64) func(float64) float64 {
	r := rand.New(rand.NewPCG(seed, 1))
	return func(p float64) float64 {
		return math.Max(0, mean+sway*math.Sin(2*math.Pi*(p+float64(seed)/7))+flicker*r.NormFloat64())
	}
}

// scenes are the pictures that are kept as golden files.
func scenes() map[string]Scene {
	from, to := at("2026-11-21 08:10"), at("2026-11-21 14:10")
	base := func(title, unit string) Scene {
		return Scene{Title: title, Subtitle: "last 6h", Unit: unit, From: from, To: to, Zone: bot.Zone{Location: berlin}}
	}
	line := func(s Scene, label string, f func(float64) float64) Line {
		step := s.To.Sub(s.From) / 360
		return Line{Label: label, Step: step, Points: drawn(s.From, s.To, step, f)}
	}
	all := map[string]Scene{}

	one := base("orders of shop/prod", "orders/min")
	one.Lines = []Line{line(one, "", wave(1, 140, 40, 6))}
	all["one"] = one

	errors := base("error rate of shop/prod", "%")
	errors.Lines = []Line{line(errors, "", func(p float64) float64 {
		if p > 0.72 && p < 0.8 {
			return 31 + 4*math.Sin(p*400)
		}
		return 0.4 + 0.3*math.Sin(p*90)
	})}
	errors.Thresholds = []Threshold{{Value: 2, Label: "at most 2 %"}}
	errors.Markers = []Marker{{at("2026-11-21 09:30"), "deploy v2"}, {at("2026-11-21 12:28"), "deploy v3"}, {at("2026-11-21 12:59"), "rollback v2"}}
	all["breach"] = errors

	three := base("duration of shop/prod", "ms")
	for i, q := range []string{"p50", "p95", "p99"} {
		three.Lines = append(three.Lines, line(three, q, wave(uint64(i+1), 40*math.Pow(3, float64(i)), 9, 3*float64(i+1))))
	}
	three.Thresholds = []Threshold{{Value: 400, Label: "p99 at most 400 ms"}, {Value: 150, Label: "p95 at most 150 ms"}}
	all["three"] = three

	six := base("requests of shop/prod by route", "req/s")
	for i, q := range []string{"/", "/api/orders", "/api/orders/{id}", "/api/customers/{id}/addresses/{address}/validation/with/a/path/that/is/much/too/long/for/any/legend", "/health", "/static"} {
		six.Lines = append(six.Lines, line(six, q, wave(uint64(i+1), 1400-210*float64(i), 80, 12)))
	}
	all["six"] = six

	nine := base("requests of shop/prod by pod", "req/s")
	for i := range 9 {
		nine.Lines = append(nine.Lines, line(nine, "shop-"+string(rune('a'+i)), wave(uint64(i+2), 20+14*float64(i%5), 4, 1.4)))
	}
	all["nine"] = nine

	gaps := base("queue of shop/prod", "")
	gaps.Lines = []Line{line(gaps, "waiting", func(p float64) float64 {
		switch {
		case p > 0.2 && p < 0.3, p > 0.5 && p < 0.502, p > 0.55 && p < 0.62, p > 0.624 && p < 0.7, p > 0.93:
			return math.NaN()
		}
		return 80 + 60*math.Sin(p*9)
	}), {Label: "dead"}}
	gaps.Notes = []string{"a part of the time is missing: the source was restarted"}
	all["gaps"] = gaps

	crowd := base("requests of shop/prod", "req/s")
	crowd.Lines = []Line{line(crowd, "", wave(3, 12, 2, 0.5))}
	for i, m := range []string{"deploy v2", "flag new-checkout on", "flag new-checkout off", "scale 3 to 4", "flag new-checkout on", "deploy v3", "rollback v2", "deploy v4", "deploy v4 again"} {
		crowd.Markers = append(crowd.Markers, Marker{at("2026-11-21 10:00").Add(time.Duration(i*i) * 90 * time.Second), m})
	}
	crowd.Markers = append(crowd.Markers, Marker{to, "now"}, Marker{from, "scale 4 to 3"})
	all["markers"] = crowd

	ghost := base("orders of shop/prod", "orders/min")
	ghost.Subtitle = "last 6h, against 1w before"
	ghost.Lines = []Line{line(ghost, "", wave(1, 140, 40, 6)), line(ghost, "", wave(2, 150, 35, 4))}
	ghost.Lines[1].Ago = 7 * 24 * time.Hour
	for i := range ghost.Lines[1].Points {
		ghost.Lines[1].Points[i].At = ghost.Lines[1].Points[i].At.Add(-7 * 24 * time.Hour)
	}
	all["ghost"] = ghost

	night := base("requests of shop/prod", "req/s")
	night.Subtitle, night.From, night.To = "last 12h", at("2026-11-20 19:20"), at("2026-11-21 07:20")
	night.Lines = []Line{line(night, "", wave(4, 8, 6, 0.4))}
	all["midnight"] = night

	week := base("requests of shop/prod", "req/s")
	week.Subtitle, week.From, week.To = "last 1w", at("2026-11-14 14:10"), at("2026-11-21 14:10")
	week.Lines = []Line{line(week, "", func(p float64) float64 { return 900 + 700*math.Sin(2*math.Pi*(p*7+0.1)) })}
	all["week"] = week

	quarter := base("requests of shop/prod", "req/s")
	quarter.Subtitle, quarter.From, quarter.To = "last 13w", at("2026-08-22 14:10"), at("2026-11-21 14:10")
	quarter.Lines = []Line{line(quarter, "", wave(5, 900, 200, 40))}
	all["quarter"] = quarter

	spring := base("requests of shop/prod", "req/s")
	spring.From, spring.To = at("2026-03-28 23:00"), at("2026-03-29 06:00")
	spring.Lines = []Line{line(spring, "", wave(6, 8, 3, 0.4))}
	all["spring"] = spring

	autumn := base("requests of shop/prod", "req/s")
	autumn.From, autumn.To = at("2026-10-24 23:00"), at("2026-10-25 06:00")
	autumn.Lines = []Line{line(autumn, "", wave(6, 8, 3, 0.4))}
	all["autumn"] = autumn

	huge := base("money of shop/prod", "")
	huge.Lines = []Line{line(huge, "", func(p float64) float64 { return 3e17 * (1 + p) })}
	all["huge"] = huge

	tiny := base("drift of shop/prod", "")
	tiny.Lines = []Line{line(tiny, "", func(p float64) float64 { return 2e-9 * math.Sin(7*p) })}
	all["tiny"] = tiny

	bytes := base("memory of shop/prod", "B")
	bytes.Lines = []Line{line(bytes, "used", func(p float64) float64 { return 2.2e9 + 3e8*math.Sin(8*p) }), line(bytes, "cache", func(p float64) float64 { return 6e8 + 4e8*p })}
	bytes.Thresholds = []Threshold{{Value: 4 << 30, Label: "at most 4 GiB"}}
	all["bytes"] = bytes

	floating := base("temperature of the rack", "°C")
	floating.Floating = true
	floating.Lines = []Line{line(floating, "rack 4", func(p float64) float64 { return 22 + 0.6*math.Sin(8*p) })}
	floating.Thresholds = []Threshold{{Value: 21.2, Label: "at least 21.2 °C", Floor: true}}
	all["floating"] = floating

	zero := base("errors of shop/prod", "err/s")
	zero.Lines = []Line{line(zero, "", func(float64) float64 { return 0 })}
	zero.Thresholds = []Threshold{{Value: 5, Label: "at most 5 err/s"}}
	all["zero"] = zero

	point := base("errors of shop/prod", "err/s")
	point.Lines = []Line{{Label: "once", Step: time.Minute, Points: []provider.Point{{At: at("2026-11-21 11:00"), Value: 3}}}}
	all["point"] = point

	none := base("error rate of shop/prod", "%")
	none.Lines = []Line{{Label: "5xx"}}
	none.Thresholds = []Threshold{{Value: 2, Label: "at most 2 %"}}
	none.Markers = []Marker{{at("2026-11-21 12:28"), "deploy v3"}}
	all["no-data"] = none

	down := base("error rate of shop/prod", "%")
	down.Empty = "prom did not answer within 5s"
	all["down"] = down

	minutes := base("requests of shop/prod", "req/s")
	minutes.Subtitle, minutes.From, minutes.To = "last 3m", at("2026-11-21 14:07"), at("2026-11-21 14:10")
	minutes.Lines = []Line{{Label: "", Step: 5 * time.Second, Points: drawn(minutes.From, minutes.To, 5*time.Second, wave(9, 9, 1, 1))}}
	all["minutes"] = minutes

	for _, name := range []string{"breach", "three", "six", "nine", "ghost", "no-data"} {
		s := all[name]
		s.Dark = true
		all[name+"-dark"] = s
	}
	return all
}
