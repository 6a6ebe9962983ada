package terminal

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"

	"quarterdeck/bot"
)

// maxPictures bounds how many pictures one session keeps.
const maxPictures = 100

// pictures keeps the images of cards as files of whoever runs the session, in a
// folder that nobody else may look into, because a terminal cannot show them.
type pictures struct {
	dir  string
	kept int
}

// keep gives the card with the path of its image's file in place of the image's
// name, and without the bytes. Where it cannot be written, the name stays: the
// card's words and the image's are shown in any case.
func (p *pictures) keep(card bot.Card) bot.Card {
	if card.Image == nil {
		return card
	}
	image := &bot.Image{Name: card.Image.Name, Alt: card.Image.Alt}
	if card.Image.Check() == nil {
		image.Lines = card.Image.Lines
	}
	if path, ok := p.write(card.Image); ok {
		image.Name = path
	}
	card.Image = image
	return card
}

func (p *pictures) write(image *bot.Image) (path string, ok bool) {
	if image.Check() != nil { // also its name, which becomes a file's
		return "", false
	}
	if p.dir == "" {
		dir, err := os.MkdirTemp("", "quarterdeck-")
		if err != nil {
			return "", false
		}
		p.dir = dir
	}
	sum := sha256.Sum256(image.PNG)
	path = filepath.Join(p.dir, strings.TrimSuffix(image.Name, ".png")+"-"+hex.EncodeToString(sum[:4])+".png")
	if _, err := os.Stat(path); err == nil {
		return path, true
	}
	if p.kept >= maxPictures {
		return "", false
	}
	if err := os.WriteFile(path, image.PNG, 0o600); err != nil {
		return "", false
	}
	p.kept++
	return path, true
}

// imageLines says what an image shows and where it is: in characters where there
// are some and they fit, for a chart that is cut off says something else.
func imageLines(image *bot.Image, width int) []string {
	if image == nil {
		return nil
	}
	var drawn []string
	for _, l := range image.Lines {
		if measure(l) > width {
			drawn = nil
			break
		}
		drawn = append(drawn, strings.TrimRight(clean(l), " "))
	}
	if len(drawn) > 0 {
		return append(drawn, "  "+clean(image.Name))
	}
	return append(wrap("  picture: "+clean(image.Alt), width, 2), "  "+clean(image.Name))
}
