package discordchat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"quarterdeck/bot"
)

const (
	// unsaid is how long everything rests where somebody before Discord, such as
	// its shield against floods, says 429 and not for how long.
	unsaid = time.Minute
	// gateLongest bounds how long Discord is believed to want to be left alone.
	gateLongest = time.Hour
	gateRoutes  = 10000
	// perSecond is how many calls are made in a second; Discord takes 50
	// (docs.discord.com/developers/topics/rate-limits).
	perSecond = 45
	// tooMuchInvalid, of the 10,000 refused calls in ten minutes for which Discord
	// bans an address, is where the bot stops by itself.
	tooMuchInvalid = 5000
	invalidWithin  = 10 * time.Minute
	// maxAnswer bounds what is read of an answer.
	maxAnswer = 16 << 20
)

// gate keeps Discord's limits. Until the time that Discord named, a call that
// shares the limit is answered here, as Discord would, and not sent; so nobody
// sleeps, and whoever called decides. It goes by the machine's own clock, as those
// do who wait for it to open.
type gate struct {
	clock bot.Clock
	next  http.RoundTripper

	mu      sync.Mutex
	banned  time.Time         // nothing at all before
	global  time.Time         // nothing but interactions before
	routes  map[string]*route // by what shares a limit
	second  time.Time         // when the present second began
	made    int               // calls in it
	invalid [10]int           // refused calls by minute
	minute  int64             // of the newest of them
	ahead   time.Duration     // how far Discord's clock is ahead of this one
}

type route struct {
	left  int // calls that may be made until reset; -1 where it is not known
	reset time.Time
}

func newGate(clock bot.Clock, next http.RoundTripper) *gate {
	return &gate{clock: clock, next: next, routes: map[string]*route{}}
}

var ids = regexp.MustCompile(`/\d+`)

// routeOf gives what a call shares its limit with: the method, the path, and of the
// ids in it the first alone, which is the channel's, guild's or webhook's. exempt
// says that Discord's limit for everything does not hold for it. Calls by the token
// of an interaction share with those of the same token.
func routeOf(r *http.Request) (key string, exempt bool) {
	path := r.URL.Path
	if i := strings.Index(path, "/webhooks/"); i >= 0 {
		parts := strings.SplitN(path[i+1:], "/", 4)
		return strings.Join(parts[:min(len(parts), 3)], "/"), true
	}
	if strings.Contains(path, "/interactions/") {
		return "", true
	}
	first := true
	path = ids.ReplaceAllStringFunc(path, func(id string) string {
		if first {
			first = false
			return id
		}
		return "/id"
	})
	return r.Method + " " + path, false
}

// RoundTrip implements http.RoundTripper.
func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	key, exempt := routeOf(r)
	if wait := g.take(key, exempt); wait > 0 {
		if r.Body != nil {
			r.Body.Close()
		}
		return tooMany(r, wait), nil
	}
	resp, err := g.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	g.learn(key, resp)
	if resp.StatusCode != http.StatusTooManyRequests {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
		return resp, nil
	}
	wait := g.refused(key, resp)
	resp.Body.Close()
	return tooMany(r, wait), nil
}

// tooMany is a 429 as Discord answers it.
func tooMany(r *http.Request, wait time.Duration) *http.Response {
	body := fmt.Sprintf(`{"message":"wait","retry_after":%.3f,"global":false}`, wait.Seconds())
	return &http.Response{Status: "429 Too Many Requests", StatusCode: http.StatusTooManyRequests, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}
}

// take takes the permit for one call; wait is how long until there is one, when
// there is none.
func (g *gate) take(key string, exempt bool) (wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock.Now()
	if now.Before(g.banned) {
		return g.banned.Sub(now)
	}
	if !exempt && now.Before(g.global) {
		return g.global.Sub(now)
	}
	at := g.routes[key]
	if at != nil && at.left == 0 && now.Before(at.reset) {
		return at.reset.Sub(now)
	}
	if !exempt {
		if now.Sub(g.second).Abs() >= time.Second {
			g.second, g.made = now, 0
		}
		if g.made >= perSecond {
			return g.second.Add(time.Second).Sub(now)
		}
		g.made++
	}
	if at != nil && at.left > 0 && now.Before(at.reset) {
		at.left--
	}
	return 0
}

// learn takes what an answer says of limits and of the time.
func (g *gate) learn(key string, resp *http.Response) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock.Now()
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		g.ahead = date.Add(500 * time.Millisecond).Sub(now) // it says whole seconds
	}
	switch {
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusForbidden,
		resp.StatusCode == http.StatusTooManyRequests && resp.Header.Get("X-RateLimit-Scope") != "shared":
		g.count(now)
	}
	left, err := strconv.Atoi(resp.Header.Get("X-RateLimit-Remaining"))
	after, err2 := strconv.ParseFloat(resp.Header.Get("X-RateLimit-Reset-After"), 64)
	if err != nil || err2 != nil || left < 0 || !(after >= 0) || key == "" {
		return
	}
	g.route(key, now).set(left, now.Add(min(time.Duration(after*float64(time.Second)), gateLongest)))
}

func (r *route) set(left int, reset time.Time) { r.left, r.reset = left, reset }

// route gives the entry of what shares a limit. The lock is held.
func (g *gate) route(key string, now time.Time) *route {
	if len(g.routes) >= gateRoutes {
		for k, at := range g.routes {
			if at.reset.Before(now) {
				delete(g.routes, k)
			}
		}
		if len(g.routes) >= gateRoutes {
			clear(g.routes)
		}
	}
	at := g.routes[key]
	if at == nil {
		at = &route{left: -1}
		g.routes[key] = at
	}
	return at
}

// count counts a refused call and stops all of them before Discord does. The lock
// is held.
func (g *gate) count(now time.Time) {
	minute := now.Unix() / 60
	for ; g.minute < minute; g.minute++ {
		if minute-g.minute > int64(len(g.invalid)) {
			g.minute = minute - int64(len(g.invalid))
		}
		g.invalid[(g.minute+1)%int64(len(g.invalid))] = 0
	}
	g.invalid[minute%int64(len(g.invalid))]++
	sum := 0
	for _, n := range g.invalid {
		sum += n
	}
	if until := now.Add(invalidWithin); sum >= tooMuchInvalid && until.After(g.banned) {
		g.banned = until
	}
}

// refused takes a 429 and gives how long to wait. One that is no JSON comes from
// the shield before Discord's servers, and holds for everything.
func (g *gate) refused(key string, resp *http.Response) time.Duration {
	var said struct {
		RetryAfter float64 `json:"retry_after"`
		Global     bool    `json:"global"`
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	ours := err == nil && kind == "application/json" && json.NewDecoder(bytes.NewReader(raw)).Decode(&said) == nil
	wait := min(time.Duration(said.RetryAfter*float64(time.Second)), gateLongest)
	if !ours || wait <= 0 {
		wait = unsaid
		if seconds, err := strconv.Atoi(strings.TrimSpace(resp.Header.Get("Retry-After"))); err == nil && seconds > 0 {
			wait = min(time.Duration(seconds)*time.Second, gateLongest)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock.Now()
	until := now.Add(wait)
	later := func(t *time.Time) {
		if until.After(*t) {
			*t = until
		}
	}
	switch {
	case !ours:
		later(&g.banned)
	case said.Global || resp.Header.Get("X-RateLimit-Scope") == "global" || key == "":
		later(&g.global)
	default:
		g.route(key, now).set(0, until)
	}
	return wait
}

// skew gives how far Discord's clock is ahead of this one, 0 where that is within
// what an answer's date can tell.
func (g *gate) skew() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ahead.Abs() < 2*time.Second {
		return 0
	}
	return g.ahead
}
