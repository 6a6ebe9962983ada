package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/config"
	"quarterdeck/bot/flag"
	"quarterdeck/bot/health"
	"quarterdeck/bot/listen"
	"quarterdeck/bot/metrics"
	"quarterdeck/bot/ofrep"
	"quarterdeck/bot/page"
	"quarterdeck/bot/router"
	"quarterdeck/bot/run"
	"quarterdeck/bot/store"
)

// watched is what is watched.
type watched struct {
	store  store.Store
	meter  *metrics.Metrics
	engine *run.Engine
	router *router.Router
	flags  *flag.Set
	pages  *page.Keeper
}

// watch is how the bot is watched: its health, its listeners, its heartbeat. A
// bot that does not serve has none of it.
type watch struct {
	app       *App
	monitor   *health.Monitor
	listeners *listen.Listeners
	heartbeat *health.Heartbeat

	checkpointer atomic.Pointer[audit.Checkpointer]
}

// watch opens the configured listeners. An address that cannot be had, or a
// heartbeat's that is not there, is an Error of kind Invalid.
func (a *App) watch(ctx context.Context, of watched) (*watch, error) {
	w := &watch{app: a}
	if !a.options.Serve {
		return w, nil
	}
	o, c := a.options, a.Config
	w.monitor = health.NewMonitor(health.Config{Store: of.store, Clock: o.Clock, Logger: o.Logger, Chats: a.chats, Alarms: a.alarms,
		Turned: map[string]func() time.Time{"engine": of.engine.Turned, "router": of.router.Turned}})
	if s, ok := of.store.(store.Watched); ok {
		s.Watch(of.meter.Committed)
	}
	of.meter.Watch(metrics.Watched{Store: of.store, Chats: a.chats, Writable: w.monitor.Writable, Checkpoint: w.lastCheckpoint})
	if h := c.Heartbeat; h != nil {
		w.heartbeat = &health.Heartbeat{URL: h.URL, Every: h.Every, Secrets: o.Secrets, Logger: o.Logger, Fault: w.monitor.Fault, May: config.MayBeTold, Beat: of.meter.Beat}
		if err := w.heartbeat.Check(); err != nil {
			return nil, &bot.Error{Op: "app.heartbeat", Kind: bot.Invalid, Say: h.Where + ": " + bot.Sentence(err, "heartbeat"), Err: errors.Unwrap(err)}
		}
	}
	// One line for each source of routes; package listen says what may stand where.
	routes := w.monitor.Routes()
	routes = append(routes, bot.Route{On: bot.OnInternal, Method: "GET", Path: "/metrics", Handler: of.meter.Handler()})
	routes = append(routes, of.pages.Routes()...)
	for _, chat := range a.chats {
		if r, ok := chat.(bot.Routed); ok {
			routes = append(routes, r.Routes()...)
		}
	}
	flags := &ofrep.Server{Flags: of.flags, Keys: func() map[bot.Target][]bot.Secret { return a.current().flagKeys() }, Clock: o.Clock, Logger: o.Logger}
	routes = append(routes, flags.Routes()...)
	var err error
	if w.listeners, err = listen.New(listen.Config{Addresses: c.Listen, Routes: routes, IDs: o.IDs, Logger: o.Logger, Meter: of.meter}); err != nil {
		return nil, err
	}
	if err := w.listeners.Open(ctx); err != nil {
		return nil, err
	}
	a.heard.Lock()
	defer a.heard.Unlock()
	a.listening = map[bot.Listener]net.Addr{}
	for _, on := range bot.Listeners() {
		if at := w.listeners.Address(on); at != nil {
			a.listening[on] = at
			o.Logger.Info("listening", "listener", string(on), "address", at.String())
		}
	}
	return w, nil
}

// Address gives where the bot listens; nil for a listener that is off, and before
// it is Ready.
func (a *App) Address(on bot.Listener) net.Addr {
	a.heard.Lock()
	defer a.heard.Unlock()
	return a.listening[on]
}

func (w *watch) checkpoints(c *audit.Checkpointer) { w.checkpointer.Store(c) }

func (w *watch) lastCheckpoint() (seq int64, at time.Time, found bool) {
	c := w.checkpointer.Load()
	if c == nil {
		return 0, time.Time{}, false
	}
	cp, found := c.Last()
	return cp.Seq, cp.At, found
}

func (w *watch) run(front *stage) {
	if w.monitor == nil {
		return
	}
	front.Go(w.monitor.Run)
	front.Go(w.monitor.Watchdog)
	front.Go(w.listeners.Run)
	if w.heartbeat != nil {
		front.Go(func(ctx context.Context) error {
			select {
			case <-w.monitor.First():
				return w.heartbeat.Run(ctx)
			case <-ctx.Done():
				return nil
			}
		})
	}
}

func (w *watch) ready() { w.tell(health.Ready) }

func (w *watch) stopping() {
	if w.monitor != nil {
		w.monitor.Stopping()
	}
	w.tell(health.Stopping)
}

// tell tells the init system. That it does not hear is no reason to stop.
func (w *watch) tell(state string) {
	if w.monitor == nil {
		return
	}
	if err := health.Notify(state); err != nil {
		w.app.options.Logger.Warn("tell the init system", "state", state, "err", err)
	}
}

func (w *watch) close() {
	if w.listeners != nil {
		w.listeners.Close()
	}
}

// exposed warns of what answers unsigned requests from other machines.
func (a *App) exposed() (lines []string) {
	for _, on := range bot.Listeners() {
		address := a.Config.Listen[on]
		if address == "" || config.Loopback(address) {
			continue
		}
		switch on {
		case bot.OnInternal:
			lines = append(lines, fmt.Sprintf("%s: listen.internal = %q can be reached from other machines, and nothing is signed there; let a firewall keep others out", a.Config.ListenAt[on], address))
		case bot.OnPublic:
			lines = append(lines, fmt.Sprintf("%s: listen.public = %q can be reached without TLS; put a proxy before it", a.Config.ListenAt[on], address))
		}
	}
	return lines
}
