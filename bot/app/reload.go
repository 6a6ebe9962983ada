package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/config"
	"quarterdeck/bot/store"
)

// Reload reads the configuration again and works by it from then on: all of it,
// or nothing. What it says of people, rules, services, providers, environments,
// freezes and of [bot] timezone, rate and expiries and of [log] level takes
// effect. What only says how the process stands in its surroundings ([listen],
// [log] format, [stop], [observe], [heartbeat]) stays as it was until a restart,
// and is among the warnings; nobody's right hangs on it, so that it holds up
// nothing else. A change of what is left (the database, the socket, the audit log,
// chat networks) is refused as a whole, because it needs a restart. Whatever is
// wrong gives an Error of kind Invalid with one line for each fault, which the
// log and the audit channels are told of too, and everything stays as it was.
//
// What changed is recorded in the commit with which it takes effect. Every
// message is handled, and every intent judged, by the one or the other, never by
// both. What is under way goes on; what people who are disabled now asked for
// and what has not begun is stopped.
//
// It gives the warnings of the new configuration. It waits for a reload that is
// under way; only a bot that runs can be reloaded.
func (a *App) Reload(ctx context.Context) (changes int, warnings []string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	g := a.ground
	if g == nil {
		return 0, nil, bot.Errorf(bot.Unavailable, "the bot does not run yet; reload it when it does")
	}
	next, err := a.reread()
	if err == nil {
		changes, err = a.takeOver(g, next, func() (int, error) { return next.recordStart(ctx, g.store, g.log, g.seal) })
	}
	if err != nil {
		if bot.KindOf(err) == bot.Invalid {
			a.recordRefused(ctx, g, err)
		}
		return 0, nil, err
	}
	// What is not stopped here is refused when its turn comes.
	if err := g.engine.StopDisabled(ctx); err != nil {
		a.options.Logger.Error("stop what disabled people asked for", "err", err)
	}
	g.engine.Wake()
	if a.options.Level != nil {
		a.options.Level.Set(next.Config.Log.Level)
	}
	warnings = append(next.Warnings(), next.Lacks()...)
	for _, key := range laterChanges(a.Config, next.Config) {
		name := fmt.Sprintf("[%s] %s", key[0], key[1])
		warnings = append(warnings, fmt.Sprintf("%s: %s takes effect at the next start of the bot; the rest is taken over", next.Config.At(key...), name))
	}
	return changes, warnings, nil
}

// reread gives the bot as its configuration wants it now.
func (a *App) reread() (*App, error) {
	c, err := Load(a.Config.Path, a.tables)
	if err != nil {
		return nil, err
	}
	f := &faults{files: c.Files}
	for _, key := range fixedChanges(a.Config, c) {
		f.add(c.At(key...), bot.Errorf(bot.Invalid, "[%s] %s needs a restart; restart the bot, or put back what it was to reload the rest", strings.Join(key[:len(key)-1], "."), key[len(key)-1]))
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	o := a.options
	o.running = a.chats
	return New(c, a.tables, o)
}

// fixedChanges gives the keys that cannot change while the bot runs and did, and
// that too much hangs on for the rest to be taken without them.
func fixedChanges(old, now *config.Config) (keys [][]string) {
	check := func(same bool, key ...string) {
		if !same {
			keys = append(keys, key)
		}
	}
	check(old.Bot.Database == now.Bot.Database, "bot", "database")
	check(old.Bot.Socket == now.Bot.Socket, "bot", "socket")
	check(old.Bot.SocketGroup == now.Bot.SocketGroup, "bot", "socket_group")
	check(old.Bot.State == now.Bot.State || old.Bot.Database != now.Bot.Database, "bot", "state")
	check(old.Bot.Journal == now.Bot.Journal || old.Bot.Database != now.Bot.Database, "bot", "journal")
	check(slices.Equal(old.Audit.Channels, now.Audit.Channels), "audit", "channels")
	check(old.Audit.Key == now.Audit.Key, "audit", "key")
	check(old.Audit.Checkpoints == now.Audit.Checkpoints || old.Audit.Key != now.Audit.Key, "audit", "checkpoints")
	check(old.Audit.Retain == now.Audit.Retain, "audit", "retain")
	check(old.Audit.Archive == now.Audit.Archive || old.Audit.Key != now.Audit.Key, "audit", "archive")
	check(copyDigest(old) == copyDigest(now), "audit", "copy")
	same := len(old.Audit.Redact) == len(now.Audit.Redact)
	for i := 0; same && i < len(old.Audit.Redact); i++ {
		same = old.Audit.Redact[i].String() == now.Audit.Redact[i].String()
	}
	check(same, "audit", "redact")
	check(old.Auth.TOTPKey == now.Auth.TOTPKey, "auth", "totp_key")
	chats := maps.Clone(old.Chats)
	maps.Copy(chats, now.Chats)
	for _, name := range slices.Sorted(maps.Keys(chats)) {
		was, had := old.Chats[name]
		is, has := now.Chats[name]
		check(had && has && textOf(was) == textOf(is), "chat", name)
	}
	return keys
}

// laterChanges gives the keys that changed and take effect at the next start.
func laterChanges(old, now *config.Config) (keys [][]string) {
	check := func(same bool, key ...string) {
		if !same {
			keys = append(keys, key)
		}
	}
	for _, on := range bot.Listeners() {
		check(old.Listen[on] == now.Listen[on], "listen", string(on))
	}
	check(old.Log.JSON == now.Log.JSON, "log", "format")
	check(old.StopWithin == now.StopWithin, "stop", "within")
	check(old.Observe.Every == now.Observe.Every, "observe", "every")
	check(old.Observe.Timeout == now.Observe.Timeout, "observe", "timeout")
	check((old.Heartbeat == nil) == (now.Heartbeat == nil) && (now.Heartbeat == nil || old.Heartbeat.URL == now.Heartbeat.URL), "heartbeat", "url")
	check((old.Heartbeat == nil) == (now.Heartbeat == nil) && (now.Heartbeat == nil || old.Heartbeat.Every == now.Heartbeat.Every), "heartbeat", "every")
	return keys
}

// takeOver makes next what is worked by, once record succeeded.
func (a *App) takeOver(g *ground, next *App, record func() (changes int, err error)) (changes int, err error) {
	w := next.ways(g)
	engine := g.engine.Next(w.engine)
	r, err := next.router(g, w, engine)
	if err != nil {
		return 0, err
	}
	err = g.engine.Switch(engine, func() (err error) {
		if changes, err = record(); err != nil {
			return err
		}
		g.router.Switch(r)
		a.now.Store(next)
		return nil
	})
	if err != nil {
		return 0, err
	}
	g.engine, g.router = engine, r
	g.posted()
	return changes, nil
}

// recordRefused writes down that a reload was refused and why, which the audit
// channels are told of. That it cannot be written is logged: nothing was done.
func (a *App) recordRefused(ctx context.Context, g *ground, why error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := g.store.Update(ctx, func(tx store.Tx) error {
		_, err := g.log.Append(tx, bot.Record{Kind: bot.ConfiguredKind, Error: bot.Invalid, Resources: []bot.Resource{bot.TheBot},
			Detail: map[string]string{"refused": "reload", "version": a.options.Version},
			Text:   map[string]string{"result": "reload refused, the old configuration stays: " + bot.Sentence(why, "the bot's log")}})
		return err
	})
	if err != nil {
		a.options.Logger.Error("record the refused reload", "err", fmt.Errorf("append: %w", err))
		return
	}
	g.posted()
}
