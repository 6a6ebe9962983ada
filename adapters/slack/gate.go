package slackchat

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"quarterdeck/bot"
)

const (
	// unsaid is how long to wait where Slack says 429 and not for how long.
	unsaid = 30 * time.Second
	// gateLongest bounds how long Slack is believed to want to be left alone.
	gateLongest = time.Hour
	gateLimits  = 10000
)

// gate obeys Slack's 429 on every method: until the time that it named, a call
// of the same method is answered here, as Slack would, and not sent. What posts
// to a channel waits for that channel alone, because that is how Slack limits it.
// It goes by the machine's own clock, as those do who wait for it to open.
type gate struct {
	clock bot.Clock
	next  http.RoundTripper

	mu    sync.Mutex
	until map[string]time.Time
}

func newGate(clock bot.Clock, next http.RoundTripper) *gate {
	return &gate{clock: clock, next: next, until: map[string]time.Time{}}
}

// limitOf gives what a call shares its limit with.
func limitOf(r *http.Request) string {
	method := path.Base(r.URL.Path)
	if method != "chat.postMessage" && method != "chat.postEphemeral" || r.GetBody == nil {
		return method
	}
	body, err := r.GetBody()
	if err != nil {
		return method
	}
	defer body.Close()
	raw, err := io.ReadAll(io.LimitReader(body, 1<<20))
	if err != nil {
		return method
	}
	args, err := url.ParseQuery(string(raw))
	if err != nil {
		return method
	}
	return "post " + args.Get("channel")
}

// RoundTrip implements http.RoundTripper.
func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	limit := limitOf(r)
	if wait := g.wait(limit); wait > 0 {
		if r.Body != nil {
			r.Body.Close()
		}
		seconds := int((wait + time.Second - 1) / time.Second)
		return &http.Response{Status: "429 Too Many Requests", StatusCode: http.StatusTooManyRequests, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: http.Header{"Retry-After": {fmt.Sprint(seconds)}}, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
	}
	resp, err := g.next.RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusTooManyRequests {
		g.close(limit, retryAfter(resp.Header))
	}
	return resp, err
}

// retryAfter reads how long to wait.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(strings.TrimSpace(h.Get("Retry-After")))
	if err != nil || seconds < 0 {
		return unsaid
	}
	return min(max(time.Duration(seconds)*time.Second, time.Second), gateLongest)
}

func (g *gate) wait(limit string) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.until[limit].Sub(g.clock.Now())
}

func (g *gate) close(limit string, wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock.Now()
	if len(g.until) >= gateLimits {
		for l, t := range g.until {
			if t.Before(now) {
				delete(g.until, l)
			}
		}
	}
	if until := now.Add(wait); until.After(g.until[limit]) {
		g.until[limit] = until
	}
}

// noRedirect keeps the token, which is in the body of most calls, from following
// a redirect to somewhere else.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
