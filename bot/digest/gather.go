package digest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sourcegraph/conc"
	"github.com/sourcegraph/conc/panics"

	"quarterdeck/bot"
)

// answer is what became of one section.
type answer struct {
	Section
	Block
	err error
}

// gather asks every section at once and gives the answers in their order. One
// that panics or does not return in time is an error like any other; one that
// does not heed its context is left behind.
func gather(ctx context.Context, sections []Section, w Window) []answer {
	all := make([]answer, len(sections))
	var wg conc.WaitGroup
	for i, s := range sections {
		wg.Go(func() { all[i] = ask(ctx, s, w) })
	}
	wg.Wait()
	return all
}

func ask(ctx context.Context, s Section, w Window) answer {
	limit := s.Within
	if limit <= 0 {
		limit = within
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	got := make(chan answer, 1)
	go func() {
		a := answer{Section: s}
		if caught := panics.Try(func() { a.Block, a.err = s.Gather(ctx, w) }); caught != nil {
			a.Block, a.err = Block{}, caught.AsError()
		}
		got <- a
	}()
	select {
	case a := <-got:
		if a.err != nil {
			a.Block = Block{}
		}
		return a
	case <-ctx.Done():
		return answer{Section: s, err: ctx.Err()}
	}
}

// compose makes the card of what was gathered. ref stands for faults of ours,
// which the log has in full.
func compose(w Window, due time.Time, answers []answer, ref string) bot.Card {
	card := bot.Card{Title: fmt.Sprintf("%s digest", w.Name), Outcome: bot.OutcomeOK}
	day := func(t time.Time) string { return t.In(w.Times.Zone()).Format("Mon 2006-01-02 15:04") }
	if due.IsZero() {
		card.Title += " as of " + day(w.To)
	} else {
		card.Title += " of " + day(due)
		if w.Now.Sub(due) >= late {
			card.Text = fmt.Sprintf("late: it was due %s ago\n", bot.Span(w.Now.Sub(due).Truncate(time.Minute)))
		}
	}
	var silent []string
	var told []answer
	for _, a := range answers {
		switch {
		case a.err != nil:
			silent = append(silent, fmt.Sprintf("%s (%s)", a.Name, bot.Sentence(a.err, ref)))
		case len(a.Lines) > 0:
			told = append(told, a)
		}
		if card.Image == nil {
			card.Image = a.Image
		}
	}
	room := w.Lines - len(silent)
	for _, n := range shares(told, room) {
		a := told[len(card.Fields)]
		lines := append([]string(nil), a.Lines[:n]...)
		if left := len(a.Lines) - n; left > 0 {
			lines[n-1] += fmt.Sprintf(" (and %d more)", left)
		}
		card.Fields = append(card.Fields, bot.Field{Name: a.Name, Value: strings.Join(lines, "\n")})
	}
	if len(told) == 0 {
		card.Text += "nothing to tell"
	}
	if len(silent) > 0 {
		card.Tone = bot.Warning
		card.Fields = append(card.Fields, bot.Field{Name: "no answer", Value: strings.Join(silent, "\n")})
	}
	card.Text = strings.TrimSuffix(card.Text, "\n")
	card.Footer = fmt.Sprintf("since %s; times in %s", day(w.From), w.Times.Zone())
	return card
}

// late is from when on a digest says that it is late.
const late = 10 * time.Minute

// shares gives how many lines each section gets: its first in any case, and the
// room that is left one by one in turn.
func shares(told []answer, room int) []int {
	n := make([]int, len(told))
	for i := range told {
		n[i] = 1
		room--
	}
	for more := true; more && room > 0; {
		more = false
		for i, a := range told {
			if n[i] < len(a.Lines) && room > 0 {
				n[i]++
				room--
				more = true
			}
		}
	}
	return n
}
