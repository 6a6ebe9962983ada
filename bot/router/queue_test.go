package router

import (
	"fmt"
	"testing"

	"quarterdeck/bot"
)

// What waits goes on in its order as places become free, and a flood is left to
// the inbox.
func TestQueue(t *testing.T) {
	var q queue
	for i := range maxQueued + 10 {
		q.add(bot.Message{ID: fmt.Sprint(i)})
	}
	if len(q) != maxQueued {
		t.Errorf("%d wait, want %d", len(q), maxQueued)
	}
	next := 0
	for places := 1; len(q) > 0; places++ {
		free := places
		q.next(func(m bot.Message) bool {
			if free == 0 {
				return false
			}
			free--
			if m.ID != fmt.Sprint(next) {
				t.Fatalf("%s goes on, want %d", m.ID, next)
			}
			next++
			return true
		})
	}
	if next != maxQueued {
		t.Errorf("%d went on, want %d", next, maxQueued)
	}
	q.next(func(bot.Message) bool { t.Error("something went on that does not wait"); return true })
}
