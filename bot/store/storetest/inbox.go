package storetest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// inbox: a message is received once and finished once.
func inbox(t *testing.T, open Open) {
	s, _ := open(t)
	message := func(id string, seconds int) bot.Message {
		return bot.Message{ID: id, Account: "terminal:dev", Standing: bot.Member, Channel: "terminal:1", Thread: "t", Text: "deploy shop v2 “prod”",
			Received: noon().Add(time.Duration(seconds) * time.Second)}
	}
	receive := func(m bot.Message) (fresh bool) {
		update(t, s, func(tx store.Tx) (err error) {
			fresh, err = tx.Receive(m)
			return err
		})
		return fresh
	}
	finish := func(id string) (done bool, err error) {
		err = s.Update(context.Background(), func(tx store.Tx) error {
			done, err = tx.Finish(id)
			return err
		})
		return done, err
	}
	waiting := func(limit int) (ids []string) {
		view(t, s, func(r store.Reader) error {
			list, err := r.Unfinished(limit)
			for _, in := range list {
				ids = append(ids, in.ID)
				if in.State != store.InboxNew {
					return fmt.Errorf("%s is %s", in.ID, in.State)
				}
			}
			return err
		})
		return ids
	}
	for i, m := range []bot.Message{message("b", 2), message("a", 1), message("d", 2), message("c", 2)} {
		if !receive(m) {
			t.Fatalf("message %d is not fresh", i)
		}
	}
	again := message("a", 9)
	again.Text = "something else under the same key"
	if receive(again) {
		t.Error("a repetition is fresh")
	}
	mustRefuse(t, s.Update(context.Background(), func(tx store.Tx) error { _, err := tx.Receive(message("", 0)); return err }), bot.Invalid)
	if got, want := waiting(10), []string{"a", "b", "d", "c"}; !slices.Equal(got, want) {
		t.Errorf("unfinished %v, want %v: oldest first, then as they came", got, want)
	}
	if got := waiting(2); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("two unfinished: %v", got)
	}
	if got := waiting(0); got != nil {
		t.Errorf("no unfinished: %v", got)
	}
	view(t, s, func(r store.Reader) error {
		list, err := r.Unfinished(1)
		if err != nil {
			return err
		}
		want := store.Inbound{ID: "a", Message: message("a", 1), State: store.InboxNew, Received: message("a", 1).Received}
		if !reflect.DeepEqual(list, []store.Inbound{want}) {
			return fmt.Errorf("got %+v, want %+v", list, want)
		}
		return nil
	})

	// Of many who act on one message one does.
	var wg sync.WaitGroup
	won := make(chan bool, 8)
	for range cap(won) {
		wg.Go(func() {
			done, err := finish("a")
			if err != nil {
				t.Error(err)
			}
			won <- done
		})
	}
	wg.Wait()
	close(won)
	n := 0
	for done := range won {
		if done {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d finished one message", n)
	}
	_, err := finish("never received")
	mustRefuse(t, err, bot.NotFound)
	if receive(message("a", 1)) {
		t.Error("a finished message is fresh again")
	}
	if _, err := finish("c"); err != nil {
		t.Error(err)
	}
	// a (1 s) is forgotten; c (2 s) is not old enough; b and d are not finished.
	update(t, s, func(tx store.Tx) error { return tx.Forget(noon().Add(2 * time.Second)) })
	if got := waiting(10); !slices.Equal(got, []string{"b", "d"}) {
		t.Errorf("unfinished %v, want b and d", got)
	}
	if done, err := finish("c"); done || err != nil {
		t.Errorf("c: done %v, %v; want that it is remembered as done", done, err)
	}
	if !receive(message("a", 50)) {
		t.Error("a forgotten message is not fresh")
	}
	// Received and finished in one transaction, as a command line does.
	update(t, s, func(tx store.Tx) error {
		if fresh, err := tx.Receive(message("e", 3)); err != nil || !fresh {
			return fmt.Errorf("fresh %v, %v", fresh, err)
		}
		if done, err := tx.Finish("e"); err != nil || !done {
			return fmt.Errorf("done %v, %v", done, err)
		}
		return nil
	})
}
