package terminal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sourcegraph/conc"
	"go.uber.org/goleak"

	"quarterdeck/bot"
)

func TestMain(m *testing.M) {
	if socket := os.Getenv(childSocket); socket != "" {
		os.Exit(child(socket))
	}
	goleak.VerifyTestMain(m)
}

// patience bounds every wait; it is far more than a loaded machine needs.
const patience = 5 * time.Minute

// within gives a context that ends with the test or when it takes too long.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// socketPath gives a path short enough for a socket.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "qd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// testBot answers lines with cards, as a bot does: from a queue that survives
// a restart of its network, trying again what could not be delivered.
type testBot struct {
	mu       sync.Mutex
	seen     map[string]bool
	received []bot.Message
	fail     int // how many more lines cannot be stored
	out      []bot.Delivery
	more     chan struct{}
	runs     int64
	hold     bool // nothing is delivered for now
	answer   func(b *testBot, m bot.Message)
}

func newTestBot(answer func(b *testBot, m bot.Message)) *testBot {
	return &testBot{seen: map[string]bool{}, more: make(chan struct{}, 1), answer: answer}
}

func (b *testBot) Receive(_ context.Context, m bot.Message) (bot.Receipt, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail > 0 {
		b.fail--
		return bot.Receipt{}, bot.Errorf(bot.Unavailable, "the log cannot be written")
	}
	if b.seen[m.ID] {
		return bot.Receipt{Duplicate: true}, nil
	}
	b.seen[m.ID] = true
	b.received = append(b.received, m)
	b.answer(b, m)
	return bot.Receipt{}, nil
}

// post queues a card; b.mu is held.
func (b *testBot) post(d bot.Delivery) {
	b.out = append(b.out, d)
	select {
	case b.more <- struct{}{}:
	default:
	}
}

// reply queues the answer to m; b.mu is held.
func (b *testBot) reply(m bot.Message, c bot.Card) {
	c.ReplyTo = m.ID
	if c.Key == "" {
		c.Key = "reply/" + m.ID
	}
	b.post(bot.Delivery{Channel: m.Channel, Card: c})
}

func (b *testBot) messages() []bot.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]bot.Message(nil), b.received...)
}

// deliver delivers the queue, in order within each channel, until ctx ends.
func (b *testBot) deliver(ctx context.Context, chat bot.Chat) {
	for {
		b.mu.Lock()
		queue := append([]bot.Delivery(nil), b.out...)
		if b.hold {
			queue = nil
		}
		b.out = b.out[len(queue):]
		b.mu.Unlock()
		var kept []bot.Delivery
		resting := map[bot.ChannelID]bool{}
		for _, d := range queue {
			if resting[d.Channel] {
				kept = append(kept, d)
				continue
			}
			_, err := chat.Deliver(ctx, d)
			switch bot.KindOf(err) {
			case bot.Unavailable, bot.Timeout, bot.Busy:
				kept = append(kept, d)
				resting[d.Channel] = true
			}
		}
		b.mu.Lock()
		b.out = append(kept, b.out...)
		b.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-b.more:
		case <-time.After(5 * time.Millisecond): // between tries
		}
	}
}

// serve runs a network with a bot behind it until stop is called, which gives
// what Run gave.
func serve(t *testing.T, o Options, b *testBot) (n *Network, stop func() error) {
	t.Helper()
	n, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var parts conc.WaitGroup
	done := make(chan error, 1)
	parts.Go(func() { done <- n.Run(ctx, b) })
	parts.Go(func() { b.deliver(ctx, n) })
	select {
	case <-n.Listening():
	case err := <-done:
		cancel()
		parts.Wait()
		t.Fatalf("Run: %v", err)
	case <-time.After(patience):
		t.Fatal("the socket does not listen")
	}
	once := sync.OnceValue(func() error {
		cancel()
		parts.Wait()
		return <-done
	})
	t.Cleanup(func() {
		if err := once(); err != nil {
			t.Errorf("Run gave %v", err)
		}
	})
	return n, once
}

// scripted answers a small command language.
func scripted(b *testBot, m bot.Message) {
	words := strings.Fields(m.Text)
	run := func(n int64, version int64, state bot.RunState, phase bot.Phase, o bot.Outcome, text string) bot.Card {
		c := bot.Card{Key: fmt.Sprint("run/", n), Version: version, Run: n, State: state, Phase: phase, Outcome: o,
			Title: fmt.Sprintf("#%d deploy: %s", n, state), Text: text}
		if phase == bot.PhaseWorking {
			c.Progress = &bot.Gauge{Text: text}
			c.Text = ""
		}
		return c
	}
	switch words[0] {
	case "whoami":
		b.reply(m, bot.Card{Title: "you are " + string(m.Account), Outcome: bot.OutcomeOK})
	case "secret":
		b.post(bot.Delivery{Channel: m.Channel, To: m.Account, Card: bot.Card{Key: "reply/" + m.ID, ReplyTo: m.ID, Title: "for you alone", Outcome: bot.OutcomeOK}})
	case "deploy":
		b.runs++
		n := b.runs
		b.reply(m, run(n, 1, bot.Running, bot.PhaseWorking, bot.OutcomeOK, "starting"))
		b.reply(m, run(n, 3, bot.Running, bot.PhaseWorking, bot.OutcomeOK, "half way"))
		b.reply(m, run(n, 2, bot.Running, bot.PhaseWorking, bot.OutcomeOK, "older news"))
		b.reply(m, run(n, 4, bot.Running, bot.PhaseWorking, bot.OutcomeOK, "half way"))
		b.reply(m, run(n, 5, bot.Succeeded, bot.PhaseDone, bot.OutcomeOK, "v2 is live"))
		b.reply(m, run(n, 5, bot.Succeeded, bot.PhaseDone, bot.OutcomeOK, "v2 is live")) // delivered twice
	case "ask":
		b.runs++
		b.reply(m, run(b.runs, 1, bot.Waiting, bot.PhaseWaiting, bot.OutcomeWaiting, "waits"))
	case "approve":
		var n int64
		fmt.Sscan(words[1], &n)
		b.reply(m, run(n, 2, bot.Running, bot.PhaseWorking, bot.OutcomeOK, "starting"))
		b.reply(m, run(n, 3, bot.Succeeded, bot.PhaseDone, bot.OutcomeOK, "done"))
	case "cancel":
		var n int64
		fmt.Sscan(words[1], &n)
		b.reply(m, run(n, 9, bot.Cancelled, bot.PhaseDone, bot.OutcomeFailed, "cancelled by "+string(m.Account)))
	case "ends":
		c := run(77, 1, bot.RunState(strings.Join(words[2:], " ")), bot.PhaseDone, bot.Outcome(words[1]), "over")
		b.reply(m, c)
	case "silence":
	default:
		b.reply(m, bot.Card{Title: fmt.Sprintf("there is no command %q", words[0]), Outcome: bot.OutcomeInvalid})
	}
}
