package digest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"quarterdeck/bot"
	"quarterdeck/bot/schedule"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func tells(lines ...string) func(context.Context, Window) (Block, error) {
	return func(context.Context, Window) (Block, error) { return Block{Lines: lines}, nil }
}

// window is that of a digest of Monday at nine, in Berlin.
func window(t *testing.T, lines int) Window {
	t.Helper()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	times, err := schedule.Parse("0 9 * * mon-fri", berlin)
	if err != nil {
		t.Fatal(err)
	}
	due := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	return Window{Definition: Definition{Name: "daily", Times: times, Lines: lines}, From: due.AddDate(0, 0, -3), To: due, Now: due,
		Zone: bot.Zone{Location: berlin}}
}

// TestSections: each answers by itself. One that fails, panics, hangs or does not
// even hear that its time is over is named, and keeps nothing from the others.
func TestSections(t *testing.T) {
	release := make(chan struct{})
	deaf := make(chan struct{})
	w := window(t, 20)
	answers := gather(t.Context(), []Section{
		{Name: "first", Gather: tells("3 things", "a", "b", "c")},
		{Name: "silent", Gather: tells()},
		{Name: "failing", Gather: func(context.Context, Window) (Block, error) {
			return Block{Lines: []string{"half"}}, bot.Errorf(bot.Unavailable, "the pager does not answer")
		}},
		{Name: "broken", Gather: func(context.Context, Window) (Block, error) { return Block{}, errors.New("secret cause") }},
		{Name: "panics", Gather: func(context.Context, Window) (Block, error) { panic("at the disco") }},
		{Name: "hangs", Within: time.Millisecond, Gather: func(ctx context.Context, _ Window) (Block, error) {
			<-ctx.Done()
			return Block{}, ctx.Err()
		}},
		{Name: "deaf", Within: time.Millisecond, Gather: func(context.Context, Window) (Block, error) {
			defer close(deaf)
			<-release
			return Block{Lines: []string{"too late"}}, nil
		}},
		{Name: "last", Gather: tells("1 thing")},
	}, w)
	card := compose(w, w.To, answers, "4f2a")
	close(release)
	<-deaf
	want := []bot.Field{
		{Name: "first", Value: "3 things\na\nb\nc"},
		{Name: "last", Value: "1 thing"},
		{Name: "no answer", Value: "failing (the pager does not answer)\nbroken (internal error, ref 4f2a)\npanics (internal error, ref 4f2a)\nhangs (no answer in time)\ndeaf (no answer in time)"},
	}
	if !slices.Equal(card.Fields, want) {
		t.Errorf("it tells %q\nwant %q", card.Fields, want)
	}
	if card.Title != "daily digest of Mon 2026-11-23 09:00" || card.Footer != "since Fri 2026-11-20 09:00; times in Europe/Berlin" || card.Text != "" || card.Tone != bot.Warning {
		t.Errorf("it is %q %q, %q", card.Title, card.Text, card.Footer)
	}
	w.Now = w.To.Add(3*time.Hour + 20*time.Second)
	if late := compose(w, w.To, nil, ""); late.Text != "late: it was due 3h ago\nnothing to tell" {
		t.Errorf("late and empty it says %q", late.Text)
	}
	if asked := compose(w, time.Time{}, nil, ""); asked.Title != "daily digest as of Mon 2026-11-23 09:00" || asked.Text != "nothing to tell" {
		t.Errorf("asked for it is %q %q", asked.Title, asked.Text)
	}
}

// TestLines: a digest has no more lines than it may, except that each section
// that has something to tell is there with its first; what is left out is counted.
func TestLines(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		counts := rapid.SliceOfN(rapid.IntRange(0, 30), 0, 12).Draw(r, "lines of sections")
		room := rapid.IntRange(3, 60).Draw(r, "room")
		var answers []answer
		telling := 0
		for i, n := range counts {
			a := answer{Section: Section{Name: fmt.Sprint("s", i)}}
			for j := range n {
				a.Lines = append(a.Lines, fmt.Sprintf("line %d", j))
			}
			if n > 0 {
				telling++
			}
			answers = append(answers, a)
		}
		card := compose(window(t, room), time.Time{}, answers, "")
		if len(card.Fields) != telling {
			r.Fatalf("%d sections are shown, want %d", len(card.Fields), telling)
		}
		shown, all, cut := 0, 0, 0
		for _, f := range card.Fields {
			lines := strings.Split(f.Value, "\n")
			shown += len(lines)
			var more int
			if i := strings.Index(f.Value, " (and "); i >= 0 {
				if _, err := fmt.Sscanf(f.Value[i:], " (and %d more)", &more); err != nil {
					r.Fatal(err)
				}
			}
			cut += more
		}
		for _, n := range counts {
			all += n
		}
		if shown+cut != all || shown > max(room, telling) || cut > 0 && shown < max(room, telling) {
			r.Fatalf("of %d lines %d are shown and %d counted, in room for %d", all, shown, cut, room)
		}
	})
}
