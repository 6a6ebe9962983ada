package terminal

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"quarterdeck/bot"
)

// screen is where a session prints. Safe for concurrent use. On a terminal the
// newest message is edited in place, above the prompt when there is one; what
// was typed there stays.
type screen struct {
	w    io.Writer
	file *os.File // w, when it is a file
	live bool     // a terminal that can be drawn on
	// print replaces all drawing, for output that programs read.
	print func(w io.Writer, card bot.Card) error

	mu        sync.Mutex
	prompting bool
	lost      bool
	begun     string            // of a line that a command of the session is writing
	last      string            // key of the card printed last, "" for anything else
	rows      int               // rows it takes
	columns   int               // of the terminal it was printed on
	working   map[string]string // cards under way: what was printed of them
	pictures  pictures
}

// maxWorking bounds how many cards under way are remembered.
const maxWorking = 256

func newScreen(w io.Writer) *screen {
	s := &screen{w: w, working: map[string]string{}}
	if f, ok := w.(*os.File); ok {
		s.file = f
	}
	s.live = s.tty() && os.Getenv("TERM") != "dumb" && os.Getenv("TERM") != ""
	return s
}

// isTerminal reports whether f is a terminal.
func isTerminal(f *os.File) bool {
	_, _, ok := windowSize(f)
	return ok
}

func (s *screen) tty() bool { return s.file != nil && isTerminal(s.file) }

// color says whether to decorate: on a terminal, unless NO_COLOR is set to
// anything (no-color.org).
func (s *screen) color() bool { return s.live && os.Getenv("NO_COLOR") == "" }

// size gives the columns and rows to draw for.
func (s *screen) size() (columns, rows int) {
	if s.live {
		if c, r, ok := windowSize(s.file); ok && c > 0 && r > 0 {
			return c, r
		}
	}
	return defaultWidth, 24
}

// show prints a card, or edits it where it stands.
func (s *screen) show(card bot.Card, thread string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	card = s.pictures.keep(card)
	if s.print != nil {
		_ = s.print(s.w, card) // a reader that is gone ends the session by itself
		return
	}
	columns, rows := s.size()
	if !s.live {
		s.write(s.plain(card, columns, thread))
		return
	}
	inPlace := card.Key != "" && card.Key == s.last && columns == s.columns && s.rows+1 < rows
	if !inPlace && card.Phase == bot.PhaseWorking && s.working[card.Key] == card.Title {
		return // its progress has scrolled away; its end will be printed
	}
	s.remember(card, card.Title)
	text := indent(Render(card, columns, s.color()), thread)
	var b strings.Builder
	if s.prompting {
		b.WriteString("\r\x1b[K")
	}
	if inPlace {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", s.rows)
	}
	b.WriteString(text + "\n")
	s.write(b.String())
	s.last, s.columns, s.rows = card.Key, columns, rowsOf(text, columns)
	if s.prompting {
		redrawPrompt()
	}
}

// plain gives what a transcript gets of a card: of one under way, its first
// version and then a line whenever there is something else to say.
func (s *screen) plain(card bot.Card, columns int, thread string) string {
	if card.Phase != bot.PhaseWorking {
		s.remember(card, "")
		return indent(Render(card, columns, false), thread) + "\n"
	}
	card.Buttons = nil // a script cannot press them
	news := card.Title
	if card.Progress != nil {
		news += "\n" + card.Progress.Text
	}
	before, seen := s.working[card.Key]
	s.remember(card, news)
	title, _, _ := strings.Cut(before, "\n")
	switch {
	case seen && news == before:
		return ""
	case seen && title == card.Title && card.Progress != nil && card.Progress.Text != "":
		card = bot.Card{Progress: &bot.Gauge{Text: card.Progress.Text}}
	}
	return indent(Render(card, columns, false), thread) + "\n"
}

// remember notes what was printed of a card under way.
func (s *screen) remember(card bot.Card, printed string) {
	if card.Phase != bot.PhaseWorking || card.Key == "" {
		delete(s.working, card.Key)
		return
	}
	if len(s.working) >= maxWorking {
		clear(s.working)
	}
	s.working[card.Key] = printed
}

// indent sets the cards of a thread off from those of the channel.
func indent(text, thread string) string {
	if thread == "" {
		return text
	}
	return "  " + strings.ReplaceAll(text, "\n", "\n  ")
}

// rowsOf gives how many rows text takes on a terminal.
func rowsOf(text string, columns int) int {
	rows := 0
	for line := range strings.SplitSeq(text, "\n") {
		rows += max(1, (measure(stripColor(line))+columns-1)/columns)
	}
	return rows
}

// stripColor removes the colours that Render puts in; nothing else in its text
// has an escape character.
func stripColor(s string) string {
	for {
		i := strings.IndexByte(s, '\x1b')
		if i < 0 {
			return s
		}
		end := strings.IndexByte(s[i:], 'm')
		if end < 0 {
			return s[:i]
		}
		s = s[:i] + s[i+end+1:]
	}
}

// say prints a sentence of the session's own.
func (s *screen) say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line(text)
}

func (s *screen) line(text string) {
	if s.print != nil {
		return
	}
	columns, _ := s.size()
	lines := strings.Join(wrap(clean(text), columns, 2), "\n") + "\n"
	if s.prompting && s.live {
		lines = "\r\x1b[K" + lines
	}
	s.write(lines)
	s.last = ""
	if s.prompting && s.live {
		redrawPrompt()
	}
}

// notice says once that the bot is away.
func (s *screen) notice(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.lost {
		s.lost = true
		s.line(text)
	}
}

// back says that the bot is there again, if it was said to be away.
func (s *screen) back(version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost {
		s.lost = false
		clear(s.working) // what goes on after all is worth showing again
		s.line("the bot is back" + versionText(version))
	}
}

func versionText(version string) string {
	if version == "" {
		return ""
	}
	return " (version " + version + ")"
}

// prompt says that the line editor has the bottom row from now on.
func (s *screen) prompt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prompting = true
}

// entered says that a line was entered: the cursor is below the prompt, so
// nothing above can be edited any more.
func (s *screen) entered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prompting = false
	s.last = ""
}

// retype replaces the prompt row above the cursor, as if line had been typed.
func (s *screen) retype(prompt, line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write("\x1b[1A\r\x1b[K" + clean(prompt+line) + "\n")
	s.last = ""
}

// echo prints a line behind its prompt, for a transcript.
func (s *screen) echo(prompt, line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.print == nil {
		s.write(clean(prompt+line) + "\n")
	}
}

// ask prints a prompt for a terminal that lines cannot be edited on.
func (s *screen) ask(prompt string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write(clean(prompt))
}

// Write prints what a command of the session itself has to say, line by line:
// one that comes while the prompt stands there is put above it.
func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun += string(b)
	for {
		line, rest, ended := strings.Cut(s.begun, "\n")
		if !ended {
			return len(b), nil
		}
		s.begun = rest
		s.line(strings.TrimRight(line, " "))
	}
}

// flush prints a last line that was left without its end.
func (s *screen) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun != "" {
		s.line(s.begun)
		s.begun = ""
	}
}

// write prints; s.mu is held. There is nobody to tell when it fails: the
// session ends with its input.
func (s *screen) write(text string) {
	_, _ = io.WriteString(s.w, text)
}
