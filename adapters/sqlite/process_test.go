package sqlite

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

func TestMain(m *testing.M) {
	if name := os.Getenv("SQLITE_TEST_CHILD"); name != "" {
		if err := children()[name](os.Getenv("SQLITE_TEST_PATH"), os.Getenv("SQLITE_TEST_ARG")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child prepares the test binary to run one of children.
func child(t *testing.T, name, path, arg string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, self)
	c.Env = append(os.Environ(), "SQLITE_TEST_CHILD="+name, "SQLITE_TEST_PATH="+path, "SQLITE_TEST_ARG="+arg)
	return c
}

// next makes the record after head, in the shape that the whole program writes.
func next(head store.Head, at time.Time, by string) store.Sealed {
	s := store.Sealed{Seq: head.Seq + 1, At: at, Kind: bot.Started, Run: head.Seq/3 + 1, Target: "shop/prod", Person: by}
	s.Body = fmt.Appendf(nil, `{"v":1,"seq":%d,"kind":"started","person":%q,"prev":%q}`, s.Seq, by, head.Hash)
	sum := sha256.Sum256(s.Body)
	s.Hash = hex.EncodeToString(sum[:])
	return s
}

func appendNext(s store.Store, by string) (seq int64, err error) {
	err = s.Update(context.Background(), func(tx store.Tx) error {
		head, err := tx.Head()
		if err != nil {
			return err
		}
		seq = head.Seq + 1
		return tx.Append(next(head, time.Unix(1_700_000_000, 0).UTC(), by))
	})
	return seq, err
}

// unbroken checks the whole chain and gives how many records each person wrote.
func unbroken(t *testing.T, s store.Store) map[string]int {
	t.Helper()
	by := map[string]int{}
	err := s.View(context.Background(), func(r store.Reader) error {
		last := store.Head{}
		for {
			list, err := r.RecordsFrom(last.Seq+1, 1000)
			if err != nil {
				return err
			}
			for _, rec := range list {
				if rec.Seq != last.Seq+1 || !strings.Contains(string(rec.Body), fmt.Sprintf(`"prev":%q`, last.Hash)) {
					return fmt.Errorf("the chain forks at %d: %s after %+v", rec.Seq, rec.Body, last)
				}
				by[rec.Person]++
				last = store.Head{Seq: rec.Seq, Hash: rec.Hash}
			}
			if len(list) == 0 {
				return nil
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return by
}

// appendChild opens the store, says so, waits for its input to end so that all
// processes begin together, and appends with several callers.
func appendChild(path, arg string) error {
	const callers = 4
	total, err := strconv.Atoi(arg)
	if err != nil {
		return err
	}
	s, err := Open(context.Background(), path)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	errs := make(chan error, callers)
	for range callers {
		go func() {
			for range total / callers {
				if _, err := appendNext(s, strconv.Itoa(os.Getpid())); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range callers {
		if err := <-errs; err != nil {
			return err
		}
	}
	return s.Close()
}

// TestProcessesDoNotForkTheChain lets processes open one new file at once and
// append to one log at once.
func TestProcessesDoNotForkTheChain(t *testing.T) {
	t.Parallel()
	const processes, each = 3, 200
	path := filepath.Join(t.TempDir(), "quarterdeck.db")
	var starts []io.Closer
	var commands []*exec.Cmd
	var ready sync.WaitGroup
	for range processes {
		c := child(t, "append", path, strconv.Itoa(each))
		in, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		c.Stderr = os.Stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		starts, commands = append(starts, in), append(commands, c)
		ready.Go(func() {
			if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
				t.Errorf("a process did not open the store: %q", line)
			}
		})
	}
	ready.Wait()
	for _, in := range starts {
		in.Close()
	}
	for _, c := range commands {
		if err := c.Wait(); err != nil {
			t.Errorf("a process failed: %v", err)
		}
	}
	by := unbroken(t, opened(t, path))
	if len(by) != processes {
		t.Errorf("records by %d processes, want %d", len(by), processes)
	}
	for pid, n := range by {
		if n != each {
			t.Errorf("process %s has %d records, want %d", pid, n, each)
		}
	}
}

// endlessChild appends for ever and prints each sequence once it is durable.
func endlessChild(path, _ string) error {
	s, err := Open(context.Background(), path)
	if err != nil {
		return err
	}
	for {
		seq, err := appendNext(s, "child")
		if err != nil {
			return err
		}
		fmt.Println(seq)
	}
}

// TestKilledProcessLosesNothing kills a process in the middle of its writing:
// what it was told is durable is there, and the log goes on.
func TestKilledProcessLosesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "quarterdeck.db")
	var promised int64
	for round := range 3 {
		c := child(t, "endless", path, "")
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if promised, err = strconv.ParseInt(lines.Text(), 10, 64); err != nil {
				t.Fatal(err)
			}
			if n == 100+37*round {
				c.Process.Kill()
			}
		}
		if err := c.Wait(); err == nil {
			t.Fatal("the process ended by itself")
		}
	}
	s := opened(t, path)
	if by := unbroken(t, s); int64(by["child"]) < promised || promised < 300 {
		t.Errorf("%d records in the log, %d were promised", by["child"], promised)
	}
	if _, err := appendNext(s, "parent"); err != nil {
		t.Errorf("the log does not go on: %v", err)
	}
	unbroken(t, s)
}
