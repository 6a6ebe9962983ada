package terminal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sourcegraph/conc"

	"quarterdeck/bot"
)

// piped talks one command a line.
func (s *Session) piped(ctx context.Context, echo bool) error {
	if !echo {
		s.screen.ask(s.prompt)
	}
	var failed error
	lines, errs := readLines(ctx, s.In)
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-s.link.events:
			s.take(e)
			continue
		case line, more := <-lines:
			if !more {
				err := errors.Join(failed, s.cancelOpen(ctx))
				select {
				case e := <-errs:
					err = errors.Join(err, e)
				default:
				}
				return err
			}
			quit, err := s.script(ctx, line, echo)
			failed = errors.Join(failed, err)
			if quit {
				return errors.Join(failed, s.cancelOpen(ctx))
			}
			if !echo {
				s.screen.ask(s.prompt)
			}
		}
	}
}

// script does one line of a script.
func (s *Session) script(ctx context.Context, line string, echo bool) (quit bool, err error) {
	line = strings.TrimSpace(line)
	if line == "" || strings.HasPrefix(line, "#") {
		return false, nil
	}
	if echo {
		s.screen.echo(s.prompt, line)
	}
	var handled bool
	s.meanwhile(ctx, func() { handled, quit = s.sessionLine(ctx, line) })
	if handled {
		return quit, nil
	}
	if _, err = s.ask(ctx, line); err != nil && ctx.Err() == nil {
		if s.JSON {
			s.refuse(err)
		} else {
			s.screen.say(sentence(err))
		}
	}
	return false, err
}

// meanwhile runs f and prints what comes until it is done.
func (s *Session) meanwhile(ctx context.Context, f func()) {
	done := make(chan struct{})
	var parts conc.WaitGroup
	defer parts.Wait()
	parts.Go(func() {
		defer close(done)
		f()
	})
	for {
		select {
		case <-done:
			return
		case <-ctx.Done():
			return
		case e := <-s.link.events:
			s.take(e)
		}
	}
}

// cancelOpen cancels what was asked for here and still waits for a person, so
// that a script leaves nothing behind that somebody confirms later by mistake.
func (s *Session) cancelOpen(ctx context.Context) error {
	var failed error
	for _, a := range s.talk.unsettled() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if a.as != s.as {
			if err := s.become(ctx, a.as); err != nil {
				failed = errors.Join(failed, err)
				continue
			}
		}
		_, err := s.script(ctx, fmt.Sprintf("cancel %d", a.run), true)
		failed = errors.Join(failed, err)
	}
	return failed
}

// readLines reads lines until the end of r, an error, or ctx ends.
func readLines(ctx context.Context, r io.Reader) (<-chan string, <-chan error) {
	lines, errs := make(chan string), make(chan error, 1)
	go func() {
		defer close(lines)
		in := bufio.NewScanner(r)
		in.Buffer(make([]byte, 4096), maxRequest)
		for in.Scan() {
			select {
			case lines <- in.Text():
			case <-ctx.Done():
				return
			}
		}
		switch err := in.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			errs <- bot.Errorf(bot.Invalid, "a line of the input has more than %d bytes", maxRequest)
		case err != nil:
			errs <- fmt.Errorf("read the input: %w", err)
		}
	}()
	return lines, errs
}
