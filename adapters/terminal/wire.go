package terminal

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"quarterdeck/bot"
)

// protocol is the version both sides must speak.
const protocol = 1

const (
	// maxRequest bounds one line from a client. A command line may have 4 kB;
	// the rest is room for escapes.
	maxRequest = 64 << 10
	// maxResponse bounds one line from the server: cards carry tables.
	maxResponse = 1 << 20
)

// The kinds of requests, from client to server.
const (
	askHello    = "hello"    // V, Session, Names
	askLine     = "line"     // N, As, Text
	askComplete = "complete" // N, As, Text
	askWho      = "who"      // N, As
	askGot      = "got"      // N of the card
)

// request is what a client writes.
type request struct {
	Type    string   `json:"type"`
	V       int      `json:"v,omitempty"`
	Session string   `json:"session,omitempty"`
	Names   []string `json:"names,omitempty"` // the names that the session spoke as before
	N       int64    `json:"n,omitempty"`
	As      string   `json:"as,omitempty"`
	Text    string   `json:"text,omitempty"`
}

// The kinds of responses, from server to client.
const (
	sayHello    = "hello"       // V, Version, Channel, Account, Who
	sayTaken    = "taken"       // N: the line is durable
	sayRefused  = "refused"     // N, Kind, Say: the line was not given to the bot and never will be
	sayRetry    = "retry"       // N, Say: the line could not be stored; send it again
	sayComplete = "completions" // N, Lines
	sayWho      = "who"         // N, Account, Who, or Say
	sayCard     = "card"        // N, Card, Thread
	sayBye      = "bye"         // Kind, Say: the connection ends, and trying again cannot help unless Kind is busy
)

// response is what the server writes.
type response struct {
	Type    string        `json:"type"`
	V       int           `json:"v,omitempty"`
	Version string        `json:"version,omitempty"`
	Channel bot.ChannelID `json:"channel,omitempty"`
	Account bot.AccountID `json:"account,omitempty"`
	Who     string        `json:"who,omitempty"`
	N       int64         `json:"n,omitempty"`
	Kind    bot.Kind      `json:"kind,omitempty"`
	Say     string        `json:"say,omitempty"`
	Lines   []string      `json:"lines,omitempty"`
	Thread  string        `json:"thread,omitempty"`
	Card    *bot.Card     `json:"card,omitempty"`
}

// errTooLong is a line over its bound; nothing after it can be read.
var errTooLong = errors.New("line too long")

// lineReader reads JSON objects, one a line of at most max bytes.
type lineReader struct {
	r   *bufio.Reader
	max int
}

func newLineReader(r io.Reader, limit int) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 4096), max: limit}
}

// read gives the next line without its end, or errTooLong.
func (l *lineReader) read() ([]byte, error) {
	var line []byte
	for {
		part, err := l.r.ReadSlice('\n')
		if len(line)+len(part) > l.max {
			return nil, errTooLong
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
		default:
			return nil, err
		}
	}
}

// into decodes the next line into v.
func (l *lineReader) into(v any) error {
	line, err := l.read()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(line, v); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	return nil
}

// deadlineWriter is the part of a net.Conn that writes.
type deadlineWriter interface {
	io.Writer
	SetWriteDeadline(t time.Time) error
}

// writeLine writes v as one line within d.
func writeLine(w deadlineWriter, v any, d time.Duration) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	if err := w.SetWriteDeadline(time.Now().Add(d)); err != nil {
		return fmt.Errorf("set write deadline: %w", err)
	}
	if _, err := w.Write(append(raw, '\n')); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
