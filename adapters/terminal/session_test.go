package terminal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"quarterdeck/bot"
)

// buffer is an io.Writer that a test may read meanwhile.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// until waits for the condition, which something else brings about.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

var here = bot.AccountID(fmt.Sprint("os:", os.Getuid()))

func describe(_ context.Context, a bot.AccountID) string {
	if a == here {
		return "dev (developer)"
	}
	return strings.TrimPrefix(string(a), "terminal:") + " (declared)"
}

func TestTranscript(t *testing.T) {
	o := Options{Socket: socketPath(t), Impersonate: true, Version: "1.2.3", Describe: describe}
	b := newTestBot(scripted)
	serve(t, o, b)
	var out buffer
	s := &Session{Socket: o.Socket, Out: &out, In: strings.NewReader(`# a comment, and a blank line

whoami
deplyo shop
deploy shop v2 staging
ask
/as sre
whoami
approve 2
/as dev
ask
ask
approve 4
/as
secret
/nothing
/as one two
hello there
/as ../x
run 3
`), Local: map[string]Local{"hello": func(_ context.Context, args []string, out io.Writer) error {
		fmt.Fprintln(out, "hello yourself", args)
		return bot.Errorf(bot.Conflict, "enough of that")
	}}}
	if err := s.Chat(within(t)); err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(`dev> whoami
you are HERE
dev> deplyo shop
there is no command "deplyo"
dev> deploy shop v2 staging
#1 deploy: running
  starting
  half way
#1 deploy: succeeded
v2 is live
dev> ask
#2 deploy: waiting
waits
dev> /as sre
sre> whoami
you are terminal:sre
sre> approve 2
#2 deploy: running
  starting
#2 deploy: succeeded
done
sre> /as dev
dev> ask
#3 deploy: waiting
waits
dev> ask
#4 deploy: waiting
waits
dev> approve 4
#4 deploy: running
  starting
#4 deploy: succeeded
done
dev> /as
dev> secret
for you alone
dev> /nothing
the session does not know "/nothing"; it knows /as NAME and /quit, and
  everything else goes to the bot without a slash
dev> /as one two
/as takes one name; write it like /as sre, or /as alone to be yourself again
dev> hello there
hello yourself [there]
hello: enough of that
dev> /as ../x
"../x" is no name; a name has 1 to 64 letters, digits, dots, dashes and
  underscores
dev> run 3
there is no command "run"
dev> cancel 3
#3 deploy: cancelled
cancelled by terminal:dev
`, "HERE", string(here))
	if out.String() != want {
		t.Errorf("the transcript is\n%s\nwant\n%s", out.String(), want)
	}
	for i, m := range b.messages() {
		if m.Standing != bot.Member || m.Channel.Network() != "terminal" || !strings.HasPrefix(m.ID, string(m.Channel)+":") || m.Received.IsZero() {
			t.Errorf("message %d is %+v", i, m)
		}
	}
}

func TestImpersonationIsRefusedUnlessConfigured(t *testing.T) {
	o := Options{Socket: socketPath(t), Describe: describe}
	b := newTestBot(scripted)
	serve(t, o, b)
	var out buffer
	s := &Session{Socket: o.Socket, Out: &out, In: strings.NewReader("/as root\nwhoami\n")}
	if err := s.Chat(within(t)); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("dev> /as root\ndenied: you are %s and cannot act as \"root\"; that needs impersonate = true\n  under [chat.terminal]\ndev> whoami\nyou are %s\n", here, here)
	if out.String() != want {
		t.Errorf("the transcript is\n%s\nwant\n%s", out.String(), want)
	}
	s = &Session{Socket: o.Socket, As: "root", Out: &out, In: strings.NewReader("whoami\n")}
	if err := s.Chat(within(t)); bot.KindOf(err) != bot.Denied {
		t.Errorf("a session as root gave %v, want Denied", err)
	}
	s = &Session{Socket: o.Socket, As: "root", Out: &out}
	if exit, err := s.RunOnce(within(t), "whoami", RunOptions{}); exit != 3 || bot.KindOf(err) != bot.Denied {
		t.Errorf("a line as root gave %d, %v; want 3, Denied", exit, err)
	}
	for _, m := range b.messages() {
		if m.Account != here {
			t.Errorf("the bot was given a message of %s", m.Account)
		}
	}
}

// TestALineIsNotLostAndRunsOnce kills the network under a session in the middle
// of a line, as a restart of the bot does.
func TestALineIsNotLostAndRunsOnce(t *testing.T) {
	o := Options{Socket: socketPath(t), Version: "2", Describe: describe}
	b := newTestBot(scripted)
	b.hold = true // the answer stays in the queue
	_, stop := serve(t, o, b)
	var out buffer
	r, w := io.Pipe()
	s := &Session{Socket: o.Socket, Out: &out, In: r}
	done := make(chan error, 1)
	ctx := within(t)
	go func() { done <- s.Chat(ctx) }()
	io.WriteString(w, "deploy shop v2 staging\n")
	until(t, "the line", func() bool { return len(b.messages()) == 1 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	until(t, "the notice", func() bool { return strings.Contains(out.String(), "the bot is gone") })
	b.mu.Lock()
	b.hold = false
	b.mu.Unlock()
	serve(t, o, b)
	io.WriteString(w, "whoami\n")
	w.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`dev> deploy shop v2 staging
the bot is gone; waiting for it to come back
the bot is back (version 2)
#1 deploy: running
  starting
  half way
#1 deploy: succeeded
v2 is live
dev> whoami
you are %s
`, here)
	if out.String() != want {
		t.Errorf("the transcript is\n%s\nwant\n%s", out.String(), want)
	}
	if got := len(b.messages()); got != 2 {
		t.Errorf("the bot took %d messages, want 2", got)
	}
}

func TestALineThatCannotBeStoredIsSentAgain(t *testing.T) {
	o := Options{Socket: socketPath(t), Describe: describe}
	b := newTestBot(scripted)
	b.fail = 2
	serve(t, o, b)
	var out buffer
	exit, err := (&Session{Socket: o.Socket, Out: &out}).RunOnce(within(t), "whoami", RunOptions{})
	if err != nil || exit != 0 || out.String() != "not run yet, the bot cannot record it: the log cannot be written; trying again\nyou are "+string(here)+"\n" {
		t.Errorf("RunOnce gave %d, %v, %q", exit, err, out.String())
	}
}

func TestExitCodes(t *testing.T) {
	o := Options{Socket: socketPath(t), Impersonate: true, Describe: describe}
	serve(t, o, newTestBot(scripted))
	for line, want := range map[string]int{
		"whoami": 0, "deploy shop v2 staging": 0, "ends ok succeeded": 0, "ends failed failed": 1, "ends failed rolled back": 1, "ends failed cancelled": 1,
		"ends failed expired": 1, "deplyo": 2, "ends denied": 3, "ask": 4, "ends unknown unknown": 5, strings.Repeat("x", maxLine+1): 2,
	} {
		var out buffer
		exit, err := (&Session{Socket: o.Socket, Out: &out}).RunOnce(within(t), line, RunOptions{})
		if err != nil || exit != want {
			t.Errorf("%.40q gave %d, %v; want %d", line, exit, err, want)
		}
		if out.String() == "" {
			t.Errorf("%.40q printed nothing", line)
		}
	}
	var out buffer
	exit, err := (&Session{Socket: o.Socket, As: "sre", Out: &out}).RunOnce(within(t), "whoami", RunOptions{})
	if err != nil || exit != 0 || out.String() != "you are terminal:sre\n" {
		t.Errorf("as sre: %d, %v, %q", exit, err, out.String())
	}
}

func TestJSON(t *testing.T) {
	o := Options{Socket: socketPath(t), Describe: describe}
	serve(t, o, newTestBot(scripted))
	var out buffer
	exit, err := (&Session{Socket: o.Socket, Out: &out}).RunOnce(within(t), "deploy shop v2 staging", RunOptions{JSON: true})
	if err != nil || exit != 0 {
		t.Fatalf("RunOnce gave %d, %v", exit, err)
	}
	var versions []int64
	for line := range strings.Lines(out.String()) {
		var c bot.Card
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		versions = append(versions, c.Version)
	}
	if fmt.Sprint(versions) != "[1 3 4 5]" {
		t.Errorf("versions are %v, want each once, ascending", versions)
	}
}

func TestNoBot(t *testing.T) {
	exit, err := (&Session{Socket: socketPath(t), Within: time.Millisecond}).RunOnce(within(t), "whoami", RunOptions{})
	if exit != 1 || bot.KindOf(err) != bot.Unavailable || !strings.Contains(err.Error(), "quarterdeck serve") {
		t.Errorf("without a bot: %d, %v", exit, err)
	}
	exit, err = (&Session{Socket: "/" + strings.Repeat("x", 200), Within: time.Millisecond}).RunOnce(within(t), "whoami", RunOptions{})
	if exit != 2 || bot.KindOf(err) != bot.Invalid {
		t.Errorf("with too long a path: %d, %v", exit, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (&Session{Socket: socketPath(t)}).Chat(ctx); err != nil {
		t.Errorf("a session that was ended before it began gave %v", err)
	}
}

func TestQuitCancelsWhatWaits(t *testing.T) {
	o := Options{Socket: socketPath(t), Impersonate: true, Describe: describe}
	b := newTestBot(scripted)
	serve(t, o, b)
	var out buffer
	s := &Session{Socket: o.Socket, As: "dev", Out: &out, In: strings.NewReader("ask\n/as sre\n/quit\nwhoami\n")}
	if err := s.Chat(within(t)); err != nil {
		t.Fatal(err)
	}
	got := b.messages()
	if len(got) != 2 || got[1].Text != "cancel 1" || got[1].Account != "terminal:dev" {
		t.Errorf("the bot took %+v; want the asker's cancellation last", got)
	}
}

func TestEndOfContextEndsASession(t *testing.T) {
	o := Options{Socket: socketPath(t), Describe: describe}
	b := newTestBot(scripted)
	serve(t, o, b)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- (&Session{Socket: o.Socket, Out: &buffer{}, In: strings.NewReader("silence\n")}).Chat(ctx)
	}()
	until(t, "the line", func() bool { return len(b.messages()) == 1 })
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Chat gave %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Chat does not end")
	}
}

// Who leaves does not take back what was asked for, and is told so.
func TestLeftBeforeTheEnd(t *testing.T) {
	for _, c := range []struct {
		line, says string
		alone      bool
		exit       int
	}{
		{line: "silence", exit: 5, says: `interrupted before "silence" was answered, so it may have been run; to look: quarterdeck run -- runs`},
		{line: "slow", exit: 5, says: "#9 goes on without you (held by sre; you are next); to follow it: quarterdeck run -- run 9; to stop it: quarterdeck run -- cancel 9"},
		{line: "slow", alone: true, exit: 5, says: "#9 is left where it stands, and goes on when a bot serves again (held by sre; you are next); to follow it: "},
	} {
		o := Options{Socket: socketPath(t), Describe: describe}
		b := newTestBot(func(b *testBot, m bot.Message) {
			if m.Text == "slow" {
				b.post(bot.Delivery{Channel: m.Channel, Card: bot.Card{Key: "run/9", Version: 1, ReplyTo: m.ID, Run: 9, State: bot.Running,
					Phase: bot.PhaseWorking, Progress: &bot.Gauge{Text: "held by sre; you are next"}}})
			}
		})
		serve(t, o, b)
		ctx, cancel := context.WithCancel(t.Context())
		out := &buffer{}
		s := &Session{Socket: o.Socket, Out: out}
		type ended struct {
			exit int
			err  error
		}
		done := make(chan ended, 1)
		go func() {
			exit, err := s.RunOnce(ctx, c.line, RunOptions{Alone: c.alone})
			done <- ended{exit, err}
		}()
		until(t, "the line", func() bool {
			return len(b.messages()) == 1 && (c.line == "silence" || strings.Contains(out.String(), "you are next"))
		})
		cancel()
		select {
		case e := <-done:
			if e.exit != c.exit || !strings.Contains(bot.Sentence(e.err, ""), c.says) || ErrorCard(e.err).Outcome != bot.OutcomeUnknown {
				t.Errorf("%s: exit %d, %v", c.line, e.exit, e.err)
			}
		case <-time.After(patience):
			t.Fatal("RunOnce does not end")
		}
	}
}

func TestConversationBounds(t *testing.T) {
	c := newConversation(func(string) int64 { return 0 })
	for i := range int64(maxRemembered + 10) {
		c.expect(i+1, "", "status")
		c.take(bot.Card{Key: fmt.Sprint("reply/", i)})
	}
	if len(c.asked) != maxRemembered || len(c.versions) != maxRemembered || len(c.keys) != maxRemembered || len(c.order) != maxRemembered {
		t.Errorf("a session remembers %d lines and %d cards, want %d", len(c.asked), len(c.versions), maxRemembered)
	}
}
