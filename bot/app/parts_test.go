package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// course notes what happened, in order.
type course struct {
	mu   sync.Mutex
	what []string
}

func (c *course) note(s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.what = append(c.what, s)
}

func (c *course) is(t *testing.T, want ...string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(c.what, want) {
		t.Errorf("it went %v, want %v", c.what, want)
	}
}

var quiet = slog.New(slog.DiscardHandler)

func staged(fail func(error)) stages {
	ctx := context.Background()
	return stages{work: newStage(ctx, fail), tell: newStage(ctx, fail), post: newStage(ctx, fail), front: newStage(ctx, fail), flush: make(chan struct{})}
}

// until notes the end of a part's context.
func (c *course) until(name string) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		c.note(name)
		return nil
	}
}

// A call under way is waited for; what it led to is told, posted, and only then
// is nobody reached any more.
func TestDrainInOrder(t *testing.T) {
	c, s := &course{}, staged(func(err error) { t.Error(err) })
	call := make(chan struct{})
	s.work.Go(func(ctx context.Context) error {
		select {
		case <-call:
			c.note("the call ends")
		case <-ctx.Done():
			c.note("the call is cut off")
		}
		return nil
	})
	s.tell.Go(c.until("told"))
	s.post.Go(func(ctx context.Context) error {
		<-s.flush
		c.note("posted")
		return nil
	})
	s.front.Go(c.until("nobody is reached"))
	drained := make(chan struct{})
	go func() {
		s.drain(context.Background(), time.Hour, quiet)
		close(drained)
	}()
	close(call)
	<-drained
	c.is(t, "the call ends", "told", "posted", "nobody is reached")
}

// A call that takes longer than there is time for is cut off; what cannot be
// posted is left.
func TestDrainCutsOff(t *testing.T) {
	for name, hurried := range map[string]bool{"its time is over": false, "it is hurried": true} {
		t.Run(name, func(t *testing.T) {
			c, s := &course{}, staged(func(err error) { t.Error(err) })
			s.work.Go(c.until("the call is cut off"))
			s.tell.Go(c.until("told"))
			s.post.Go(c.until("posting is cut off"))
			s.front.Go(c.until("nobody is reached"))
			hurry, now := context.WithCancel(context.Background())
			defer now()
			grace := time.Millisecond
			if hurried {
				grace = time.Hour
				now()
			}
			s.drain(hurry, grace, quiet)
			c.is(t, "the call is cut off", "told", "posting is cut off", "nobody is reached")
		})
	}
}

// A part that fails or panics says so, and does not take the process with it.
func TestPartFails(t *testing.T) {
	var mu sync.Mutex
	var failed []error
	s := staged(func(err error) {
		mu.Lock()
		defer mu.Unlock()
		failed = append(failed, err)
	})
	broken := errors.New("broken")
	s.work.Go(func(context.Context) error { return broken })
	s.front.Go(func(context.Context) error { panic("lost its mind") })
	s.drain(context.Background(), time.Hour, quiet)
	if len(failed) != 2 || !slices.ContainsFunc(failed, func(err error) bool { return errors.Is(err, broken) }) ||
		!slices.ContainsFunc(failed, func(err error) bool { return strings.Contains(err.Error(), "lost its mind") }) {
		t.Errorf("it failed with %v", failed)
	}
}
