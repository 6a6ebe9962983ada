// Package health knows whether the bot works, and tells it to those who ask
// (/healthz, /readyz), to those who wait to hear it (the heartbeat), and to the
// init system.
package health

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Config is what a Monitor works with. All fields are needed except those with
// a default.
type Config struct {
	Store  store.Store
	Clock  bot.Clock
	Logger *slog.Logger
	// Turned gives, by the name of a loop, when it last turned. A loop turns at
	// least every few seconds, whether or not there is anything to do.
	Turned map[string]func() time.Time
	Chats  map[string]bot.Chat
	// Alarms, when set, gives further lines of /healthz about what is wrong and
	// what a restart need not mend.
	Alarms func() []string
	// Every is how often the store is written to; default 10 seconds.
	Every time.Duration
	// Hung is after how long without a turn a loop counts as hung; default 30
	// seconds.
	Hung time.Duration
}

// Monitor watches the bot from within. Safe for concurrent use. Make it with
// NewMonitor.
type Monitor struct {
	c       Config
	started time.Time

	first    chan struct{} // closed after the first look at the store
	once     sync.Once
	mu       sync.Mutex
	stopping bool
	looked   time.Time // when the store was last written to, or that was tried
	fault    error     // what came of it
}

// NewMonitor makes a Monitor; Run makes it look.
func NewMonitor(c Config) *Monitor {
	if c.Every <= 0 {
		c.Every = 10 * time.Second
	}
	if c.Hung <= 0 {
		c.Hung = 30 * time.Second
	}
	return &Monitor{c: c, started: c.Clock.Now(), fault: errNotLooked, first: make(chan struct{})}
}

// First is closed once the store was looked at.
func (m *Monitor) First() <-chan struct{} { return m.first }

var errNotLooked = bot.Errorf(bot.Unavailable, "it was not looked at yet")

// A probe is a write like any other: only it shows that the disk takes one.
const (
	kindProbe   = "health"
	probeWithin = 5 * time.Second
)

// Run writes to the store now and then until ctx ends.
func (m *Monitor) Run(ctx context.Context) error {
	ticker := time.NewTicker(m.c.Every)
	defer ticker.Stop()
	for {
		m.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (m *Monitor) look(ctx context.Context) {
	writing, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	now := m.c.Clock.Now()
	err := m.c.Store.Update(writing, func(tx store.Tx) error {
		old, _, err := tx.Document(kindProbe, "store")
		if err != nil {
			return err
		}
		body, err := json.Marshal(map[string]time.Time{"at": now})
		if err != nil {
			return err
		}
		_, err = tx.PutDocument(bot.Document{Kind: kindProbe, ID: "store", Rev: old.Rev, Body: body})
		return err
	})
	if ctx.Err() != nil {
		return
	}
	m.mu.Lock()
	was := m.fault
	m.looked, m.fault = now, err
	m.mu.Unlock()
	m.once.Do(func() { close(m.first) })
	switch {
	case err != nil && (was == nil || was == error(errNotLooked)):
		m.c.Logger.Error("the store takes no writes", "err", err)
	case err == nil && was != nil && was != error(errNotLooked):
		m.c.Logger.Info("the store takes writes again")
	}
}

// Stopping notes that the bot is about to stop, so that nobody counts on it.
func (m *Monitor) Stopping() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopping = true
}

// Writable says whether the store took a write at the last look.
func (m *Monitor) Writable() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fault == nil
}

// Hung gives the loops that do not turn, in order.
func (m *Monitor) Hung() (names []string) {
	now := m.c.Clock.Now()
	for _, name := range slices.Sorted(maps.Keys(m.c.Turned)) {
		since := m.c.Turned[name]()
		if since.IsZero() {
			since = m.started
		}
		if now.Sub(since) > m.c.Hung {
			names = append(names, name)
		}
	}
	return names
}

// Fault says why the bot cannot do its work, nil when it can: every loop turns
// and the store takes writes. A lost chat connection is none: flags, alerts and
// what is under way go on without it.
func (m *Monitor) Fault() error {
	if hung := m.Hung(); len(hung) > 0 {
		return bot.Errorf(bot.Unavailable, "%s: no turn for more than %s", strings.Join(hung, ", "), m.c.Hung)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.stopping:
		return bot.Errorf(bot.Unavailable, "stopping")
	case m.fault != nil:
		return &bot.Error{Op: "health.store", Kind: bot.Unavailable, Say: "the store takes no writes", Err: m.fault}
	}
	return nil
}

// Routes gives /healthz and /readyz.
func (m *Monitor) Routes() []bot.Route {
	return []bot.Route{
		{On: bot.OnInternal, Method: "GET", Path: "/healthz", Handler: http.HandlerFunc(m.healthz)},
		{On: bot.OnInternal, Method: "GET", Path: "/readyz", Handler: http.HandlerFunc(m.readyz)},
	}
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text) // who asked may be gone
}

// readyz answers 200 while the bot can do its work.
func (m *Monitor) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := m.Fault(); err != nil {
		answer(w, http.StatusServiceUnavailable, "not ready: "+bot.Sentence(err, "healthz"))
		return
	}
	answer(w, http.StatusOK, "ready")
}

// healthz answers 200 while the process works, with a line for each part. What
// a restart of the process cannot mend, such as a full disk, is a line and no
// reason to restart it.
func (m *Monitor) healthz(w http.ResponseWriter, q *http.Request) {
	now := m.c.Clock.Now()
	lines := []string{fmt.Sprintf("process: up for %s", span(now.Sub(m.started)))}
	status := http.StatusOK
	if hung := m.Hung(); len(hung) > 0 {
		status = http.StatusServiceUnavailable
		lines[0] = fmt.Sprintf("process: hangs (%s)", strings.Join(hung, ", "))
	}
	m.mu.Lock()
	if m.stopping {
		lines[0] += ", stopping"
	}
	fault, looked := m.fault, m.looked
	m.mu.Unlock()
	switch {
	case fault == nil:
		lines = append(lines, fmt.Sprintf("store: writable, tried %s ago", span(now.Sub(looked))))
	case looked.IsZero():
		lines = append(lines, "store: not tried yet")
	default:
		lines = append(lines, "store: takes no writes: "+bot.Sentence(fault, "store"))
	}
	for _, network := range slices.Sorted(maps.Keys(m.c.Chats)) {
		lines = append(lines, "chat "+network+": "+m.reached(m.c.Chats[network], now))
	}
	if m.c.Alarms != nil {
		lines = append(lines, m.c.Alarms()...)
	}
	lines = append(lines, m.waiting(q.Context(), now)...)
	answer(w, status, strings.Join(lines, "\n"))
}

func (m *Monitor) reached(chat bot.Chat, now time.Time) string {
	c, holds := chat.(bot.Connected)
	if !holds {
		return "served from here"
	}
	is := c.Connection()
	how := "connected"
	if !is.Up {
		how = "NOT connected"
	}
	if !is.Since.IsZero() {
		how += " for " + span(now.Sub(is.Since))
	}
	how = fmt.Sprintf("%s, made anew %d times", how, is.Reconnects)
	if is.Others > 0 {
		how += fmt.Sprintf("; %d OTHER CONNECTIONS hold its credentials", is.Others)
	}
	return how
}

// waiting gives the lines about what is in the store.
func (m *Monitor) waiting(ctx context.Context, now time.Time) []string {
	ctx, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	var b store.Backlog
	err := m.c.Store.View(ctx, func(r store.Reader) (err error) {
		if c, ok := r.(store.Counter); ok {
			b, err = c.Backlog(store.Fleeting(m.c.Chats)...)
		}
		return err
	})
	if err != nil {
		why := bot.Sentence(err, "store")
		return []string{"outbox: not known: " + why, "runs: not known: " + why}
	}
	outbox := "outbox: nothing waits"
	if b.Outbox > 0 {
		outbox = fmt.Sprintf("outbox: %d wait, the oldest for %s", b.Outbox, span(now.Sub(b.OutboxOldest)))
	}
	if b.Away > 0 {
		outbox += fmt.Sprintf("; %d for sessions that went away", b.Away)
	}
	var runs []string
	for _, state := range store.OpenStates() {
		if open := b.Runs[state]; open.Count > 0 {
			runs = append(runs, fmt.Sprintf("%d %s, the oldest for %s", open.Count, state, span(now.Sub(open.Oldest))))
		}
	}
	if len(runs) == 0 {
		runs = []string{"none open"}
	}
	return []string{outbox, "runs: " + strings.Join(runs, "; ")}
}

// span gives a duration to the second; a clock that was set back gives none.
func span(d time.Duration) string { return max(d, 0).Round(time.Second).String() }
