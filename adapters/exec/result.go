package execprovider

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"quarterdeck/bot"
)

// The exit statuses of the protocol.
const (
	codeRefused  = 2
	codeTryAgain = 75 // EX_TEMPFAIL of sysexits.h
)

// ended translates how the command ended.
func (l *look) ended() (bot.Handle, bot.Progress, error) {
	e := l.st.exit
	p := bot.Progress{
		Percent: e.Progress.Percent, Lines: l.lines(true),
		Link: l.sentenceOf(e.Progress.URL, maxLink),
	}
	p.State, p.Text = l.outcome()
	if p.State == bot.OpUnknown {
		p.Check = l.check()
	}
	if e.Killed {
		p.Text += fmt.Sprintf("; it did not end within %v of being asked and was killed, so look what is live", l.table.KillAfter.or(defaultKillAfter))
	}
	return l.answer(p)
}

func (l *look) outcome() (bot.OpState, string) {
	e := l.st.exit
	said := l.said()
	switch {
	case e.Error != "":
		return bot.OpFailed, "the command could not be started: " + e.Error
	case e.Code == 0:
		// A message from the middle of the way would read as the result.
		if p := e.Progress; p.Phase == "done" || p.Percent != nil && *p.Percent == 100 {
			return bot.OpSucceeded, l.sentence(p.Message)
		}
		return bot.OpSucceeded, ""
	}
	prefix := ""
	if e.Cause == causeTimeout {
		prefix = fmt.Sprintf("it was stopped after %v: ", l.table.Timeout.or(defaultTimeout))
	}
	switch e.Progress.Phase {
	case "rolled-back", "restored":
		return bot.OpRolledBack, prefix + said
	case "partly-done":
		return bot.OpPartlyDone, prefix + said
	case "unknown":
		return bot.OpUnknown, prefix + said
	}
	switch {
	case e.Cause == causeTimeout:
		return bot.OpFailed, prefix + said
	case e.Cause == causeCancel && e.Progress.Phase != "failed":
		return bot.OpCancelled, said
	case e.Code == codeRefused:
		return bot.OpFailed, "refused: " + strings.TrimPrefix(said, "refused: ")
	case e.Code == codeTryAgain:
		return bot.OpFailed, fmt.Sprintf("busy, also after %d attempts: %s", l.st.attempt, said)
	}
	return bot.OpFailed, said
}

// closing are the phases whose message tells of the end, and not of the way.
var closing = []string{"done", "failed", "aborted", "refused", "busy", "rolled-back", "restored", "partly-done", "unknown"}

// said is the reason for an end that was not a success: the message that the
// program ended with, else the last that it wrote as an error, else its last
// message, its last line, or how it ended. A message of the way there is not what
// went wrong, where the program says that too.
func (l *look) said() string {
	e := l.st.exit
	if text := l.sentence(e.LastError); text != "" && e.Cause == "" && !(slices.Contains(closing, e.Progress.Phase) && e.Progress.Message != "") {
		return text
	}
	if text := l.sentence(e.Progress.Message); text != "" {
		return text
	}
	if text := l.sentence(e.LastLine); text != "" && e.Cause == "" {
		return text
	}
	switch {
	case e.Cause == causeCancel:
		return "the command was stopped"
	case e.Cause == causeTimeout:
		return "the command did not end by itself"
	case e.Signal != "":
		return "the command was ended by a signal: " + e.Signal
	}
	return fmt.Sprintf("the command ended with exit status %d", e.Code)
}

// sentence makes what the program said fit for people.
func (l *look) sentence(text string) string { return l.sentenceOf(text, maxText) }

func (l *look) sentenceOf(text string, max int) string {
	return strings.TrimSuffix(l.show(text, l.hide(), max), ".")
}

// hide gives the secrets as they are now. One that cannot be looked up any more
// cannot be told from other text.
func (l *look) hide() secrets {
	_, hide, err := l.environment("")
	if err != nil {
		return nil
	}
	return hide
}

// lines gives what is new in the log, bounded; all says that there will be no
// more, so a last line without an end counts.
func (l *look) lines(all bool) []string {
	if l.s.LogOf != l.st.attempt {
		l.s.LogOf, l.s.Offset = l.st.attempt, 0
	}
	// A log that cannot be read costs the lines, not the operation.
	file, err := os.Open(l.f.file(logFile(l.st.attempt)))
	if err != nil {
		return nil
	}
	defer file.Close()
	if _, err := file.Seek(l.s.Offset, io.SeekStart); err != nil {
		return nil
	}
	raw, err := io.ReadAll(io.LimitReader(file, int64(l.settings.OutputBytes+(tailLines+2)*(maxLine+1))))
	if err != nil {
		return nil
	}
	if !all {
		raw = raw[:bytes.LastIndexByte(raw, '\n')+1]
	}
	if len(raw) == 0 {
		return nil
	}
	l.s.Offset += int64(len(raw))
	found := bytes.Split(bytes.TrimSuffix(raw, []byte("\n")), []byte("\n"))
	var out []string
	if over := len(found) - l.settings.Lines; over > 0 {
		out = append(out, fmt.Sprintf("[%d lines not shown]", over))
		found = found[over:]
	}
	hide := l.hide()
	for _, line := range found {
		out = append(out, l.show(string(line), hide, maxLine))
	}
	return out
}

// stopOrphan does the watcher's part when the watcher is gone: TERM once, KILL
// when its time is up.
func (l *look) stopOrphan() error {
	asked, due := l.asked, l.cancel
	if end := l.st.start.At.Add(l.table.Timeout.or(defaultTimeout)); !due && time.Now().After(end) {
		asked, due = end, true
	}
	if !due {
		return nil
	}
	first, err := l.f.once(termFile(l.st.attempt), start{Verdict: "TERM", At: time.Now().UTC()})
	if err != nil {
		return err
	}
	group := l.st.command.PID
	if first {
		return signalGroup(group, syscall.SIGTERM)
	}
	if time.Since(asked) > l.table.KillAfter.or(defaultKillAfter) {
		return signalGroup(group, syscall.SIGKILL)
	}
	return nil
}
