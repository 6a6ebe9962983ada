package chart

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"slices"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgimg"

	"quarterdeck/bot"
)

// density is how many pixels of the picture stand for one CSS pixel: phones and
// most screens today have two.
const density = 2

// Picture draws the scene as a PNG, 800 CSS pixels wide at twice their density,
// under the name for a file. Errors are of kind Invalid. Safe for concurrent use.
func (s Scene) Picture(name string) (*bot.Image, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	raw, err := encode(s.layout().paint(s.theme().paper))
	if err != nil {
		return nil, err
	}
	i := &bot.Image{Name: name, Alt: s.Alt(), PNG: raw}
	return i, i.Check()
}

// paint draws the shapes through gonum/plot's canvas. One of its points is one
// CSS pixel.
func (h *sheet) paint(paper color.Color) image.Image {
	c := vgimg.NewWith(vgimg.UseWH(vg.Length(h.width), vg.Length(h.height)), vgimg.UseDPI(72*density), vgimg.UseBackgroundColor(paper))
	at := func(p spot) vg.Point { return vg.Point{X: vg.Length(p.x), Y: vg.Length(h.height - p.y)} }
	for _, s := range h.shapes {
		c.SetColor(s.ink)
		switch {
		case s.text != "":
			c.FillString(face(s.size, s.bold), at(s.path[0]), s.text)
		case s.dot > 0:
			var p vg.Path
			m := at(s.path[0])
			p.Move(vg.Point{X: m.X + vg.Length(s.dot), Y: m.Y})
			p.Arc(m, vg.Length(s.dot), 0, 6.2832)
			p.Close()
			c.Fill(p)
		default:
			var p vg.Path
			for i, q := range s.path {
				if i == 0 {
					p.Move(at(q))
				} else {
					p.Line(at(q))
				}
			}
			if s.width == 0 {
				p.Close()
				c.Fill(p)
				continue
			}
			c.SetLineWidth(vg.Length(s.width))
			dash := make([]vg.Length, len(s.dash))
			for i, d := range s.dash {
				dash[i] = vg.Length(d)
			}
			c.SetLineDash(dash, 0)
			c.Stroke(p)
		}
	}
	return c.Image()
}

// encode writes a picture with at most 256 colours, which halves what has to be
// compressed and sent: there are few besides the shades at the edges of lines.
func encode(from image.Image) ([]byte, error) {
	rgba, ok := from.(*image.RGBA)
	if !ok {
		rgba = image.NewRGBA(from.Bounds())
		draw.Draw(rgba, rgba.Bounds(), from, from.Bounds().Min, draw.Src)
	}
	var b bytes.Buffer
	e := png.Encoder{CompressionLevel: png.DefaultCompression}
	err := e.Encode(&b, indexed(rgba))
	return b.Bytes(), err
}

// indexed gives the picture with a palette of its own. Shades are counted in
// cells of 1/32 of each channel; the 256 fullest cells give the palette, with
// their most frequent exact colour, and the rest take the nearest of those.
func indexed(from *image.RGBA) *image.Paletted {
	type cell struct {
		n     int
		exact map[uint32]int
	}
	cells := map[uint16]*cell{}
	size := from.Bounds().Size()
	counts := map[uint32]int{}
	for y := range size.Y {
		row := from.Pix[y*from.Stride : y*from.Stride+4*size.X]
		for x := 0; x < len(row); {
			v := uint32(row[x])<<16 | uint32(row[x+1])<<8 | uint32(row[x+2])
			n := 0
			for x < len(row) && uint32(row[x])<<16|uint32(row[x+1])<<8|uint32(row[x+2]) == v {
				n, x = n+1, x+4
			}
			counts[v] += n
		}
	}
	for v, n := range counts {
		k := cellOf(v)
		if cells[k] == nil {
			cells[k] = &cell{exact: map[uint32]int{}}
		}
		cells[k].n += n
		cells[k].exact[v] += n
	}
	keys := make([]uint16, 0, len(cells))
	for k := range cells {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b uint16) int {
		if d := cells[b].n - cells[a].n; d != 0 {
			return d
		}
		return int(a) - int(b)
	})
	var palette color.Palette
	var chosen []uint32
	for _, k := range keys[:min(256, len(keys))] {
		var best uint32
		n := 0
		for v, m := range cells[k].exact {
			if m > n || m == n && v < best {
				best, n = v, m
			}
		}
		chosen = append(chosen, best)
		palette = append(palette, color.RGBA{uint8(best >> 16), uint8(best >> 8), uint8(best), 255})
	}
	var lookup [1 << 15]uint8
	for _, k := range keys {
		var middle uint32 // of the cell's own colours, so that a frequent one stays itself
		n := 0
		for v, m := range cells[k].exact {
			if m > n || m == n && v < middle {
				middle, n = v, m
			}
		}
		best, least := 0, 1<<30
		for i, v := range chosen {
			if d := apart(v, middle); d < least {
				best, least = i, d
			}
		}
		lookup[k] = uint8(best)
	}
	out := image.NewPaletted(image.Rectangle{Max: size}, palette)
	for y := range size.Y {
		row := from.Pix[y*from.Stride : y*from.Stride+4*size.X]
		to := out.Pix[y*out.Stride : y*out.Stride+size.X]
		for x := range to {
			to[x] = lookup[cellOf(uint32(row[4*x])<<16|uint32(row[4*x+1])<<8|uint32(row[4*x+2]))]
		}
	}
	return out
}

func cellOf(v uint32) uint16 {
	return uint16((v>>19&31)<<10 | (v>>11&31)<<5 | v>>3&31)
}

// apart is how different two colours look, roughly: the eye sees green best.
func apart(a, b uint32) int {
	d := func(shift uint) int { return int(a>>shift&255) - int(b>>shift&255) }
	r, g, l := d(16), d(8), d(0)
	return 3*r*r + 6*g*g + l*l
}
