package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"quarterdeck/adapters/backup"
	"quarterdeck/adapters/exec"
	"quarterdeck/adapters/file"
	"quarterdeck/adapters/prometheus"
	"quarterdeck/adapters/sqlite"
	"quarterdeck/adapters/terminal"
	"quarterdeck/bot"
	"quarterdeck/bot/app"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/store"
	"quarterdeck/commands"
)

// tables is the demo's own, so that it links no SDK.
func tables() app.Tables {
	return app.Tables{
		Chats:     []bot.ChatType{terminal.Type(), file.Type()},
		Providers: []provider.Type{execprovider.Type(), backupprovider.Type(), prometheusprovider.Type()},
		Stores:    []store.Type{sqlite.Type()},
		Commands:  commands.All,
	}
}

// serve is the bot's process: the same assembly as in production. It ends with
// the demo, whose end, however sudden, ends its standard input.
func serve(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, orphaned := context.WithCancel(ctx)
	defer orphaned()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // whatever ends it, nobody is there any more
		orphaned()
	}()
	t := tables()
	c, err := app.Load(args[0], t)
	if err == nil {
		var a *app.App
		a, err = app.New(c, t, app.Options{Version: "demo", Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)), Serve: true})
		if err == nil {
			err = a.Run(ctx)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// botProcess keeps the bot's process running, as an init system would.
type botProcess struct {
	exe, config, log string

	mu      sync.Mutex
	process *os.Process
}

const (
	restartAfter = 300 * time.Millisecond
	stopWithin   = 8 * time.Second
	// hopeless is how often in a row the bot may end by itself within a second
	// before the demo gives up.
	hopeless = 3
)

// run starts the bot and starts it again whenever it ends, until ctx ends.
func (b *botProcess) run(ctx context.Context) error {
	log, err := os.OpenFile(b.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	for fast := 0; ctx.Err() == nil; {
		began := time.Now()
		from, err := log.Seek(0, io.SeekEnd)
		if err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, b.exe, serveArg, b.config)
		cmd.Stdout, cmd.Stderr = log, log
		if _, err := cmd.StdinPipe(); err != nil { // it ends with this process, and so does the bot
			return err
		}
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = stopWithin
		ownGroup(cmd)
		if err := cmd.Start(); err != nil {
			return err
		}
		b.set(cmd.Process)
		err = cmd.Wait()
		b.set(nil)
		if ctx.Err() != nil {
			return nil
		}
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() > 0 && time.Since(began) < time.Second {
			if fast++; fast >= hopeless {
				return fmt.Errorf("the bot does not start: %s", saidSince(b.log, from))
			}
		} else {
			fast = 0
		}
		select {
		case <-ctx.Done():
		case <-time.After(restartAfter):
		}
	}
	return nil
}

// saidSince gives the end of what was written to the log after from: the log
// may be gone with its folder when somebody wants to look.
func saidSince(log string, from int64) string {
	raw, err := os.ReadFile(log)
	if err != nil || int64(len(raw)) < from {
		return "see " + log
	}
	const most = 4 << 10
	said := strings.TrimSpace(string(raw[max(from, int64(len(raw)-most)):]))
	if said == "" {
		return "it does not say why"
	}
	return said
}

func (b *botProcess) set(p *os.Process) {
	b.mu.Lock()
	b.process = p
	b.mu.Unlock()
}

// kill ends the bot as a crash would: kill -9.
func (b *botProcess) kill() (pid int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.process == nil {
		return 0, errors.New("the bot is not running at this moment")
	}
	return b.process.Pid, b.process.Kill()
}

// ready waits until the bot takes connections.
func (b *botProcess) ready(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, fmt.Errorf("the bot did not start; see %s", b.log))
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.DialTimeout("unix", socket, time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
