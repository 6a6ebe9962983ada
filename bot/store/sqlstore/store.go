package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Options is what a Store is made of. The Store owns both databases and closes
// them; where reads and writes need no different settings they may be the same.
type Options struct {
	// Write gives the connections that write; the Store uses one at a time.
	// Nil makes a store that refuses Update.
	Write *sql.DB
	// Read gives the connections of View.
	Read    *sql.DB
	Dialect Dialect
	// Readers is how many Views may run at once; 0 means 4.
	Readers int
	// Purge, when set, is what Store.Purge does, on connections of its own.
	Purge func(ctx context.Context) error
	// Copy, when set, is what Store.Copy does, on connections of its own.
	Copy func(ctx context.Context, path string) (schema int64, err error)
	// Closed, when set, is called by Close after the databases were closed.
	Closed func() error
}

// Store is a store.Store over SQL. Update's functions run one after the other
// on the writer's goroutine, and up to maxBatch of them share one commit; one
// that fails takes nothing of the others with it. A panic goes on in its caller
// alone.
//
// A function given to Update must not call Update or Close on the same Store:
// it would wait for itself.
type Store struct {
	dialect Dialect
	write   *sql.DB
	read    *sql.DB
	closed  func() error
	purge   func(ctx context.Context) error
	copy    func(ctx context.Context, path string) (int64, error)

	jobs sync.Pool
	line line
	done chan struct{} // closed when the writer has ended

	watch atomic.Pointer[func(updates int, took time.Duration, err error)]

	views   chan struct{} // one token for each View under way
	mu      sync.Mutex
	idle    []*session // the readers' connections not in use
	closing bool
}

var (
	_ store.Store   = (*Store)(nil)
	_ store.Clocked = (*Store)(nil)
	_ store.Purger  = (*Store)(nil)
	_ store.Copier  = (*Store)(nil)
)

// Allowance implements store.Clocked.
func (s *Store) Allowance() time.Duration { return s.dialect.Allowance }

// New makes a Store and starts its writer, which ends with Close. It does not
// touch the database. Options.Dialect must be complete.
func New(o Options) *Store {
	if o.Readers <= 0 {
		o.Readers = 4
	}
	s := &Store{
		dialect: o.Dialect,
		write:   o.Write,
		read:    o.Read,
		closed:  o.Closed,
		purge:   o.Purge,
		copy:    o.Copy,
		done:    make(chan struct{}),
		views:   make(chan struct{}, o.Readers),
	}
	s.jobs.New = func() any { return newJob() }
	s.line.wake = make(chan struct{}, 1)
	w := &writer{store: s}
	go w.run()
	return s
}

// Update implements store.Store. While the call waits for its turn it ends
// with ctx; once f was begun the outcome is waited for.
func (s *Store) Update(ctx context.Context, f func(tx store.Tx) error) error {
	if s.write == nil {
		return &bot.Error{Op: "store.update", Kind: bot.Unavailable, Say: "the database was opened for reading only"}
	}
	if ctx.Err() != nil {
		return calledOff(ctx)
	}
	j := s.jobs.Get().(*job)
	j.f = f
	j.state.Store(queued)
	if err := s.line.join(j); err != nil {
		return err
	}
	var o outcome
	select {
	case o = <-j.result:
	case <-ctx.Done():
		if j.abandon() {
			return calledOff(ctx)
		}
		o = <-j.result
	}
	j.f = nil
	s.jobs.Put(j)
	if o.panicked != nil {
		panic(o.panicked)
	}
	return o.err
}

func calledOff(ctx context.Context) error {
	kind := bot.Unavailable
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		kind = bot.Timeout
	}
	return &bot.Error{Op: "store.update", Kind: kind, Say: "the change was called off before it was written; nothing was changed", Err: ctx.Err()}
}

func errClosed(op string) error {
	return &bot.Error{Op: op, Kind: bot.Unavailable, Say: "the database was closed, because the bot is stopping"}
}

// View implements store.Store. Its reads end with ctx.
func (s *Store) View(ctx context.Context, f func(r store.Reader) error) error {
	select {
	case s.views <- struct{}{}:
	case <-ctx.Done():
		return translate(&s.dialect, "store.view", ctx.Err())
	}
	defer func() { <-s.views }()
	sess, err := s.begun(ctx)
	if err != nil {
		return err
	}
	keep := false
	defer func() {
		if !keep || !s.giveBack(sess) {
			sess.drop()
		}
	}()
	r := &reader{ctx: ctx, s: sess}
	err = f(r)
	r.over = true
	if r.failure != nil {
		if err == nil {
			err = r.failure
		}
		return err
	}
	// Nothing was written: however the transaction ends, f has seen its
	// snapshot. A connection that does not end it is not used again.
	_, ended := sess.exec(context.WithoutCancel(ctx), "COMMIT")
	keep = ended == nil
	return err
}

// begun gives a connection that no View uses, with a transaction begun on it.
// Those that were lost while nobody used them are thrown away.
func (s *Store) begun(ctx context.Context) (*session, error) {
	for {
		sess, kept, err := s.reader(ctx)
		if err != nil {
			return nil, err
		}
		if _, err = sess.begin(ctx, s.dialect.BeginRead); err == nil {
			return sess, nil
		}
		sess.drop()
		if !kept || ctx.Err() != nil || !s.dialect.lost(err) {
			return nil, translate(&s.dialect, "store.view", err)
		}
	}
}

// reader gives a connection that no View uses; kept says that it was used before.
func (s *Store) reader(ctx context.Context) (sess *session, kept bool, err error) {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return nil, false, errClosed("store.view")
	}
	if n := len(s.idle); n > 0 {
		sess = s.idle[n-1]
		s.idle = s.idle[:n-1]
		s.mu.Unlock()
		return sess, true, nil
	}
	s.mu.Unlock()
	sess, err = openSession(ctx, s.read, &s.dialect)
	return sess, false, err
}

func (s *Store) giveBack(sess *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.idle = append(s.idle, sess)
	return true
}

// Close waits for the updates that were begun or wait and for the views under
// way, and closes the databases. Later calls of Update and View are refused;
// closing again does nothing.
func (s *Store) Close() error {
	s.line.close()
	<-s.done
	s.mu.Lock()
	again := s.closing
	s.closing = true
	idle := s.idle
	s.idle = nil
	s.mu.Unlock()
	if again {
		return nil
	}
	for range cap(s.views) {
		s.views <- struct{}{}
	}
	for _, sess := range idle {
		sess.drop()
	}
	// The tokens go back so that a late View gets its sentence.
	for range cap(s.views) {
		<-s.views
	}
	var errs []error
	if s.read != nil {
		errs = append(errs, s.read.Close())
	}
	if s.write != nil && s.write != s.read {
		errs = append(errs, s.write.Close())
	}
	if s.closed != nil {
		errs = append(errs, s.closed())
	}
	return translate(&s.dialect, "store.close", errors.Join(errs...))
}
