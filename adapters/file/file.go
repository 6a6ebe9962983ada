// Package file is the chat network of plain files: every card that is posted to
// the channel "file:NAME" becomes a line appended to NAME in one folder. It is
// made for the audit channel, to be followed with tail -f; nothing is ever
// received from it.
package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"quarterdeck/bot"
)

// Type gives the row "file" for the table of chat networks. Its table
// [chat.file] has one key: dir.
func Type() bot.ChatType { return bot.ChatType{Name: "file", Open: Open, NoRule: noRule} }

func noRule(bot.ChannelID) string {
	return "is a file, in which nobody can ask for anything, so the rule would never hold; name a channel that people write in"
}

// Settings is the [chat.file] table.
type Settings struct {
	// Dir is the folder of the files, relative to the configuration file; its
	// own folder by default. It is made, with mode 0700, when first needed.
	Dir string `toml:"dir"`
}

// Open makes the network from its table, which may be absent (a nil Raw): then
// the files are in the working folder.
func Open(o bot.ChatOptions) (bot.Chat, error) {
	var s Settings
	base := "."
	if o.Raw != nil {
		if err := o.Raw.Decode(&s); err != nil {
			return nil, err
		}
		base = o.Raw.Dir()
	}
	if !filepath.IsAbs(s.Dir) {
		s.Dir = filepath.Join(base, s.Dir)
	}
	return New(s.Dir, o.Clock), nil
}

// Network is plain files as a bot.Chat. Make it with New. Safe for concurrent
// use; several Networks, also of several processes, may append to one file.
type Network struct {
	dir   string
	clock bot.Clock

	mu    sync.Mutex
	heads map[string]string // by reference: the text of the line that stands there
	order []string
}

// maxHeads bounds how many cards are remembered for their edits; the edits of
// older ones are appended even when they say nothing new.
const maxHeads = 4096

// New makes a Network for the files in dir. A nil clock is the system's.
func New(dir string, clock bot.Clock) *Network {
	if clock == nil {
		clock = bot.SystemClock{}
	}
	return &Network{dir: dir, clock: clock, heads: map[string]string{}}
}

// Network gives "file".
func (n *Network) Network() string { return "file" }

// Run waits for ctx to end: files say nothing.
func (n *Network) Run(ctx context.Context, _ bot.Inbound) error {
	<-ctx.Done()
	return nil
}

// Deliver appends the card to its channel's file, as one line with the time in
// front (tables and output follow indented), and returns when it is on disk. The file is opened for each card, so that it may be rotated at any
// time, and made with mode 0600. A card in a thread is indented.
//
// A file cannot be edited in place: an edit of a run's card is dropped, because
// what it adds stands in the thread; of another card it is appended where its
// line says something new. A private card is refused as Denied: a file is read by whoever may.
// A name with separators is Invalid. A disk that is full or gone is
// Unavailable.
func (n *Network) Deliver(ctx context.Context, d bot.Delivery) (string, error) {
	if d.To != "" {
		return "", bot.Errorf(bot.Denied, "%s is a file, which everybody may read; it takes nothing that is for %s alone", d.Channel, d.To)
	}
	path, err := n.path(d.Channel)
	if err != nil {
		return "", err
	}
	if err := ctx.Err(); err != nil {
		return "", &bot.Error{Op: "file.deliver", Kind: bot.Timeout, Say: "the file was not written in time", Err: err}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	ref := d.Ref
	if ref == "" {
		ref = fmt.Sprintf("%s#%s", d.Channel.Local(), d.Card.Key)
	}
	lines := text(d.Card)
	if len(lines) == 0 {
		return ref, nil
	}
	if d.Ref != "" && d.Card.Run != 0 {
		return ref, nil
	}
	if said, known := n.heads[ref]; d.Ref != "" && known && said == lines[0] {
		return ref, nil
	}
	if err := n.append(path, stamp(lines, n.clock.Now(), d.Thread != "")); err != nil {
		return "", err
	}
	n.remember(ref, lines[0])
	return ref, nil
}

func (n *Network) remember(ref, head string) {
	if _, known := n.heads[ref]; !known {
		n.order = append(n.order, ref)
	}
	n.heads[ref] = head
	if len(n.order) > maxHeads {
		delete(n.heads, n.order[0])
		n.order = n.order[1:]
	}
}

// path gives the file of a channel.
func (n *Network) path(c bot.ChannelID) (string, error) {
	name := c.Local()
	bad := strings.ContainsFunc(name, func(r rune) bool { return r == '/' || r == '\\' || r == ':' || !unicode.IsPrint(r) })
	switch {
	case c.Network() != n.Network():
		return "", bot.Errorf(bot.Invalid, "%s is no file channel; write file:NAME", c)
	case name == "" || strings.HasPrefix(name, ".") || bad || len(name) > 255:
		return "", bot.Errorf(bot.Invalid, "%q cannot be the name of a channel's file; write file:NAME with a plain name, without separators or a dot in front", name)
	}
	return filepath.Join(n.dir, name), nil
}

// append adds text to the file and has the disk confirm it.
func (n *Network) append(path, text string) (err error) {
	fault := func(err error) error {
		return &bot.Error{Op: "file.append", Kind: bot.Unavailable, Say: fmt.Sprintf("cannot write to the channel's file %s", filepath.Base(path)), Err: err}
	}
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return fault(err)
	}
	info, err := os.Stat(path)
	fresh := errors.Is(err, fs.ErrNotExist)
	if err == nil && !info.Mode().IsRegular() {
		return bot.Errorf(bot.Invalid, "the channel's file %s exists and is not a regular file", filepath.Base(path))
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fault(err)
	}
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil && fresh {
		err = syncFolder(n.dir)
	}
	if err != nil {
		return fault(err)
	}
	return nil
}

// syncFolder makes the name of a new file as durable as its content.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// stamp puts the time before the first line and indents the others.
func stamp(lines []string, at time.Time, thread bool) string {
	lead := at.UTC().Format(time.RFC3339) + "  "
	if thread {
		lead += "    "
	}
	var b strings.Builder
	for i, l := range lines {
		if i == 1 {
			lead = strings.Repeat(" ", len(lead)+2)
		}
		b.WriteString(lead + l + "\n")
	}
	return b.String()
}

// text gives a card as one plain line, the most important first, followed by
// the rows of its table and of its operation's output. Buttons are left out:
// nobody can press them here.
func text(card bot.Card) []string {
	var parts []string
	add := func(s string) {
		for l := range strings.SplitSeq(strings.ReplaceAll(s, "\r\n", "\n"), "\n") {
			if l = strings.TrimSpace(clean(l)); l != "" {
				parts = append(parts, l)
			}
		}
	}
	if !repeated(card) {
		add(card.Title)
	}
	add(card.Text)
	if card.Progress != nil {
		add(card.Progress.Text)
	}
	for _, f := range card.Fields {
		add(f.Name + ": " + strings.ReplaceAll(f.Value, "\n", ", "))
	}
	if card.Image != nil {
		add("picture: " + card.Image.Alt)
	}
	add(card.Footer)
	add(card.Link)
	var lines []string
	if len(parts) > 0 {
		lines = append(lines, strings.Join(parts, "; "))
	}
	if card.Table != nil {
		for _, row := range append([][]string{card.Table.Columns}, card.Table.Rows...) {
			lines = append(lines, clean(strings.ReplaceAll(strings.Join(row, " | "), "\n", " ")))
		}
	}
	for _, l := range card.Lines {
		lines = append(lines, "| "+clean(strings.TrimRight(l, "\r\n")))
	}
	return lines
}

// repeated reports whether the text says all of the title again: a sentence too
// long for a title stands below its beginning, and a line has room for it once.
func repeated(card bot.Card) bool {
	whole := strings.Join(strings.Fields(card.Text), " ")
	head, cut := strings.CutSuffix(card.Title, "…")
	return whole != "" && (whole == card.Title || cut && strings.HasPrefix(whole, head))
}

// clean writes out characters that would steer a terminal the file is shown
// on, or hide or reorder text, so that no card can forge another line.
func clean(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == '\t':
			b.WriteString("    ")
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\u200c', r == '\u200d', !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}
