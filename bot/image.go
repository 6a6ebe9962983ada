package bot

import (
	"bytes"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxImage bounds an image, in bytes. A chart has a tenth of it; what the outbox
// holds is small enough to be kept for every place of a card, and what a terminal
// is sent in one line can carry it.
const MaxImage = 512 << 10

// maxImageLines bounds what stands for a picture: a screen of it.
const maxImageLines = 50

// Image is a picture that belongs to a card, such as a chart. The card must make
// sense without it: a network may show it later, or not be able to.
type Image struct {
	// Name is the file's: letters, digits, dots and dashes, ending in ".png".
	Name string `json:"name"`
	// Alt says what the picture shows, for those who do not see it; at most 1,000
	// characters.
	Alt string `json:"alt"`
	PNG []byte `json:"png"`
	// Lines are the picture in characters, for a network that shows no pictures.
	Lines []string `json:"lines,omitempty"`
}

var signature = []byte("\x89PNG\r\n\x1a\n")

// Check gives an Error of kind Invalid for an image that no network would take.
func (i *Image) Check() error {
	stem, isPNG := strings.CutSuffix(i.Name, ".png")
	odd := func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '.' && r != '-'
	}
	switch {
	case !isPNG || stem == "" || len(i.Name) > 100 || strings.HasPrefix(i.Name, ".") || strings.ContainsFunc(i.Name, odd):
		return Errorf(Invalid, "%q is no name for an image; expected such as \"shop-prod.png\"", i.Name)
	case strings.TrimSpace(i.Alt) == "" || utf8.RuneCountInString(i.Alt) > 1000:
		return Errorf(Invalid, "the image %s needs a text of up to 1,000 characters for those who do not see it", i.Name)
	case len(i.Lines) > maxImageLines || slices.ContainsFunc(i.Lines, func(l string) bool { return utf8.RuneCountInString(l) > 200 }):
		return Errorf(Invalid, "the image %s has more characters in its place than %d lines of 200", i.Name, maxImageLines)
	case len(i.PNG) > MaxImage:
		return Errorf(Invalid, "the image %s has %d bytes; at most %d are possible", i.Name, len(i.PNG), MaxImage)
	case !bytes.HasPrefix(i.PNG, signature):
		return Errorf(Invalid, "the image %s is no PNG", i.Name)
	}
	return nil
}
