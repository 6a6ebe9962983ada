// Command demo is Quarterdeck's embedded default: a small real platform on
// loopback with the real bot on top of it, its prompt and its audit log. It
// needs no account, no server and no network.
//
//	go run ./bot/demo [--data DIR]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"quarterdeck/adapters/backup"
	"quarterdeck/adapters/exec"
	"quarterdeck/adapters/terminal"
	"quarterdeck/bot/demo/monitor"
	"quarterdeck/bot/demo/platform"
	"quarterdeck/bot/demo/shop"
)

// serveArg makes the program the bot's own process.
const serveArg = "__bot"

func main() {
	if strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe") == "platform" {
		os.Exit(platform.Main(os.Args[1:]))
	}
	if code, handled := backupprovider.Main(os.Args[1:]); handled {
		os.Exit(code)
	}
	if code, handled := execprovider.Main(os.Args[1:]); handled {
		os.Exit(code)
	}
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "shop":
			os.Exit(shop.Main(os.Args[2:]))
		case serveArg:
			os.Exit(serve(os.Args[2:]))
		}
	}
	data := flag.String("data", "", "keep everything in this folder; otherwise a temporary one is used and removed")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "the demo takes no argument %q; it takes --data DIR\n", flag.Arg(0))
		os.Exit(2)
	}
	// From here on a Ctrl-C ends all of it and removes what was made.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := demo(ctx, *data); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1)
	}
}

// demo starts the platform and the bot, holds the conversation, and takes all
// of it down again.
func demo(ctx context.Context, data string) (err error) {
	began := time.Now()
	fmt.Println("Quarterdeck demo: real processes, approvals and audit log; loopback only ...")
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	kept := data != ""
	if kept {
		if data, err = filepath.Abs(data); err == nil {
			err = checkFolder(data)
		}
		if err == nil {
			err = os.MkdirAll(data, 0o700)
		}
	} else if data, err = os.MkdirTemp("", "quarterdeck-"); err == nil {
		defer removeAll(data)
	}
	if err != nil {
		return err
	}
	config, heard, err := writeConfiguration(ctx, data)
	if err != nil {
		return err
	}
	defer heard.Close()
	dir := filepath.Join(data, "platform")
	if _, err := platform.InstallCLI(dir, exe); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	samples := &monitor.Samples{}
	self, err := shopArguments(exe, data)
	if err != nil {
		return err
	}
	api := monitor.NewAPI(samples)
	alerts, err := alerting(data, api)
	if err != nil {
		return err
	}
	supervisor := platform.New(platform.Config{Dir: dir, Self: self, Environments: platform.DefaultEnvironments(), Scraped: scraped(samples)})
	bot := &botProcess{exe: exe, config: config, log: filepath.Join(data, "bot.log")}
	ended := make(chan error, 4)
	part := func(run func(context.Context) error) {
		go func() {
			err := run(ctx)
			if err != nil {
				cancel(err)
			}
			ended <- err
		}()
	}
	part(supervisor.Run)
	part(bot.run)
	part(func(ctx context.Context) error { return api.Serve(ctx, heard) })
	part(alerts.Run)
	defer func() {
		cancel(nil)
		for range cap(ended) {
			if e := <-ended; e != nil && err == nil {
				err = e
			}
		}
	}()
	select {
	case <-supervisor.Ready():
	case <-ctx.Done():
		return nil // the part that failed says why
	}
	s := &screen{data: data, kept: kept, supervisor: supervisor, bot: bot}
	session := &terminal.Session{Socket: filepath.Join(data, "quarterdeck.sock"), As: "dev", Within: 30 * time.Second,
		Local: s.local(), Next: new(teller).lines, Names: []string{"dev", "sre", "guest"}}
	if err := bot.ready(ctx, filepath.Join(data, "quarterdeck.sock")); err != nil {
		return err
	}
	s.awaitTraffic(ctx)
	s.first(os.Stdout, time.Since(began))
	err = session.Chat(ctx)
	if cause := context.Cause(ctx); err == nil && cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	return err
}

// removeAll removes the temporary folder. The watcher of a program that has
// just ended may still write down there how it ended.
func removeAll(dir string) {
	for range 20 {
		if os.RemoveAll(dir) == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	fmt.Fprintln(os.Stderr, "demo: the temporary folder could not be removed:", dir)
}

// scraped hands what the platform's instances say of themselves to the monitor,
// under the labels that the configuration asks for.
func scraped(s *monitor.Samples) func(env, instance string, at time.Time, exposition []byte, gone bool) {
	return func(env, instance string, at time.Time, exposition []byte, gone bool) {
		if gone {
			s.Gone(instance, at)
			return
		}
		s.Scraped(instance, map[string]string{"service": "shop", "env": env}, at, exposition)
	}
}
