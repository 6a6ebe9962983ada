//go:build linux

package main

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// wire is the network between one replica and the database. It can be cut in
// two ways: what is sent vanishes without a word, or connections are reset and
// no new ones are made.
type wire struct {
	server   string
	listener net.Listener

	mu      sync.Mutex
	passing *sync.Cond
	mode    wireMode
	conns   map[net.Conn]bool
}

type wireMode int

const (
	whole  wireMode = iota
	silent          // nothing arrives, and nothing says so
	broken          // connections are reset
	gone            // for good
)

// newWire lays a wire to the server of address, and gives the address at its
// near end.
func newWire(t *testing.T, address string) (w *wire, near string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal("the server has no address")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w = &wire{server: u.Host, listener: l, conns: map[net.Conn]bool{}}
	w.passing = sync.NewCond(&w.mu)
	var parts sync.WaitGroup
	parts.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			parts.Go(func() { w.carry(conn) })
		}
	})
	t.Cleanup(func() {
		w.set(gone)
		l.Close()
		parts.Wait()
	})
	u.Host = l.Addr().String()
	return w, u.String()
}

// set changes what the wire does, for connections that there are and new ones.
func (w *wire) set(mode wireMode) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mode = mode
	w.passing.Broadcast()
	if mode == broken || mode == gone {
		for conn := range w.conns {
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // so that it is reset
			}
			conn.Close()
		}
	}
}

// enter waits while the wire is silent; false means that it is broken.
func (w *wire) enter() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.mode == silent {
		w.passing.Wait()
	}
	return w.mode == whole
}

func (w *wire) hold(conn net.Conn) {
	w.mu.Lock()
	w.conns[conn] = true
	w.mu.Unlock()
}

func (w *wire) carry(near net.Conn) {
	w.hold(near)
	defer w.drop(near)
	if !w.enter() {
		return
	}
	far, err := net.Dial("tcp", w.server)
	if err != nil {
		return
	}
	w.hold(far)
	defer w.drop(far)
	var back sync.WaitGroup
	back.Go(func() { w.copy(near, far) })
	w.copy(far, near)
	back.Wait()
}

func (w *wire) drop(conn net.Conn) {
	conn.Close()
	w.mu.Lock()
	delete(w.conns, conn)
	w.mu.Unlock()
}

// copy carries one direction until either end is gone.
func (w *wire) copy(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && w.enter() {
			_, err = to.Write(buffer[:n])
		}
		if err != nil {
			if err != io.EOF {
				from.Close()
			}
			to.Close()
			return
		}
	}
}
