package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"
	"github.com/sourcegraph/conc"

	"quarterdeck/adapters/slack/fakeslack"
	"quarterdeck/adapters/sqlite"
)

// rawSlackVar has this program be the raw bot: its value is the address of the
// fake Slack's Web API.
const rawSlackVar = "QUARTERDECK_BENCH_RAW_SLACK"

// rawSlack is the least bot that slack-go makes: it acknowledges each command and
// says it again, checks no right and writes nothing down.
func rawSlack(url string) error {
	api := slack.New("xoxb-fake", slack.OptionAppLevelToken("xapp-fake"), slack.OptionAPIURL(url))
	client := socketmode.New(api)
	work := make(chan slack.SlashCommand, 4096)
	var workers conc.WaitGroup
	for range 16 {
		workers.Go(func() {
			for c := range work {
				_, _, _ = api.PostMessage(c.ChannelID, slack.MsgOptionText(c.Text, false),
					slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl()) // what is limited is lost, as such bots do
			}
		})
	}
	workers.Go(func() {
		for evt := range client.Events {
			if c, ok := evt.Data.(slack.SlashCommand); ok {
				client.Ack(*evt.Request)
				work <- c
			}
		}
	})
	return client.Run()
}

const slackConfiguration = `[bot]
database = "sqlite:q.db"
socket = "q.sock"
rate = 100000
[audit]
channels = ["slack:CAUDIT"]
key = "file:audit.key"
[chat.slack]
teams = ["T1"]
api_url = %q
[[person]]
name = "dev"
accounts = ["slack:T1/UDEV"]
roles = ["developer"]
[[grant]]
roles = ["developer"]
permissions = ["audit"]
[log]
level = "error"
`

// slackChannels is over how many channels people write.
const slackChannels = 1000

// slackRun is one bot as a process of its own, on a fake Slack of its own that
// permits a post a second to a channel.
type slackRun struct {
	*fakeslack.Server
	cmd *exec.Cmd
}

func startSlack(ctx context.Context, sockets int, make func(url string) (*exec.Cmd, error)) (*slackRun, error) {
	fake, err := fakeslack.New(fakeslack.Options{PerChannel: time.Second, Burst: 3})
	if err != nil {
		return nil, err
	}
	fake.SetUser(fakeslack.User{ID: "UDEV"})
	for i := range slackChannels {
		fake.SetChannel(fakeslack.Channel{ID: fmt.Sprint("C", i), Members: []string{"UBOT", "UDEV"}})
	}
	fake.SetChannel(fakeslack.Channel{ID: "CAUDIT", Members: []string{"UBOT"}})
	r := &slackRun{Server: fake}
	if r.cmd, err = make(fake.URL()); err != nil {
		return nil, err
	}
	r.cmd.Stderr = os.Stderr
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := fake.Until(ctx, "the bot is connected", func() bool { return fake.Sockets() == sockets }); err != nil {
		return nil, errors.Join(err, r.stop())
	}
	return r, nil
}

func (r *slackRun) stop() error {
	err := r.cmd.Process.Signal(syscall.SIGKILL) // nothing of it is kept
	_ = r.cmd.Wait()                             // its exit code is of no interest here
	r.Close()
	return err
}

// command types one command and returns when it was acknowledged.
func (r *slackRun) command(ctx context.Context, i int) error {
	sent, err := r.Slash(ctx, fakeslack.Way{Socket: i % max(1, r.Sockets())}, "UDEV", fmt.Sprint("C", i%slackChannels), line)
	if err == nil && !sent.Acked {
		err = errors.New("a command was not acknowledged within three seconds")
	}
	return err
}

// settled waits until n posts more than the counts from were taken or refused,
// and gives how many were taken.
func (r *slackRun) settled(ctx context.Context, taken, limited, n int) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		if t, l := r.Posts(); t-taken+l-limited >= n {
			return t - taken, nil
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("%d posts did not come within a minute", n)
		case <-time.After(time.Millisecond):
		}
	}
}

// inSlack measures the program in Slack against the raw bot, in alternating
// rounds: the same callers type the same commands into as many channels of equal
// fakes, and a round begins when the one before has posted everything.
//
// What counts for the program is a command that is acknowledged after its durable
// commit, decided, and recorded durably. What counts for the raw bot, which has
// nothing but its echo to show that it did the work, is an echo that Slack took:
// one that is refused for coming too fast is lost, though its command was
// acknowledged. Both do their posting within the measured time as far as the
// machine lets them; the second row also waits for all answers of the program.
func inSlack(s *suite) error {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "qd") // short, for the socket's sake
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bin := filepath.Join(dir, "quarterdeck")
	if out, err := exec.Command("go", "build", "-trimpath", "-o", bin, "./bot/quarterdeck").CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w: %s", err, out)
	}
	ours, err := startSlack(ctx, 2, func(url string) (*exec.Cmd, error) {
		path := filepath.Join(dir, "config.toml")
		cmd := exec.Command(bin, "serve", "--config", path)
		cmd.Env = append(os.Environ(), "SLACK_BOT_TOKEN=xoxb-fake", "SLACK_APP_TOKEN=xapp-fake", "SLACK_SIGNING_SECRET=signing-fake")
		return cmd, os.WriteFile(path, fmt.Appendf(nil, slackConfiguration, url), 0o600)
	})
	if err != nil {
		return err
	}
	raw, err := startSlack(ctx, 1, func(url string) (*exec.Cmd, error) {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), rawSlackVar+"="+url)
		return cmd, nil
	})
	if err != nil {
		return errors.Join(err, ours.stop())
	}
	err = func() error {
		st, err := sqlite.OpenReadOnly(ctx, filepath.Join(dir, "q.db"))
		if err != nil {
			return err
		}
		defer st.Close()
		// recorded waits until the log has n records more than it had.
		recorded := func(from int64, n int) error {
			for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
				now, err := head(ctx, st)
				if err != nil || now.Seq >= from+int64(n) {
					return err
				}
				if time.Now().After(end) {
					return fmt.Errorf("%d of %d commands were recorded", now.Seq-from, n)
				}
			}
		}
		n := s.scale(2000)
		idle := resident(ours.cmd.Process.Pid)
		var mine, answered, bound, acks []float64
		for range rounds {
			before, err := head(ctx, st)
			if err != nil {
				return err
			}
			taken, limited := ours.Posts()
			began := time.Now()
			if _, _, err := load(64, n, func(i int) error { return ours.command(ctx, i) }); err != nil {
				return err
			}
			if err := recorded(before.Seq, n); err != nil {
				return err
			}
			mine = append(mine, float64(n)/time.Since(began).Seconds())
			if _, err := ours.settled(ctx, taken, limited, n); err != nil {
				return err
			}
			answered = append(answered, float64(n)/time.Since(began).Seconds())
			taken, limited = raw.Posts()
			began = time.Now()
			rate, _, err := load(64, n, func(i int) error { return raw.command(ctx, i) })
			if err != nil {
				return err
			}
			echoes, err := raw.settled(ctx, taken, limited, n)
			if err != nil {
				return err
			}
			bound, acks = append(bound, float64(echoes)/time.Since(began).Seconds()), append(acks, rate)
		}
		s.ratio("Slack commands recorded, 64 in flight, against raw echoes", "/s", mine, bound, 0.5, true)
		s.ratio("  and answered", "/s", answered, bound, 0, true)
		s.absolute("  what the raw bot acknowledged, echoed or not", median(acks), "/s", "", spread(acks))
		p99 := map[*slackRun][]float64{}
		for range 3 {
			for _, r := range []*slackRun{ours, raw} {
				took, err := paced(200, s.scale(1000), func(i int) error { return r.command(ctx, i) })
				if err != nil {
					return err
				}
				p99[r] = append(p99[r], ms(took[len(took)*99/100]))
			}
		}
		s.absolute("Slack acknowledgement p99, 200 a second", median(p99[ours]), "ms", "3000 ms", spread(p99[ours]))
		s.absolute("  the same of the raw bot", median(p99[raw]), "ms", "", spread(p99[raw]))
		if now := resident(ours.cmd.Process.Pid); now > 0 {
			s.absolute("Slack memory (RSS), idle", idle, "MB", "", 1)
			s.absolute("Slack memory (RSS), after the load", now, "MB", "", 1)
			s.absolute("  the same of the raw bot", resident(raw.cmd.Process.Pid), "MB", "", 1)
		}
		return nil
	}()
	return errors.Join(err, ours.stop(), raw.stop())
}

// paced calls f n times, so many a second whether or not those before are done,
// and gives how long each took, in order.
func paced(perSecond, n int, f func(i int) error) ([]time.Duration, error) {
	took := make([]time.Duration, n)
	var group conc.WaitGroup
	var mu sync.Mutex
	var failed error
	began := time.Now()
	for i := range n {
		time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(perSecond))))
		group.Go(func() {
			start := time.Now()
			if err := f(i); err != nil {
				mu.Lock()
				failed = err
				mu.Unlock()
			}
			took[i] = time.Since(start)
		})
	}
	group.Wait()
	slices.Sort(took)
	return took, failed
}
