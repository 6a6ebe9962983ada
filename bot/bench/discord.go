package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/bwmarrin/discordgo"

	"quarterdeck/adapters/discord/fakediscord"
	"quarterdeck/adapters/sqlite"
)

// rawDiscordVar has this program be the raw bot: its value is the address of the
// fake Discord's REST API.
const rawDiscordVar = "QUARTERDECK_BENCH_RAW_DISCORD"

// toFake sends what the library means for Discord to the fake.
type toFake struct{ base *url.URL }

// RoundTrip implements http.RoundTripper.
func (f toFake) RoundTrip(r *http.Request) (*http.Response, error) {
	r.URL.Scheme, r.URL.Host = f.base.Scheme, f.base.Host
	r.URL.Path = strings.Replace(r.URL.Path, "/api/v9/", "/api/v10/", 1)
	if strings.HasSuffix(r.URL.Path, "/gateway") { // which the fake has with its limits alone
		body := fmt.Sprintf(`{"url":"ws://%s/gateway?v=10&encoding=json#"}`, f.base.Host)
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: readCloser{strings.NewReader(body)}, Request: r}, nil
	}
	return http.DefaultTransport.RoundTrip(r)
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

// rawDiscord is the least bot that discordgo makes: it answers each command with a
// message, checks no right and writes nothing down.
func rawDiscord(base string) error {
	at, err := url.Parse(base)
	if err != nil {
		return err
	}
	s, err := discordgo.New("Bot discord-fake-token")
	if err != nil {
		return err
	}
	s.Client.Transport = toFake{at}
	s.Identify.Intents = discordgo.IntentsGuilds
	s.Identify.Compress = false
	s.AddHandler(func(s *discordgo.Session, i *discordgo.InteractionCreate) {
		_ = s.InteractionRespond(i.Interaction, &discordgo.InteractionResponse{Type: discordgo.InteractionResponseChannelMessageWithSource,
			Data: &discordgo.InteractionResponseData{Content: "echo", AllowedMentions: &discordgo.MessageAllowedMentions{Parse: []discordgo.AllowedMentionType{}}}}) // what fails is lost, as with such bots
	})
	if err := s.Open(); err != nil {
		return err
	}
	select {}
}

const discordConfiguration = `[bot]
database = "sqlite:q.db"
socket = "q.sock"
rate = 100000
[audit]
channels = ["file:audit.txt"]
key = "file:audit.key"
[chat.file]
[chat.discord]
guilds = ["500"]
api_url = %q
[[person]]
name = "dev"
accounts = ["discord:101"]
roles = ["developer"]
[[grant]]
roles = ["developer"]
permissions = ["audit"]
[log]
level = "error"
`

// discordRun is one bot as a process of its own, on a fake Discord of its own.
type discordRun struct {
	*fakediscord.Server
	cmd *exec.Cmd
}

func startDiscord(ctx context.Context, registers bool, make func(base string) (*exec.Cmd, error)) (*discordRun, error) {
	fake, err := fakediscord.New(fakediscord.Options{})
	if err != nil {
		return nil, err
	}
	fake.SetGuild(fakediscord.Guild{ID: "500", Name: "bench"})
	fake.SetUser(fakediscord.User{ID: "101", Name: "dev", Roles: map[string][]string{"500": {}}})
	fake.SetChannel(fakediscord.Channel{ID: "600", Guild: "500", Name: "ops"})
	r := &discordRun{Server: fake}
	if r.cmd, err = make(fake.URL()); err != nil {
		return nil, err
	}
	r.cmd.Stderr = os.Stderr
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := fake.Until(ctx, "the bot is connected", func() bool { return fake.Sessions() == 1 && (!registers || len(fake.Commands("500")) > 0) }); err != nil {
		return nil, errors.Join(err, r.stop())
	}
	return r, nil
}

func (r *discordRun) stop() error {
	err := r.cmd.Process.Signal(syscall.SIGKILL) // nothing of it is kept
	_ = r.cmd.Wait()                             // its exit code is of no interest here
	r.Close()
	return err
}

// command uses one command and returns when it was answered.
func (r *discordRun) command(ctx context.Context) error {
	sent, err := r.Slash(ctx, fakediscord.Way{}, "101", "600", "whoami")
	if err == nil && !sent.Acked {
		err = errors.New("a command was not answered within three seconds")
	}
	return err
}

// inDiscord measures the program in Discord against the raw bot, in alternating
// rounds. What counts for the program is a command that is answered after its
// durable commit, decided, and recorded durably; for the raw bot one that is
// answered.
func inDiscord(s *suite) error {
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
	ours, err := startDiscord(ctx, true, func(base string) (*exec.Cmd, error) {
		path := filepath.Join(dir, "config.toml")
		cmd := exec.Command(bin, "serve", "--config", path)
		cmd.Env = append(os.Environ(), "DISCORD_BOT_TOKEN=discord-fake-token")
		return cmd, os.WriteFile(path, fmt.Appendf(nil, discordConfiguration, base), 0o600)
	})
	if err != nil {
		return err
	}
	raw, err := startDiscord(ctx, false, func(base string) (*exec.Cmd, error) {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), rawDiscordVar+"="+base)
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
		before, err := head(ctx, st)
		if err != nil {
			return err
		}
		n, all := s.scale(1500), 0
		var mine, bound []float64
		for range rounds {
			began := time.Now()
			if _, _, err := load(64, n, func(int) error { return ours.command(ctx) }); err != nil {
				return err
			}
			all += n
			for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
				now, err := head(ctx, st)
				if err != nil {
					return err
				}
				if now.Seq >= before.Seq+int64(all) {
					break
				}
				if time.Now().After(end) {
					return fmt.Errorf("%d of %d commands were recorded", now.Seq-before.Seq, all)
				}
			}
			mine = append(mine, float64(n)/time.Since(began).Seconds())
			// The next round begins when every answer is there.
			for end := time.Now().Add(time.Minute); ours.thinking() > 0; time.Sleep(20 * time.Millisecond) {
				if time.Now().After(end) {
					return fmt.Errorf("%d commands were not answered", ours.thinking())
				}
			}
			rate, _, err := load(64, n, func(int) error { return raw.command(ctx) })
			if err != nil {
				return err
			}
			bound = append(bound, rate)
		}
		// One message each: lost were those without one, doubled those with two.
		if shown := len(ours.Messages("600")); shown != all {
			return fmt.Errorf("%d commands have %d answers", all, shown)
		}
		now, err := head(ctx, st)
		if err != nil {
			return err
		}
		if recorded := now.Seq - before.Seq; recorded != int64(all) {
			return fmt.Errorf("%d commands have %d records", all, recorded)
		}
		s.ratio("Discord commands recorded, 64 in flight, against raw answers", "/s", mine, bound, 0.5, true)
		s.absolute(fmt.Sprintf("  lost or doubled, of %d", all), 0, "", "0", 1)
		return nil
	}()
	return errors.Join(err, ours.stop(), raw.stop())
}

// thinking counts what Discord still shows as being thought about.
func (r *discordRun) thinking() (n int) {
	for _, m := range r.Messages("600") {
		if m.Flags&fakediscord.Loading != 0 {
			n++
		}
	}
	return n
}
