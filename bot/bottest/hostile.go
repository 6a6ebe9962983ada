package bottest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sourcegraph/conc"

	"quarterdeck/bot"
)

var _ bot.Chat = (*HostileChat)(nil)

const (
	// acknowledgeWithin is how long real networks wait for an acknowledgement.
	acknowledgeWithin = 3 * time.Second
	// limitFor is how long a rate limit lasts, by the machine's own clock: a
	// fixed one would never let it end.
	limitFor = 20 * time.Millisecond
	// maxFaults bounds how often one version of one card meets with trouble, so
	// that a bot that tries again comes through.
	maxFaults = 2
)

// HostileChat is a chat network that does what real ones do on a bad day:
//
//   - every message is delivered twice, at the same time, and once more later
//   - every message is followed by an edit of it and by a link preview, both of
//     which look like the message itself but for their mark
//   - every press of a button arrives as two presses of two deliveries
//   - posting fails now and then: not posted (Unavailable), posted without the
//     bot being told (Timeout), too many posts (Busy, with how long to wait)
//   - a banned channel refuses every post for good
//
// It watches, too: Violations tells what the bot did that a network's users
// would have to suffer from. Safe for concurrent use.
type HostileChat struct {
	*FakeChat

	watch      sync.Mutex
	calls      int
	faults     map[string]int
	limited    map[bot.ChannelID]time.Time
	banned     map[bot.ChannelID]bool
	shown      map[string]int64 // by reference: the version that is shown
	private    map[string]bot.AccountID
	mute       map[string]bool // messages that must never be answered
	violations []string
}

// NewHostileChat makes a hostile network with this name.
func NewHostileChat(network string, clock bot.Clock) *HostileChat {
	return &HostileChat{FakeChat: NewFakeChat(network, clock), faults: map[string]int{}, limited: map[bot.ChannelID]time.Time{},
		banned: map[bot.ChannelID]bool{}, shown: map[string]int64{}, private: map[string]bot.AccountID{}, mute: map[string]bool{}}
}

// Ban makes every later post to the channel fail for good.
func (h *HostileChat) Ban(c bot.ChannelID) {
	h.watch.Lock()
	defer h.watch.Unlock()
	h.banned[c] = true
}

// Violations gives what the bot did wrong so far: an acknowledgement later than
// 3 seconds, a private answer shown to everybody, an answer to an edit, an older
// version of a card over a newer one, an edit of a message that is not there.
func (h *HostileChat) Violations() []string {
	h.watch.Lock()
	defer h.watch.Unlock()
	return append([]string(nil), h.violations...)
}

// violation notes one; h.watch is held.
func (h *HostileChat) violation(format string, args ...any) {
	h.violations = append(h.violations, fmt.Sprintf(format, args...))
}

// Deliver posts, unless it is the turn of a fault.
func (h *HostileChat) Deliver(ctx context.Context, d bot.Delivery) (string, error) {
	h.watch.Lock()
	defer h.watch.Unlock()
	h.calls++
	if h.banned[d.Channel] {
		return "", bot.Errorf(bot.NotFound, "the channel %s is gone", d.Channel)
	}
	now := time.Now()
	if until, ok := h.limited[d.Channel]; ok && now.Before(until) {
		return "", h.tooMany(until.Sub(now))
	}
	card := fmt.Sprintf("%s|%s|%d|%s", d.Channel, d.Card.Key, d.Card.Version, d.Card.ReplyTo)
	answerLost := false
	if h.faults[card] < maxFaults {
		switch h.calls % 7 {
		case 1, 4:
			h.faults[card]++
			return "", bot.Errorf(bot.Unavailable, "the network is not there")
		case 3:
			h.faults[card]++
			h.limited[d.Channel] = now.Add(limitFor)
			return "", h.tooMany(limitFor)
		case 6:
			h.faults[card]++
			answerLost = true
		}
	}
	h.judge(d)
	ref, err := h.FakeChat.Deliver(ctx, d)
	switch {
	case bot.KindOf(err) == bot.NotFound:
		h.violation("edited %s, which was never posted", d.Ref)
	case err == nil:
		h.shown[ref] = d.Card.Version
	}
	if err == nil && answerLost {
		return "", bot.Errorf(bot.Timeout, "no answer in time")
	}
	return ref, err
}

func (h *HostileChat) tooMany(wait time.Duration) error {
	err := bot.Errorf(bot.Busy, "too many posts")
	err.RetryAfter = wait
	return err
}

// judge looks for what must not be posted; h.watch is held.
func (h *HostileChat) judge(d bot.Delivery) {
	if h.mute[d.Card.ReplyTo] {
		h.violation("answered %s, which was an edit or a link preview: %q", d.Card.ReplyTo, d.Card.Title)
	}
	if asker, ok := h.private[d.Card.ReplyTo]; ok && d.To != asker {
		h.violation("the answer to %s was acknowledged as private to %s and shown to %q: %q", d.Card.ReplyTo, asker, d.To, d.Card.Title)
	}
	if shown, ok := h.shown[d.Ref]; ok && d.Ref != "" && d.Card.Version < shown {
		h.violation("version %d of %s replaced version %d", d.Card.Version, d.Card.Key, shown)
	}
}

// Say has an account type a line, which arrives as described above.
func (h *HostileChat) Say(ctx context.Context, a bot.AccountID, text string) (Said, error) {
	m := h.compose(a)
	m.Text = text
	said, err := h.twice(ctx, m, m)
	if err != nil {
		return said, err
	}
	for _, by := range []bot.Standing{m.Standing, bot.Automated} {
		echo := h.compose(a)
		echo.Text, echo.Edited, echo.Standing = text, true, by
		h.watch.Lock()
		h.mute[echo.ID] = true
		h.watch.Unlock()
		if _, err := h.receive(ctx, echo); err != nil {
			return said, err
		}
	}
	_, err = h.receive(ctx, m)
	return said, err
}

// Press has an account press a button with a nervous finger: two presses, two
// deliveries, at the same time. The first one's Said is given.
func (h *HostileChat) Press(ctx context.Context, a bot.AccountID, token string) (Said, error) {
	first, second := h.compose(a), h.compose(a)
	first.Press, second.Press = token, token
	first.On, second.On = h.showing(token), h.showing(token)
	return h.twice(ctx, first, second)
}

// Edit has an account edit a message; nothing may answer it.
func (h *HostileChat) Edit(ctx context.Context, a bot.AccountID, text string) (Said, error) {
	m := h.compose(a)
	m.Text, m.Edited = text, true
	h.watch.Lock()
	h.mute[m.ID] = true
	h.watch.Unlock()
	r, err := h.receive(ctx, m)
	return Said{ID: m.ID, Receipt: r}, err
}

// twice delivers two messages at the same time. Of two deliveries of one
// message, at most one may be told apart from a duplicate.
func (h *HostileChat) twice(ctx context.Context, a, b bot.Message) (Said, error) {
	var receipts [2]bot.Receipt
	var errs [2]error
	var both conc.WaitGroup
	for i, m := range []bot.Message{a, b} {
		both.Go(func() { receipts[i], errs[i] = h.receive(ctx, m) })
	}
	both.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return Said{ID: a.ID}, err
	}
	fresh := 0
	if receipts[1].Duplicate {
		fresh = 0
	} else if receipts[0].Duplicate {
		fresh = 1
	}
	if a.ID == b.ID && receipts[0].Duplicate == receipts[1].Duplicate {
		h.watch.Lock()
		h.violation("two deliveries of %s were acknowledged alike (duplicate: %v)", a.ID, receipts[0].Duplicate)
		h.watch.Unlock()
	}
	return Said{ID: a.ID, Receipt: receipts[fresh]}, nil
}

// receive hands one message over and watches how it is acknowledged.
func (h *HostileChat) receive(ctx context.Context, m bot.Message) (bot.Receipt, error) {
	if _, err := h.running(ctx); err != nil {
		return bot.Receipt{}, err
	}
	deadline, cancel := context.WithTimeout(ctx, acknowledgeWithin)
	defer cancel()
	r, err := h.Send(deadline, m)
	h.watch.Lock()
	defer h.watch.Unlock()
	if deadline.Err() != nil && ctx.Err() == nil {
		h.violation("%s was not acknowledged within %s", m.ID, acknowledgeWithin)
	}
	if err == nil && r.Private && !r.Duplicate {
		h.private[m.ID] = m.Account
	}
	return r, err
}
