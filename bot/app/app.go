// Package app is the assembly: configuration and tables of adapters in, a
// running bot out. The main program, the demo and the tests all use it, so
// that what is tested is what runs.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"quarterdeck/auth"
	"quarterdeck/auth/directory"
	"quarterdeck/bot"
	"quarterdeck/bot/action"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/backup"
	"quarterdeck/bot/capacity"
	"quarterdeck/bot/config"
	"quarterdeck/bot/digest"
	"quarterdeck/bot/flag"
	"quarterdeck/bot/form"
	"quarterdeck/bot/guard"
	"quarterdeck/bot/logging"
	"quarterdeck/bot/metrics"
	"quarterdeck/bot/observe"
	"quarterdeck/bot/outbox"
	"quarterdeck/bot/page"
	"quarterdeck/bot/panel"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/release"
	"quarterdeck/bot/router"
	"quarterdeck/bot/run"
	"quarterdeck/bot/schedule"
	"quarterdeck/bot/stepup"
	"quarterdeck/bot/store"
)

// Tables is what a program can be configured to use.
type Tables struct {
	Chats     []bot.ChatType
	Providers []provider.Type
	Stores    []store.Type
	// Commands gives the command surface.
	Commands func(CommandNeeds) []bot.Command
}

// CommandNeeds is what commands are made with.
type CommandNeeds struct {
	Catalog *provider.Catalog
	Actions *action.Table
	Board   *panel.Board // also the provider.Judge
	Ledger  *release.Ledger
	Runs    bot.Runs
	Guard   *guard.Keeper
	Backups *backup.Ledger // how restore tests ended
	Codes   *stepup.Keeper // nil where no second factors are configured
	Clock   bot.Clock
	Log     bot.Log
	Policy  bot.Policy
	Guide   bot.Guide
	Zone    bot.Zone // that of the configuration
	Digests *digest.Desk
	Flags   *flag.Set
	// Judge holds metrics against thresholds; nil where there are none.
	Judge provider.Judge
	// Persons are the declared ones, who can own a flag.
	Persons []string
	Pages   *page.Keeper
}

// Options is what differs between a real start and a test's. Zero fields have
// defaults.
type Options struct {
	Version string
	Clock   bot.Clock
	IDs     bot.IDs
	// Logger is written to with every secret hidden; default none.
	Logger *slog.Logger
	// Level, when set, is the Logger's, which a reload sets to [log] level.
	Level *slog.LevelVar
	// Serve opens the configured listeners, sends the heartbeat and tells the
	// init system. A bot that is started for one command does none of it.
	Serve   bool
	Secrets *bot.Secrets // every secret that is read; one for the whole process
	// Schedules, when set, gives roles from "schedule:NAME" to whoever is on call.
	Schedules bot.Schedules
	// running are the networks of the bot that reloads: their tables did not
	// change, and the groups and people they know of stay known.
	running map[string]bot.Chat
}

// complete gives o with its defaults.
func (o Options) complete() Options {
	if o.Clock == nil {
		o.Clock = bot.SystemClock{}
	}
	if o.IDs == nil {
		o.IDs = bot.RandomIDs{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if o.Secrets == nil {
		o.Secrets = &bot.Secrets{}
	}
	return o
}

// App is one assembled bot. Make it with New, run it once with Run.
type App struct {
	Config    *config.Config
	Policy    *auth.Policy
	Directory *directory.Directory
	Catalog   *provider.Catalog
	Actions   *action.Table
	Board     *panel.Board // what is watched about the targets

	providers map[string]provider.Provider

	tables        Tables
	options       Options
	chats         map[string]bot.Chat
	freezes       []guard.Recurring
	vault         provider.Vault // what the log is copied to; nil for nothing
	digests       []digest.Definition
	entries       []schedule.Entry // all that the clock asks for, digests first
	guide         *router.Guide
	form          atomic.Pointer[form.Forms]
	pager         *page.Settings // nil for none
	roster        *page.Roster   // nil without a pager
	pagerWarnings []string       // of gaps in which nobody is on call
	// warnings are of rules that cannot be met since people were disabled.
	warnings []string

	marked sync.Once                // as was made
	as     string                   // the mark of its configuration; see force
	aside  atomic.Pointer[outdated] // why nothing is begun here, nil when it is
	now    atomic.Pointer[App]      // what is worked by, once a reload brought another
	mu     sync.Mutex               // held while reloading
	ground *ground                  // once it runs

	ready chan struct{}
	once  sync.Once

	hurry context.Context // ends when the bot is to stop at once; its cause says why
	fail  context.CancelCauseFunc

	heard     sync.Mutex
	listening map[bot.Listener]net.Addr
}

// Known gives the names that a configuration may use with these tables.
func (t Tables) Known() config.Known {
	k := config.Known{Bindings: []string{"deploy", "rollback", "scale", "logs", "metrics", "backup", "flags", "alerts"}, NoRule: map[string]func(bot.ChannelID) string{}}
	for _, c := range t.Chats {
		k.Chats = append(k.Chats, c.Name)
		k.NoRule[c.Name] = c.NoRule
	}
	for _, p := range t.Providers {
		k.Providers = append(k.Providers, p.Name)
	}
	if t.Commands != nil {
		for _, c := range t.Commands(CommandNeeds{}) {
			k.Verbs = append(k.Verbs, c.Name)
		}
	}
	return k
}

// Load reads the configuration at path. Of one with faults it says in the same
// go what New would say, as far as that does not follow from them.
func Load(path string, t Tables) (*config.Config, error) {
	c, told, err := config.Survey(path, t.Known())
	if err == nil || c == nil {
		return c, err
	}
	f := &faults{files: c.Files}
	f.add(f.config(), err)
	if _, more := New(c, t, Options{}); more != nil {
		for _, line := range linesOf(more) {
			if file, n := f.place(line); file < 0 || !told(fmt.Sprintf("%s:%d", f.files[file], n)) {
				f.lines = append(f.lines, line)
			}
		}
	}
	return nil, f.err()
}

// New checks the configuration against everything it names, offline and
// without secrets: policy, people, providers and their bindings, chat
// networks. Its error is a *bot.Error of kind Invalid whose sentence has one
// line for each fault, "config.toml:41: ...", in the order of the file.
func New(c *config.Config, t Tables, o Options) (*App, error) {
	o = o.complete()
	a := &App{Config: c, tables: t, options: o, chats: map[string]bot.Chat{}, ready: make(chan struct{})}
	redact := audit.New(audit.Config{Redact: c.Audit.Redact, Secrets: o.Secrets}).Redact
	o.Logger = logging.New(o.Logger, redact)
	a.options = o
	a.hurry, a.fail = context.WithCancelCause(context.Background())
	f := &faults{files: c.Files}
	a.providers, a.Catalog, a.Actions = bindAll(c, t, o, redact, f)
	a.vault = bindVault(c, a.providers, f)
	a.Board = panel.New(a.Catalog, watchedBy(c, a.providers, f), o.Clock)
	blindGuards(c, a.Board, f)
	for _, z := range c.Freezes {
		every, err := guard.ParseWindow(z.Every)
		if err != nil {
			f.add(z.Where, err)
			continue
		}
		a.freezes = append(a.freezes, guard.Recurring{Environments: z.Environments, Every: every, Reason: z.Reason})
	}
	a.clockwork(f)
	for _, ct := range t.Chats {
		raw, configured := c.Chats[ct.Name]
		if !configured {
			continue
		}
		if running, ok := o.running[ct.Name]; ok { // it hears what changes
			a.chats[ct.Name] = running
			continue
		}
		chat, err := ct.Open(bot.ChatOptions{Raw: raw, Socket: c.Bot.Socket, SocketGroup: c.Bot.SocketGroup, Clock: o.Clock, Logger: o.Logger.With("chat", ct.Name), Secrets: o.Secrets,
			Complete: a.complete, Describe: a.describe, Forms: forms{a}, Typed: typed{a}, Home: a.home, Version: o.Version})
		if err != nil {
			f.add(raw.Where(), err)
			continue
		}
		a.chats[ct.Name] = chat
	}
	a.unheard(f)
	people, roles := peopleOf(c)
	var err error
	a.setPager(f)
	sources, vouching := a.networks()
	if a.Directory, err = directory.New(people, roles, sources, o.Logger); err == nil {
		a.Directory = a.Directory.Clocked(principals(c))
	}
	if err != nil {
		f.add(f.config(), err)
	} else if a.Policy, err = auth.New(rulesOf(c, a.Directory, a.Catalog, a.Actions)); err != nil {
		f.add(f.config(), err)
	} else if !c.Partial { // what a faulty rule was to give is not known
		a.warnings = tooFewApprovers(c, a.Directory, a.Policy, f)
		idleRoles(c, f)
		a.entitled(f)
	}
	if a.Directory != nil {
		a.Directory = a.Directory.Vouched(vouching)
	}
	a.checkVerbs(f)
	a.guide = &router.Guide{Catalog: a.Catalog, Permissions: a.Actions.Permissions()}
	if err := f.err(); err != nil {
		return nil, err
	}
	return a, nil
}

// Warnings gives what keeps nothing from starting: rules that cannot be met since
// people were disabled, and what is named and is not there on this machine,
// one line each, "config.toml:41: ...".
func (a *App) Warnings() []string {
	lines := slices.Concat(a.Config.Warnings, a.warnings, a.pagerWarnings, a.exposed())
	for _, s := range a.Config.Services {
		if deployer, err := a.Catalog.Deployer(s.Target); err == nil {
			if d, ok := deployer.(provider.Inspected); ok {
				for _, line := range d.Inspect() {
					lines = append(lines, fmt.Sprintf("%s: deploy of %s, %s", s.Deploy.Raw.Where(), s.Target, line))
				}
			}
		}
		if scaler, err := a.Catalog.Scaler(s.Target); err == nil {
			if d, ok := scaler.(provider.Inspected); ok {
				for _, line := range d.Inspect() {
					lines = append(lines, fmt.Sprintf("%s: scale of %s, %s", s.Scale.Raw.Where(), s.Target, line))
				}
			}
		}
		if tester, err := a.Catalog.RestoreTester(s.Target); err == nil {
			if d, ok := tester.(provider.Inspected); ok {
				for _, line := range d.Inspect() {
					lines = append(lines, fmt.Sprintf("%s: backup of %s, %s", s.Backup.Raw.Where(), s.Target, line))
				}
			}
		}
	}
	lines = append(lines, a.actionWarnings()...)
	return lines
}

// Ready is closed once the bot takes commands.
func (a *App) Ready() <-chan struct{} { return a.ready }

// Hurry has a bot that stops, or is about to, do so without waiting for the calls
// under way. It may be called at any time.
func (a *App) Hurry() { a.fail(nil) }

// Run opens the store, records that it started, and serves until ctx ends. Then
// it takes nothing more, gives the calls under way the configured time, delivers
// what is due and returns. What is under way then is in the store, held by no
// lease, and is taken up by whoever comes next.
func (a *App) Run(ctx context.Context) error {
	o, c := a.options, a.Config
	s, err := openStore(ctx, c, a.tables, o.Secrets)
	if err != nil {
		return err
	}
	defer s.Close()
	log := audit.New(audit.Config{Store: s, Clock: o.Clock, Redact: c.Audit.Redact, Secrets: o.Secrets})

	draining, flush := make(chan struct{}), make(chan struct{})
	meter := metrics.New(metrics.Config{Version: o.Version, Clock: o.Clock, Logger: o.Logger})
	deliverer := &outbox.Deliverer{Draining: flush, Meter: meter, Store: s, Clock: o.Clock, Logger: o.Logger, Owner: o.IDs.New(),
		Chats: func(network string) (bot.Chat, bool) { chat, ok := a.chats[network]; return chat, ok }}
	mirror := &audit.Mirror{Store: s, Log: log, Channels: c.Audit.Channels, Clock: o.Clock, Logger: o.Logger, Posted: deliverer.Wake}
	flags := &flag.Set{Store: s, Logger: o.Logger, Clock: o.Clock}
	posted := func() { deliverer.Wake(); mirror.Wake(); flags.Wake() }
	deliverer.Gap = mirror.Gap
	key, err := audit.OpenKey(c.Audit.Key)
	if err != nil {
		return err
	}
	seal := store.NewSeal(key.Secret())
	if err := flags.Load(ctx); err != nil {
		return err
	}
	g := &ground{store: s, log: log, seal: seal, posted: posted, draining: draining, meter: meter, flags: flags}
	if err := a.codes(ctx, g); err != nil {
		return err
	}
	g.pages = a.pages(g)
	ways := a.ways(g)
	engine := run.New(ways.engine)
	a.knowing(g, engine)
	closeJournal, err := a.emergency(g, engine)
	if err != nil {
		return err
	}
	defer closeJournal()
	r, err := a.router(g, ways, engine)
	if err != nil {
		return err
	}
	g.engine, g.router = engine, r
	w, err := a.watch(ctx, watched{store: s, meter: meter, engine: engine, router: r, flags: flags, pages: g.pages})
	if err != nil {
		return err
	}
	defer w.close()
	if err := a.noticeRestored(ctx, s, log, engine, key); err != nil {
		return err
	}
	if _, err := a.recordStart(ctx, s, log, seal); err != nil {
		return err
	}
	if err := engine.StopDisabled(ctx); err != nil {
		return fmt.Errorf("stop what disabled people asked for: %w", err)
	}
	checkpointer := &audit.Checkpointer{Store: s, Log: log, Key: key, Clock: o.Clock, IDs: o.IDs, File: c.Audit.Checkpoints,
		Channels: c.Audit.Channels, Posted: deliverer.Wake, Logger: o.Logger}
	w.checkpoints(checkpointer)

	a.mu.Lock()
	a.ground = g
	a.mu.Unlock()
	catalog := func() *provider.Catalog { return a.current().Catalog }
	watcher := &observe.Watcher{Store: s, Runs: engine, Recorder: log, Clock: o.Clock, Logger: o.Logger, Posted: posted,
		Every: c.Observe.Every, Timeout: c.Observe.Timeout, Jitter: rand.Float64,
		Sources: []observe.Source{release.NewWatch(catalog), capacity.NewWatch(catalog)}} // one line for each kind of fact
	// A part that fails ends everything at once and says why.
	life := context.WithoutCancel(ctx)
	parts := stages{work: newStage(life, a.fail), tell: newStage(life, a.fail), post: newStage(life, a.fail), front: newStage(life, a.fail), flush: flush}
	parts.work.Go(engine.Run)
	parts.work.Go(r.Run)
	parts.tell.Go(g.emergency.Run)
	parts.tell.Go(mirror.Run)
	if o.Serve { // one that is started for one command asks for nothing else
		parts.tell.Go(a.clock(g).Run)
	}
	parts.tell.Go(g.pages.Run)
	parts.tell.Go(watcher.Run) // it only reads, and is not waited for
	parts.front.Go(flags.Run)
	parts.tell.Go(checkpointer.Run)
	sweeper := &backup.Sweeper{Catalog: catalog, Runs: engine, Store: s, Recorder: log, Clock: o.Clock, Logger: o.Logger, Posted: posted}
	parts.tell.Go(sweeper.Run)
	if c.Audit.Retain > 0 {
		parts.tell.Go(archiver(c, s, key, c.Audit.Archive, o).Run)
	}
	if copier := copier(c, a.vault, s, key, o); copier != nil {
		parts.tell.Go(copier.Run)
	}
	parts.tell.Go(func(ctx context.Context) error { return form.Sweep(ctx, s, o.Clock, o.Logger) })
	parts.post.Go(deliverer.Run)
	for _, chat := range a.chats {
		parts.front.Go(func(ctx context.Context) error { return chat.Run(ctx, r) })
	}
	parts.front.Go(a.keepUp)
	w.run(parts.front)
	parts.front.Go(func(ctx context.Context) error {
		for _, chat := range a.chats {
			if l, ok := chat.(interface{ Listening() <-chan struct{} }); ok {
				select {
				case <-l.Listening():
				case <-ctx.Done():
					return nil
				}
			}
		}
		w.ready()
		a.once.Do(func() { close(a.ready) })
		return nil
	})
	select {
	case <-ctx.Done():
	case <-a.hurry.Done():
	}
	o.Logger.Info("stopping", "within", c.StopWithin)
	w.stopping()
	close(draining)
	parts.drain(a.hurry, c.StopWithin, o.Logger)
	if err := context.Cause(a.hurry); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// Verify checks the audit log of the configured database against the
// configured checkpoint file and against further checkpoints, each a line as
// posted or the path of a file of such lines. With the folder of an archive, the
// archived segments are checked as the beginning of the same chain.
func Verify(ctx context.Context, c *config.Config, t Tables, against []string, archive string) (audit.Report, error) {
	s, o, err := checked(ctx, c, t, against, archive)
	if err != nil {
		return audit.Report{}, err
	}
	defer s.Close()
	return audit.Verify(ctx, s, o)
}

// checked opens the configured database and says what to hold its log against.
func checked(ctx context.Context, c *config.Config, t Tables, against []string, archive string) (store.Store, audit.VerifyOptions, error) {
	public, err := audit.ReadPublicKey(c.Audit.Key)
	if err != nil {
		return nil, audit.VerifyOptions{}, err
	}
	o := audit.VerifyOptions{PublicKey: public, Kept: c.Audit.Checkpoints, Archive: archive}
	if err := hold(&o, against); err != nil {
		return nil, audit.VerifyOptions{}, err
	}
	s, err := OpenStore(ctx, c, t)
	return s, o, err
}

// VerifyExport checks what audit.Export wrote against checkpoints, as Verify
// does. key is the path of the public key that verifies them; it may be "" when
// there are none.
func VerifyExport(ctx context.Context, export io.Reader, key string, against []string) (audit.Report, error) {
	var o audit.VerifyOptions
	if key != "" {
		public, err := audit.ReadPublicKey(key)
		if err != nil {
			return audit.Report{}, err
		}
		o.PublicKey = public
	}
	if err := hold(&o, against); err != nil {
		return audit.Report{}, err
	}
	return audit.VerifyExport(ctx, export, o)
}

// VerifyArchive checks the segments in dir by themselves, with the public key at
// the path key, and against checkpoints as Verify does.
func VerifyArchive(ctx context.Context, dir, key string, against []string) (audit.Report, error) {
	public, err := audit.ReadPublicKey(key)
	if err != nil {
		return audit.Report{}, err
	}
	o := audit.VerifyOptions{PublicKey: public}
	if err := hold(&o, against); err != nil {
		return audit.Report{}, err
	}
	return audit.VerifyArchive(ctx, dir, o)
}

// hold adds checkpoints, each a line as posted or the path of a file of such
// lines. A line that was copied badly is refused for what it is.
func hold(o *audit.VerifyOptions, against []string) error {
	for _, s := range against {
		cp, err := audit.ParseCheckpoint(s)
		switch {
		case err == nil:
			o.Against = append(o.Against, cp)
		case audit.LooksLikeCheckpoint(s):
			return err
		default:
			o.Files = append(o.Files, s)
		}
	}
	return nil
}
