package main

import (
	"os"
	"sync"
	"time"

	"github.com/sourcegraph/conc"
)

// rawLog is the raw bound of durable writing: a file that one goroutine appends
// to and syncs, for all callers that wait meanwhile at once.
type rawLog struct {
	file *os.File
	in   chan rawWrite
	done chan struct{}
}

type rawWrite struct {
	b    []byte
	done chan error
}

func newRawLog(path string) (*rawLog, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	l := &rawLog{f, make(chan rawWrite, 512), make(chan struct{})}
	go l.write()
	return l, nil
}

func (l *rawLog) write() {
	defer close(l.done)
	var batch []rawWrite
	var bytes []byte
	for w := range l.in {
		batch, bytes = append(batch[:0], w), append(bytes[:0], w.b...)
		for more := true; more && len(batch) < cap(l.in); {
			select {
			case w, open := <-l.in:
				if more = open; open {
					batch, bytes = append(batch, w), append(bytes, w.b...)
				}
			default:
				more = false
			}
		}
		_, err := l.file.Write(bytes)
		if err == nil {
			err = l.file.Sync()
		}
		for _, w := range batch {
			w.done <- err
		}
	}
}

// append returns once b is on disk.
func (l *rawLog) append(b []byte) error {
	w := rawWrite{b, make(chan error, 1)}
	l.in <- w
	return <-w.done
}

func (l *rawLog) close() error {
	close(l.in)
	<-l.done
	return l.file.Close()
}

// load calls f n times from so many callers and gives how many a second were
// done and how long each took.
func load(callers, n int, f func(i int) error) (perSecond float64, took []time.Duration, err error) {
	took = make([]time.Duration, n)
	var group conc.WaitGroup
	var mu sync.Mutex
	began := time.Now()
	for c := range callers {
		group.Go(func() {
			for i := c; i < n; i += callers {
				start := time.Now()
				if e := f(i); e != nil {
					mu.Lock()
					err = e
					mu.Unlock()
					return
				}
				took[i] = time.Since(start)
			}
		})
	}
	group.Wait()
	return float64(n) / time.Since(began).Seconds(), took, err
}
