package githubprovider

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/google/go-github/v60/github"

	"quarterdeck/bot"
)

const (
	// callTimeout bounds one request, beside what its context allows.
	callTimeout = 15 * time.Second
	// maxBody bounds one answer. A comparison carries the patches of 300 files.
	maxBody = 32 << 20
	// defaultPause is how long to wait after a secondary limit that does not say;
	// GitHub's page on rate limits asks for a minute at least.
	defaultPause = time.Minute
	// maxPause bounds what GitHub may ask us to wait: its primary limit is reset
	// within the hour.
	maxPause = time.Hour
)

// client is one account's way to GitHub: it adds the credentials, obeys both
// rate limits for everybody who shares it, asks again with ETags, and bounds
// time and size. Safe for concurrent use.
type client struct {
	name  string // of the provider
	base  *url.URL
	auth  authenticator
	clock bot.Clock
	http  *http.Client
	far   http.RoundTripper
	seen  answers

	mu    sync.Mutex
	until time.Time // nothing is asked before
}

// authenticator gives what a request proves its sender with.
type authenticator interface {
	// token gives a token that GitHub takes now; errors are a *bot.Error.
	token(ctx context.Context) (string, error)
	// refused is told of a token that GitHub did not take, and reports whether
	// another one can be had.
	refused(token string) bool
}

func newClient(name string, base *url.URL, clock bot.Clock) *client {
	c := &client{name: name, base: base, clock: clock, far: newTransport()}
	c.http = &http.Client{Transport: c, Timeout: callTimeout, CheckRedirect: sameHost}
	return c
}

// newTransport makes connections of our own, so that no other part of the
// program changes how GitHub is spoken to.
func newTransport() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost, t.IdleConnTimeout = 8, 30*time.Second
	return t
}

// sameHost follows a renamed repository for reads alone: a POST that is
// redirected turns into a GET, and another host must not see the token.
func sameHost(req *http.Request, via []*http.Request) error {
	if len(via) >= 5 || req.URL.Host != via[0].URL.Host || req.URL.Scheme != via[0].URL.Scheme || via[0].Method != http.MethodGet {
		return http.ErrUseLastResponse
	}
	return nil
}

// api gives a fresh go-github client: an old one would keep limits of its own,
// by the machine's clock.
func (c *client) api() *github.Client {
	api := github.NewClient(c.http)
	api.BaseURL, api.UserAgent = c.base, "quarterdeck"
	return api
}

// limited says that GitHub asked to be left alone for a while. Whatever was
// asked was not done.
type limited struct {
	wait time.Duration
	why  string
}

func (l *limited) Error() string { return fmt.Sprintf("%s; wait %s", l.why, l.wait) }

// tooLarge says that an answer was cut off.
type tooLarge struct{}

func (tooLarge) Error() string { return fmt.Sprintf("the answer is larger than %d MiB", maxBody>>20) }

// RoundTrip implements http.RoundTripper.
func (c *client) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host != c.base.Host || req.URL.Scheme != c.base.Scheme {
		return nil, bot.Errorf(bot.Unavailable, "GitHub sent the provider %s to another server, which is not followed", c.name)
	}
	c.mu.Lock()
	wait := c.until.Sub(c.clock.Now())
	c.mu.Unlock()
	if wait > 0 {
		return nil, &limited{wait, "GitHub's rate limit is used up"}
	}
	for again := false; ; again = true {
		token, err := c.auth.token(req.Context())
		if err != nil {
			return nil, err
		}
		resp, err := c.send(req, token)
		if err != nil || resp.StatusCode != http.StatusUnauthorized || again || !c.auth.refused(token) {
			return resp, err
		}
		// It was not done, so it may be asked again with another token.
	}
}

func (c *client) send(req *http.Request, token string) (*http.Response, error) {
	out := req.Clone(req.Context())
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		out.Body = body
	}
	out.Header.Set("Authorization", "Bearer "+token)
	known, isKnown := answer{}, false
	if req.Method == http.MethodGet {
		if known, isKnown = c.seen.get(req.URL.String()); isKnown {
			out.Header.Set("If-None-Match", known.etag)
		}
	}
	resp, err := c.far.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	if len(body) > maxBody {
		return nil, tooLarge{}
	}
	if err := c.obey(resp); err != nil {
		return nil, err
	}
	switch etag := resp.Header.Get("ETag"); {
	case resp.StatusCode == http.StatusNotModified && isKnown:
		resp.StatusCode, resp.Status = http.StatusOK, "200 OK"
		body = known.body
		if known.link != "" {
			resp.Header.Set("Link", known.link)
		}
	case resp.StatusCode == http.StatusOK && req.Method == http.MethodGet && etag != "":
		c.seen.put(req.URL.String(), answer{etag: etag, body: body, link: resp.Header.Get("Link")})
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	resp.Request = req // without the token
	return resp, nil
}

// obey notes what GitHub says of its limits, and gives the limited error for an
// answer that is nothing but one.
func (c *client) obey(resp *http.Response) error {
	refused := resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusTooManyRequests
	used := resp.Header.Get("X-RateLimit-Remaining") == "0"
	now := c.clock.Now()
	there := now // GitHub's clock, which may be another than ours
	if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		there = at
	}
	var wait time.Duration
	why := "GitHub's rate limit is used up"
	seconds, errAfter := strconv.Atoi(resp.Header.Get("Retry-After"))
	reset, errReset := strconv.ParseInt(resp.Header.Get("X-RateLimit-Reset"), 10, 64)
	switch {
	case refused && errAfter == nil && seconds >= 0:
		wait, why = time.Duration(seconds)*time.Second, "GitHub asks for a pause"
	case used && errReset == nil:
		wait = max(time.Unix(reset, 0).Sub(there), 0) + time.Second
	case refused && used, resp.StatusCode == http.StatusTooManyRequests:
		wait = defaultPause
	default:
		return nil
	}
	wait = min(max(wait, time.Second), maxPause)
	c.mu.Lock()
	if until := now.Add(wait); until.After(c.until) {
		c.until = until
	}
	c.mu.Unlock()
	if refused {
		return &limited{wait, why}
	}
	return nil
}

const (
	maxAnswers    = 2000     // that are remembered
	maxRemembered = 16 << 20 // bytes of them
	maxAnswer     = 1 << 20  // of one of them
)

// answers remembers what GitHub said, so that it need not say it again: an
// unchanged answer does not count towards the rate limit.
type answers struct {
	mu    sync.Mutex
	by    map[string]answer
	order []string // oldest first
	size  int
}

type answer struct {
	etag string
	link string
	body []byte
}

func (a *answers) get(url string) (answer, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known, ok := a.by[url]
	return known, ok
}

func (a *answers) put(url string, fresh answer) {
	if len(fresh.body) > maxAnswer {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.by == nil {
		a.by = map[string]answer{}
	}
	if old, ok := a.by[url]; ok {
		a.size -= len(old.body)
	} else {
		a.order = append(a.order, url)
	}
	a.by[url] = fresh
	a.size += len(fresh.body)
	for len(a.order) > maxAnswers || a.size > maxRemembered {
		a.size -= len(a.by[a.order[0]].body)
		delete(a.by, a.order[0])
		a.order = a.order[1:]
	}
}
