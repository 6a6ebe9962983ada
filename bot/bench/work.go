package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"quarterdeck/adapters/postgres"
	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/app"
	"quarterdeck/bot/config"
	"quarterdeck/bot/store"
	"quarterdeck/commands"
)

// line is what is asked: a read, recorded and answered like any other.
const line = "whoami"

const configuration = `[bot]
database = "sqlite:q.db"
socket = "q.sock"
rate = 100000
[audit]
channels = ["%s"]
key = "file:audit.key"
[%s]
[[person]]
name = "dev"
accounts = ["os:%d"]
roles = ["developer"]
[[grant]]
roles = ["developer"]
permissions = ["audit"]
[log]
level = "error"
`

func configure(dir, channel, chat string) (string, error) {
	path := filepath.Join(dir, "config.toml")
	return path, os.WriteFile(path, fmt.Appendf(nil, configuration, channel, chat, os.Getuid()), 0o600)
}

// room is a chat network in this process: it hands lines to the bot and waits
// for their answers.
type room struct {
	ready chan struct{}
	in    bot.Inbound
	*answers
}

// answers is where the answers to lines are awaited, whichever replica of the
// bot delivers them.
type answers struct {
	mu   sync.Mutex
	wait map[string]chan bot.Card
}

func (r *room) Network() string { return "room" }

func (r *room) Run(ctx context.Context, in bot.Inbound) error {
	r.in = in
	close(r.ready)
	<-ctx.Done()
	return nil
}

func (r *room) Deliver(_ context.Context, d bot.Delivery) (string, error) {
	r.mu.Lock()
	done := r.wait[d.Card.ReplyTo]
	delete(r.wait, d.Card.ReplyTo)
	r.mu.Unlock()
	if done != nil {
		done <- d.Card
	}
	return "", nil
}

// exchange is what one command brought in and sent out, as it is stored.
type exchange struct{ message, answer []byte }

// ask sends a line and returns when its answer was delivered.
func (r *room) ask(ctx context.Context, id string) (exchange, error) {
	done := make(chan bot.Card, 1)
	r.mu.Lock()
	r.wait[id] = done
	r.mu.Unlock()
	m := bot.Message{ID: id, Account: bot.AccountID(fmt.Sprintf("os:%d", os.Getuid())), Standing: bot.Member,
		Channel: bot.ChannelID("room:" + id[strings.LastIndexByte(id, '-')+1:]), Text: line}
	if _, err := r.in.Receive(ctx, m); err != nil {
		return exchange{}, err
	}
	select {
	case card := <-done:
		message, err := json.Marshal(m)
		if err != nil {
			return exchange{}, err
		}
		answer, err := json.Marshal(card)
		return exchange{message, answer}, err
	case <-time.After(time.Minute):
		return exchange{}, errors.New("no answer within a minute")
	}
}

// start runs the production assembly in dir with a room as its chat.
func start(ctx context.Context, dir string) (r *room, stop func() error, err error) {
	return startOn(ctx, dir, "", &answers{wait: map[string]chan bot.Card{}})
}

// startOn is start on the database at an address, "" for a file in dir.
func startOn(ctx context.Context, dir, address string, to *answers) (r *room, stop func() error, err error) {
	path, err := configure(dir, "room:audit", "chat.room")
	if err != nil {
		return nil, nil, err
	}
	r = &room{ready: make(chan struct{}), answers: to}
	t := app.Tables{Chats: []bot.ChatType{{Name: "room", Open: func(bot.ChatOptions) (bot.Chat, error) { return r, nil }}},
		Stores: []store.Type{sqlite.Type(), postgres.Type()}, Commands: commands.All}
	c, err := config.Load(path, t.Known())
	if err != nil {
		return nil, nil, err
	}
	if address != "" {
		c.Bot.Database = address
	}
	a, err := app.New(c, t, app.Options{})
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	select {
	case <-r.ready:
	case err := <-ended:
		cancel()
		return nil, nil, err
	}
	return r, func() error { cancel(); return <-ended }, nil
}

// commandsAtWork measures a command from the message to its answer: received
// and recorded durably, parsed, decided, answered; against a grouped raw file
// that is given the same bytes by the same callers in as many commits.
func commandsAtWork(s *suite) error {
	ctx := context.Background()
	dir := filepath.Join(s.dir, "work")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	r, stop, err := start(ctx, dir)
	if err != nil {
		return err
	}
	raw, err := newRawLog(filepath.Join(s.dir, "work.raw"))
	if err != nil {
		return err
	}
	st, err := sqlite.OpenReadOnly(ctx, filepath.Join(dir, "q.db"))
	if err != nil {
		return err
	}
	defer st.Close()
	for _, callers := range []int{1, 64} {
		n := s.scale(map[int]int{1: 600, 64: 6000}[callers])
		var mine, bound, p50, p99 []float64
		for round := range rounds {
			before, err := head(ctx, st)
			if err != nil {
				return err
			}
			said := make([]exchange, n)
			rate, took, err := load(callers, n, func(i int) (err error) {
				said[i], err = r.ask(ctx, fmt.Sprintf("room:%d-%d-%d-%d", callers, round, i, i%callers))
				return err
			})
			if err != nil {
				return err
			}
			logged, err := written(ctx, st, before.Seq+1, n)
			if err != nil {
				return err
			}
			// The same bytes in as many commits: the message; its record and
			// the answer; that the answer was delivered.
			rawRate, _, err := load(callers, n, func(i int) error {
				for _, b := range [][]byte{said[i].message, slices.Concat(logged[i], said[i].answer), []byte("delivered\n")} {
					if err := raw.append(b); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			slices.Sort(took)
			mine, bound = append(mine, rate), append(bound, rawRate)
			p50 = append(p50, ms(took[len(took)/2]))
			p99 = append(p99, ms(took[len(took)*99/100]))
		}
		s.ratio(fmt.Sprintf("read command, %d in flight", callers), "/s", mine, bound, 0, true)
		s.absolute(fmt.Sprintf("  its p50, %d in flight", callers), median(p50), "ms", "", spread(p50))
		s.absolute(fmt.Sprintf("  its p99, %d in flight", callers), median(p99), "ms", "", spread(p99))
	}
	return errors.Join(stop(), raw.close())
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// longLog measures a command with 1,000,000 records in the log against one with
// an empty log, in alternating rounds.
func longLog(s *suite) error {
	ctx := context.Background()
	records := 1_000_000
	if s.quick {
		records /= 10
	}
	full, empty := filepath.Join(s.dir, "full"), filepath.Join(s.dir, "empty")
	if err := errors.Join(os.Mkdir(full, 0o700), os.Mkdir(empty, 0o700)); err != nil {
		return err
	}
	if err := fill(ctx, filepath.Join(full, "q.db"), records); err != nil {
		return err
	}
	big, stopBig, err := start(ctx, full)
	if err != nil {
		return err
	}
	small, stopSmall, err := start(ctx, empty)
	if err != nil {
		return errors.Join(err, stopBig())
	}
	p50 := func(r *room, name string) (float64, error) {
		_, took, err := load(1, s.scale(400), func(i int) error {
			_, err := r.ask(ctx, fmt.Sprintf("room:%s-%d-0", name, i))
			return err
		})
		slices.Sort(took)
		return ms(took[len(took)/2]), err
	}
	var mine, bound []float64
	for round := range rounds {
		m, err := p50(big, fmt.Sprint("big", round))
		if err != nil {
			return err
		}
		b, err := p50(small, fmt.Sprint("small", round))
		if err != nil {
			return err
		}
		mine, bound = append(mine, m), append(bound, b)
	}
	s.ratio(fmt.Sprintf("p50 at %d records, against none", records), "ms", mine, bound, 1.5, false)
	return errors.Join(stopBig(), stopSmall())
}

// program measures the real program on an existing database: how long until it
// answers, and how much memory it holds when idle.
func program(s *suite) error {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "qd") // short, for the socket's sake
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bin := filepath.Join(dir, "quarterdeck")
	if out, err := exec.Command("go", "build", "-trimpath", "-o", bin, "./bot/quarterdeck").CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w: %s", err, out)
	}
	if err := fill(ctx, filepath.Join(dir, "q.db"), s.scale(100_000)); err != nil {
		return err
	}
	path, err := configure(dir, "file:audit.txt", "chat.terminal]\n[chat.file")
	if err != nil {
		return err
	}
	var ready, memory []float64
	for range rounds {
		took, rss, err := serveOnce(bin, path, filepath.Join(dir, "q.sock"))
		if err != nil {
			return err
		}
		ready = append(ready, ms(took))
		if rss > 0 {
			memory = append(memory, rss)
		}
	}
	s.absolute("ready on an existing database", median(ready), "ms", "300 ms", spread(ready))
	if len(memory) > 0 {
		s.absolute("idle memory (RSS)", median(memory), "MB", "40 MB", spread(memory))
	} else {
		fmt.Fprintln(os.Stderr, "idle memory cannot be measured on this system")
	}
	return nil
}

// serveOnce starts the program, waits until its socket answers and its memory
// has settled, and stops it.
func serveOnce(bin, path, socket string) (took time.Duration, rss float64, err error) {
	cmd := exec.Command(bin, "serve", "--config", path)
	cmd.Stderr = os.Stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	defer func() {
		err = errors.Join(err, cmd.Process.Signal(syscall.SIGTERM))
		_ = cmd.Wait() // its exit code is of no interest here
	}()
	for end := began.Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		conn, derr := net.Dial("unix", socket)
		if derr == nil {
			took = time.Since(began)
			conn.Close()
			break
		}
		if time.Now().After(end) {
			return 0, 0, fmt.Errorf("it never answered: %w", derr)
		}
	}
	last := -1.0
	for range 50 {
		time.Sleep(200 * time.Millisecond)
		now := resident(cmd.Process.Pid)
		if now == last {
			break
		}
		last = now
	}
	return took, last, nil
}

// resident gives the resident memory of a process in MB, 0 where it cannot be
// read.
func resident(pid int) float64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for l := range strings.Lines(string(raw)) {
		if rest, found := strings.CutPrefix(l, "VmRSS:"); found {
			kb, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			if err != nil {
				return 0
			}
			return kb / 1024
		}
	}
	return 0
}
