package bottest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sourcegraph/conc"

	"quarterdeck/bot"
)

// faults are what can be wrong with the small bot below. The conversations
// must notice every one of them.
type faults struct {
	runsEdits, runsTwice, ownApproval, skipConfirm, guestsMay, hintsAtStrangers,
	oldButtons, actsEarly, ignoresDeny, publicRefusals, answersEdits, forgetsBad, silentHelp, oldVersions, staleAck bool
}

// smallBot is the least that can hold the conversations, in memory.
type smallBot struct {
	faults
	chat  bot.Chat
	clock bot.Clock
	ids   bot.IDs

	mu      sync.Mutex
	seen    map[string]bool
	runs    []*smallRun
	tokens  map[string]string
	bad     bool
	effects []string
	out     chan bot.Delivery
	refs    map[string]string
}

type smallRun struct {
	n         int64
	version   int64
	state     bot.RunState
	env, to   string
	confirmed bool
	replyTo   string
}

func (b *smallBot) Receive(_ context.Context, m bot.Message) (bot.Receipt, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m.Edited && !b.runsEdits {
		if b.answersEdits {
			b.reply(m, bot.Card{Title: "edits run nothing", Outcome: bot.OutcomeInvalid}, true)
		}
		return bot.Receipt{Duplicate: true}, nil
	}
	if b.seen[m.ID] {
		if b.runsTwice {
			b.handle(m)
		}
		return bot.Receipt{Duplicate: !b.staleAck}, nil
	}
	b.seen[m.ID] = true
	private := b.handle(m)
	return bot.Receipt{Private: private}, nil
}

// handle does one line and reports whether its answer is private.
func (b *smallBot) handle(m bot.Message) (private bool) {
	line := m.Text
	if m.Press != "" {
		known, ok := b.tokens[m.Press]
		if !ok {
			return b.refuse(m, bot.OutcomeFailed, "that button has expired")
		}
		if !b.oldButtons {
			delete(b.tokens, m.Press)
		}
		line = known
	}
	if !b.guestsMay && (m.Account == "x:stranger" || m.Standing != bot.Member) {
		say := "denied: you are not known here"
		if b.hintsAtStrangers {
			say += `; did you mean "deploy"?`
		}
		return b.refuse(m, bot.OutcomeDenied, say)
	}
	words := strings.Fields(line)
	switch {
	case words[0] == "status":
		b.reply(m, bot.Card{Title: "shop/prod: v1 live", Outcome: bot.OutcomeOK}, false)
		return false
	case words[0] == "rollback":
		b.bad = true
		b.begin(m, "staging", "v1")
		return false
	case words[0] == "deploy" && len(words) == 4 && words[1] == "shop" && (words[3] == "staging" || words[3] == "prod"):
		if b.bad && !b.forgetsBad {
			return b.refuse(m, bot.OutcomeFailed, "v2 is marked bad")
		}
		b.begin(m, words[3], words[2])
		return false
	case len(words) == 2:
		if n, err := strconv.ParseInt(words[1], 10, 64); err == nil && n >= 1 && n <= int64(len(b.runs)) {
			return b.answer(m, words[0], b.runs[n-1])
		}
	}
	if b.silentHelp {
		return b.refuse(m, bot.OutcomeInvalid, "syntax error")
	}
	return b.refuse(m, bot.OutcomeInvalid, "not understood; did you mean: deploy shop VERSION staging?")
}

func (b *smallBot) begin(m bot.Message, env, to string) {
	r := &smallRun{n: int64(len(b.runs) + 1), env: env, to: to, replyTo: m.ID, state: bot.Waiting}
	b.runs = append(b.runs, r)
	switch {
	case env == "staging":
		b.act(r)
	case b.actsEarly:
		b.effects = append(b.effects, "shop/prod "+to)
	}
	b.show(m, r)
}

func (b *smallBot) act(r *smallRun) {
	r.state = bot.Succeeded
	b.effects = append(b.effects, "shop/"+r.env+" "+r.to)
}

func (b *smallBot) answer(m bot.Message, verb string, r *smallRun) (private bool) {
	if r.state != bot.Waiting && !(b.ignoresDeny && r.state == bot.Cancelled) && !(b.oldButtons && verb == "approve") {
		return b.refuse(m, bot.OutcomeFailed, "it is over")
	}
	own := m.Account == "x:dev"
	switch verb {
	case "confirm":
		r.confirmed = true
	case "approve":
		if own && !b.ownApproval {
			return b.refuse(m, bot.OutcomeDenied, "denied: another person must approve")
		}
		if !r.confirmed && !b.skipConfirm {
			return b.refuse(m, bot.OutcomeFailed, "not confirmed yet")
		}
		b.act(r)
	case "deny", "cancel":
		r.state = bot.Cancelled
	}
	r.replyTo = m.ID
	b.show(m, r)
	return false
}

func (b *smallBot) show(m bot.Message, r *smallRun) {
	r.version++
	c := bot.Card{Key: fmt.Sprint("run/", r.n), Version: r.version, ReplyTo: r.replyTo, Run: r.n, State: r.state, Title: string(r.state), Outcome: bot.OutcomeOK}
	if b.oldVersions && r.version == 2 {
		c.Version = 0
	}
	offer := func(verb string) {
		token := b.ids.New()
		line := fmt.Sprint(verb, " ", r.n)
		b.tokens[token] = line
		c.Buttons = append(c.Buttons, bot.Button{Label: verb, Line: line, Token: token})
	}
	switch r.state {
	case bot.Waiting:
		c.Phase, c.Outcome = bot.PhaseWaiting, bot.OutcomeWaiting
		if r.confirmed {
			offer("approve")
		} else {
			offer("confirm")
		}
	case bot.Cancelled:
		c.Outcome = bot.OutcomeFailed
	}
	b.out <- bot.Delivery{Channel: m.Channel, Card: c}
}

func (b *smallBot) refuse(m bot.Message, o bot.Outcome, say string) bool {
	b.reply(m, bot.Card{Title: say, Outcome: o}, true)
	return true
}

func (b *smallBot) reply(m bot.Message, c bot.Card, private bool) {
	c.Key, c.ReplyTo = "reply/"+m.ID, m.ID
	d := bot.Delivery{Channel: m.Channel, Card: c}
	if private && !b.publicRefusals {
		d.To = m.Account
	}
	b.out <- d
}

// deliver is the small bot's outbox: in order, and again until it is through.
func (b *smallBot) deliver(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case d := <-b.out:
			d.Ref = b.refs[d.Card.Key]
			for ctx.Err() == nil {
				ref, err := b.chat.Deliver(ctx, d)
				if err == nil {
					b.refs[d.Card.Key] = ref
					break
				}
				if k := bot.KindOf(err); k != bot.Unavailable && k != bot.Timeout && k != bot.Busy {
					break
				}
			}
		}
	}
}

// start runs a small bot on a chat until the test ends.
func start(ctx context.Context, chat bot.Chat, talk Talker, f faults) (w *World, stop func()) {
	clock := NewClock(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	b := &smallBot{faults: f, chat: chat, clock: clock, ids: NewIDs("t"), seen: map[string]bool{}, tokens: map[string]string{},
		out: make(chan bot.Delivery, 1000), refs: map[string]string{}}
	ctx, cancel := context.WithCancel(ctx)
	var parts conc.WaitGroup
	parts.Go(func() { _ = chat.Run(ctx, b) })
	parts.Go(func() { b.deliver(ctx) })
	w = &World{Chat: talk, Dev: "x:dev", SRE: "x:sre", Guest: "x:guest", Stranger: "x:stranger", Effects: func() ([]string, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		return append([]string(nil), b.effects...), nil
	}}
	return w, func() {
		cancel()
		parts.Wait()
	}
}

func friendly(t *testing.T, f faults) *World {
	chat := NewFakeChat("x", bot.SystemClock{})
	chat.SetStanding("x:guest", bot.Guest)
	w, stop := start(context.WithoutCancel(t.Context()), chat, chat, f)
	t.Cleanup(stop)
	return w
}

func hostile(t *testing.T, f faults) *World {
	chat := NewHostileChat("x", bot.SystemClock{})
	chat.SetStanding("x:guest", bot.Guest)
	w, stop := start(context.WithoutCancel(t.Context()), chat, chat, f)
	t.Cleanup(stop)
	return w
}
