package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"quarterdeck/adapters/terminal"
	"quarterdeck/bot"
	"quarterdeck/bot/app"
	"quarterdeck/bot/config"
	"quarterdeck/bot/grammar"
)

type chatCmd struct {
	configured
	As   string `help:"Speak as this account of the terminal; only where the configuration says impersonate = true."`
	JSON bool   `help:"Print one JSON object a line." name:"json"`
}

// Run holds a conversation on the terminal, or with a script on standard input.
func (c chatCmd) Run(ctx context.Context) error {
	err := c.connected(ctx, func(ctx context.Context, loaded *config.Config, _ bool) error {
		return (&terminal.Session{Socket: loaded.Bot.Socket, As: c.As, Names: impersonable(loaded), JSON: c.JSON}).Chat(ctx)
	})
	if err == nil || !c.JSON {
		return err
	}
	return fail(err, true)
}

// impersonable gives the names after /as that somebody declared owns.
func impersonable(c *config.Config) []string {
	var names []string
	for _, p := range c.People {
		for _, a := range p.Accounts {
			if name, ok := strings.CutPrefix(string(a), "terminal:"); ok {
				names = append(names, name)
			}
		}
	}
	return names
}

type runCmd struct {
	configured
	As      string   `help:"Speak as this account of the terminal; only where the configuration says impersonate = true."`
	JSON    bool     `help:"Print one JSON object a line." name:"json"`
	Command []string `arg:"" passthrough:"" help:"The command, after --."`
}

// Run runs one command. Its exit code is 0 done, 1 failed or cancelled, 2 bad
// usage or input, 3 denied, 4 waits for a person, 5 unknown, which is also what
// who leaves before the end is told.
func (r runCmd) Run(ctx context.Context) error {
	err := r.connected(ctx, func(ctx context.Context, loaded *config.Config, alone bool) error {
		code, err := (&terminal.Session{Socket: loaded.Bot.Socket, As: r.As}).RunOnce(ctx, words(r.Command), terminal.RunOptions{JSON: r.JSON, Alone: alone})
		if err != nil {
			_ = fail(err, r.JSON) // the code is known better here
		}
		if code != 0 {
			return exitCode(code)
		}
		return nil
	})
	var code exitCode
	if err == nil || errors.As(err, &code) {
		return err
	}
	return fail(err, r.JSON)
}

// fail says an error before or beside a conversation, in JSON as a card like any
// other, and gives the exit code that its kind has for run.
func fail(err error, json bool) exitCode {
	card := terminal.ErrorCard(err)
	if json {
		card.Title = message(err)
		_ = terminal.PrintJSON(os.Stdout, card) // who does not read it has the code
	} else {
		fmt.Fprintln(os.Stderr, message(err))
	}
	switch card.Outcome {
	case bot.OutcomeInvalid:
		return exitUsage
	case bot.OutcomeDenied:
		return exitDenied
	}
	return exitFailed
}

// words joins arguments to a line in which each stays one argument. One alone
// is a whole line, as quoted for the shell.
func words(args []string) string {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 1 {
		return args[0]
	}
	return grammar.Join(args)
}

// connected runs f against the serving bot's socket. Where no bot serves, one
// is started in this process for as long as f takes, and f is told that it is
// alone.
func (c configured) connected(ctx context.Context, f func(ctx context.Context, loaded *config.Config, alone bool) error) error {
	loaded, err := c.load()
	if err != nil {
		// A bot that serves goes on while the file is being mended.
		socket := config.Socket(c.Config)
		if socket == "" || terminal.Reach(ctx, socket) != nil {
			return err
		}
		return f(ctx, &config.Config{Bot: config.Bot{Socket: socket}}, false)
	}
	if err := terminal.Reach(ctx, loaded.Bot.Socket); err == nil {
		return f(ctx, loaded, false)
	} else if bot.KindOf(err) != bot.Unavailable {
		return err
	}
	a, err := c.app(app.Options{Logger: logger(os.Stderr, slog.LevelWarn, false)})
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- a.Run(serving) }()
	select {
	case <-a.Ready():
	case err := <-ended:
		if err == nil {
			err = errors.New("the bot ended before it was ready")
		}
		if bot.KindOf(err) == bot.Conflict && reached(ctx, loaded.Bot.Socket) {
			return f(ctx, loaded, false) // it serves again
		}
		return err
	}
	err = f(ctx, loaded, true)
	stop()
	return errors.Join(err, <-ended)
}

// reached waits for a bot that is just starting to answer on its socket.
func reached(ctx context.Context, socket string) bool {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for terminal.Reach(ctx, socket) != nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
