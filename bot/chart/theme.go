package chart

import "image/color"

// theme is the colours of one background. The lines' colours follow Okabe and
// Ito's palette, which people with any of the common colour blindnesses can tell
// apart, darkened or lightened until they stand out from the background.
type theme struct {
	paper, ink, muted, grid, axis, day color.NRGBA
	limit, breach                      color.NRGBA
	mark, markPaper, markInk           color.NRGBA
	rest                               color.NRGBA
	lines                              [MaxColours]color.NRGBA
}

func rgb(hex uint32) color.NRGBA {
	return color.NRGBA{uint8(hex >> 16), uint8(hex >> 8), uint8(hex), 255}
}

// faint gives the colour with so much of its strength.
func faint(c color.NRGBA, strength float64) color.NRGBA {
	c.A = uint8(255 * strength)
	return c
}

var light = theme{
	paper: rgb(0xFFFFFF), ink: rgb(0x1A1D21), muted: rgb(0x5C6168), grid: rgb(0xE7E9EC), axis: rgb(0xA9AFB7), day: rgb(0xB9BFC7),
	limit: rgb(0xB3261E), breach: faint(rgb(0xB3261E), 0.055),
	mark: rgb(0x6B5B95), markPaper: rgb(0xECE8F5), markInk: rgb(0x43356B), rest: rgb(0xB4B9C0),
	lines: [MaxColours]color.NRGBA{rgb(0x0072B2), rgb(0xD55E00), rgb(0x009E73), rgb(0xB8568F), rgb(0xC48A00), rgb(0x3F454D)},
}

var dark = theme{
	paper: rgb(0x1A1D21), ink: rgb(0xEDEEF0), muted: rgb(0xA8ADB5), grid: rgb(0x2D3136), axis: rgb(0x5F666E), day: rgb(0x555B63),
	limit: rgb(0xFF7B72), breach: faint(rgb(0xFF7B72), 0.08),
	mark: rgb(0xA394D6), markPaper: rgb(0x383152), markInk: rgb(0xDDD4F7), rest: rgb(0x666D75),
	lines: [MaxColours]color.NRGBA{rgb(0x56B4E9), rgb(0xF08A3C), rgb(0x2CC99B), rgb(0xE29BC4), rgb(0xF0C94A), rgb(0xDADDE1)},
}

func (s Scene) theme() theme {
	if s.Dark {
		return dark
	}
	return light
}
