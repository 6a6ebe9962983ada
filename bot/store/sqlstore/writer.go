package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

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

// job is one call of Update on its way through the writer. The writer hands
// the transaction to the caller by turn, gets f's outcome by ran and, when
// that is durable or lost, answers by result.
type job struct {
	state  atomic.Int32
	turn   chan *tx
	ran    chan error
	result chan error
}

func newJob() *job {
	return &job{turn: make(chan *tx, 1), ran: make(chan error, 1), result: make(chan error, 1)}
}

func (j *job) reset() { j.state.Store(queued) }

// take claims the job for the writer; it fails when the caller has gone.
func (j *job) take() bool {
	return j.state.Load() == taken || j.state.CompareAndSwap(queued, taken)
}

// abandon withdraws a job that was not taken yet.
func (j *job) abandon() bool { return j.state.CompareAndSwap(queued, abandoned) }

// errUnfinished stands for a function that panicked or ended its goroutine.
var errUnfinished = errors.New("the function given to Update did not return")

// perform runs f on the caller's goroutine, where a panic belongs.
func (j *job) perform(t *tx, f func(store.Tx) error) {
	err := errUnfinished
	defer func() { j.ran <- err }()
	err = f(t)
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
	for {
		l.mu.Lock()
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
	kept    []*job   // of the batch under way: ran without error
}

func (w *writer) run() {
	defer close(w.store.done)
	defer func() {
		if w.session != nil {
			w.session.drop()
		}
	}()
	var jobs []*job
	for {
		if jobs = w.store.line.next(jobs); jobs == nil {
			return
		}
		w.work(jobs)
	}
}

// work commits jobs together. When one of them makes the database give up the
// whole transaction, the others run again, each alone; when that fails too the
// fault is not theirs, and the rest are told without trying.
func (w *writer) work(jobs []*job) {
	again, _ := w.batch(jobs)
	for i := range again {
		if _, err := w.batch(again[i : i+1]); err != nil {
			for _, j := range again[i+1:] {
				j.result <- err
			}
			return
		}
	}
}

// batch runs jobs in one transaction and answers them. It gives those that
// were undone by another's failure, not answered, and the failure.
func (w *writer) batch(jobs []*job) (again []*job, failure error) {
	ctx := context.Background()
	if p := w.store.dialect.Patience; p > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p)
		defer cancel()
	}
	if err := w.begin(ctx); err != nil {
		w.lose()
		for _, j := range jobs {
			j.result <- err
		}
		return nil, err
	}
	w.kept = w.kept[:0]
	end := ending{}
	for i, j := range jobs {
		if !j.take() {
			continue
		}
		err, intact := w.give(ctx, j, &end)
		switch {
		case !intact:
			w.lose()
			j.result <- err
			again = append(again, w.kept...)
			return append(again, jobs[i+1:]...), err
		case err != nil:
			j.result <- err
		default:
			w.kept = append(w.kept, j)
		}
	}
	_, err := w.session.exec(ctx, "COMMIT")
	if err != nil {
		err = translate(&w.store.dialect, "store.commit", err)
		w.lose()
	}
	for _, j := range w.kept {
		j.result <- err
	}
	return nil, err
}

func (w *writer) begin(ctx context.Context) error {
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
	if err := w.session.begin(ctx, w.store.dialect.BeginWrite); err != nil {
		return translate(&w.store.dialect, "store.begin", err)
	}
	return nil
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

// give lets one job run in a savepoint. The error is the job's; intact is
// false when the transaction around it was lost with it.
func (w *writer) give(ctx context.Context, j *job, end *ending) (err error, intact bool) {
	if _, err := w.session.exec(ctx, "SAVEPOINT caller"); err != nil {
		return translate(&w.store.dialect, "store.update", err), false
	}
	before := *end
	t := &tx{reader: reader{ctx: ctx, s: w.session}, end: end}
	j.turn <- t
	err = <-j.ran
	t.over = true
	if t.failure != nil {
		if err == nil {
			err = t.failure
		}
		return err, false
	}
	if err == nil {
		if _, failed := w.session.exec(ctx, "RELEASE SAVEPOINT caller"); failed != nil {
			return translate(&w.store.dialect, "store.update", failed), false
		}
		return nil, true
	}
	*end = before
	for _, q := range [...]string{"ROLLBACK TO SAVEPOINT caller", "RELEASE SAVEPOINT caller"} {
		if _, failed := w.session.exec(ctx, q); failed != nil {
			return errors.Join(err, translate(&w.store.dialect, "store.update", failed)), false
		}
	}
	return err, true
}

// errOver answers the use of a transaction after its function returned.
func errOver() error {
	return &bot.Error{Op: "store.use", Kind: bot.Internal, Say: "a transaction was used after it ended",
		Err: fmt.Errorf("a Reader or Tx was kept beyond the function it was given to")}
}
