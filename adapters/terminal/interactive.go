package terminal

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/peterh/liner"
	"github.com/sourcegraph/conc"
)

// answerPause is how long the prompt stays away for the first answer to a
// line, so that question and answer stand together.
const answerPause = 2 * time.Second

// interactive talks on a terminal. The line editor holds the bottom row; cards
// are printed above it as they come.
func (s *Session) interactive(ctx context.Context) error {
	var parts conc.WaitGroup
	defer parts.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	parts.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case e := <-s.link.events:
				s.take(e)
			}
		}
	})
	release := interruptible(ctx)
	defer release()
	editor := liner.NewLiner()
	defer editor.Close()
	editor.SetCtrlCAborts(true)
	editor.SetBeep(false)
	editor.SetTabCompletionStyle(liner.TabPrints)
	editor.SetCompleter(func(line string) []string { return s.complete(ctx, line) })

	for ctx.Err() == nil {
		s.screen.prompt()
		line, err := editor.Prompt(s.prompt)
		s.screen.entered()
		switch {
		case errors.Is(err, liner.ErrPromptAborted):
			continue
		case errors.Is(err, io.EOF):
			s.screen.echo("", "")
			return nil
		case err != nil && ctx.Err() != nil:
			s.screen.echo("", "")
			return nil
		case err != nil:
			return err
		}
		if line = strings.TrimSpace(line); line != "" {
			editor.AppendHistory(line)
			if s.typed(ctx, line) {
				return nil
			}
			continue
		}
		if s.nextStep(ctx, editor) {
			return nil
		}
	}
	return nil
}

// typed does one line and reports whether the session is to end.
func (s *Session) typed(ctx context.Context, line string) (quit bool) {
	handled, quit := s.sessionLine(ctx, line)
	if handled {
		return quit
	}
	if len(line) > maxLine {
		_, _ = s.ask(ctx, line) // refuses it without sending
		return false
	}
	a := s.talk.expect(s.link.line(s.as, line), s.as, line)
	pause := time.NewTimer(answerPause)
	defer pause.Stop()
	select {
	case <-ctx.Done():
	case <-a.first:
	case <-pause.C:
	}
	return false
}

// nextStep types what Next gives for an empty Enter.
func (s *Session) nextStep(ctx context.Context, editor *liner.State) (quit bool) {
	if s.Next == nil {
		return false
	}
	first := true
	for line := range strings.SplitSeq(s.Next(s.as), "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if said, ok := strings.CutPrefix(line, "#"); ok {
			s.screen.say(strings.TrimSpace(said))
			continue
		}
		if first {
			s.screen.retype(s.prompt, line)
		} else {
			s.screen.echo(s.prompt, line)
		}
		first = false
		editor.AppendHistory(line)
		if s.typed(ctx, line) {
			return true
		}
	}
	return false
}

// complete gives the whole lines that a half-typed one may become.
func (s *Session) complete(ctx context.Context, line string) []string {
	var lines []string
	if !strings.Contains(line, " ") {
		for _, word := range append(s.localNames(), "/as ", "/quit") {
			if line != "" && strings.HasPrefix(word, line) {
				lines = append(lines, word)
			}
		}
	}
	if s.link.isAway() {
		return lines // nobody who types waits for that
	}
	r, err := s.link.ask(ctx, request{Type: askComplete, As: s.as, Text: line}, typingWithin)
	if err == nil {
		for _, l := range r.Lines {
			lines = append(lines, clean(l))
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

func (s *Session) localNames() []string {
	var names []string
	for name := range s.Local {
		names = append(names, name)
	}
	return names
}

// interruptible makes the line editor's reads of standard input end when ctx
// does: it reads os.Stdin, which is replaced, until release, by a second
// opening of the same terminal that takes deadlines. Where the system has no
// such thing, the last read ends with the process.
func interruptible(ctx context.Context) (release func()) {
	tty, err := openTTY()
	if err != nil {
		return func() {}
	}
	if err := tty.SetReadDeadline(time.Time{}); err != nil {
		tty.Close()
		return func() {}
	}
	stdin := os.Stdin
	os.Stdin = tty
	stop := context.AfterFunc(ctx, func() { _ = tty.SetReadDeadline(time.Now()) })
	return func() {
		stop()
		os.Stdin = stdin
		tty.Close()
	}
}
