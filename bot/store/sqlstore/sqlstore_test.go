package sqlstore

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarterdeck/bot/store"
)

func TestPlaceholders(t *testing.T) {
	q := `INSERT INTO x VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING ?`
	if got := (&Dialect{}).text(q); got != q {
		t.Errorf("without placeholders: %s", got)
	}
	numbered := &Dialect{Placeholder: func(n int) string { return fmt.Sprintf("$%d", n) }}
	if got, want := numbered.text(q), `INSERT INTO x VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING $3`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := numbered.text("COMMIT"); got != "COMMIT" {
		t.Errorf("got %s", got)
	}
}

// TestAfter compares the bound with the definition: what starts with a prefix
// lies between the prefix and the bound, and nothing else does.
func TestAfter(t *testing.T) {
	runes := rapid.SampledFrom([]rune{'a', 'b', '/', '\u007f', 'é', '\ud7ff', '\ue000', '\uffff', '\U00010000', '\U0010ffff'})
	text := rapid.StringOfN(runes, 0, 4, -1)
	rapid.Check(t, func(t *rapid.T) {
		prefix, s := text.Draw(t, "prefix"), text.Draw(t, "text")
		bound, ok := after(prefix)
		within := s >= prefix && (!ok || s < bound)
		if within != strings.HasPrefix(s, prefix) {
			t.Fatalf("%q starts with %q: %v, but lies before %q: %v", s, prefix, !within, bound, within)
		}
	})
}

// TestLine: jobs come out in the order they came, at most maxBatch at once,
// and all of them before the line ends.
func TestLine(t *testing.T) {
	l := &line{wake: make(chan struct{}, 1)}
	var in []*job
	for range 2*maxBatch + 3 {
		j := newJob()
		in = append(in, j)
		if err := l.join(j); err != nil {
			t.Fatal(err)
		}
	}
	l.close()
	if err := l.join(newJob()); err == nil {
		t.Error("a closed line takes jobs")
	}
	var out []*job
	for {
		batch := l.next(nil)
		if batch == nil {
			break
		}
		if len(batch) > maxBatch {
			t.Errorf("a batch of %d", len(batch))
		}
		out = append(out, batch...)
	}
	if len(out) != len(in) {
		t.Fatalf("%d jobs of %d", len(out), len(in))
	}
	for i := range in {
		if in[i] != out[i] {
			t.Fatalf("job %d is another", i)
		}
	}
}

// TestJobIsTakenOrAbandoned: never both.
func TestJobIsTakenOrAbandoned(t *testing.T) {
	for range 500 {
		j := newJob()
		given := make(chan bool)
		go func() { given <- j.abandon() }()
		took := j.take()
		if gave := <-given; took == gave {
			t.Fatalf("taken %v, abandoned %v", took, gave)
		}
		if took && !j.take() {
			t.Fatal("a job that runs again cannot be taken")
		}
	}
}

func TestAnswerCarriesPanics(t *testing.T) {
	j := newJob()
	err := perform(func(store.Tx) error { panic("broken") }, nil)
	j.answer(errors.Join(errors.New("and the database too"), err))
	if o := <-j.result; o.panicked != "broken" {
		t.Errorf("got %+v", o)
	}
	j.answer(perform(func(store.Tx) error { return errUnfinished }, nil))
	if o := <-j.result; !errors.Is(o.err, errUnfinished) || o.panicked != nil {
		t.Errorf("got %+v", o)
	}
}

// TestTimes: every time a Clock gives, and the zero time, come back as they were.
func TestTimes(t *testing.T) {
	for _, at := range []time.Time{{}, time.Unix(0, 0).UTC(), time.Date(2026, 3, 2, 12, 0, 0, 123456000, time.UTC), time.Date(1969, 1, 1, 0, 0, 0, 1000, time.UTC)} {
		if got := instant(micros(at)); !got.Equal(at) || got.IsZero() != at.IsZero() || got.Location() != time.UTC {
			t.Errorf("%v becomes %v", at, got)
		}
	}
	berlin := time.FixedZone("CET", 3600)
	if at := time.Date(2026, 3, 2, 13, 0, 0, 0, berlin); !instant(micros(at)).Equal(at) {
		t.Error("a time of another zone becomes another time")
	}
}
