package slackchat

import (
	"net/url"
	"strings"
	"sync"
	"time"

	"quarterdeck/bot"
)

const (
	// hookLife and hookUses are Slack's for a response URL, a little less.
	hookLife = 29 * time.Minute
	hookUses = 5
	// maxHooks bounds how many are remembered.
	maxHooks = 10000
)

// answers remembers the response URLs of what came in lately: with one, an
// answer reaches whoever asked even where the bot is no member. They are kept
// in memory alone, because each is as good as a password for its channel; after
// a restart an answer goes by direct message.
type answers struct {
	clock bot.Clock
	mu    sync.Mutex
	by    map[string]*responseURL // by Message.ID
	users map[string]string       // who wrote it, by Message.ID
}

type responseURL struct {
	url  string
	at   time.Time
	left int
}

func newAnswers(clock bot.Clock) *answers {
	return &answers{clock: clock, by: map[string]*responseURL{}, users: map[string]string{}}
}

// keep remembers where to answer a message.
func (a *answers) keep(message, hook string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock.Now()
	if len(a.by) >= maxHooks {
		for id, h := range a.by {
			if now.Sub(h.at) > hookLife {
				delete(a.by, id)
			}
		}
		if len(a.by) >= maxHooks {
			clear(a.by)
		}
	}
	if _, there := a.by[message]; !there {
		a.by[message] = &responseURL{url: hook, at: now, left: hookUses}
	}
}

// from remembers who wrote a message.
func (a *answers) from(message, user string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.users) >= maxHooks {
		clear(a.users)
	}
	a.users[message] = user
}

// asker gives who wrote a message lately, "" when that is not known any more.
func (a *answers) asker(message string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.users[message]
}

// use gives the response URL of a message and counts the use; ok is false when
// there is none left.
func (a *answers) use(message string) (hook string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.by[message]
	if h == nil {
		return "", false
	}
	if h.left == 0 || a.clock.Now().Sub(h.at) > hookLife {
		delete(a.by, message)
		return "", false
	}
	h.left--
	return h.url, true
}

// trusted reports whether a response URL is Slack's own, or of the server that
// was configured: the bot must not be made to post elsewhere.
func (s *chat) trusted(hook string) bool {
	u, err := url.Parse(hook)
	if err != nil || u.User != nil {
		return false
	}
	base, err := url.Parse(s.base)
	if err != nil {
		return false
	}
	if base.Hostname() == "slack.com" || strings.HasSuffix(base.Hostname(), ".slack.com") || base.Hostname() == "slack-gov.com" {
		return u.Scheme == "https" && (u.Host == "hooks.slack.com" || u.Host == "hooks.slack-gov.com")
	}
	return u.Scheme == base.Scheme && u.Host == base.Host
}

// pace holds posts to a channel to one a second with a small burst, so that
// Slack never has to ask. Edits have a pace of their own for the whole
// workspace.
type pace struct {
	clock bot.Clock
	mu    sync.Mutex
	next  map[string]time.Time
}

const (
	postEvery = time.Second
	postBurst = 3
	editEvery = 1200 * time.Millisecond // chat.update: 50 a minute and more
	editBurst = 20
	maxPaced  = 20000
)

func newPace(clock bot.Clock) *pace { return &pace{clock: clock, next: map[string]time.Time{}} }

// take takes one permit for what key names; wait is how long until there is
// one, when there is none.
func (p *pace) take(key string, every time.Duration, burst int) (wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.Now()
	if len(p.next) >= maxPaced {
		for k, t := range p.next {
			if t.Before(now) {
				delete(p.next, k)
			}
		}
	}
	next := p.next[key]
	if earliest := now.Add(-time.Duration(burst-1) * every); next.Before(earliest) {
		next = earliest
	}
	if next.After(now) {
		return next.Sub(now)
	}
	p.next[key] = next.Add(every)
	return 0
}
