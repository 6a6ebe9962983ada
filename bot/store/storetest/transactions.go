package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

var errTest = errors.New("the caller changed its mind")

// transactions: all or nothing, reads within see writes within, and a View
// sees one snapshot.
func transactions(t *testing.T, open Open) {
	s, _ := open(t)
	err := s.Update(context.Background(), func(tx store.Tx) error {
		if err := add(tx, nil); err != nil {
			return err
		}
		if _, err := tx.PutDocument(bot.Document{Kind: "lock", ID: "a", Body: []byte(`1`)}); err != nil {
			return err
		}
		if _, found, err := tx.Document("lock", "a"); err != nil || !found {
			return fmt.Errorf("a transaction does not see its own document: %v", err)
		}
		if _, found, err := tx.Record(1); err != nil || !found {
			return fmt.Errorf("a transaction does not see its own record: %v", err)
		}
		return errTest
	})
	if !errors.Is(err, errTest) {
		t.Fatalf("Update gives %v, want the function's own error", err)
	}
	view(t, s, func(r store.Reader) error {
		head, err := r.Head()
		if err != nil || head != (store.Head{}) {
			return fmt.Errorf("head %v after a failed update (%v)", head, err)
		}
		if _, found, err := r.Document("lock", "a"); err != nil || found {
			return fmt.Errorf("a failed update left its document (%v)", err)
		}
		return nil
	})

	// An expectation that does not hold leaves the transaction usable.
	update(t, s, func(tx store.Tx) error {
		if err := add(tx, nil); err != nil {
			return err
		}
		_, err := tx.PutDocument(bot.Document{Kind: "lock", ID: "b", Rev: 3})
		if wrong := refused(err, bot.Conflict); wrong != nil {
			return wrong
		}
		return add(tx, nil)
	})
	intact(t, s, 2)

	view(t, s, func(r store.Reader) error {
		before, err := r.Head()
		if err != nil {
			return err
		}
		update(t, s, func(tx store.Tx) error { return add(tx, nil) })
		after, err := r.Head()
		if err != nil || after != before {
			return fmt.Errorf("the snapshot moved from %v to %v (%v)", before, after, err)
		}
		list, err := r.Records(bot.RecordFilter{})
		if err != nil || len(list) != int(before.Seq) {
			return fmt.Errorf("%d records in a snapshot of %d (%v)", len(list), before.Seq, err)
		}
		return nil
	})
	intact(t, s, 3)

	// What is kept beyond its function is of no use, and does no harm.
	var kept store.Tx
	update(t, s, func(tx store.Tx) error { kept = tx; return nil })
	if err := kept.Append(sealed(store.Head{Seq: 3}, nil)); err == nil {
		t.Error("a transaction can be used after it ended")
	}
	var keptReader store.Reader
	view(t, s, func(r store.Reader) error { keptReader = r; return nil })
	if _, err := keptReader.Head(); err == nil {
		t.Error("a snapshot can be used after it ended")
	}
	if err := s.View(context.Background(), func(store.Reader) error { return errTest }); !errors.Is(err, errTest) {
		t.Errorf("View gives %v, want the function's own error", err)
	}
	intact(t, s, 3)
}

// sharing: many callers at once, some of whom fail or panic, each alone.
func sharing(t *testing.T, open Open) {
	s, _ := open(t)
	const callers, each = 24, 12
	var mu sync.Mutex
	good, seen := map[string]bool{}, map[int64]bool{}
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				id := fmt.Sprintf("%d-%d", c, i)
				var number int64
				err := calm(func() error {
					return s.Update(context.Background(), func(tx store.Tx) error {
						if (c+i)%5 == 3 {
							return errTest // before anything is written
						}
						if err := add(tx, nil); err != nil {
							return err
						}
						var err error
						if number, err = tx.NextRun(); err != nil {
							return err
						}
						if _, err := tx.PutDocument(bot.Document{Kind: "share", ID: id}); err != nil {
							return err
						}
						switch (c + i) % 5 {
						case 1:
							return errTest
						case 2:
							panic("the caller is broken")
						}
						return nil
					})
				})
				mu.Lock()
				if err == nil {
					good[id] = true
					if seen[number] {
						t.Errorf("run number %d was given twice", number)
					}
					seen[number] = true
				}
				mu.Unlock()
				switch (c + i) % 5 {
				case 1, 3:
					if !errors.Is(err, errTest) {
						t.Errorf("%s: %v, want the function's own error", id, err)
					}
				case 2:
					if !errors.Is(err, errPanic) {
						t.Errorf("%s: %v, want the panic to reach its caller", id, err)
					}
				default:
					if err != nil {
						t.Errorf("%s: %v", id, err)
					}
				}
			}
		})
	}
	wg.Wait()
	intact(t, s, int64(len(good)))
	view(t, s, func(r store.Reader) error {
		list, err := r.Documents("share", "", callers*each, false)
		if err != nil {
			return err
		}
		for _, d := range list {
			if !good[d.ID] {
				return fmt.Errorf("%s is there though its update failed", d.ID)
			}
		}
		if len(list) != len(good) {
			return fmt.Errorf("%d documents, want %d", len(list), len(good))
		}
		return nil
	})
}

var errPanic = errors.New("panic")

// calm makes an error of a panic.
func calm(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPanic, p)
		}
	}()
	return f()
}

// leaving: a function that ends its goroutine, as a failing test does, is
// undone and stops nobody else.
func leaving(t *testing.T, open Open) {
	s, _ := open(t)
	const callers = 12
	inside, leave := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { update(t, s, func(tx store.Tx) error { close(inside); <-leave; return add(tx, nil) }) })
	<-inside
	for c := range callers {
		wg.Go(func() {
			err := s.Update(context.Background(), func(tx store.Tx) error {
				if err := add(tx, nil); err != nil {
					return err
				}
				if c%3 == 0 {
					runtime.Goexit()
				}
				return nil
			})
			if (c%3 == 0) != (err != nil) {
				t.Errorf("caller %d: %v", c, err)
			}
		})
	}
	close(leave)
	wg.Wait()
	intact(t, s, 1+callers-callers/3)
	update(t, s, func(tx store.Tx) error { return add(tx, nil) })
}

// waiting: a caller that waits for its turn leaves when its context ends, and
// what it wanted is not done later.
func waiting(t *testing.T, open Open) {
	s, _ := open(t)
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	err := s.Update(gone, func(tx store.Tx) error { return add(tx, nil) })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Update with an ended context gives %v", err)
	}
	mustRefuse(t, err, bot.Unavailable)
	err = s.View(gone, func(r store.Reader) error { _, err := r.Head(); return err })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("View with an ended context gives %v", err)
	}
	mustRefuse(t, err, bot.Unavailable)
	// A context that ends within a View ends its reads.
	ending, end := context.WithCancel(context.Background())
	defer end()
	err = s.View(ending, func(r store.Reader) error {
		if _, err := r.Head(); err != nil {
			return err
		}
		end()
		_, err := r.Head()
		return err
	})
	mustRefuse(t, err, bot.Unavailable)

	inside, leave := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		update(t, s, func(tx store.Tx) error {
			close(inside)
			<-leave
			return add(tx, nil)
		})
	})
	<-inside
	late, stop := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer stop()
	err = s.Update(late, func(tx store.Tx) error { return add(tx, nil) })
	mustRefuse(t, err, bot.Timeout)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v does not wrap the context's error", err)
	}
	// Reading goes on while somebody writes.
	view(t, s, func(r store.Reader) error { _, err := r.Head(); return err })
	close(leave)
	wg.Wait()
	update(t, s, func(tx store.Tx) error { return add(tx, nil) })
	intact(t, s, 2)
}

// closing: what was begun is finished, what comes later is told so.
func closing(t *testing.T, open Open) {
	s, reopen := open(t)
	const callers = 32
	written := make(chan bool, callers)
	inside, leave := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			err := s.Update(context.Background(), func(tx store.Tx) error {
				once.Do(func() { close(inside) })
				<-leave
				return add(tx, nil)
			})
			if err != nil {
				if wrong := refused(err, bot.Unavailable); wrong != nil {
					t.Error(wrong)
				}
			}
			written <- err == nil
		})
	}
	<-inside
	closed := make(chan error, 2)
	for range 2 {
		go func() { closed <- s.Close() }()
	}
	select {
	case <-closed:
		t.Error("Close did not wait for the update under way")
	case <-time.After(10 * time.Millisecond): // only makes the fault likelier to be seen
	}
	close(leave)
	wg.Wait()
	for range 2 {
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	mustRefuse(t, s.Update(context.Background(), func(tx store.Tx) error { return nil }), bot.Unavailable)
	mustRefuse(t, s.View(context.Background(), func(r store.Reader) error { return nil }), bot.Unavailable)
	var n int64
	for range callers {
		if <-written {
			n++
		}
	}
	if n == 0 {
		t.Error("the update under way was not finished")
	}
	intact(t, reopen(), n)
}
