package terminal

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
)

// TestPicture prints what a card's image shows and where its file is, which only
// its reader may open; the same picture is kept once.
func TestPicture(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out bytes.Buffer
	s := newScreen(&out)
	card := bot.Card{Title: "orders of shop/prod", Image: bottest.Picture()}
	s.show(card, "")
	s.show(card, "")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	path := strings.TrimSpace(lines[len(lines)-1])
	raw, err := os.ReadFile(path)
	if err != nil || !slices.Equal(raw, card.Image.PNG) {
		t.Fatalf("%q does not hold the picture: %v\n%s", path, err, out.String())
	}
	if !strings.Contains(strings.Join(strings.Fields(out.String()), " "), card.Image.Alt) {
		t.Errorf("what it shows is not said:\n%s", out.String())
	}
	for _, p := range []string{path, filepath.Dir(path)} {
		info, err := os.Stat(p)
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", p, info.Mode(), err)
		}
	}
	if all, err := os.ReadDir(filepath.Dir(path)); err != nil || len(all) != 1 {
		t.Errorf("%d files, %v", len(all), err)
	}
	// A server's word for a name is not believed, and a missing folder costs no words.
	card.Image.Name = "../../escape.png"
	s.show(card, "")
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "nowhere"))
	out.Reset()
	other := newScreen(&out)
	other.show(bot.Card{Title: "x", Image: bottest.Picture()}, "")
	if !strings.Contains(out.String(), "picture: ") || !strings.Contains(out.String(), "shop-prod.png") {
		t.Errorf("without a file: %q", out.String())
	}
}

// TestDrawnPicture draws a picture in characters where it has some and they fit;
// what does not fit is said in words, and what a server may not send is not drawn.
func TestDrawnPicture(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	drawn := func(lines ...string) string {
		var out bytes.Buffer
		card := bot.Card{Title: "orders of shop/prod", Image: bottest.Picture()}
		card.Image.Lines = lines
		newScreen(&out).show(card, "")
		return out.String()
	}
	if text := drawn("2 ┤ ⣀⣀", "0 ┤  \x1b[2J  "); !strings.Contains(text, "\n2 ┤ ⣀⣀\n0 ┤  \\x1b[2J\n  ") || strings.Contains(text, "picture: ") {
		t.Errorf("it says %q", text)
	}
	if text := drawn(strings.Repeat("⣀", 90)); !strings.Contains(text, "picture: ") || strings.Contains(text, "⣀") {
		t.Errorf("what is too wide says %q", text)
	}
	if text := drawn(slices.Repeat([]string{"⣀"}, 51)...); !strings.Contains(text, "picture: ") || strings.Contains(text, "⣀") {
		t.Errorf("what is too long says %q", text)
	}
}

// TestInjection shows whatever people, programs and names hold, in every place
// that a card has: each line is as wide as it may be, and nothing steers the
// terminal or hides from the eye.
func TestInjection(t *testing.T) {
	for name, evil := range bottest.Injections() {
		for _, color := range []bool{false, true} {
			text := Render(bottest.Riddled(evil), 80, color)
			for line := range strings.SplitSeq(text, "\n") {
				for _, own := range []string{"\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[1;33m"} {
					line = strings.ReplaceAll(line, own, "")
				}
				if i := strings.IndexFunc(line, steers); i >= 0 {
					t.Errorf("%s: %q is printed", name, line[i:min(len(line), i+20)])
				}
				link, typed := strings.HasPrefix(line, "  https://"), strings.HasPrefix(line, "  type: ") || strings.HasPrefix(line, "    or: ")
				if measure(line) > 80 && !link && !typed {
					t.Errorf("%s: a line of %d columns: %.60q", name, measure(line), line)
				}
			}
			if len(text) > 8<<20 {
				t.Errorf("%s: %d bytes", name, len(text))
			}
		}
	}
}
