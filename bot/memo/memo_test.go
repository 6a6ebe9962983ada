package memo_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/memo"
)

// An answer counts for its life, whoever asks at once shares one question, what was
// told without being asked counts from then, and what only a change mends is not
// asked again for a while.
func TestTable(t *testing.T) {
	clock := bottest.NewClock(time.Now())
	table := memo.New[int](clock, 10, time.Second)
	asked := 0
	get := func(life time.Duration, value int, fault error) (int, error) {
		return table.Get(t.Context(), "k", life, func(context.Context) (int, error) { asked++; return value, fault })
	}
	expect := func(what string, got int, err error, want, questions int) {
		t.Helper()
		if got != want || err != nil || asked != questions {
			t.Errorf("%s: %d, %v after %d questions; want %d after %d", what, got, err, asked, want, questions)
		}
	}
	v, err := get(time.Minute, 1, nil)
	expect("first", v, err, 1, 1)
	v, err = get(time.Minute, 2, nil)
	expect("again", v, err, 1, 1)
	v, err = get(memo.Afresh, 2, nil)
	expect("afresh", v, err, 2, 2)
	clock.Advance(time.Second)
	table.Learn("k", 3)
	v, err = get(time.Minute, 4, nil)
	expect("told", v, err, 3, 2)
	clock.Advance(time.Minute)
	fault := bot.Errorf(bot.NotFound, "there is none")
	for range 2 {
		if _, err := get(time.Minute, 0, fault); bot.KindOf(err) != bot.NotFound || asked != 3 {
			t.Errorf("%v after %d questions", err, asked)
		}
	}
	if v, had := table.Had("k", time.Hour); !had || v != 3 {
		t.Errorf("before it failed: %d, %v", v, had)
	}
	clock.Advance(memo.SorryFor)
	v, err = get(time.Minute, 5, nil)
	expect("later", v, err, 5, 4)

	var all sync.WaitGroup
	begun, end := make(chan struct{}), make(chan struct{})
	flights := 0
	for range 20 {
		all.Go(func() {
			v, err := table.Get(t.Context(), "shared", time.Minute, func(context.Context) (int, error) {
				flights++
				close(begun)
				<-end
				return 7, nil
			})
			if v != 7 || err != nil {
				t.Errorf("%d, %v", v, err)
			}
		})
	}
	<-begun
	close(end)
	all.Wait()
	if flights != 1 {
		t.Errorf("%d questions at once", flights)
	}
}
