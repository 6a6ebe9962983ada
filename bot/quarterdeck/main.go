// Command quarterdeck is the ChatOps bot: one program through which a team
// runs its production from chat.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"quarterdeck/adapters"
	"quarterdeck/adapters/backup"
	"quarterdeck/adapters/exec"
	"quarterdeck/bot"
	"quarterdeck/bot/app"
	"quarterdeck/bot/config"
	"quarterdeck/commands"
)

// Exit codes of the program; run has its own, see Run.
const (
	exitFailed = 1
	exitUsage  = 2
	exitDenied = 3
)

type cli struct {
	Serve    serveCmd    `cmd:"" help:"Run the bot."`
	Chat     chatCmd     `cmd:"" help:"Talk to the bot from this terminal, as yourself."`
	Run      runCmd      `cmd:"" help:"Run one command and exit with how it ended."`
	Check    checkCmd    `cmd:"" help:"Check the configuration, offline and without secrets."`
	Explain  explainCmd  `cmd:"" help:"Say whether an account may run a command, and which rule decides."`
	Init     initCmd     `cmd:"" help:"Write a first configuration; of a chat network, with the ids of what there is."`
	Manifest manifestCmd `cmd:"" help:"Print what a chat network's app is set up from."`
	Audit    auditCmd    `cmd:"" help:"Verify, export or follow the audit log."`
	DB       dbCmd       `cmd:"" name:"db" help:"Back up or restore the bot's own database."`
	Version  versionCmd  `cmd:"" help:"Print the version."`

	BackupManifest backupManifestCmd `cmd:"" name:"backup-manifest" help:"Write down what a backup that was just made holds, for restore tests."`

	VersionFlag kong.VersionFlag `name:"version" help:"Print the version."`
}

// configured is what every command that reads the configuration has.
type configured struct {
	Config string `help:"Path of the configuration." default:"config.toml" type:"path" env:"QUARTERDECK_CONFIG"`
}

func (c configured) load() (*config.Config, error) {
	return app.Load(c.Config, tables())
}

func (c configured) app(o app.Options) (*app.App, error) {
	loaded, err := c.load()
	if err != nil {
		return nil, err
	}
	o.Version = version()
	return app.New(loaded, tables(), o)
}

func tables() app.Tables {
	return app.Tables{Chats: adapters.Chats(), Providers: adapters.Providers(), Stores: adapters.Stores(), Commands: commands.All}
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// exitCode is an error that carries nothing but a code: what was to be said
// was said.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit %d", int(e)) }

func main() {
	for _, helper := range []func([]string) (int, bool){execprovider.Main, backupprovider.Main} {
		if code, handled := helper(os.Args[1:]); handled {
			os.Exit(code)
		}
	}
	os.Exit(start(os.Args[1:]))
}

func start(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	alone := len(args) == 0
	if alone {
		args = []string{"--help"}
	} else if args[0] == "help" { // what people try first
		args = append(slices.Clone(args[1:]), "--help")
	}
	var c cli
	parser, err := kong.New(&c, kong.Name("quarterdeck"), kong.UsageOnError(),
		kong.Description("A ChatOps bot: deploy, roll back and look after production from chat, checked, recorded and approved."),
		kong.Vars{"version": "quarterdeck " + version()},
		kong.Exit(func(code int) {
			if alone { // help that was not asked for
				code = exitUsage
			}
			os.Exit(code)
		}),
		kong.BindTo(ctx, (*context.Context)(nil)))
	if err != nil {
		fmt.Fprintln(os.Stderr, "quarterdeck:", err)
		return exitFailed
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "quarterdeck:", err)
		return exitUsage
	}
	var code exitCode
	switch err := parsed.Run(); {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	default:
		fmt.Fprintln(os.Stderr, message(err))
		if bot.KindOf(err) == bot.Invalid {
			return exitUsage
		}
		return exitFailed
	}
}

// message is what the person at this very terminal reads of an error: the
// sentence of each fault, and the cause of what has none.
func message(err error) string {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var lines []string
		for _, e := range joined.Unwrap() {
			lines = append(lines, message(e))
		}
		return strings.Join(lines, "\n")
	}
	var e *bot.Error
	if errors.As(err, &e) && e.Say != "" && e.Kind != bot.Internal {
		if e.Err != nil {
			return e.Say + " (" + e.Err.Error() + ")"
		}
		return e.Say
	}
	return "quarterdeck: " + err.Error()
}

type serveCmd struct{ configured }

// Run serves until SIGINT or SIGTERM, and then ends what is under way; a second
// one ends it at once, a third as the system does. At every SIGHUP it reads the
// configuration again.
func (s serveCmd) Run(ctx context.Context) error {
	c, err := s.load()
	if err != nil {
		return err
	}
	level := new(slog.LevelVar)
	level.Set(c.Log.Level)
	log := logger(os.Stderr, level, c.Log.JSON)
	a, err := app.New(c, tables(), app.Options{Version: version(), Logger: log, Level: level, Serve: true})
	if err != nil {
		return err
	}
	for _, w := range append(a.Warnings(), a.Lacks()...) {
		log.Warn(w)
	}
	ended := make(chan error, 1)
	asked := make(chan os.Signal, 1) // one that comes while a reload is under way makes one more
	signal.Notify(asked, syscall.SIGHUP)
	defer signal.Stop(asked)
	go func() { ended <- a.Run(ctx) }()
	select {
	case <-a.Ready():
		log.Info("ready", "version", version(), "config", c.Path, "socket", c.Bot.Socket, "targets", len(a.Catalog.Targets()),
			"people", len(c.People), "chats", strings.Join(slices.Sorted(maps.Keys(c.Chats)), " "))
	case err = <-ended:
		return err
	}
	for err == nil && ctx.Err() == nil {
		select {
		case <-asked:
			reload(ctx, a, log)
		case err = <-ended:
			log.Info("stopped")
			return err
		case <-ctx.Done():
		}
	}
	again := make(chan os.Signal, 1)
	signal.Notify(again, os.Interrupt, syscall.SIGTERM)
	select {
	case err = <-ended:
	case <-again:
		log.Warn("stopping at once")
		signal.Reset(os.Interrupt, syscall.SIGTERM)
		a.Hurry()
		err = <-ended
	}
	log.Info("stopped")
	return err
}

// reload reads the configuration again and logs what came of it, a line for
// each fault.
func reload(ctx context.Context, a *app.App, log *slog.Logger) {
	changes, warnings, err := a.Reload(ctx)
	if err != nil {
		for line := range strings.Lines(message(err)) {
			log.Error("reload refused, the old configuration stays", "fault", strings.TrimSpace(line))
		}
		return
	}
	for _, w := range warnings {
		log.Warn(w)
	}
	log.Info("reloaded", "config", a.Config.Path, "changes", changes)
}

func logger(w io.Writer, level slog.Leveler, json bool) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if json {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

type checkCmd struct {
	configured
	Against        string `help:"Say what changes against this earlier configuration: who may do more, who less, and what it takes." placeholder:"OLD.toml" type:"path"`
	FailOnWidening bool   `help:"With --against, end with 3 when anybody may do more or anything takes less."`
	Live           bool   `help:"Ask the chat networks too whether it works: tokens, scopes, audit channels, groups, clock; end with 1 when something does not."`
	Post           bool   `help:"With --live, post a test message to the audit channels."`
}

// exitWider is how a check ends that was to fail on widening and found some.
const exitWider = 3

// maxReviewed bounds how many changes are printed.
const maxReviewed = 200

// Run checks the configuration as serve would. What it names and is not on this
// machine is a warning: the check also runs where the programs are not.
//
// With --against it reviews what changes, a sentence a line, "+ " before what
// widens.
func (c checkCmd) Run(ctx context.Context) error {
	if c.Post && !c.Live {
		return bot.Errorf(bot.Invalid, "--post needs --live")
	}
	if c.FailOnWidening && c.Against == "" {
		return bot.Errorf(bot.Invalid, "--fail-on-widening needs --against OLD.toml")
	}
	a, err := c.app(app.Options{})
	if err != nil {
		return err
	}
	warnings := a.Warnings()
	for _, w := range warnings {
		fmt.Fprintln(os.Stderr, "warning:", w)
	}
	found := ""
	if len(warnings) > 0 {
		found = ", " + count(len(warnings), "warning", "warnings")
	}
	fmt.Printf("%s is in order: %s, %s%s\n", c.Config, count(len(a.Config.People), "person", "people"),
		count(len(a.Catalog.Targets()), "target", "targets"), found)
	if c.Live {
		if err := probe(ctx, a, c.Post); err != nil {
			return err
		}
	}
	if c.Against == "" {
		return nil
	}
	old, err := configured{Config: c.Against}.app(app.Options{})
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s cannot be compared with:\n", c.Against)
		return err
	}
	return printReview(a.Review(old), c.FailOnWidening)
}

func printReview(changes []app.Change, failOnWidening bool) error {
	wider := 0
	for i, change := range changes {
		sign := " "
		if change.Wider {
			wider++
			sign = "+"
		}
		if i < maxReviewed {
			fmt.Println(sign, change.Text)
		}
	}
	switch n := len(changes); {
	case n == 0:
		fmt.Println("nobody may do more or less than before")
	case n > maxReviewed:
		fmt.Printf("... and %d changes more\n", n-maxReviewed)
	}
	if failOnWidening && wider > 0 {
		return exitCode(exitWider)
	}
	return nil
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

type explainCmd struct {
	configured
	Account string   `arg:"" help:"The account, such as slack:T0123/U0001, or a person's name."`
	Command []string `arg:"" passthrough:"" help:"The command as it would be typed."`
}

// Run explains a decision without running anything.
func (e explainCmd) Run(ctx context.Context) error {
	a, err := e.app(app.Options{})
	if err != nil {
		return err
	}
	s, err := a.Explain(ctx, e.Account, words(e.Command))
	if err != nil {
		return err
	}
	fmt.Println(s)
	return nil
}

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run() error {
	fmt.Println("quarterdeck", version())
	return nil
}
