// Package metrics shows what the bot does and what waits in it to whoever
// watches it, in Prometheus' format. It has a registry of its own.
//
// Labels come from closed sets alone: the verbs of the command table, states,
// kinds, configured networks. What a person typed never becomes one.
package metrics

import (
	"context"
	"log/slog"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Config is what Metrics work with. All fields are needed except those with a
// default.
type Config struct {
	Version string
	Clock   bot.Clock
	Logger  *slog.Logger // default: none
}

// Metrics counts. It implements bot.Meter. Make it with New.
type Metrics struct {
	c        Config
	registry *prometheus.Registry
	verbs    atomic.Pointer[map[string]bool]

	received  prometheus.Histogram
	commands  *prometheus.CounterVec
	denials   *prometheus.CounterVec
	handled   *prometheus.HistogramVec
	settled   *prometheus.CounterVec
	runTook   *prometheus.HistogramVec
	panics    *prometheus.CounterVec
	commits   *prometheus.CounterVec
	commitSec prometheus.Histogram
	commitOf  prometheus.Histogram
	beats     *prometheus.CounterVec
}

// none stands for the verb of what is no command.
const none = "none"

// Buckets reach from what memory answers in to what a person gives up on.
var (
	quick = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}
	calm  = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	long  = []float64{1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 4 * 3600, 24 * 3600}
	group = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512}
)

// New makes Metrics with everything that is counted; see Watch for what is read
// when somebody asks.
func New(c Config) *Metrics {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Metrics{c: c, registry: prometheus.NewRegistry()}
	histogram := func(name, help string, buckets []float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}
	}
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Name: name, Help: help}
	}
	m.received = prometheus.NewHistogram(histogram("quarterdeck_message_acknowledgement_seconds",
		"Time from a message's arrival until it was durable and could be acknowledged.", quick))
	m.commands = prometheus.NewCounterVec(counter("quarterdeck_commands_total",
		"Messages that got their answer, by the command's verb and the answer's kind; ok is done or accepted."), []string{"verb", "outcome"})
	m.denials = prometheus.NewCounterVec(counter("quarterdeck_denials_total",
		"Messages that were denied, by who sent them: a declared person or an unknown account."), []string{"sender"})
	m.handled = prometheus.NewHistogramVec(histogram("quarterdeck_command_seconds",
		"Time from a message's arrival to its answer, or to the run that it became.", calm), []string{"verb"})
	m.settled = prometheus.NewCounterVec(counter("quarterdeck_runs_settled_total",
		"Runs that this process ended, by verb and state."), []string{"verb", "state"})
	m.runTook = prometheus.NewHistogramVec(histogram("quarterdeck_run_seconds",
		"Time from the request of a run to its end, waiting for people included.", long), []string{"verb"})
	m.panics = prometheus.NewCounterVec(counter("quarterdeck_panics_total",
		"Panics that were caught, by part. Each is a fault in the program."), []string{"part"})
	m.commits = prometheus.NewCounterVec(counter("quarterdeck_store_commits_total",
		"Commits of the store that were tried, by outcome."), []string{"outcome"})
	m.commitSec = prometheus.NewHistogram(histogram("quarterdeck_store_commit_seconds",
		"Time of one commit, from the begin of its transaction.", quick))
	m.commitOf = prometheus.NewHistogram(histogram("quarterdeck_store_commit_updates",
		"Updates that shared one commit.", group))
	m.beats = prometheus.NewCounterVec(counter("quarterdeck_heartbeats_total",
		"Outbound heartbeats, by outcome; one is withheld when the bot cannot work."), []string{"outcome"})
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "quarterdeck_build_info", Help: "What is running; always 1.",
		ConstLabels: prometheus.Labels{"version": c.Version, "goversion": runtime.Version()}})
	build.Set(1)
	m.registry.MustRegister(m.received, m.commands, m.denials, m.handled, m.settled, m.runTook, m.panics, m.commits, m.commitSec, m.commitOf,
		m.beats, build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, sender := range []string{"person", "unknown"} {
		m.denials.WithLabelValues(sender)
	}
	for _, outcome := range []string{"ok", "failed"} {
		m.commits.WithLabelValues(outcome)
	}
	return m
}

// Verbs sets the verbs that are labels; what has another is counted under none.
// A reload sets others.
func (m *Metrics) Verbs(verbs []string) {
	known := make(map[string]bool, len(verbs))
	for _, v := range verbs {
		known[v] = true
		m.commands.WithLabelValues(v, "ok")
	}
	m.verbs.Store(&known)
}

func (m *Metrics) verb(v string) string {
	if known := m.verbs.Load(); known != nil && (*known)[v] {
		return v
	}
	return none
}

var kinds = map[bot.Kind]string{
	"": "ok", bot.Invalid: "invalid", bot.Denied: "denied", bot.NotFound: "not_found", bot.Conflict: "conflict", bot.Busy: "busy",
	bot.Unavailable: "unavailable", bot.Timeout: "timeout", bot.Internal: "internal",
}

// Received implements bot.Meter.
func (m *Metrics) Received(took time.Duration) { m.received.Observe(positive(took)) }

// Handled implements bot.Meter.
func (m *Metrics) Handled(verb string, kind bot.Kind, known bool, took time.Duration) {
	outcome, closed := kinds[kind]
	if !closed {
		outcome = kinds[bot.Internal]
	}
	verb = m.verb(verb)
	m.commands.WithLabelValues(verb, outcome).Inc()
	m.handled.WithLabelValues(verb).Observe(positive(took))
	if kind == bot.Denied {
		sender := "unknown"
		if known {
			sender = "person"
		}
		m.denials.WithLabelValues(sender).Inc()
	}
}

// Settled implements bot.Meter.
func (m *Metrics) Settled(r bot.Run) {
	state := "unknown"
	if r.State.Settled() {
		state = label(r.State)
	}
	verb := m.verb(r.Call.Command)
	m.settled.WithLabelValues(verb, state).Inc()
	m.runTook.WithLabelValues(verb).Observe(positive(r.Ended.Sub(r.Created)))
}

// Panicked implements bot.Meter.
func (m *Metrics) Panicked(part string) { m.panics.WithLabelValues(part).Inc() }

// Committed counts a commit; it is for store.Watched.
func (m *Metrics) Committed(updates int, took time.Duration, err error) {
	if err != nil {
		m.commits.WithLabelValues("failed").Inc()
		return
	}
	m.commits.WithLabelValues("ok").Inc()
	m.commitSec.Observe(positive(took))
	m.commitOf.Observe(float64(updates))
}

// Beat counts a heartbeat: "sent", "failed" or "withheld".
func (m *Metrics) Beat(outcome string) { m.beats.WithLabelValues(outcome).Inc() }

// positive gives seconds; a clock that was set back must not take a sum down.
func positive(d time.Duration) float64 { return max(d, 0).Seconds() }

// label gives a state as a label: "rolled_back".
func label(s bot.RunState) string {
	b := []byte(s)
	for i, c := range b {
		if c == ' ' {
			b[i] = '_'
		}
	}
	return string(b)
}

// scrapeWithin bounds one reading of everything, and answers how many at once.
const (
	scrapeWithin = 5 * time.Second
	scrapes      = 4
)

// Handler answers with everything. What cannot be read is left out rather than
// shown as nothing, and the rest is answered.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: scrapes, Timeout: 2 * scrapeWithin,
		ErrorLog: slog.NewLogLogger(m.c.Logger.Handler(), slog.LevelWarn),
	})
}

// Gatherer gives the registry to tests.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

// Watched is what is read when somebody asks.
type Watched struct {
	Store store.Store
	// Checkpoint gives the last checkpoint of the audit log.
	Checkpoint func() (seq int64, at time.Time, found bool)
	// Chats by network; those that hold a connection are told of.
	Chats map[string]bot.Chat
	// Writable says whether the store was writable at the last look.
	Writable func() bool
}

// Watch adds what is read when somebody asks. Call it once.
func (m *Metrics) Watch(w Watched) {
	m.registry.MustRegister(&watcher{Watched: w, clock: m.c.Clock, logger: m.c.Logger})
}

type watcher struct {
	Watched
	clock  bot.Clock
	logger *slog.Logger
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	inboxCount   = desc("quarterdeck_inbox_messages", "Messages that were received and are not acted on yet.")
	inboxOldest  = desc("quarterdeck_inbox_oldest_seconds", "Age of the oldest message that is not acted on yet; 0 for none.")
	outboxCount  = desc("quarterdeck_outbox_cards", "Posts that are not delivered yet.")
	outboxOldest = desc("quarterdeck_outbox_oldest_seconds", "Age of the oldest post that is not delivered yet; 0 for none.")
	runCount     = desc("quarterdeck_runs", "Runs that are not settled, by state.", "state")
	runOldest    = desc("quarterdeck_run_oldest_seconds", "Age of the oldest run of a state; 0 for none.", "state")
	headSeq      = desc("quarterdeck_audit_head_sequence", "Sequence of the last audit record.")
	markSeq      = desc("quarterdeck_audit_checkpoint_sequence", "Sequence of the last record that a checkpoint covers.")
	markAge      = desc("quarterdeck_audit_checkpoint_age_seconds", "Age of the last checkpoint.")
	readable     = desc("quarterdeck_store_readable", "Whether the store answered this very reading.")
	writable     = desc("quarterdeck_store_writable", "Whether the store took a write at the last look.")
	chatUp       = desc("quarterdeck_chat_up", "Whether the connection to the chat network is there.", "network")
	chatAsked    = desc("quarterdeck_chat_connections_asked_total", "How often the chat network was asked for a connection.", "network")
	chatOdd      = desc("quarterdeck_chat_unreadable_total", "Payloads of the chat network that could not be read, or are of an unknown kind; they were acknowledged.", "network")
	chatForged   = desc("quarterdeck_chat_forged_total", "Requests that were refused because the chat network did not sign them.", "network")
	chatOthers   = desc("quarterdeck_chat_other_connections", "Connections beside the bot's own that hold its credentials, as the chat network told last.", "network")
	chatAgain    = desc("quarterdeck_chat_reconnects_total", "How often the connection to the chat network was made anew.", "network")
)

// Describe implements prometheus.Collector.
func (w *watcher) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{inboxCount, inboxOldest, outboxCount, outboxOldest, runCount, runOldest, headSeq, markSeq, markAge, readable, writable, chatUp, chatAgain, chatAsked, chatOdd, chatForged, chatOthers} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (w *watcher) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	truth := func(d *prometheus.Desc, is bool, labels ...string) {
		v := 0.0
		if is {
			v = 1
		}
		gauge(d, v, labels...)
	}
	now := w.clock.Now()
	age := func(since time.Time) float64 {
		if since.IsZero() {
			return 0
		}
		return positive(now.Sub(since))
	}
	if w.Writable != nil {
		truth(writable, w.Writable())
	}
	if seq, at, found := w.Checkpoint(); found {
		gauge(markSeq, float64(seq))
		gauge(markAge, age(at))
	}
	for network, chat := range w.Chats {
		if c, ok := chat.(bot.Connected); ok {
			is := c.Connection()
			truth(chatUp, is.Up, network)
			for d, n := range map[*prometheus.Desc]int64{chatAgain: is.Reconnects, chatAsked: is.Asked, chatOdd: is.Unreadable, chatForged: is.Forged} {
				ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), network)
			}
			ch <- prometheus.MustNewConstMetric(chatOthers, prometheus.GaugeValue, float64(is.Others), network)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeWithin)
	defer cancel()
	var head store.Head
	var b store.Backlog
	counted := false
	err := w.Store.View(ctx, func(r store.Reader) (err error) {
		if head, err = r.Head(); err != nil {
			return err
		}
		c, ok := r.(store.Counter)
		if !ok {
			return nil
		}
		b, err = c.Backlog(store.Fleeting(w.Chats)...)
		counted = err == nil
		return err
	})
	truth(readable, err == nil)
	if err != nil {
		w.logger.Warn("read what waits", "err", err)
		return
	}
	gauge(headSeq, float64(head.Seq))
	if !counted {
		return
	}
	gauge(inboxCount, float64(b.Inbox))
	gauge(inboxOldest, age(b.InboxOldest))
	gauge(outboxCount, float64(b.Outbox))
	gauge(outboxOldest, age(b.OutboxOldest))
	for state, open := range b.Runs {
		gauge(runCount, float64(open.Count), label(state))
		gauge(runOldest, age(open.Oldest), label(state))
	}
}
