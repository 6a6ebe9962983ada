package storetest

import (
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// backlog: what waits is counted, and what was done is not.
func backlog(t *testing.T, open Open) {
	s, _ := open(t)
	at := func(seconds int) time.Time { return noon().Add(time.Duration(seconds) * time.Second) }
	counted := func(when string, want store.Backlog, fleeting ...string) {
		t.Helper()
		view(t, s, func(r store.Reader) error {
			c, ok := r.(store.Counter)
			if !ok {
				return fmt.Errorf("%T does not count", r)
			}
			got, err := c.Backlog(fleeting...)
			if err == nil && !reflect.DeepEqual(got, want) {
				t.Errorf("%s:\n%+v, want\n%+v", when, got, want)
			}
			return err
		})
	}
	none := func() map[bot.RunState]store.OpenRuns {
		m := map[bot.RunState]store.OpenRuns{}
		for _, state := range store.OpenStates() {
			if state.Settled() {
				t.Errorf("%s is a settled state", state)
			}
			m[state] = store.OpenRuns{}
		}
		return m
	}
	counted("empty", store.Backlog{Runs: none()})
	var cards []int64
	update(t, s, func(tx store.Tx) error {
		cards = nil
		for i, id := range []string{"a", "b", "c"} {
			if _, err := tx.Receive(bot.Message{ID: id, Received: at(10 - i)}); err != nil {
				return err
			}
			id, err := tx.Enqueue(store.Outgoing{Channel: "file:a", Ordered: i == 2, Card: []byte("{}"), Created: at(20 + i), NextAt: at(99)})
			if err != nil {
				return err
			}
			cards = append(cards, id)
		}
		for i, state := range []bot.RunState{bot.Waiting, bot.Queued, bot.Running, bot.Running, bot.Cancelling, bot.Succeeded, bot.Failed, bot.Unknown} {
			n, err := tx.NextRun()
			if err != nil {
				return err
			}
			if _, err := tx.PutRun(store.RunRow{Number: n, State: state, Target: "shop/prod", Created: at(40 - i), Body: []byte("{}")}); err != nil {
				return err
			}
		}
		return nil
	})
	full := store.Backlog{Inbox: 3, InboxOldest: at(8), Outbox: 3, OutboxOldest: at(20), Runs: map[bot.RunState]store.OpenRuns{
		bot.Waiting: {Count: 1, Oldest: at(40)}, bot.Queued: {Count: 1, Oldest: at(39)}, bot.Running: {Count: 2, Oldest: at(37)}, bot.Cancelling: {Count: 1, Oldest: at(36)},
	}}
	counted("full", full)
	update(t, s, func(tx store.Tx) error {
		if _, err := tx.Finish("c"); err != nil {
			return err
		}
		if err := tx.Delivered(cards[0], 0); err != nil {
			return err
		}
		row, _, err := tx.Run(4)
		if err != nil {
			return err
		}
		row.State = bot.Succeeded
		_, err = tx.PutRun(row)
		return err
	})
	full.Inbox, full.InboxOldest, full.Outbox, full.OutboxOldest = 2, at(9), 2, at(21)
	full.Runs[bot.Running] = store.OpenRuns{Count: 1, Oldest: at(38)}
	counted("later", full)

	// What waits for a session that went away is told apart from what lags,
	// but for what may not be lost.
	apart := full
	apart.Outbox, apart.OutboxOldest, apart.Away = 1, at(22), 1
	counted("of sessions", apart, "file", "fil")
	counted("of no sessions", full, "fil", "file:a")
}

// watching: every commit is told of, with how many share it.
func watching(t *testing.T, open Open) {
	s, _ := open(t)
	w, ok := s.(store.Watched)
	if !ok {
		t.Fatalf("%T does not tell of its commits", s)
	}
	var mu sync.Mutex
	commits, updates := 0, 0
	w.Watch(func(n int, took time.Duration, err error) {
		mu.Lock()
		defer mu.Unlock()
		if n < 1 || took < 0 || err != nil {
			t.Errorf("a commit of %d updates took %s: %v", n, took, err)
		}
		commits, updates = commits+1, updates+n
	})
	var all sync.WaitGroup
	const callers = 40
	for i := range callers {
		all.Go(func() {
			update(t, s, func(tx store.Tx) error {
				_, err := tx.Receive(bot.Message{ID: fmt.Sprint(i), Received: noon()})
				return err
			})
		})
	}
	all.Wait()
	w.Watch(nil)
	update(t, s, func(store.Tx) error { return nil })
	mu.Lock()
	defer mu.Unlock()
	if updates != callers || commits < 1 || commits > callers {
		t.Errorf("told of %d commits of %d updates, want %d updates", commits, updates, callers)
	}
}
