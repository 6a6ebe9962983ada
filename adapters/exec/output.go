package execprovider

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"sync"
	"time"
)

const (
	maxLine     = 2 << 10  // of a kept line; the rest of it is dropped
	maxProtocol = 16 << 10 // of a line that may be progress
	tailLines   = 50       // kept beyond the bound: the end says why
)

// progress is one line of the protocol, and what the lines so far amount to.
type progress struct {
	Phase   string `json:"phase,omitempty"`
	Percent *int   `json:"percent,omitempty"`
	Message string `json:"message,omitempty"`
	URL     string `json:"url,omitempty"`
}

// merge takes over what a line says, if it is one of the protocol: a JSON
// object that has one of the keys and only the right types for them.
func (p *progress) merge(line []byte) bool {
	if len(line) == 0 || line[0] != '{' {
		return false
	}
	var said struct {
		Phase   *string  `json:"phase"`
		Percent *float64 `json:"percent"`
		Message *string  `json:"message"`
		URL     *string  `json:"url"`
	}
	if json.Unmarshal(line, &said) != nil ||
		said.Phase == nil && said.Percent == nil && said.Message == nil && said.URL == nil {
		return false
	}
	if said.Phase != nil {
		p.Phase = cut(*said.Phase, maxName)
	}
	if said.Percent != nil {
		percent := int(math.Max(0, math.Min(100, *said.Percent)))
		p.Percent = &percent
	}
	if said.Message != nil {
		p.Message = cut(*said.Message, maxLine)
	}
	if said.URL != nil {
		p.URL = cut(*said.URL, maxLine)
	}
	return true
}

// output takes a command's output: progress apart, of the rest the first bytes
// up to a bound and the last lines. Safe for concurrent use.
type output struct {
	mu      sync.Mutex
	log     *os.File
	err     error // of writing the log; the command must not suffer from it
	room    int
	tail    [][]byte
	dropped int    // lines that are only in tail, or nowhere any more
	last    string // line of log, and of those that were written as errors
	wrong   string
	now     progress
	changed bool

	ends  []*os.File // the command's ends of the pipes
	pipes []*os.File // ours
}

func newOutput(path string, bound int) (*output, error) {
	log, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &output{log: log, room: bound}, nil
}

// attach connects the command's output; read is closed when both streams have
// come to their end.
func (o *output) attach(cmd *exec.Cmd) (read <-chan struct{}, err error) {
	var wait sync.WaitGroup
	for _, stream := range []struct {
		file     *io.Writer
		protocol bool
	}{{&cmd.Stdout, true}, {&cmd.Stderr, false}} {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		o.pipes, o.ends = append(o.pipes, r), append(o.ends, w)
		*stream.file = w
		wait.Go(func() { o.read(r, stream.protocol) })
	}
	done := make(chan struct{})
	go func() {
		wait.Wait()
		close(done)
	}()
	return done, nil
}

// started gives up our copies of the command's ends, so that its end is ours.
func (o *output) started() {
	for _, w := range o.ends {
		_ = w.Close() // nothing was written through our copy
	}
	o.ends = nil
}

// abandon stops reading, though somebody may still write.
func (o *output) abandon() {
	for _, r := range o.pipes {
		_ = r.SetReadDeadline(time.Unix(1, 0)) // fails only on a pipe that is closed, which nobody reads
	}
}

// read takes lines until the stream ends.
func (o *output) read(r *os.File, protocol bool) {
	in := bufio.NewReaderSize(r, maxProtocol)
	for {
		line, err := in.ReadSlice('\n')
		if len(line) > 0 {
			o.take(bytes.TrimRight(line, "\r\n"), protocol, errors.Is(err, bufio.ErrBufferFull))
		}
		for errors.Is(err, bufio.ErrBufferFull) { // the rest of a long line
			_, err = in.ReadSlice('\n')
		}
		if err != nil {
			return
		}
	}
}

// take takes one line, of standard output or else of standard error; long says
// that this is only its beginning.
func (o *output) take(line []byte, standard, long bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if standard && !long && o.now.merge(bytes.TrimSpace(line)) {
		o.changed = true
		return
	}
	if len(line) > maxLine {
		line = line[:maxLine]
	}
	if len(line) > 0 {
		o.last = string(line)
		if !standard {
			o.wrong = o.last
		}
	}
	if o.dropped == 0 && len(line)+1 <= o.room {
		o.room -= len(line) + 1
		o.write(line)
		return
	}
	o.dropped++
	if len(o.tail) == tailLines {
		copy(o.tail, o.tail[1:])
		o.tail = o.tail[:tailLines-1]
	}
	o.tail = append(o.tail, bytes.Clone(line))
}

func (o *output) write(line []byte) {
	if o.err == nil {
		_, o.err = o.log.Write(append(bytes.Clone(line), '\n'))
	}
}

// latest gives the progress so far, and whether it is news.
func (o *output) latest() (p progress, changed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	changed, o.changed = o.changed, false
	return o.now, changed
}

// close writes the last lines and gives the last progress, the last line of log
// and the last that was written as an error.
func (o *output) close() (p progress, last, wrong string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if lost := o.dropped - len(o.tail); lost > 0 {
		o.write(fmt.Appendf(nil, "[%d lines left out]", lost))
	}
	for _, line := range o.tail {
		o.write(line)
	}
	_ = o.log.Close() // only the log is at stake
	for _, r := range o.pipes {
		_ = r.Close() // it was read to its end, or given up
	}
	return o.now, o.last, o.wrong
}
