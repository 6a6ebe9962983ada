package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// maxBatch bounds how many callers share one commit, and so how long the first
// of them waits for it.
const maxBatch = 512

const (
	queued int32 = iota
	taken
	abandoned
)

// job is one call of Update on its way through the writer.
type job struct {
	f      func(store.Tx) error
	state  atomic.Int32
	result chan outcome
}

// outcome is what became of a job: its error, or the panic of its function.
type outcome struct {
	err      error
	panicked any
}

func newJob() *job { return &job{result: make(chan outcome, 1)} }

// take claims the job for the writer; it fails when the caller has gone.
func (j *job) take() bool {
	return j.state.Load() == taken || j.state.CompareAndSwap(queued, taken)
}

// abandon withdraws a job that was not taken yet.
func (j *job) abandon() bool { return j.state.CompareAndSwap(queued, abandoned) }

func (j *job) answer(err error) {
	var p panicking
	if errors.As(err, &p) {
		j.result <- outcome{panicked: p.value}
		return
	}
	j.result <- outcome{err: err}
}

// errUnfinished is what the caller of a function that ended its goroutine gets.
var errUnfinished = errors.New("the function given to Update did not return")

// panicking stands for the panic of a job's function, which goes on in its caller.
type panicking struct{ value any }

func (p panicking) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// perform runs f and makes an error of its panic.
func perform(f func(store.Tx) error, t *tx) (err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if p := recover(); p != nil {
			err = panicking{p}
		}
	}()
	err = f(t)
	returned = true
	return err
}

// line is where callers wait for the writer.
type line struct {
	mu     sync.Mutex
	jobs   []*job
	closed bool
	wake   chan struct{}
}

func (l *line) join(j *job) error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return errClosed("store.update")
	}
	l.jobs = append(l.jobs, j)
	l.mu.Unlock()
	l.nudge()
	return nil
}

func (l *line) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *line) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.nudge()
}

// next waits for jobs and moves up to maxBatch of them into buf, oldest first;
// it gives none when the line is closed and empty.
func (l *line) next(buf []*job) []*job {
	for yielded := false; ; {
		l.mu.Lock()
		if len(l.jobs) > 0 && !yielded {
			// Those who were answered just now get the chance to join this
			// batch, so that it is not one job long.
			yielded = true
			l.mu.Unlock()
			runtime.Gosched()
			continue
		}
		if n := min(len(l.jobs), maxBatch); n > 0 {
			buf = append(buf[:0], l.jobs[:n]...)
			rest := copy(l.jobs, l.jobs[n:])
			clear(l.jobs[rest:])
			l.jobs = l.jobs[:rest]
			l.mu.Unlock()
			return buf
		}
		closed := l.closed
		l.mu.Unlock()
		if closed {
			return nil
		}
		<-l.wake
	}
}

// writer owns the one connection that writes.
type writer struct {
	store   *Store
	session *session // nil until needed, and after a failure
	mark    string   // of the transaction under way; see Dialect.Began

	again   []*job // taken, undone by another's failure, and to run alone
	kept    []*job // of the batch under way: ran without error
	current *job   // runs now
	rest    []*job // of the batch under way: to come
}

// run works until the line is closed and empty.
func (w *writer) run() {
	ended := false
	defer func() {
		if w.session != nil && ended {
			w.session.drop()
		}
		if ended {
			close(w.store.done)
			return
		}
		// A function called runtime.Goexit, as a test does that fails inside
		// one. What is left of its batch goes on in a goroutine of its own.
		if j := w.current; j != nil {
			w.lose()
			left := slices.Concat(w.kept, w.rest, w.again)
			j.answer(&bot.Error{Op: "store.update", Kind: bot.Internal, Say: "the change was not made", Err: errUnfinished})
			go (&writer{store: w.store, again: left}).run()
		}
	}()
	var jobs []*job
	for {
		w.singly()
		if jobs = w.store.line.next(jobs); jobs == nil {
			ended = true
			return
		}
		w.again, _ = w.batch(jobs)
	}
}

// singly runs the jobs whose transaction was lost through another's fault,
// each alone. When one fails in that way too the fault is not theirs, and the
// rest are told without trying.
func (w *writer) singly() {
	for len(w.again) > 0 {
		one := w.again[:1]
		w.again = w.again[1:]
		if _, err := w.batch(one); err != nil {
			for _, j := range w.again {
				j.answer(err)
			}
			w.again = nil
		}
	}
}

// batch runs jobs in one transaction and answers them. It gives those that
// were undone by another's failure, not answered, and the failure.
//
// Savepoints cost a fifth of what a small batch costs and are hardly ever used,
// so the first try does without. When a function fails after it wrote, all is
// undone and done again with a savepoint around each.
func (w *writer) batch(jobs []*job) (again []*job, failure error) {
	ctx := context.Background()
	if p := w.store.dialect.Patience; p > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p)
		defer cancel()
	}
	again, failure = w.try(ctx, jobs, false)
	if errors.Is(failure, errTangled) {
		return w.try(ctx, again, true)
	}
	return again, failure
}

// errTangled says that a function failed after it had written, with nothing
// to undo it by that spares the others.
var errTangled = errors.New("a function of the batch failed after it wrote")

// try is batch with or without savepoints. With errTangled it gives all who
// were not answered, in their order, and nothing was changed.
func (w *writer) try(ctx context.Context, jobs []*job, savepoints bool) (again []*job, failure error) {
	began := time.Now()
	if err := w.begin(ctx); err != nil {
		w.store.committed(len(jobs), began, err)
		w.lose()
		for _, j := range jobs {
			j.answer(err)
		}
		return nil, err
	}
	w.kept = w.kept[:0]
	end := ending{}
	for i, j := range jobs {
		if !j.take() {
			continue
		}
		w.current, w.rest = j, jobs[i+1:]
		err, lost := w.give(ctx, j, &end, savepoints)
		w.current = nil
		switch {
		case errors.Is(lost, errTangled):
			if _, failure := w.session.exec(ctx, "ROLLBACK"); failure != nil {
				w.lose()
			}
			if len(w.kept) > 0 || len(w.rest) > 0 {
				return slices.Concat(w.kept, jobs[i:]), lost
			}
			j.answer(err)
			return nil, nil
		case lost != nil:
			w.lose()
			j.answer(err)
			return append(append(again, w.kept...), w.rest...), lost
		case err != nil:
			j.answer(err)
		default:
			w.kept = append(w.kept, j)
		}
	}
	_, err := w.session.exec(ctx, "COMMIT")
	if err != nil {
		w.lose()
		err = w.settle(err)
	}
	if len(w.kept) > 0 {
		w.store.committed(len(w.kept), began, err)
	}
	for _, j := range w.kept {
		j.answer(err)
	}
	return nil, err
}

// begin opens the transaction. A connection that was lost while nobody used it
// is replaced; nothing was begun on it.
func (w *writer) begin(ctx context.Context) error {
	kept := w.session != nil
	err := w.beginOnce(ctx)
	if kept && w.store.dialect.lost(err) {
		w.lose()
		err = w.beginOnce(ctx)
	}
	return err
}

func (w *writer) beginOnce(ctx context.Context) error {
	if w.session == nil {
		sess, err := openSession(ctx, w.store.write, &w.store.dialect)
		if err != nil {
			return err
		}
		w.session = sess
	}
	if turn := w.store.dialect.Turn; turn != nil {
		defer turn()()
	}
	d := &w.store.dialect
	before := time.Now()
	row, err := w.session.begin(ctx, d.BeginWrite)
	if err != nil {
		return translate(d, "store.begin", err)
	}
	w.mark = ""
	if d.Began != nil {
		w.mark, err = d.Began(row, before, time.Now())
	}
	return translate(d, "store.begin", err)
}

// settle finds out whether a COMMIT that failed was carried out: nil when it
// was.
func (w *writer) settle(failure error) error {
	d := &w.store.dialect
	if !d.unanswered(failure) {
		return translate(d, "store.commit", failure)
	}
	if d.Committed == nil || w.mark == "" {
		return d.uncertain(failure, nil)
	}
	done, err := d.Committed(context.Background(), w.store.write, w.mark)
	switch {
	case err != nil:
		return d.uncertain(failure, err)
	case done:
		return nil
	}
	return translate(d, "store.commit", failure)
}

// lose gives up the connection: what state a failed one is in differs between
// databases and failures, a fresh one is in none.
func (w *writer) lose() {
	if w.session == nil {
		return
	}
	w.session.exec(context.Background(), "ROLLBACK") // may have been rolled back already
	w.session.drop()
	w.session = nil
}

// give lets one job run, in a savepoint or not. The first error is the job's;
// lost is set when the transaction around it was lost with it, or has to be.
func (w *writer) give(ctx context.Context, j *job, end *ending, savepoint bool) (err, lost error) {
	failed := func(failure error) (error, error) {
		if err == nil {
			err = failure
		}
		return err, failure
	}
	exec := func(q string) error {
		if !savepoint {
			return nil
		}
		_, failure := w.session.exec(ctx, q)
		return translate(&w.store.dialect, "store.update", failure)
	}
	if failure := exec("SAVEPOINT caller"); failure != nil {
		return failed(failure)
	}
	before := *end
	t := &tx{reader: reader{ctx: ctx, s: w.session}, end: end}
	err = perform(j.f, t)
	t.over = true
	if t.failure != nil {
		return failed(t.failure)
	}
	if err != nil {
		*end = before
		if t.wrote && !savepoint {
			return err, errTangled
		}
		if failure := exec("ROLLBACK TO SAVEPOINT caller"); failure != nil {
			return failed(failure)
		}
	}
	if failure := exec("RELEASE SAVEPOINT caller"); failure != nil {
		return failed(failure)
	}
	return err, nil
}

// errOver answers the use of a transaction after its function returned.
func errOver() error {
	return &bot.Error{Op: "store.use", Kind: bot.Internal, Say: "a transaction was used after it ended",
		Err: fmt.Errorf("a Reader or Tx was kept beyond the function it was given to")}
}
