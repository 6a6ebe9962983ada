package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"quarterdeck/adapters/postgres"
	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// server is the PostgreSQL server of .ci/postgres, "" for none.
var server = os.Getenv("QUARTERDECK_POSTGRES")

// schema makes an empty schema and gives the address that uses it, and what
// removes it.
func schema() (address string, db *sql.DB, remove func() error, err error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", nil, nil, errors.New("QUARTERDECK_POSTGRES is no address")
	}
	name := "b" + strings.ToLower(rand.Text()[:12])
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	c, err := pgx.ParseConfig(u.String())
	if err != nil {
		return "", nil, nil, err
	}
	db = stdlib.OpenDB(*c)
	if _, err := db.Exec("CREATE SCHEMA " + name); err != nil {
		return "", nil, nil, errors.Join(err, db.Close())
	}
	return u.String(), db, func() error {
		_, err := db.Exec("DROP SCHEMA " + name + " CASCADE")
		return errors.Join(err, db.Close())
	}, nil
}

// replicas measures commands a second on PostgreSQL with one and with three
// replicas, each with so many lines in flight, against the bare server: the
// same bytes inserted by as many connections in as many commits as there were
// callers, one commit for each that a command needs.
func replicas(s *suite) error {
	if server == "" {
		return nil // make bench needs Go alone
	}
	const callers = 64
	for _, count := range []int{1, 3} {
		if err := replicated(s, count, callers); err != nil {
			return err
		}
	}
	return nil
}

func replicated(s *suite, count, callers int) (err error) {
	ctx := context.Background()
	address, db, remove, err := schema()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if _, err := db.Exec("CREATE TABLE raw (n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body BYTEA NOT NULL)"); err != nil {
		return err
	}
	db.SetMaxOpenConns(callers)
	db.SetMaxIdleConns(callers)
	rooms, to := make([]*room, count), &answers{wait: map[string]chan bot.Card{}}
	var key []byte
	for i := range rooms {
		dir := filepath.Join(s.dir, fmt.Sprintf("replica-%d-%d", count, i))
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		if key != nil { // all replicas have the same
			if err := os.WriteFile(filepath.Join(dir, "audit.key"), key, 0o600); err != nil {
				return err
			}
		}
		r, stop, err := startOn(ctx, dir, address, to)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
		if key == nil {
			if key, err = os.ReadFile(filepath.Join(dir, "audit.key")); err != nil {
				return err
			}
		}
		rooms[i] = r
	}
	n := s.scale(3000)
	var mine, bound []float64
	for round := range rounds {
		said := make([]exchange, n)
		rate, _, err := load(callers, n, func(i int) (err error) {
			said[i], err = rooms[i%count].ask(ctx, fmt.Sprintf("room:r%d-%d-%d-%d", count, round, i, i%callers))
			return err
		})
		if err != nil {
			return err
		}
		raw, _, err := load(callers, n, func(i int) error {
			for _, b := range [][]byte{said[i].message, said[i].answer, []byte("delivered")} {
				if _, err := db.Exec("INSERT INTO raw (body) VALUES ($1)", b); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		mine, bound = append(mine, rate), append(bound, raw)
	}
	name := "1 replica"
	if count > 1 {
		name = fmt.Sprintf("%d replicas", count)
	}
	s.ratio(fmt.Sprintf("read command on PostgreSQL, %s, %d in flight", name, callers), "/s", mine, bound, 0, true)
	return nil
}

// timers measures how long the store takes to open and to find the first timers
// that are due among 100,000 open ones, on both databases, against the same with
// none.
func timers(s *suite) error {
	n := s.scale(100_000)
	path := filepath.Join(s.dir, "timers.db")
	empty := filepath.Join(s.dir, "no-timers.db")
	stores := []struct {
		name        string
		open, blank func() (store.Store, error)
	}{{"SQLite",
		func() (store.Store, error) { return sqlite.Open(context.Background(), path) },
		func() (store.Store, error) { return sqlite.Open(context.Background(), empty) }}}
	if server != "" {
		address, _, remove, err := schema()
		if err != nil {
			return err
		}
		defer remove()
		other, _, removeOther, err := schema()
		if err != nil {
			return err
		}
		defer removeOther()
		on := func(address string) func() (store.Store, error) {
			return func() (store.Store, error) {
				return postgres.Open(context.Background(), strings.TrimPrefix(address, "postgres:"))
			}
		}
		stores = append(stores, struct {
			name        string
			open, blank func() (store.Store, error)
		}{"PostgreSQL", on(address), on(other)})
	}
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for _, k := range stores {
		if err := openTimers(k.open, now, n); err != nil {
			return err
		}
		var mine, bound []float64
		for range rounds {
			m, err := look(k.open, now)
			if err != nil {
				return err
			}
			b, err := look(k.blank, now)
			if err != nil {
				return err
			}
			mine, bound = append(mine, m), append(bound, b)
		}
		s.ratio(fmt.Sprintf("start with %d open timers on %s, against none", n, k.name), "ms", mine, bound, 0, false)
	}
	return nil
}

// openTimers writes n open runs that each want to be looked at some time.
func openTimers(open func() (store.Store, error), now time.Time, n int) (err error) {
	st, err := open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	body, err := json.Marshal(bot.Run{Call: bot.Call{Line: line}, Created: now})
	if err != nil {
		return err
	}
	for first := 0; first < n; first += 5000 {
		err := st.Update(context.Background(), func(tx store.Tx) error {
			for i := first; i < min(first+5000, n); i++ {
				number, err := tx.NextRun()
				if err != nil {
					return err
				}
				_, err = tx.PutRun(store.RunRow{Number: number, State: bot.Running, Target: fmt.Sprintf("service-%d/prod", i), Slot: fmt.Sprintf("slot-%d", i),
					WakeAt: now.Add(time.Duration(i) * time.Second), Created: now, Body: body})
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// look opens the store and looks once as the engine does.
func look(open func() (store.Store, error), now time.Time) (took float64, err error) {
	began := time.Now()
	st, err := open()
	if err != nil {
		return 0, err
	}
	err = st.View(context.Background(), func(r store.Reader) error {
		if _, err := r.RunsDue(now.Add(time.Minute), 64); err != nil {
			return err
		}
		_, _, err := r.NextWake()
		return err
	})
	took = ms(time.Since(began))
	return took, errors.Join(err, st.Close())
}

// takeOver measures how long after a replica was killed in the middle of a
// deployment another one has followed that to its end.
func takeOver(s *suite) error {
	if server == "" {
		return nil
	}
	var took []float64
	for range 3 {
		seconds, err := takenOver(s)
		if err != nil {
			return err
		}
		took = append(took, seconds)
	}
	s.absolute("take-over of a killed replica's deployment", slices.Max(took), "s", "", spread(took))
	return nil
}

// fleetConfiguration is a replica's with something to deploy: a program that
// says that it began and works until it may end.
const fleetConfiguration = `[bot]
database = "env:QUARTERDECK_DATABASE"
socket = "%[1]s.sock"
[audit]
channels = ["file:audit.txt"]
key = "file:audit.key"
[chat.terminal]
[chat.file]
[[person]]
name = "dev"
accounts = ["os:%[2]d"]
roles = ["developer"]
[[grant]]
roles = ["developer"]
permissions = ["deploy"]
targets = ["*/*"]
[environment.prod]
[provider.platform]
type = "exec"
[service.shop.prod]
deploy = { provider = "platform", argv = ["/bin/sh", "-c", "touch began; while [ ! -e end ]; do sleep 0.02; done"], current = ["/bin/echo", '{"version":"v1","running":1,"healthy":1,"desired":1}'], releases = ["/bin/echo", '[{"version":"v1","artefact":"sha256:1","created":"2026-11-01T00:00:00Z"},{"version":"v2","artefact":"sha256:2","created":"2026-11-02T00:00:00Z"}]'] }
`

// takenOver kills the replica that follows a deployment and gives how many
// seconds later the other one knows how it ended. It ends at once.
func takenOver(s *suite) (seconds float64, err error) {
	address, db, remove, err := schema()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	dir, err := os.MkdirTemp("", "qd") // short, for the socket's sake
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	bin := filepath.Join(dir, "quarterdeck")
	if out, err := exec.Command("go", "build", "-trimpath", "-o", bin, "./bot/quarterdeck").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build: %w: %s", err, out)
	}
	environment := append(os.Environ(), "QUARTERDECK_DATABASE="+address)
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(bin, append([]string{args[0], "--config", filepath.Join(dir, name+".toml")}, args[1:]...)...)
		cmd.Env = environment
		return cmd
	}
	var served []*exec.Cmd
	defer func() {
		for _, cmd := range served {
			_ = cmd.Process.Kill() // the first one is gone
			_ = cmd.Wait()
		}
	}()
	for _, name := range []string{"a", "b"} {
		if err := os.WriteFile(filepath.Join(dir, name+".toml"), fmt.Appendf(nil, fleetConfiguration, name, os.Getuid()), 0o600); err != nil {
			return 0, err
		}
		cmd := command(name, "serve")
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		served = append(served, cmd)
		if err := await(func() bool {
			conn, err := net.Dial("unix", filepath.Join(dir, name+".sock"))
			if err == nil {
				conn.Close()
			}
			return err == nil
		}); err != nil {
			return 0, fmt.Errorf("%s never answered: %w", name, err)
		}
	}
	asked := command("a", "run", "--", "deploy shop v2 prod")
	if err := asked.Start(); err != nil {
		return 0, err
	}
	defer func() { _, _ = asked.Process.Kill(), asked.Wait() }() // its replica does not come back
	if err := await(func() bool {
		found, _ := filepath.Glob(filepath.Join(dir, "**", "began"))
		_, err := os.Stat(filepath.Join(dir, "began"))
		return err == nil || len(found) > 0
	}); err != nil {
		return 0, fmt.Errorf("the deployment never began: %w", err)
	}
	if err := served[0].Process.Kill(); err != nil {
		return 0, err
	}
	killed := time.Now()
	if err := os.WriteFile(filepath.Join(dir, "end"), nil, 0o600); err != nil {
		return 0, err
	}
	err = await(func() bool {
		var n int
		return db.QueryRow("SELECT count(*) FROM runs WHERE state = 'succeeded'").Scan(&n) == nil && n == 1
	})
	return time.Since(killed).Seconds(), err
}

// await waits for a condition.
func await(ok func() bool) error {
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return errors.New("not within a minute")
		}
	}
	return nil
}
