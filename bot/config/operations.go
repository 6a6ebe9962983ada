package config

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"quarterdeck/bot"
)

// operations checks how the bot is watched and run: [listen], [log],
// [stop] and [heartbeat].
func (l *loader) operations() {
	l.out.Listen, l.out.ListenAt = map[bot.Listener]string{}, map[bot.Listener]string{}
	taken := map[string]bot.Listener{}
	for on, address := range map[bot.Listener]string{bot.OnPublic: l.in.Listen.Public, bot.OnInternal: l.in.Listen.Internal, bot.OnFlags: l.in.Listen.Flags} {
		if address == "" {
			continue
		}
		n := l.root.at("listen").at(string(on))
		if why := noAddress(address); why != "" {
			l.failf(n, why, `%s takes HOST:PORT, such as "127.0.0.1:8081"`, n.path())
			continue
		}
		l.out.Listen[on], l.out.ListenAt[on] = address, fmt.Sprintf("%s:%d", l.file, n.line)
	}
	for _, on := range bot.Listeners() {
		address, isOn := l.out.Listen[on]
		if other, found := taken[address]; found {
			l.failf(l.root.at("listen").at(string(on)), "give each a port of its own", "listen.%s and listen.%s are the same address", on, other)
		}
		if isOn && !strings.HasSuffix(address, ":0") {
			taken[address] = on
		}
	}
	l.logging()
	l.out.StopWithin = l.duration(l.root.at("stop").at("within"), l.in.Stop.Within, "20s", time.Second, 5*time.Minute, "1s to 5m")
	l.heartbeat()
}

// noAddress says why address is none to listen on, "" when it is one. A name
// in place of an IP address is refused, but for localhost: what it means is
// known only where it is looked up.
func noAddress(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Sprintf("it is %q", address)
	}
	if host == "" {
		return fmt.Sprintf(`it is %q; to be reached from everywhere, write "0.0.0.0:%s"`, address, port)
	}
	if net.ParseIP(host) == nil && host != "localhost" {
		return fmt.Sprintf("%q is no IP address", host)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Sprintf("%q is no port", port)
	}
	return ""
}

// Loopback reports whether an address that passed the checks can be reached
// from this machine alone.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

var levels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

func (l *loader) logging() {
	at := l.root.at("log")
	switch f := l.in.Log.Format; f {
	case "", "text":
	case "json":
		l.out.Log.JSON = true
	default:
		l.failf(at.at("format"), fmt.Sprintf("it is %q", f), `log.format takes "text" or "json"`)
	}
	if level := l.in.Log.Level; level != "" {
		var known bool
		if l.out.Log.Level, known = levels[level]; !known {
			l.failf(at.at("level"), fmt.Sprintf("it is %q", level), `log.level takes "debug", "info", "warn" or "error"`)
		}
	}
}

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (l *loader) heartbeat() {
	h, at := l.in.Heartbeat, l.root.at("heartbeat")
	if h == nil {
		return
	}
	const shape = `heartbeat.url takes "env:NAME", "file:PATH" or an address that begins with https://`
	out := &Heartbeat{Where: fmt.Sprintf("%s:%d", l.file, at.line), URL: h.URL}
	name, isEnv := strings.CutPrefix(h.URL, "env:")
	path, isFile := strings.CutPrefix(h.URL, "file:")
	switch {
	case !l.root.has("heartbeat", "url"):
		l.failf(at, "", `[heartbeat] needs url = "env:NAME": the address that is told that the bot works`)
	case h.URL == "":
	case isEnv && variable.MatchString(name):
	case isFile && path != "":
		out.URL = "file:" + l.path(path)
	case isEnv || isFile || !MayBeTold(h.URL):
		// What is there is not repeated: it may be the address itself.
		l.failf(at.at("url"), "", shape)
	}
	out.Every = l.duration(at.at("every"), h.Every, "1m", 10*time.Second, time.Hour, "10s to 1h")
	l.out.Heartbeat = out
}

// MayBeTold reports whether address is one that a heartbeat may go to: https,
// or http to this machine alone, because the address is a secret.
func MayBeTold(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback())
}
