package run_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sourcegraph/conc"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"quarterdeck/adapters/sqlite"
	"quarterdeck/auth"
	"quarterdeck/bot"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/grammar"
	"quarterdeck/bot/outbox"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/bot/release"
	"quarterdeck/bot/run"
	"quarterdeck/bot/store"
	"quarterdeck/commands/approve"
	"quarterdeck/commands/cancel"
	"quarterdeck/commands/confirm"
	"quarterdeck/commands/deny"
	"quarterdeck/commands/deploy"
	"quarterdeck/commands/restart"
	"quarterdeck/commands/review"
	"quarterdeck/commands/rollback"
	"quarterdeck/commands/scale"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Most of a test is waiting, so that many fit beside one another; one of
	// random input is a whole conversation with a database of its own.
	checks := "10"
	if os.Getenv("QUARTERDECK_TEST_ALL") != "" {
		checks = "12"
	}
	asked := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { asked[f.Name] = true })
	for name, value := range map[string]string{"test.parallel": "8", "rapid.checks": checks} {
		if asked[name] {
			continue
		}
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// seal marks what the hosts of a test store.
var seal = store.NewSeal([]byte("the test's own key"))

// patience bounds every wait for something that must happen.
const patience = 5 * time.Minute

// The targets, by what the rules ask for there.
const (
	free   = "shop/free"   // nothing
	asks   = "shop/asks"   // a confirmation
	prod   = "shop/prod"   // a confirmation and one approval from sre
	two    = "shop/two"    // two approvals from sre
	ticket = "shop/ticket" // a reason with a ticket
	other  = "pay/free"    // nothing
)

// The people; each account is "chat:NAME".
const (
	dev      = "dev"
	devTwo   = "dev-two"
	sreOne   = "sre-one"
	sreTwo   = "sre-two"
	outsider = "outsider"
)

func rules() auth.Rules {
	r := auth.Rules{
		Roles: []string{"developer", "sre", "visitor"}, Persons: []string{dev, devTwo, sreOne, sreTwo, outsider},
		Grants: []auth.Grant{
			{Where: "test:1", Roles: []string{"developer", "sre"}, Permissions: []string{"deploy", "rollback", "restart", "scale"}, Targets: []string{"*/*"}},
			{Where: "test:2", Roles: []string{"sre"}, Permissions: []string{"run.cancel", "release.override", "scale.override", "break-glass"}, Targets: []string{"*/*"}},
			{Where: "test:3", Roles: []string{"visitor"}, Permissions: []string{"status", "run.read"}, Targets: []string{"*/*"}},
		},
		Requires: []auth.Require{
			{Where: "test:4", Permissions: []string{"deploy", "restart"}, Targets: []string{asks}, Confirm: true},
			{Where: "test:5", Permissions: []string{"deploy", "restart", "scale"}, Targets: []string{prod}, Confirm: true, Approvals: &bot.ApprovalRule{Count: 1, From: []string{"sre"}}},
			{Where: "test:6", Permissions: []string{"deploy", "restart"}, Targets: []string{two}, Approvals: &bot.ApprovalRule{Count: 2, From: []string{"sre"}}},
			{Where: "test:7", Permissions: []string{"deploy"}, Targets: []string{ticket}, Reason: true, Ticket: "OPS-[0-9]+"},
		},
	}
	for _, name := range targets() {
		r.Targets = append(r.Targets, target(name))
	}
	return r
}

func targets() []string { return []string{free, asks, prod, two, ticket, other} }

func target(name string) bot.Target {
	t, ok := bot.ParseTarget(name)
	if !ok {
		panic(name)
	}
	return t
}

// people is a directory that changes while the bot runs.
type people struct {
	mu    sync.Mutex
	roles map[string][]string
	left  map[string]bool // disabled
	down  bool
	doubt map[string]bot.Doubt // a role of theirs that cannot be found out
	// then are the roles that a message is judged by, where they are not those of
	// now.
	then map[string][]string
}

func newPeople() *people {
	return &people{roles: map[string][]string{dev: {"developer"}, devTwo: {"developer"}, sreOne: {"sre"}, sreTwo: {"sre"}, outsider: {"visitor"}}}
}

func (p *people) set(name string, roles ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.roles[name] = roles
}

// leaves disables somebody.
func (p *people) leaves(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = map[string]bool{name: true}
}

func (p *people) Identify(ctx context.Context, a bot.AccountID, _ bot.Standing) (bot.Identity, error) {
	who, err := p.Recall(ctx, a)
	p.mu.Lock()
	defer p.mu.Unlock()
	if roles, ok := p.then[who.Person]; ok {
		who.Roles = roles
	}
	return who, err
}

func (p *people) Recall(_ context.Context, a bot.AccountID) (bot.Identity, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return bot.Identity{}, bot.Errorf(bot.Unavailable, "the directory does not answer")
	}
	_, name, _ := strings.Cut(string(a), ":")
	name = strings.TrimSuffix(name, "-phone") // everybody has a second account
	who := bot.Identity{Account: a, Standing: bot.Member}
	if roles, known := p.roles[name]; known {
		who.Person, who.Roles = name, roles
	}
	if doubt, ok := p.doubt[name]; ok {
		who.Doubts = []bot.Doubt{doubt}
		who.Roles = slices.DeleteFunc(slices.Clone(who.Roles), func(r string) bool { return r == doubt.Role })
	}
	if p.left[name] {
		who.Standing, who.Roles = bot.Disabled, nil
	}
	return who, nil
}

// offset is a clock that runs, and jumps when it is told to.
type offset struct {
	mu sync.Mutex
	by time.Duration
}

func (c *offset) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().UTC().Add(c.by).Truncate(time.Microsecond)
}

func (c *offset) jump(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by += d
}

// tb is what a rig needs of a test, an ordinary one or one of random input.
type tb interface {
	rapid.TB
	Cleanup(f func())
	Context() context.Context
}

// rig is what outlives a process: the database, the platform, the people.
type rig struct {
	t      tb
	store  store.Store
	clock  *offset
	ids    *bottest.IDs
	people *people
	policy *auth.Policy
	far    *providertest.Infrastructure
	judge  *providertest.Judge
	guards map[string]*provider.Guard // of targets, by name

	mu       sync.Mutex
	messages int
	drill    *drill
}

// newRig makes a rig over a far side; nil is a friendly one.
func newRig(t testing.TB, far func(bot.Clock) *providertest.Infrastructure) *rig {
	t.Helper()
	return newRigIn(t, t.TempDir(), far)
}

func newRigIn(t tb, dir string, far func(bot.Clock) *providertest.Infrastructure) *rig {
	t.Helper()
	r := &rig{t: t, clock: &offset{}, ids: bottest.NewIDs("id"), people: newPeople(), drill: &drill{}, judge: providertest.NewJudge("errors", "latency")}
	if far == nil {
		far = providertest.NewFriendly
	}
	r.far = far(r.clock)
	s, err := sqlite.Open(context.Background(), filepath.Join(dir, "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	r.store = s
	if r.policy, err = auth.New(rules()); err != nil {
		t.Fatal(err)
	}
	return r
}

// past has versions been live at a target, one after the other, before v1 is.
func (r *rig) past(where string, versions ...string) {
	for _, v := range append(versions, "v1") {
		r.far.SetLive(target(where), v)
	}
}

// host is one process of the bot.
type host struct {
	*run.Engine
	rig      *rig
	log      *audit.Log
	ledger   *release.Ledger
	commands map[string]bot.Command
	grammar  *grammar.Grammar
	posts    *outbox.Deliverer
	chat     *board
	hooks    *hooks
	stop     context.CancelFunc
	parts    conc.WaitGroup
}

// hooks are called around what a process asks the platform.
type hooks struct {
	mu      sync.Mutex
	current func() error  // before Current
	advance func() error  // before Advance
	cancel  func() error  // before Cancel
	longest time.Duration // of a call, when more than usual
}

func (h *hooks) call(which func(*hooks) func() error) error {
	h.mu.Lock()
	f := which(h)
	h.mu.Unlock()
	if f == nil {
		return nil
	}
	return f()
}

func (h *hooks) set(f func(*hooks)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(h)
}

// hooked is a Deployer with hooks.
type hooked struct {
	provider.Deployer
	hooks *hooks
}

// Timing leaves calls more time than the platform says it needs, for a machine
// that is busy with other tests.
func (d hooked) Timing(t bot.Target) bot.Timing {
	timing := d.Deployer.(bot.Timed).Timing(t)
	d.hooks.mu.Lock()
	defer d.hooks.mu.Unlock()
	timing.Call = max(timing.Call, 500*time.Millisecond, d.hooks.longest)
	return timing
}

func (d hooked) Current(ctx context.Context) (provider.Live, error) {
	if err := d.hooks.call(func(h *hooks) func() error { return h.current }); err != nil {
		return provider.Live{}, err
	}
	return d.Deployer.Current(ctx)
}

func (d hooked) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	if err := d.hooks.call(func(h *hooks) func() error { return h.advance }); err != nil {
		return h, bot.Progress{}, err
	}
	return d.Deployer.Advance(ctx, h)
}

func (d hooked) Cancel(ctx context.Context, h bot.Handle) (bot.Handle, error) {
	if err := d.hooks.call(func(h *hooks) func() error { return h.cancel }); err != nil {
		return h, err
	}
	return d.Deployer.Cancel(ctx, h)
}

type words struct{ *provider.Catalog }

func (words) Persons() []string { return []string{dev} }

// host assembles a process; with changes to its configuration.
func (r *rig) host(changes ...func(*run.Config)) *host {
	r.t.Helper()
	h := &host{rig: r, log: audit.New(audit.Config{Store: r.store, Clock: r.clock}), commands: map[string]bot.Command{},
		chat: &board{shown: map[string]bot.Card{}}, hooks: &hooks{}, stop: func() {}}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	bindings := map[bot.Target]provider.Bindings{}
	for _, name := range targets() {
		bindings[target(name)] = provider.Bindings{Guard: r.guards[name], Deploy: hooked{r.far.Deployer(target(name)), h.hooks},
			Scale: sizing{r.far.Scaler(target(name)), h.hooks}, Bounds: map[string]provider.Bounds{"": {Min: 1, Max: most, Step: step, Zero: true}}}
	}
	catalog := provider.NewCatalog([]string{"free", "asks", "two", "ticket", "prod"}, bindings)
	h.ledger = release.NewLedger(r.store)
	h.posts = &outbox.Deliverer{Store: r.store, Clock: r.clock, Logger: quiet, Chats: func(string) (bot.Chat, bool) { return h.chat, true }}
	c := run.Config{Store: r.store, Recorder: h.log, Seal: seal, Policy: r.policy, Directory: r.people, Clock: r.clock, IDs: r.ids, Logger: quiet, Posted: h.posts.Wake,
		Commands: func(name string) (bot.Command, bool) { cmd, ok := h.commands[name]; return cmd, ok },
		Workflows: func(kind string) (bot.Workflow, bool) {
			for _, cmd := range h.commands {
				for _, w := range cmd.Workflows {
					if w.Kind() == kind {
						return w, true
					}
				}
			}
			return nil, false
		}}
	for _, change := range changes {
		change(&c)
	}
	h.Engine = run.New(c)
	all := []bot.Command{deploy.New(catalog, h.ledger, h, r.judge, r.clock), rollback.New(catalog, h.ledger, h), restart.New(catalog, h.ledger),
		scale.New(catalog, h), confirm.New(h), approve.New(h), deny.New(h), review.New(h), cancel.New(h), r.drill.command()}
	for _, cmd := range all {
		h.commands[cmd.Name] = cmd
	}
	var err error
	if h.grammar, err = grammar.New(all, words{catalog}); err != nil {
		r.t.Fatal(err)
	}
	return h
}

// start lets the process work until it is killed or the test ends.
func (h *host) start() *host {
	ctx, stop := context.WithCancel(context.Background())
	h.stop = stop
	h.parts.Go(func() { _ = h.Engine.Run(ctx) })
	h.parts.Go(func() { _ = h.posts.Run(ctx) })
	h.rig.t.Cleanup(h.kill)
	return h
}

// kill ends the process and waits for it.
func (h *host) kill() {
	h.stop()
	h.parts.Wait()
}

// board is a chat network that keeps the newest version of every card.
type board struct {
	mu    sync.Mutex
	shown map[string]bot.Card
	down  bool
}

func (b *board) Network() string { return "chat" }

func (b *board) Run(ctx context.Context, _ bot.Inbound) error {
	<-ctx.Done()
	return nil
}

func (b *board) Deliver(_ context.Context, d bot.Delivery) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return "", bot.Errorf(bot.Unavailable, "the network is down")
	}
	key := string(d.Channel) + " " + d.Card.Key
	if old, there := b.shown[key]; there && old.Version > d.Card.Version {
		return "", bot.Errorf(bot.Invalid, "version %d of %s after %d", d.Card.Version, key, old.Version)
	}
	b.shown[key] = d.Card
	return key, nil
}

func (b *board) card(channel, key string) bot.Card {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.shown[channel+" "+key]
}

func (b *board) set(down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = down
}

const channel = "chat:ops"

// receive makes a message durable.
func (r *rig) receive(m bot.Message) bot.Message {
	r.t.Helper()
	r.mu.Lock()
	r.messages++
	m.ID = fmt.Sprintf("chat-%d", r.messages)
	r.mu.Unlock()
	m.Standing, m.Received = bot.Member, r.clock.Now()
	if m.Channel == "" {
		m.Channel = channel
	}
	if err := r.store.Update(context.Background(), func(tx store.Tx) error { _, err := tx.Receive(m); return err }); err != nil {
		r.t.Fatal(err)
	}
	return m
}

// say takes one line along the road to the engine and gives its answer.
func (h *host) say(who, line string) error {
	h.rig.t.Helper()
	return h.road(h.rig.receive(bot.Message{Account: bot.AccountID("chat:" + who), Text: line}), "")
}

// road is what the router does with a message.
func (h *host) road(m bot.Message, bound string) error {
	ctx := context.Background()
	who, err := h.rig.people.Identify(ctx, m.Account, m.Standing)
	if err != nil {
		return err
	}
	var factor bot.Factor
	line, code, _ := h.grammar.TakeCode(m.Text)
	if m.Text = line; code == goodCode {
		factor = bot.FactorTOTP
	}
	p, err := h.grammar.Parse(m.Text)
	if err != nil {
		h.rig.t.Errorf("%q is no line: %v", m.Text, err)
		return err
	}
	c := bot.Call{ID: h.rig.ids.New(), Who: who, Message: m.ID, Channel: m.Channel, Thread: m.Thread, At: h.rig.clock.Now(), Line: p.Line,
		Command: p.Command.Name, Args: p.Args, DryRun: p.DryRun, Reason: p.Reason, Override: p.Override, BreakGlass: p.BreakGlass, Bound: bound, Factor: factor}
	ask, err := p.Command.Resolve(c)
	if err != nil {
		return err
	}
	d := h.rig.policy.Decide(bot.Request{Who: who, Permission: ask.Permission, Resources: ask.Resources, Channel: m.Channel, At: c.At})
	if !d.Allowed {
		return run.Refusal(d)
	}
	if p.Command.Answer != nil {
		_, err = p.Command.Answer(ctx, c)
		return err
	}
	return h.Start(ctx, c, ask, p.Command)
}

// press presses the button with this label on a run's card as it is shown now.
func (h *host) press(who string, number int64, label string) error {
	h.rig.t.Helper()
	return h.pressToken(who, h.token(number, label))
}

// token gives the token of a button that the run's newest card offers.
func (h *host) token(number int64, label string) string {
	h.rig.t.Helper()
	token := ""
	h.rig.await(fmt.Sprintf("a button %s of #%d", label, number), func() bool {
		for _, b := range h.chat.card(channel, bot.RunCardKey(number)).Buttons {
			if b.Label == label {
				token = b.Token
			}
		}
		return token != ""
	})
	return token
}

func (h *host) pressToken(who, token string) error {
	h.rig.t.Helper()
	var p run.Press
	err := h.rig.store.View(context.Background(), func(r store.Reader) error {
		d, found, err := r.Document(run.KindPress, token)
		if err != nil || !found {
			return fmt.Errorf("no button %q (%v)", token, err)
		}
		return json.Unmarshal(d.Body, &p)
	})
	if err != nil {
		h.rig.t.Fatal(err)
	}
	return h.road(h.rig.receive(bot.Message{Account: bot.AccountID("chat:" + who), Press: token, Text: p.Line}), p.Digest)
}

// mustSay says a line that has to be accepted.
func (h *host) mustSay(who, line string) {
	h.rig.t.Helper()
	if err := h.say(who, line); err != nil {
		h.rig.t.Fatalf("%s: %s: %v", who, line, err)
	}
}

// begin says a line that makes a run, and gives its number.
func (h *host) begin(who, line string) int64 {
	h.rig.t.Helper()
	h.mustSay(who, line)
	return h.newest()
}

func (h *host) newest() int64 {
	h.rig.t.Helper()
	runs, err := h.Runs(context.Background(), bot.RunFilter{Limit: 1})
	if err != nil || len(runs) == 0 {
		h.rig.t.Fatalf("no run (%v)", err)
	}
	return runs[0].Number
}

// refused says a line that has to be refused with an Error of this kind whose
// sentence holds text.
func (h *host) refused(kind bot.Kind, text, who, line string) {
	h.rig.t.Helper()
	h.rig.mustRefuse(h.say(who, line), kind, text)
}

func (r *rig) mustRefuse(err error, kind bot.Kind, text string) {
	r.t.Helper()
	if bot.KindOf(err) != kind || !strings.Contains(bot.Sentence(err, "ref"), text) {
		r.t.Fatalf("got %v (%s), want %s with %q", err, bot.KindOf(err), kind, text)
	}
}

// await waits until ok holds.
func (r *rig) await(what string, ok func() bool) {
	r.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(15 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			r.t.Fatalf("waited too long for %s", what)
		case <-tick.C:
		}
	}
}

// reaches waits until the run is in one of the states, and gives it.
func (h *host) reaches(number int64, states ...bot.RunState) bot.Run {
	h.rig.t.Helper()
	var got bot.Run
	defer func() {
		if h.rig.t.Failed() {
			h.rig.t.Logf("#%d is %s: %s; progress %+v", number, got.State, got.Result, got.Progress)
		}
	}()
	h.rig.await(fmt.Sprintf("#%d to be %v", number, states), func() bool {
		var err error
		if got, err = h.Get(context.Background(), number); err != nil {
			h.rig.t.Fatal(err)
		}
		if got.State.Settled() && !slices.Contains(states, got.State) {
			h.rig.t.Fatalf("#%d is %s (%s), want %v", number, got.State, got.Result, states)
		}
		return slices.Contains(states, got.State)
	})
	return got
}

// shows waits for the newest card of a run to satisfy ok.
func (h *host) shows(number int64, what string, ok func(bot.Card) bool) bot.Card {
	h.rig.t.Helper()
	var card bot.Card
	h.rig.await("a card of #"+fmt.Sprint(number)+" with "+what, func() bool {
		card = h.chat.card(channel, bot.RunCardKey(number))
		return ok(card)
	})
	return card
}

// records gives what the log holds about a run, oldest first; of all when
// number is 0.
func (r *rig) records(number int64) []bot.Record {
	r.t.Helper()
	log := audit.New(audit.Config{Store: r.store, Clock: r.clock})
	recs, err := log.Records(context.Background(), bot.RecordFilter{Run: number, Limit: 100_000})
	if err != nil {
		r.t.Fatal(err)
	}
	slices.Reverse(recs)
	return recs
}

// has says how many records of a kind there are about a run.
func (r *rig) has(number int64, kind bot.RecordKind) int {
	r.t.Helper()
	n := 0
	for _, rec := range r.records(number) {
		if rec.Kind == kind {
			n++
		}
	}
	return n
}

// effects counts how often the platform began to act for a run.
func (r *rig) effects(x bot.Run) int { return r.far.Effects(key(x)) }

func key(x bot.Run) string { return fmt.Sprintf("run-%d-%s", x.Number, x.Call.ID) }

// document gives a stored document that has to be there.
func (r *rig) document(kind, id string) (doc bot.Document) {
	r.t.Helper()
	err := r.store.View(context.Background(), func(rd store.Reader) error {
		d, found, err := rd.Document(kind, id)
		if err == nil && !found {
			err = fmt.Errorf("no document %s %s", kind, id)
		}
		doc = d
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return doc
}
