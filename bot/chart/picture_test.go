package chart

import (
	"bytes"
	"flag"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"quarterdeck/bot"
)

var update = flag.Bool("update", false, "write the golden pictures")

// halved gives the picture at one pixel for each CSS pixel: a quarter of the file,
// and edges that tolerate another machine's rounding.
func halved(from image.Image) *image.RGBA {
	size := from.Bounds().Size().Div(2)
	out := image.NewRGBA(image.Rectangle{Max: size})
	for y := range size.Y {
		for x := range size.X {
			var sum [3]uint32
			for i := range 4 {
				r, g, b, _ := from.At(2*x+i%2, 2*y+i/2).RGBA()
				sum[0], sum[1], sum[2] = sum[0]+r>>8, sum[1]+g>>8, sum[2]+b>>8
			}
			out.SetRGBA(x, y, color.RGBA{uint8(sum[0] / 4), uint8(sum[1] / 4), uint8(sum[2] / 4), 255})
		}
	}
	return out
}

// TestPictures holds every scene's picture against the golden one that was looked
// at. A pixel differs when a channel is off by more than 40 of 255; one in 500 may.
func TestPictures(t *testing.T) {
	all := scenes()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			i, err := all[name].Picture(name + ".png")
			if err != nil {
				t.Fatal(err)
			}
			if most := bot.MaxImage / 4; len(i.PNG) > most {
				t.Errorf("the picture has %d bytes, more than %d", len(i.PNG), most)
			}
			full, err := png.Decode(bytes.NewReader(i.PNG))
			if err != nil {
				t.Fatal(err)
			}
			got := halved(full)
			path := filepath.Join("testdata", name+".png")
			if *update {
				var b bytes.Buffer
				e := png.Encoder{CompressionLevel: png.BestCompression}
				if err := e.Encode(&b, indexed(got)); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want, err := png.Decode(bytes.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			if want.Bounds() != got.Bounds() {
				t.Fatalf("the picture is %v, not %v; look at it, and -update", got.Bounds(), want.Bounds())
			}
			off := 0
			for y := range got.Bounds().Dy() {
				for x := range got.Bounds().Dx() {
					r, g, b, _ := want.At(x, y).RGBA()
					c := got.RGBAAt(x, y)
					if far(r>>8, c.R) || far(g>>8, c.G) || far(b>>8, c.B) {
						off++
					}
				}
			}
			if pixels := got.Bounds().Dx() * got.Bounds().Dy(); off > pixels/500 {
				t.Errorf("%d of %d pixels differ from %s; look at it, and -update", off, pixels, path)
			}
		})
	}
}

func far(want uint32, got uint8) bool {
	d := int(want) - int(got)
	return d > 40 || d < -40
}

// TestPictureIsDeterministic: the same scene gives the same bytes, or an edited
// card would send its picture again for nothing.
func TestPictureIsDeterministic(t *testing.T) {
	s := scenes()["three"]
	a, err := s.Picture("a.png")
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Picture("a.png")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.PNG, b.PNG) {
		t.Error("the same scene gave other bytes the second time")
	}
}
