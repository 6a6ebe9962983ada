package postgres

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// TestBackendKilledWithinATransaction: its caller is told, what it wrote is
// not there, the others who shared its commit lose nothing, and the next call
// reconnects.
func TestBackendKilledWithinATransaction(t *testing.T) {
	t.Parallel()
	schema, dsn := fresh(t)
	s, db := opened(t, dsn), admin(t)
	tries := 0
	err := s.Update(context.Background(), func(tx store.Tx) error {
		tries++
		if err := put("a")(tx); err != nil {
			return err
		}
		if n := terminate(t, db, schema, "idle in transaction"); n != 1 {
			t.Errorf("%d connections were ended", n)
		}
		return put("b")(tx)
	})
	said(t, err, bot.Unavailable, "connection to the database was lost", "nothing was changed")
	if tries != 1 {
		t.Errorf("the function ran %d times", tries)
	}
	if got := documents(t, s); got != "" {
		t.Errorf("documents %q", got)
	}

	// The one whose turn it was when the connection broke is told; those who
	// waited behind it are served on a new one.
	inside, leave := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := s.Update(context.Background(), func(tx store.Tx) error {
			close(inside)
			<-leave
			terminate(t, db, schema, "idle in transaction")
			return put("x")(tx)
		})
		said(t, err, bot.Unavailable, "lost")
	})
	<-inside
	for _, id := range []string{"c", "d", "e"} {
		wg.Go(func() {
			if err := s.Update(context.Background(), put(id)); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		})
	}
	close(leave)
	wg.Wait()
	if got := documents(t, s); got != "cde" {
		t.Errorf("documents %q, want cde", got)
	}

	err = s.View(context.Background(), func(r store.Reader) error {
		if _, err := r.Head(); err != nil {
			return err
		}
		terminate(t, db, schema, "idle in transaction")
		_, err := r.Head()
		return err
	})
	said(t, err, bot.Unavailable, "lost")
	if got := documents(t, s); got != "cde" {
		t.Errorf("documents %q after the lost view", got)
	}
}

// TestServerRestartedMeanwhile: connections that were lost while nobody used
// them are nobody's failure.
func TestServerRestartedMeanwhile(t *testing.T) {
	t.Parallel()
	schema, dsn := fresh(t)
	s, db := opened(t, dsn), admin(t)
	use := func() {
		t.Helper()
		if err := s.Update(context.Background(), put("a"+name())); err != nil {
			t.Error(err)
		}
		// As many views at once as there are connections for them.
		var wg, all sync.WaitGroup
		all.Add(readers)
		for range readers {
			wg.Go(func() {
				err := s.View(context.Background(), func(r store.Reader) error {
					all.Done()
					all.Wait()
					_, err := r.Head()
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	use()
	if n := terminate(t, db, schema, "idle"); n != readers+1 {
		t.Errorf("%d connections were ended, want %d", n, readers+1)
	}
	use()
}

// severed is a connection that breaks at the next exchange once cut is set.
type severed struct {
	net.Conn
	cut   *atomic.Int32
	wrote bool
	late  bool // made after the cut, to ask what became of the commit
}

const (
	whole        int32 = iota
	beforeCommit       // the question does not reach the server
	afterCommit        // the answer does not reach the client
)

func (s *severed) Write(p []byte) (int, error) {
	switch s.cut.Load() {
	case beforeCommit:
		s.Conn.Close()
		return 0, io.ErrClosedPipe
	case afterCommit:
		s.wrote = true
	}
	return s.Conn.Write(p)
}

func (s *severed) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if err == nil && s.cut.Load() == afterCommit && s.wrote {
		if !s.late && !bytes.Contains(p[:n], []byte("COMMIT")) {
			panic("the answer to something else than COMMIT was awaited")
		}
		s.Conn.Close()
		return 0, io.EOF
	}
	return n, err
}

// TestCommitWithoutAnswerIsFoundOut: the connection is lost and the server is
// there, so that what became of the commit is asked.
func TestCommitWithoutAnswerIsFoundOut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		cut  int32
		want string
	}{{"it was carried out", afterCommit, "ab"}, {"it was not", beforeCommit, "a"}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, dsn := fresh(t)
			cut, never := &atomic.Int32{}, &atomic.Int32{}
			s, err := opener{limits: usual, onConn: func(conn net.Conn) net.Conn {
				if cut.Load() != whole {
					return &severed{Conn: conn, cut: never}
				}
				return &severed{Conn: conn, cut: cut}
			}}.open(context.Background(), dsn)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			if err := s.Update(context.Background(), put("a")); err != nil { // which prepares COMMIT
				t.Fatal(err)
			}
			err = s.Update(context.Background(), func(tx store.Tx) error {
				if err := put("b")(tx); err != nil {
					return err
				}
				cut.Store(c.cut)
				return nil
			})
			if c.cut == afterCommit {
				if err != nil {
					t.Errorf("the commit was carried out, and its caller is told %v", err)
				}
			} else {
				said(t, err, bot.Unavailable, "connection to the database was lost; nothing was changed")
			}
			if got := documents(t, s); got != c.want {
				t.Errorf("documents %q, want %q", got, c.want)
			}
			if err := s.Update(context.Background(), put("z")); err != nil {
				t.Errorf("the next call: %v", err)
			}
		})
	}
}

// TestClocksApart: a machine whose clock is not the database's is not let write.
func TestClocksApart(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 0)
	row := func(d time.Duration) []any { return []any{at.Add(d).UnixMicro(), "7", "00000001"} }
	for _, c := range []struct {
		database, waited time.Duration
		say              string
	}{
		{0, 0, ""}, {900 * time.Millisecond, 0, ""}, {-900 * time.Millisecond, 0, ""},
		{20 * time.Second, 20 * time.Second, ""}, // read at the end of a long wait
		{0, 20 * time.Second, ""},                // or at its beginning
		{3 * time.Second, 0, "this machine's clock is 3s behind the database's"},
		{-3 * time.Second, 20 * time.Second, "this machine's clock is 3s ahead of the database's"},
	} {
		mark, err := began(row(c.database), at, at.Add(c.waited))
		if c.say == "" {
			if err != nil || mark != "00000001 7" {
				t.Errorf("%v: %q, %v", c, mark, err)
			}
			continue
		}
		said(t, err, bot.Unavailable, c.say, "nothing was changed")
	}
	if _, err := began(nil, at, at); err == nil {
		t.Error("a lock that gives no row lets write")
	}
}

// TestCommitWithoutAnswer: whether the server carried it out or not, nobody is
// told that it did.
func TestCommitWithoutAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		cut  int32
		want string
	}{{"it was carried out", afterCommit, "ab"}, {"it was not", beforeCommit, "a"}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, dsn := fresh(t)
			cut := &atomic.Int32{}
			hurried := usual
			hurried.connect = 300 * time.Millisecond // how long what became of it is looked for
			s, err := opener{limits: hurried, onConn: func(c net.Conn) net.Conn { return &severed{Conn: c, cut: cut, late: cut.Load() != whole} }}.open(context.Background(), dsn)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			if err := s.Update(context.Background(), put("a")); err != nil { // which prepares COMMIT
				t.Fatal(err)
			}
			err = s.Update(context.Background(), func(tx store.Tx) error {
				if err := put("b")(tx); err != nil {
					return err
				}
				cut.Store(c.cut)
				return nil
			})
			said(t, err, bot.Unavailable, "may or may not have been made")
			if !errors.Is(err, store.ErrUncertain) {
				t.Errorf("%v does not say that it is uncertain", err)
			}
			cut.Store(whole)
			if got := documents(t, s); got != c.want {
				t.Errorf("documents %q, want %q", got, c.want)
			}
			if err := s.Update(context.Background(), put("z")); err != nil {
				t.Errorf("the next call: %v", err)
			}
		})
	}
}

// TestSilentServer: a server that takes the connection and says nothing.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
		}
	}()
	short := usual
	short.connect = 100 * time.Millisecond
	_, err = opener{limits: short}.open(context.Background(), "//u@"+l.Addr().String()+"/q?sslmode=disable")
	said(t, err, bot.Unavailable, "did not answer in time", l.Addr().String())
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = Open(ctx, "//u@"+l.Addr().String()+"/q?sslmode=disable")
	said(t, err, bot.Timeout, "not opened in time")
}

// TestServerFallsSilent: the other side of a connection in use is gone without
// a word.
func TestServerFallsSilent(t *testing.T) {
	t.Parallel()
	for _, deadline := range []func(b *bounded) error{
		func(*bounded) error { return nil },
		func(b *bounded) error { return b.SetDeadline(time.Time{}) },
		func(b *bounded) error { return b.SetReadDeadline(time.Now().Add(time.Hour)) },
		func(b *bounded) error { return b.SetWriteDeadline(time.Now().Add(time.Hour)) },
	} {
		near, far := net.Pipe()
		defer far.Close()
		b := &bounded{Conn: near, limit: 20 * time.Millisecond}
		if err := deadline(b); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Read(make([]byte, 1)); !isLost(err) {
			t.Errorf("reading gives %v", err)
		}
		if _, err := b.Write(make([]byte, 1)); !isLost(err) {
			t.Errorf("writing gives %v", err)
		}
	}
	// Whoever ends a read under way ends it.
	near, far := net.Pipe()
	defer far.Close()
	b := &bounded{Conn: near, limit: time.Hour}
	read := make(chan error, 1)
	go func() { _, err := b.Read(make([]byte, 1)); read <- err }()
	if err := b.SetDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := <-read; err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("a called off read gives %v", err)
	}
}
