package terminal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/peterh/liner"
	"github.com/sourcegraph/conc"

	"quarterdeck/bot"
	"quarterdeck/bot/nearest"
)

const (
	// firstWithin is how long the bot may take to be there at the start.
	firstWithin = 5 * time.Second
	// awayWithin is how long a script waits for a bot that went away.
	awayWithin = time.Minute
	// answerWithin is how long a script waits for the first answer to a line.
	// The bot itself gives a line up after two minutes.
	answerWithin = 150 * time.Second
	// quietWithin is how long a script waits for the next news of a run that
	// is under way.
	quietWithin = 2 * time.Hour
	// maxLine bounds what is sent; the bot takes less.
	maxLine = 8 << 10
)

// Local is a command of the session itself. It gets the words after its name
// and writes to out; its error is printed and the session goes on.
type Local func(ctx context.Context, args []string, out io.Writer) error

// Session is one conversation with a running bot over its socket. Set Socket;
// the rest may stay zero. Use it for one call of Chat or RunOnce.
type Session struct {
	Socket string
	// As is the name to speak as from the beginning; it needs impersonation.
	As  string
	In  io.Reader // os.Stdin by default
	Out io.Writer // os.Stdout by default
	// Next gives the line, or the lines separated by \n, that an empty Enter
	// types, when as is who speaks now; "" for none. A line that begins with # is
	// said instead. Only asked on a terminal.
	Next func(as string) string
	// Names are those that somebody declared owns, for whoever mistypes one
	// after /as.
	Names []string
	// Local are commands that never reach the bot, by their first word or two.
	Local map[string]Local
	// JSON prints every version of every card as one JSON object a line, as
	// RunOptions.JSON does, and nothing else.
	JSON bool
	// Within is how long the bot may take to be there at the start; 5 seconds
	// by default.
	Within time.Duration

	link   *link
	talk   *conversation
	screen *screen
	as     string // who speaks now
	prompt string
	hints  bool // somebody reads along
	// unknown says that nobody declared owns the account that speaks now.
	unknown bool
}

// RunOptions is how RunOnce prints.
type RunOptions struct {
	// JSON prints every version of every card as one JSON object a line.
	JSON bool
	// Alone says that the bot ends when this line does.
	Alone bool
}

// Chat talks until the input ends, /quit, or ctx ends. On a terminal it edits
// lines, with history and completion, and cards that change are redrawn in
// place. Otherwise it takes one command a line, skips blank lines and those
// that begin with #, echoes each behind its prompt, and goes on when the
// answer is settled or waits for a person; at the end of the input, runs that
// were asked for here and still wait for a person are cancelled by their asker.
//
// It gives nil unless the session itself failed: no bot at the start or any
// more, no such name, or a line that was never answered. A read of In that
// cannot be interrupted may outlive the call.
func (s *Session) Chat(ctx context.Context) error {
	s.hints = true
	return s.connected(ctx, func(ctx context.Context) error {
		in, isFile := s.In.(*os.File)
		tty := isFile && isTerminal(in)
		if s.unknown {
			s.screen.say(s.stranger(s.As, ""))
		}
		if tty && !s.JSON && in == os.Stdin && s.screen.file == os.Stdout && s.screen.tty() && liner.TerminalSupported() {
			s.link.away = 0
			return s.interactive(ctx)
		}
		return s.piped(ctx, !tty || s.JSON)
	})
}

// opLeft is the Op of the error of who left before the line was done: what was
// asked for is not taken back by that.
const opLeft = "terminal.leave"

// left says what becomes of a line that nobody waits for any more. stays tells
// that a bot goes on when this session ends.
func left(a *asked, stays bool) *bot.Error {
	e := &bot.Error{Op: opLeft, Kind: bot.Timeout}
	switch {
	case a == nil:
		e.Say = "interrupted before the line was sent, so nothing was run"
	case a.run == 0:
		e.Say = fmt.Sprintf("interrupted before %q was answered, so it may have been run; to look: quarterdeck run -- runs", clean(a.line))
	default:
		is := ""
		if a.text != "" {
			is = " (" + clean(a.text) + ")"
		}
		goes := "goes on without you"
		if !stays {
			goes = "is left where it stands, and goes on when a bot serves again"
		}
		e.Say = fmt.Sprintf("#%d %s%s; to follow it: quarterdeck run -- run %d; to stop it: quarterdeck run -- cancel %d", a.run, goes, is, a.run, a.run)
	}
	return e
}

// RunOnce sends one line, prints its cards and gives the exit code that tells
// how it ended: 0 done, 1 failed, 2 bad usage or input, 3 denied, 4 waits for a
// person, 5 unknown. The error is not nil when the session itself failed or ctx
// ended first; then the code is 2 or 3 where the line was never sent (a path that
// is no socket's, a name that may not be used), 5 where ctx ended after it was
// sent (the error says how to go on), and else 1: whether the line was
// acted on may not be known.
func (s *Session) RunOnce(ctx context.Context, line string, o RunOptions) (exit int, err error) {
	exit = 1
	answered := false
	s.JSON = s.JSON || o.JSON
	var sent *asked
	err = s.connected(ctx, func(ctx context.Context) error {
		a, err := s.ask(ctx, line)
		sent = a
		if err != nil {
			return err
		}
		answered, exit = true, a.exit()
		return nil
	})
	switch {
	case answered:
	case ctx.Err() != nil:
		err = left(sent, !o.Alone)
		if sent != nil {
			exit = 5
		}
	case bot.KindOf(err) == bot.Denied:
		exit = 3
	case bot.KindOf(err) == bot.Invalid:
		exit = 2
	}
	return exit, err
}

// connected runs f over a live connection and ends it afterwards.
func (s *Session) connected(ctx context.Context, f func(context.Context) error) error {
	if s.In == nil {
		s.In = os.Stdin
	}
	if s.Out == nil {
		s.Out = os.Stdout
	}
	if s.Within <= 0 {
		s.Within = firstWithin
	}
	s.link = newLink(s.Socket, s.Within, awayWithin)
	s.talk = newConversation(s.link.number)
	s.screen = newScreen(s.Out)
	if s.JSON {
		s.screen.print = PrintJSON
	}

	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var parts conc.WaitGroup
	defer parts.Wait()
	defer cancel(nil)
	parts.Go(func() {
		if err := s.link.run(inner); err != nil {
			cancel(err)
		}
	})
	select {
	case <-s.link.ready:
	case <-inner.Done():
		return ended(ctx, inner)
	}
	s.speakAs("", s.link.introduction())
	if s.As != "" {
		if err := s.become(inner, s.As); err != nil {
			return err
		}
	}
	err := f(inner)
	if inner.Err() != nil {
		return ended(ctx, inner)
	}
	return err
}

// ended gives why a session ended: the link's error, or nil when the caller
// ended it.
func ended(outer, inner context.Context) error {
	if outer.Err() != nil {
		return nil
	}
	return context.Cause(inner)
}

// become makes the session speak as name from now on; "" is the account that
// the operating system gives.
func (s *Session) become(ctx context.Context, name string) error {
	r, err := s.link.ask(ctx, request{Type: askWho, As: name}, whoWithin)
	if err != nil {
		return err
	}
	s.speakAs(name, r.Who)
	// The bot describes an account that nobody owns by its id and a remark.
	s.unknown = r.Account != "" && strings.HasPrefix(r.Who, string(r.Account)+" ")
	return nil
}

// stranger says what becomes of somebody whom nobody declared, and the way back
// to before.
func (s *Session) stranger(name, before string) string {
	account, _ := strings.CutSuffix(s.prompt, "> ")
	text := fmt.Sprintf("no declared person owns %s, so everything it asks is denied", account)
	names := slices.Sorted(slices.Values(s.Names))
	if len(names) > 0 {
		text += "; there are " + strings.Join(names, ", ")
		if !slices.Contains(names, before) {
			before = s.Names[0]
		}
	}
	if before != "" && before != name {
		text += fmt.Sprintf("; /as %s goes back to %s", before, before)
	} else if name != "" {
		text += "; /as alone makes you yourself again"
	}
	if near := nearest.Of(name, names); near != "" {
		text += fmt.Sprintf("; did you mean %q?", near)
	}
	return text
}

// hint says what else a line that the bot did not take could have been meant
// as: a command of the session's own, or its end.
func (s *Session) hint(line string) {
	words := strings.Fields(line)
	if len(words) == 0 || s.JSON {
		return
	}
	switch strings.TrimPrefix(strings.ToLower(words[0]), "/") {
	case "exit", "quit", "logout", "bye", "q":
		if s.hints {
			s.screen.say("to leave, type /quit or press Ctrl-D")
		} else {
			s.screen.say("run takes one command and ends by itself, so there is nothing to leave; to type several: quarterdeck chat")
		}
		return
	}
	if !s.hints {
		return
	}
	names := s.localNames()
	slices.Sort(names)
	near := nearest.Of(words[0], names)
	if near == "" && len(words) > 1 {
		near = nearest.Of(words[0]+" "+words[1], names)
	}
	if near != "" {
		s.screen.say(fmt.Sprintf("the session itself knows %q; did you mean that?", near))
	}
}

func (s *Session) speakAs(name, who string) {
	s.as = name
	first, _, _ := strings.Cut(clean(who), " ")
	s.prompt = first + "> "
}

// sessionLine handles lines that are for the session itself: /as, /quit and
// the local commands. quit is true when the session is to end.
func (s *Session) sessionLine(ctx context.Context, line string) (handled, quit bool) {
	words := strings.Fields(line)
	for n := min(2, len(words)); n > 0; n-- {
		name := strings.Join(words[:n], " ")
		local, ok := s.Local[name]
		if !ok {
			continue
		}
		err := local(ctx, words[n:], s.screen)
		s.screen.flush()
		if err != nil && ctx.Err() == nil {
			s.screen.say(name + ": " + sentence(err))
		}
		return true, false
	}
	if !strings.HasPrefix(words[0], "/") {
		return false, false
	}
	switch {
	case words[0] == "/quit" && len(words) == 1:
		return true, true
	case words[0] == "/as" && len(words) <= 2:
		name := ""
		if len(words) == 2 {
			name = words[1]
		}
		before := s.as
		if err := s.become(ctx, name); err != nil && ctx.Err() == nil {
			s.refuse(err)
		} else if s.unknown {
			s.screen.say(s.stranger(name, before))
		}
	case words[0] == "/as":
		s.refuse(bot.Errorf(bot.Invalid, "/as takes one name; write it like /as sre, or /as alone to be yourself again"))
	default:
		s.refuse(bot.Errorf(bot.Invalid, "the session does not know %q; it knows /as NAME and /quit, and everything else goes to the bot without a slash", words[0]))
	}
	return true, false
}

// refuse says an error of the session's own: as a card to who reads JSON.
func (s *Session) refuse(err error) {
	if s.JSON {
		s.screen.show(ErrorCard(err), "")
		return
	}
	s.screen.say(refusal(err))
}

// ErrorCard gives the card of an error that never reached the bot, so that who
// reads JSON gets errors in the one shape that everything has.
func ErrorCard(err error) bot.Card {
	card := bot.Card{Title: refusal(err), Outcome: bot.OutcomeFailed, Tone: bot.Bad}
	if e := (*bot.Error)(nil); errors.As(err, &e) && e.Op == opLeft {
		card.Outcome, card.Tone = bot.OutcomeUnknown, bot.Warning
	}
	switch bot.KindOf(err) {
	case bot.Denied:
		card.Outcome = bot.OutcomeDenied
	case bot.Invalid:
		card.Outcome, card.Tone = bot.OutcomeInvalid, bot.Warning
	}
	return card
}

// refusal says an error the way the bot would.
func refusal(err error) string {
	if bot.KindOf(err) == bot.Denied {
		return "denied: " + sentence(err)
	}
	return sentence(err)
}

// sentence gives what a person may read about err. The reader is the person at
// this very terminal, so errors without a sentence of their own are shown.
func sentence(err error) string {
	var e *bot.Error
	if errors.As(err, &e) && e.Say != "" {
		return clean(e.Say)
	}
	return clean(err.Error())
}

// ask sends a line and prints what comes until it is answered: settled, or
// waiting for a person.
func (s *Session) ask(ctx context.Context, line string) (*asked, error) {
	if len(line) > maxLine {
		a := &asked{line: line, done: true, outcome: bot.OutcomeInvalid}
		s.screen.show(bot.Card{Title: fmt.Sprintf("the line has %d bytes; at most 4096 are possible", len(line)), Outcome: a.outcome, Tone: bot.Warning}, "")
		return a, nil
	}
	a := s.talk.expect(s.link.line(s.as, line), s.as, line)
	patience := time.NewTimer(answerWithin)
	defer patience.Stop()
	for !a.done {
		select {
		case <-ctx.Done():
			return a, ctx.Err()
		case <-patience.C:
			return a, bot.Errorf(bot.Timeout, "no answer to %q; look at what became of it before repeating it", clean(line))
		case e := <-s.link.events:
			s.take(e)
			if a.answered {
				patience.Reset(quietWithin)
			}
		}
	}
	return a, nil
}

// take prints one event and notes what it answers.
func (s *Session) take(e event) {
	switch e.kind {
	case eventCard:
		if s.talk.take(e.card) {
			s.screen.show(e.card, e.thread)
			if e.card.Outcome == bot.OutcomeInvalid || e.card.Outcome == bot.OutcomeDenied {
				s.hint(s.talk.line(e.card))
			}
		}
	case eventRefused:
		card := ErrorCard(e.fault)
		s.talk.refuse(e.n, card.Outcome)
		s.screen.show(card, "")
	case eventHeld:
		s.screen.say("not run yet, the bot cannot record it: " + sentence(e.fault) + "; trying again")
	case eventLost:
		s.screen.notice("the bot is gone; waiting for it to come back")
	case eventBack:
		s.screen.back(e.version)
	}
}

// PrintJSON writes a card as one JSON object on one line.
func PrintJSON(w io.Writer, card bot.Card) error {
	return json.NewEncoder(w).Encode(card)
}
