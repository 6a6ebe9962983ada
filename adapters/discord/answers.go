package discordchat

import (
	"context"
	"sync"
	"time"

	"quarterdeck/bot"
)

const (
	// tokenLife is Discord's for the token of an interaction, a little less.
	tokenLife = 14*time.Minute + 30*time.Second
	// maxAnswers bounds how many interactions are remembered.
	maxAnswers = 10000
)

// answers remembers the interactions of lately: with the token of one, its answer
// takes the place of "is thinking", reaches one person alone, and gets to where the
// bot is no member. They are kept in memory, because each token is as good as a
// password for its channel; after a restart answers are messages of their own.
type answers struct {
	clock bot.Clock
	mu    sync.Mutex
	by    map[string]*asking // by Message.ID
	of    map[string]*asking // by the message that was made with its token
}

// asking is one interaction.
type asking struct {
	token   string
	user    string
	channel string // where it was done, which may be a thread
	at      time.Time

	acked chan struct{} // closed once it is answered for the first time, or never will be
	// What follows is there from then on, and is changed under the lock.
	mu sync.Mutex
	// thinking says that Discord shows "is thinking", for the asker alone where
	// private; the first answer takes its place.
	thinking bool
	private  bool
	dead     bool // it was not answered in time, so that its token is worth nothing
}

func newAnswers(clock bot.Clock) *answers {
	return &answers{clock: clock, by: map[string]*asking{}, of: map[string]*asking{}}
}

// begin remembers an interaction whose message is about to be handed in: its answer
// may be there before Discord took the acknowledgement. It is nil for one that is
// remembered already.
func (a *answers) begin(message string, p payload) *asking {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.by[message] != nil {
		return nil
	}
	a.prune()
	i := &asking{token: p.Token, user: p.user().ID, channel: p.ChannelID, at: a.clock.Now(), acked: make(chan struct{})}
	a.by[message] = i
	return i
}

// drop forgets an interaction that nothing comes of.
func (a *answers) drop(message string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.by, message)
}

// prune forgets what is over. The lock is held.
func (a *answers) prune() {
	if len(a.by) < maxAnswers && len(a.of) < maxAnswers {
		return
	}
	now := a.clock.Now()
	for _, m := range []map[string]*asking{a.by, a.of} {
		for id, i := range m {
			if now.Sub(i.at) > tokenLife {
				delete(m, id)
			}
		}
		if len(m) >= maxAnswers {
			clear(m)
		}
	}
}

// answered notes how an interaction was answered for the first time.
func (i *asking) answered(thinking, private bool) {
	i.mu.Lock()
	i.thinking, i.private = thinking, private
	i.mu.Unlock()
	close(i.acked)
}

// lost notes that an interaction could not be answered.
func (i *asking) lost() {
	i.mu.Lock()
	i.dead = true
	i.mu.Unlock()
	close(i.acked)
}

// find gives the interaction that a message came by, once it is answered, and nil
// where there is none whose token is good.
func (a *answers) find(ctx context.Context, message string) *asking {
	a.mu.Lock()
	i := a.by[message]
	a.mu.Unlock()
	return a.usable(ctx, i)
}

// made gives the interaction whose token a message was made with.
func (a *answers) made(ctx context.Context, id string) *asking {
	a.mu.Lock()
	i := a.of[id]
	a.mu.Unlock()
	return a.usable(ctx, i)
}

func (a *answers) usable(ctx context.Context, i *asking) *asking {
	if i == nil || a.clock.Now().Sub(i.at) > tokenLife {
		return nil
	}
	select {
	case <-i.acked:
	case <-ctx.Done():
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.dead {
		return nil
	}
	return i
}

// note remembers which interaction a message was made with.
func (a *answers) note(id string, i *asking) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.prune()
	a.of[id] = i
}

// waits reports whether Discord still shows "is thinking", and to whom.
func (i *asking) waits() (thinking, private bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.thinking, i.private
}

// settled notes that it does not any more.
func (i *asking) settled() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.thinking = false
}

// over notes that Discord takes the token no more.
func (i *asking) over() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.dead = true
}
