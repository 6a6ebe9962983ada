package app

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sourcegraph/conc"
	"github.com/sourcegraph/conc/panics"
)

// stage is parts of the bot that are ended together. The stages of a bot are
// ended one after the other, so that each can still rely on those after it: what
// decides, then what tells of it, then what delivers that, then what is reached.
type stage struct {
	ctx  context.Context
	end  context.CancelFunc
	fail func(error)
	all  conc.WaitGroup
	once sync.Once
	done chan struct{} // closed when every part has returned and wait was called
}

// newStage makes a stage whose parts' contexts end with ctx, or by end. A part
// that fails, or panics, is told to fail.
func newStage(ctx context.Context, fail func(error)) *stage {
	s := &stage{fail: fail, done: make(chan struct{})}
	s.ctx, s.end = context.WithCancel(ctx)
	return s
}

func (s *stage) Go(run func(ctx context.Context) error) {
	s.all.Go(func() {
		var err error
		if caught := panics.Try(func() { err = run(s.ctx) }); caught != nil {
			err = fmt.Errorf("a part of the bot panicked: %w", caught.AsError())
		}
		if err != nil {
			s.fail(err)
		}
	})
}

// wait waits until every part has returned or limit ends; it reports whether
// they have.
func (s *stage) wait(limit context.Context) bool {
	s.once.Do(func() {
		go func() {
			s.all.Wait()
			close(s.done)
		}()
	})
	select {
	case <-s.done:
		return true
	case <-limit.Done():
		return false
	}
}

// unwind waits for parts whose contexts ended.
func (s *stage) unwind() bool {
	limit, cancel := context.WithTimeout(context.Background(), unwindWithin)
	defer cancel()
	return s.wait(limit)
}

// Bounds of a stop beyond what is configured for calls under way.
const (
	// unwindWithin is how long parts whose contexts ended may take to return: a
	// little more than the writes that they make then.
	unwindWithin = 10 * time.Second
	// lastWords is what delivering gets at least, when the calls under way took
	// all the time there was.
	lastWords = 5 * time.Second
)

// stages are the bot's parts in the order in which they end.
type stages struct {
	work  *stage // what decides and acts
	tell  *stage // what turns the log into posts
	post  *stage // what delivers posts; it is told by flush to deliver and return
	front *stage // what is reached from outside: chat networks, listeners
	flush chan struct{}
}

// drain ends the stages. The calls under way in work get grace and are cut off
// then; what was posted gets what is left of it, and lastWords at least. When
// hurry ends, nothing is waited for that is not a write of our own.
func (s stages) drain(hurry context.Context, grace time.Duration, log *slog.Logger) {
	calls, cancel := context.WithTimeout(hurry, grace)
	defer cancel()
	if !s.work.wait(calls) {
		s.work.end()
		if !s.work.unwind() {
			log.Warn("a call did not end although it was told to; its run is left to its lease")
		}
	}
	s.tell.end()
	s.tell.unwind()
	close(s.flush)
	words, done := context.WithTimeout(hurry, lastWords)
	defer done()
	if end, _ := calls.Deadline(); time.Until(end) > lastWords {
		words = calls
	}
	if !s.post.wait(words) {
		s.post.end()
		s.post.unwind()
	}
	s.front.end()
	s.front.unwind()
}
