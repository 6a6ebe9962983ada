package chart

import (
	"image/color"

	"codeberg.org/go-fonts/liberation/liberationsansbold"
	"codeberg.org/go-fonts/liberation/liberationsansregular"
	xfont "golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"gonum.org/v1/plot/font"
)

// A sheet is a picture described: shapes in the order they are painted, in CSS
// pixels from the upper left corner. It is what tests look at.
type sheet struct {
	width, height float64
	plot          box // where the lines are
	shapes        []shape
}

// role says what a shape is for.
type role string

const (
	forTitle     role = "title"
	forSubtitle  role = "subtitle"
	forGrid      role = "grid"
	forValueTick role = "value tick"
	forTimeTick  role = "time tick"
	forDate      role = "date"
	forShift     role = "clocks changed"
	forLine      role = "line"
	forGhost     role = "ghost"
	forRest      role = "other"
	forThreshold role = "threshold"
	forMarker    role = "marker"
	forLegend    role = "legend"
	forEmpty     role = "empty"
	forNote      role = "note"
)

// shape is one of: a text, a path (stroked, or filled where it is closed), a dot.
type shape struct {
	role  role
	ink   color.NRGBA
	index int // of the line it belongs to

	path  []spot
	width float64   // of the stroke; 0 fills
	dash  []float64 // of the stroke
	dot   float64   // radius of a dot at path[0]

	text string
	size float64
	bold bool
	box  box // of the text, with its ascent and descent
}

type spot struct{ x, y float64 }

type box struct{ x0, y0, x1, y1 float64 }

func (b box) overlaps(o box) bool { return b.x0 < o.x1 && o.x0 < b.x1 && b.y0 < o.y1 && o.y0 < b.y1 }

func (b box) grown(by float64) box { return box{b.x0 - by, b.y0 - by, b.x1 + by, b.y1 + by} }

func (b box) corners() []spot {
	return []spot{{b.x0, b.y0}, {b.x1, b.y0}, {b.x1, b.y1}, {b.x0, b.y1}}
}

// fonts are the two faces that are used, from the module itself: a picture looks
// the same on every machine.
var fonts = font.NewCache(font.Collection{
	{Font: font.Font{Typeface: "Liberation", Variant: "Sans"}, Face: parsed(liberationsansregular.TTF)},
	{Font: font.Font{Typeface: "Liberation", Variant: "Sans", Weight: xfont.WeightBold}, Face: parsed(liberationsansbold.TTF)},
})

func parsed(ttf []byte) *opentype.Font {
	f, err := opentype.Parse(ttf)
	if err != nil {
		panic("chart: a font of the module does not parse: " + err.Error())
	}
	return f
}

func face(size float64, bold bool) font.Face {
	f := font.Font{Typeface: "Liberation", Variant: "Sans"}
	if bold {
		f.Weight = xfont.WeightBold
	}
	return fonts.Lookup(f, font.Length(size))
}

// width gives how wide a text is.
func width(text string, size float64, bold bool) float64 {
	f := face(size, bold)
	return float64(f.Width(text))
}

// fitted shortens a text in its middle until it is at most so wide.
func fitted(text string, size float64, bold bool, most float64) string {
	if width(text, size, bold) <= most {
		return text
	}
	lo, hi := 0, len([]rune(text)) // lo fits, hi does not
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; width(shortened(text, mid), size, bold) <= most {
			lo = mid
		} else {
			hi = mid
		}
	}
	return shortened(text, lo)
}

// write puts a text with its baseline at y; align says which part of it is at x:
// 0 its left end, 0.5 its middle, 1 its right end.
func (h *sheet) write(r role, text string, x, y, align, size float64, bold bool, ink color.NRGBA) box {
	w := width(text, size, bold)
	x -= w * align
	b := box{x, y - 0.76*size, x + w, y + 0.22*size}
	h.shapes = append(h.shapes, shape{role: r, ink: ink, text: text, size: size, bold: bold, path: []spot{{x, y}}, box: b})
	return b
}

func (h *sheet) stroke(r role, ink color.NRGBA, width float64, dash []float64, path ...spot) {
	h.shapes = append(h.shapes, shape{role: r, ink: ink, width: width, dash: dash, path: path})
}

func (h *sheet) fill(r role, ink color.NRGBA, path ...spot) {
	h.shapes = append(h.shapes, shape{role: r, ink: ink, path: path})
}
