package chart

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// of gives the shapes for a role.
func (h *sheet) of(r role) []shape {
	var out []shape
	for _, s := range h.shapes {
		if s.role == r {
			out = append(out, s)
		}
	}
	return out
}

func texts(shapes []shape) []string {
	var out []string
	for _, s := range shapes {
		if s.text != "" {
			out = append(out, s.text)
		}
	}
	return out
}

// strokes gives the drawn paths of a line, without its fills and dots.
func strokes(shapes []shape, index int) []shape {
	var out []shape
	for _, s := range shapes {
		if s.index == index && s.width > 0 {
			out = append(out, s)
		}
	}
	return out
}

// legible checks what holds for every picture: each text is whole on the sheet, is
// not smaller than 14 pixels, and covers no other; each line stays in the plot.
func legible(t interface{ Errorf(string, ...any) }, h *sheet) {
	sheetBox := box{0, 0, h.width, h.height}
	var all []shape
	for _, s := range h.shapes {
		for _, p := range s.path {
			if math.IsNaN(p.x) || math.IsNaN(p.y) || math.IsInf(p.x, 0) || math.IsInf(p.y, 0) {
				t.Errorf("a %s has a point that is no number", s.role)
			}
			if (s.role == forLine || s.role == forGhost || s.role == forRest) && (p.x < h.plot.x0-1 || p.x > h.plot.x1+1 || p.y < h.plot.y0-1 || p.y > h.plot.y1+1) {
				t.Errorf("a %s leaves the plot at %v", s.role, p)
			}
		}
		if s.text == "" {
			continue
		}
		if s.size < 14 {
			t.Errorf("%q is %v pixels high", s.text, s.size)
		}
		if s.box.x0 < sheetBox.x0 || s.box.x1 > sheetBox.x1 || s.box.y0 < sheetBox.y0 || s.box.y1 > sheetBox.y1 {
			t.Errorf("%s %q leaves the sheet: %v", s.role, s.text, s.box)
		}
		for _, o := range all {
			if s.box.overlaps(o.box) {
				t.Errorf("%s %q covers %s %q: %v %v", s.role, s.text, o.role, o.text, s.box, o.box)
			}
		}
		all = append(all, s)
	}
}

func TestLegible(t *testing.T) {
	all := scenes()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) { legible(t, all[name].layout()) })
	}
}

// TestAnyScene: whatever is measured, wherever, the picture is legible and the
// text stays inside its width.
func TestAnyScene(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe", "America/Sao_Paulo"}
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatalf("zone: %v", err)
		}
		from := time.Unix(rapid.Int64Range(1_500_000_000, 1_900_000_000).Draw(t, "from"), 0)
		length := time.Duration(math.Exp(rapid.Float64Range(math.Log(10), math.Log(3e8)).Draw(t, "length"))) * time.Second
		s := Scene{Title: rapid.SampledFrom([]string{"x", "error rate of shop/prod", strings.Repeat("very long ", 30)}).Draw(t, "title"),
			Unit: rapid.SampledFrom([]string{"", "%", "ms", "s", "B", "B/s", "req/s", "a very long unit of measurement"}).Draw(t, "unit"),
			From: from, To: from.Add(length), Zone: bot.Zone{Location: zone}, Floating: rapid.Bool().Draw(t, "floating")}
		value := rapid.Custom(func(t *rapid.T) float64 {
			return rapid.SampledFrom([]float64{0, 1, -1, math.NaN(), math.Inf(1), math.MaxFloat64, -math.MaxFloat64, 5e-324, 999.96, 1024}).Draw(t, "special") *
				rapid.SampledFrom([]float64{1, 1, 0.1, 1e3, 1e9, 1e-9}).Draw(t, "factor")
		})
		for range rapid.IntRange(0, 9).Draw(t, "lines") {
			var l Line
			l.Label = rapid.SampledFrom([]string{"", "a", "pod-7", strings.Repeat("x", 200)}).Draw(t, "label")
			l.Ago = rapid.SampledFrom([]time.Duration{0, 0, 0, 24 * time.Hour}).Draw(t, "ago")
			for _, v := range rapid.SliceOfN(value, 0, 12).Draw(t, "values") {
				at := from.Add(time.Duration(rapid.Float64Range(-0.1, 1.1).Draw(t, "at") * float64(length))).Add(-l.Ago)
				l.Points = append(l.Points, provider.Point{At: at, Value: v})
			}
			s.Lines = append(s.Lines, l)
		}
		for range rapid.IntRange(0, 4).Draw(t, "thresholds") {
			s.Thresholds = append(s.Thresholds, Threshold{Value: value.Draw(t, "threshold"), Label: rapid.SampledFrom([]string{"", "at most 2 %"}).Draw(t, "guide"), Floor: rapid.Bool().Draw(t, "floor")})
		}
		for range rapid.IntRange(0, 30).Draw(t, "markers") {
			s.Markers = append(s.Markers, Marker{At: from.Add(time.Duration(rapid.Float64Range(-0.1, 1.1).Draw(t, "marked") * float64(length))), Label: rapid.SampledFrom([]string{"v1", "deploy v3", strings.Repeat("flag ", 12)}).Draw(t, "mark")})
		}
		legible(t, s.layout())
		if n := len([]rune(s.Alt())); n == 0 || n > 1000 {
			t.Errorf("the alt text has %d characters", n)
		}
		width := rapid.IntRange(0, 220).Draw(t, "width")
		rows, err := s.Text(width)
		if err != nil {
			t.Fatalf("text: %v", err)
		}
		for _, row := range rows {
			if n := columns(row); n > max(MinText, width) {
				t.Errorf("a row has %d columns of %d: %q", n, width, row)
			}
		}
	})
}

func TestGapsAreNotBridged(t *testing.T) {
	h := scenes()["gaps"].layout()
	lines := strokes(h.of(forLine), 0)
	// Missing: 0.2 to 0.3, 0.55 to 0.62, 0.624 to 0.7 and the end; the lone point
	// missing at 0.5 is one of 360, which is a gap as well.
	gaps := [][2]float64{{0.2, 0.3}, {0.55, 0.62}, {0.624, 0.7}, {0.93, 1}}
	part := func(p spot) float64 { return (p.x - h.plot.x0) / (h.plot.x1 - h.plot.x0) }
	for _, l := range lines {
		for i := 1; i < len(l.path); i++ {
			for _, g := range gaps {
				if part(l.path[i-1]) <= g[0]+0.001 && part(l.path[i]) >= g[1]-0.001 {
					t.Errorf("a line goes from %.3f to %.3f, across the gap %v", part(l.path[i-1]), part(l.path[i]), g)
				}
			}
		}
	}
	if len(lines) != 3 {
		t.Errorf("%d pieces, not 3", len(lines))
	}
	if got := texts(h.of(forLegend)); !slices.Contains(got, "133 at 13:44") || !slices.Contains(got, "no data") {
		t.Errorf("the legend does not say since when values are missing, or for which line: %q", got)
	}
	if got := texts(h.of(forNote)); len(got) != 1 {
		t.Errorf("notes: %q", got)
	}
}

func TestNoDataIsNotZero(t *testing.T) {
	for name, want := range map[string]string{"no-data": "no data", "down": "prom did not answer within 5s"} {
		s := scenes()[name]
		h := s.layout()
		if got := texts(h.of(forEmpty)); len(got) != 1 || got[0] != want {
			t.Errorf("%s says %q, not %q", name, got, want)
		}
		if n := len(h.of(forLine)); n > 0 {
			t.Errorf("%s draws %d lines", name, n)
		}
		if got := texts(h.of(forValueTick)); len(got) > 0 {
			t.Errorf("%s has values at its axis: %q", name, got)
		}
		rows, err := s.Text(78)
		if err != nil || !strings.Contains(strings.Join(rows, "\n"), want) {
			t.Errorf("%s in characters: %q %v", name, rows, err)
		}
		if !strings.Contains(s.Alt(), want) {
			t.Errorf("alt of %s: %s", name, s.Alt())
		}
	}
	if n := len(strokes(scenes()["zero"].layout().of(forLine), 0)); n != 1 {
		t.Errorf("values of zero are drawn as %d lines", n)
	}
}

func TestAxisBeginsAtZero(t *testing.T) {
	for name, want := range map[string]string{"one": "0", "three": "0 ms", "breach": "0 %", "bytes": "0 GiB", "huge": "0", "floating": "21.0", "tiny": "-2e-9"} {
		if got := texts(scenes()[name].layout().of(forValueTick)); got[0] != want {
			t.Errorf("the lowest of %s is %q, not %q: %q", name, got[0], want, got)
		}
	}
}

func TestThresholds(t *testing.T) {
	h := scenes()["three"].layout()
	if got := texts(h.of(forThreshold)); !slices.Equal(got, []string{"p99 at most 400 ms", "p95 at most 150 ms"}) {
		t.Errorf("labels: %q", got)
	}
	dashed := 0
	for _, s := range h.of(forThreshold) {
		if s.width > 0 && len(s.dash) > 0 {
			dashed++
		}
	}
	if dashed != 2 {
		t.Errorf("%d dashed lines, not 2", dashed)
	}
	far := scenes()["one"]
	far.Thresholds = []Threshold{{Value: 1e6, Label: "at most 1M"}}
	h = far.layout()
	if got := texts(h.of(forThreshold)); !slices.Equal(got, []string{"at most 1M ↑"}) {
		t.Errorf("a threshold far above: %q", got)
	}
	if got := texts(h.of(forValueTick)); got[len(got)-1] != "200" {
		t.Errorf("a threshold far above flattens the line: %q", got)
	}
}

func TestMarkers(t *testing.T) {
	s := scenes()["breach"]
	h := s.layout()
	if got := texts(h.of(forMarker)); !slices.Equal(got, []string{"deploy v2", "deploy v3", "rollback v2"}) {
		t.Errorf("labels: %q", got)
	}
	l := layouter{Scene: s, sheet: h}
	for _, m := range s.Markers {
		if !slices.ContainsFunc(h.of(forMarker), func(x shape) bool {
			return x.width > 0 && math.Abs(x.path[0].x-l.x(m.At)) < 0.01 && x.path[1].y == h.plot.y1
		}) {
			t.Errorf("no line stands at %s of %s", m.At, m.Label)
		}
	}
	// Crowded ones share a label, and each keeps its line.
	crowd := scenes()["markers"]
	h = crowd.layout()
	lines := 0
	for _, x := range h.of(forMarker) {
		if x.width > 0 {
			lines++
		}
	}
	if lines != len(crowd.Markers) {
		t.Errorf("%d of %d markers have a line", lines, len(crowd.Markers))
	}
	if got := texts(h.of(forMarker)); !slices.Contains(got, "deploy v3 +5") || !slices.Contains(got, "deploy v4 again") {
		t.Errorf("labels: %q", got)
	}
}

func TestOther(t *testing.T) {
	h := scenes()["nine"].layout()
	legend := texts(h.of(forLegend))
	if !slices.Contains(legend, "other (3)") {
		t.Errorf("legend: %q", legend)
	}
	if n := len(h.of(forRest)); n < 3 {
		t.Errorf("%d of the 3 others are drawn", n)
	}
	seen := map[string]bool{}
	for _, l := range h.of(forLine) {
		seen[string([]byte{l.ink.R, l.ink.G, l.ink.B})] = true
	}
	if len(seen) != MaxColours {
		t.Errorf("%d colours, not %d", len(seen), MaxColours)
	}
}

// TestSpikesSurvive: with far more values than pixels, the highest is still drawn.
func TestSpikesSurvive(t *testing.T) {
	s := scenes()["one"]
	s.Lines = []Line{{Step: time.Second, Points: drawn(s.From, s.To, time.Second, func(p float64) float64 {
		if math.Abs(p-0.5) < 0.00002 {
			return 900
		}
		return 10
	})}}
	h := s.layout()
	top := math.Inf(1)
	n := 0
	for _, l := range strokes(h.of(forLine), 0) {
		n += len(l.path)
		for _, p := range l.path {
			top = min(top, p.y)
		}
	}
	if want := (&layouter{Scene: s, sheet: h, values: axis{lo: 0, hi: 1000}}).y(900); math.Abs(top-want) > 0.5 {
		t.Errorf("the spike is at %.1f, not at %.1f", top, want)
	}
	if n > 4*sheetWidth*density {
		t.Errorf("%d points are drawn for %d columns", n, sheetWidth*density)
	}
}

func TestSceneCheck(t *testing.T) {
	s := scenes()["one"]
	for name, change := range map[string]func(*Scene){
		"no time":  func(s *Scene) { s.To = s.From },
		"backward": func(s *Scene) { s.To = s.From.Add(-time.Hour) },
		"too long": func(s *Scene) { s.From = s.To.AddDate(-30, 0, 0) },
		"no title": func(s *Scene) { s.Title = " " },
	} {
		bad := s
		change(&bad)
		if _, err := bad.Picture("x.png"); bot.KindOf(err) != bot.Invalid {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := bad.Text(80); bot.KindOf(err) != bot.Invalid {
			t.Errorf("%s in characters: %v", name, err)
		}
	}
	if _, err := s.Picture("no name"); bot.KindOf(err) != bot.Invalid {
		t.Errorf("a name that is none: %v", err)
	}
}
