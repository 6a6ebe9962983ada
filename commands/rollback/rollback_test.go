package rollback_test

import (
	"cmp"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/bot/release"
	"quarterdeck/bot/store"
	"quarterdeck/commands/rollback"
)

var prod = bot.Target{Service: "shop", Environment: "prod"}

// open lists the runs that are under way.
type open []bot.Run

func (o open) Get(context.Context, int64) (bot.Run, error) { return bot.Run{}, nil }

func (o open) Runs(context.Context, bot.RunFilter) ([]bot.Run, error) { return o, nil }

func (o open) Answer(context.Context, bot.Call, bot.Answer, int64) (bot.Reply, error) {
	return bot.Reply{}, nil
}

// elsewhere is a Deployer that says that somebody else is deploying.
const hangs = "nothing: it hangs"

type elsewhere struct {
	provider.Deployer
	deploying string
	silent    bool // nothing can be read
}

func (e elsewhere) Resolve(ctx context.Context, version string) (provider.Artefact, error) {
	if e.silent {
		return provider.Artefact{}, bot.Errorf(bot.Unavailable, "the platform does not answer")
	}
	return e.Deployer.Resolve(ctx, version)
}

func (e elsewhere) Current(ctx context.Context) (provider.Live, error) {
	if e.silent {
		if e.deploying == hangs {
			<-ctx.Done()
		}
		return provider.Live{}, bot.Errorf(bot.Timeout, "the platform does not answer")
	}
	live, err := e.Deployer.Current(ctx)
	live.Deploying = e.deploying
	return live, err
}

func (e elsewhere) Releases(ctx context.Context, limit int) ([]provider.Release, error) {
	if e.silent {
		return nil, bot.Errorf(bot.Unavailable, "the platform does not answer")
	}
	return e.Deployer.Releases(ctx, limit)
}

func TestWhereItGoes(t *testing.T) {
	t.Parallel()
	clock := bot.SystemClock{}
	artefacts := map[string]provider.Artefact{}
	for _, v := range []string{"v1", "v2", "v3", "v4"} {
		a, err := providertest.NewFriendly(clock).Deployer(prod).Resolve(t.Context(), v)
		if err != nil {
			t.Fatal(err)
		}
		artefacts[v] = a
	}
	running := func(number int64, state bot.RunState, action provider.Action, from, to string) bot.Run {
		s, err := bot.NewSpec("x@1", "x", prod, nil, provider.Deployment{Action: action, Target: prod, From: artefacts[from], To: artefacts[to]})
		if err != nil {
			t.Fatal(err)
		}
		return bot.Run{Number: number, State: state, Call: bot.Call{ID: "its own"},
			Plan: bot.Plan{Spec: s, Slot: release.Slot(prod), WayBack: action == provider.Rollback}}
	}
	ended := func(n int64, s bot.RunState, from, to string) bot.Run {
		r := running(n, s, provider.Deploy, from, to)
		r.Acted, r.Step = true, 2
		return r
	}
	refused := func(n int64, from, to string) bot.Run { // at the first call
		r := ended(n, bot.Failed, from, to)
		r.Step = 0
		return r
	}
	for _, c := range []struct {
		name      string
		live      []string // set live one after another, with v1 before
		ledger    string   // releases on our record, oldest first
		bad       string
		open      open
		deploying string
		version   string
		want      string // summary's last word, or
		noop      string
		fails     string
		from      string
		checked   bool // what is live is a precondition
		obstacles int
		now       string // what the preview says is live; from unless set
		silent    bool   // the platform does not answer
	}{
		{name: "nothing answers", live: []string{"v3"}, ledger: "v1 v2 v3", silent: true, deploying: hangs, want: "v2", from: "v3"},
		{name: "nothing answers, named", live: []string{"v3"}, ledger: "v1 v2 v3", version: "v1", silent: true, want: "v1", from: "v3"},
		{name: "nothing answers while our deployment is under way", live: []string{"v2"}, ledger: "v1 v2", open: open{running(7, bot.Running, provider.Deploy, "v2", "v3")}, silent: true, want: "v2", from: "v3"},
		{name: "nothing answers, named and not on record", live: []string{"v2"}, ledger: "v1 v2", version: "v3", silent: true, fails: "the platform does not answer"},
		{name: "nothing answers and nothing is on record", silent: true, fails: "the platform does not answer"},
		{name: "our record", live: []string{"v3"}, ledger: "v1 v2 v3", want: "v2", from: "v3", checked: true},
		{name: "past the bad one", live: []string{"v3"}, ledger: "v1 v2 v3", bad: "v2", want: "v1", from: "v3", checked: true},
		{name: "the platform's memory", live: []string{"v2", "v3"}, want: "v2", from: "v3", checked: true},
		{name: "the platform's memory past the bad one", live: []string{"v2", "v3"}, bad: "v2", want: "v1", from: "v3", checked: true},
		{name: "nothing to go to", fails: "no earlier good release of shop/prod is on record"},
		{name: "named", live: []string{"v2", "v3"}, version: "v2", want: "v2", from: "v3", checked: true},
		{name: "previous by name", live: []string{"v3"}, ledger: "v1 v2 v3", version: "previous", want: "v2", from: "v3", checked: true},
		{name: "named and never live there", live: []string{"v3"}, version: "v2", fails: "v2 is not on record as having been live in shop/prod, so going there is a deployment: deploy shop v2 prod"},
		{name: "named and bad", live: []string{"v2", "v3"}, version: "v2", bad: "v2", want: "v2", from: "v3", checked: true, obstacles: 1},
		{name: "named and unknown", version: "v9", fails: `there is no release "v9"`},
		{name: "named and live", version: "v1", noop: "v1 is live in shop/prod already"},
		{name: "our deployment is under way", live: []string{"v2"}, ledger: "v1 v2", open: open{running(7, bot.Running, provider.Deploy, "v2", "v3")}, want: "v2", from: "v3", now: "v2, while v3 is being brought"},
		{name: "our deployment is being cancelled", live: []string{"v2"}, ledger: "v1 v2", open: open{running(7, bot.Cancelling, provider.Deploy, "v2", "v3")}, want: "v2", from: "v3", now: "v2, while v3 is being brought"},
		{name: "our deployment waits", live: []string{"v2"}, ledger: "v1 v2", open: open{running(7, bot.Waiting, provider.Deploy, "v2", "v3")}, want: "v1", from: "v2", checked: true},
		{name: "our restart is under way", live: []string{"v2"}, ledger: "v1 v2", open: open{running(7, bot.Running, provider.Restart, "v2", "v2")}, want: "v1", from: "v2"},
		{name: "another slot is busy", live: []string{"v2"}, ledger: "v1 v2", open: open{{Number: 7, State: bot.Running, Plan: bot.Plan{Slot: "shop/prod capacity", Spec: bot.Spec{Kind: "scale@1", Body: []byte(`3`)}}}}, want: "v1", from: "v2", checked: true},
		{name: "somebody else deploys", live: []string{"v2"}, ledger: "v1 v2", deploying: "v3", want: "v2", from: "v3", now: "v2, while v3 is being brought"},
		{name: "a rollback is under way", live: []string{"v3"}, ledger: "v1 v2 v3", deploying: "v2", open: open{running(7, bot.Running, provider.Rollback, "v3", "v2")}, noop: "#7 is going back to v2 in shop/prod already"},
		{name: "a rollback is next", live: []string{"v2"}, ledger: "v1 v2", deploying: "v3", open: open{running(8, bot.Queued, provider.Rollback, "v3", "v2"), running(7, bot.Cancelling, provider.Deploy, "v2", "v3")}, noop: "#8 is going back to v2 in shop/prod already"},
		{name: "a rollback is under way to the one named", live: []string{"v3"}, open: open{running(7, bot.Running, provider.Rollback, "v3", "v2")}, version: "v2", noop: "#7 is going back to v2 in shop/prod already"},
		{name: "a rollback is under way to another", live: []string{"v3"}, open: open{running(7, bot.Running, provider.Rollback, "v3", "v2")}, version: "v1", want: "v1", from: "v3"},
		{name: "our deployment ended who knows how", live: []string{"v2"}, ledger: "v1 v2", open: open{ended(7, bot.Unknown, "v2", "v3")}, want: "v2", from: "v3", now: "v2, after #7 deploy v3 ended unknown"},
		{name: "named after our deployment ended who knows how", live: []string{"v2"}, open: open{ended(7, bot.Unknown, "v2", "v3")}, version: "v2", want: "v2", from: "v3", now: "v2, after #7 deploy v3 ended unknown"},
		{name: "our deployment failed and what was live looks live", live: []string{"v2"}, ledger: "v1 v2", open: open{ended(7, bot.Failed, "v2", "v3")}, want: "v2", from: "v3", now: "v2, after #7 deploy v3 ended failed"},
		{name: "our deployment failed and left what it was bringing", live: []string{"v2", "v3"}, ledger: "v1 v2", open: open{ended(7, bot.Failed, "v2", "v3")}, want: "v2", from: "v3", now: "v3, after #7 deploy v3 ended failed"},
		{name: "our deployment was cancelled half-way", live: []string{"v2"}, ledger: "v1 v2", open: open{ended(7, bot.Cancelled, "v2", "v3")}, want: "v2", from: "v3", now: "v2, after #7 deploy v3 ended cancelled"},
		{name: "our deployment failed and the platform went back by itself", live: []string{"v2"}, ledger: "v1 v2", open: open{ended(7, bot.RolledBack, "v2", "v3")}, want: "v2", from: "v3", now: "v2, after #7 deploy v3 ended rolled back"},
		{name: "two deployments failed", live: []string{"v2"}, ledger: "v1 v2", open: open{ended(8, bot.Failed, "v2", "v4"), ended(7, bot.Failed, "v2", "v3")}, want: "v2", from: "v4", now: "v2, after #8 deploy v4 ended failed"},
		{name: "past what is live after our deployment failed", live: []string{"v2"}, ledger: "v1 v2", version: "v1", open: open{ended(7, bot.Failed, "v2", "v3")}, want: "v1", from: "v2", now: "v2, after #7 deploy v3 ended failed"},
		{name: "our deployment was refused", live: []string{"v2"}, ledger: "v1 v2", open: open{refused(7, "v2", "v3")}, want: "v1", from: "v2", checked: true},
		{name: "our deployment of what is live failed", live: []string{"v2"}, ledger: "v1 v2", open: open{ended(7, bot.Failed, "v2", "v2")}, want: "v1", from: "v2", checked: true},
		{name: "our deployment failed and nothing answers", live: []string{"v2"}, ledger: "v1 v2", silent: true, open: open{ended(7, bot.Failed, "v2", "v3")}, want: "v2", from: "v3", now: "#7 deploy v3 ended failed"},
		{name: "somebody went on after our deployment failed", live: []string{"v4"}, ledger: "v1 v2 v4", open: open{ended(7, bot.Failed, "v2", "v3")}, want: "v2", from: "v4", checked: true},
		{name: "somebody went on after what ended who knows how", live: []string{"v1"}, ledger: "v1 v2", open: open{ended(7, bot.Unknown, "v2", "v3")}, want: "v2", from: "v1", checked: true},
		{name: "a rollback is being cancelled", live: []string{"v3"}, ledger: "v1 v2 v3", deploying: "v2", open: open{running(7, bot.Cancelling, provider.Rollback, "v3", "v2")}, want: "v2", from: "v3", checked: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			far := providertest.NewFriendly(clock)
			for _, v := range c.live {
				far.SetLive(prod, v)
			}
			err = s.Update(t.Context(), func(tx store.Tx) error {
				before := provider.Artefact{}
				for i, v := range strings.Fields(c.ledger) {
					d, err := release.LiveDocument(prod, release.Entry{Artefact: artefacts[v], Before: before, Run: int64(i + 1)})
					if err != nil {
						return err
					}
					if _, err := tx.PutDocument(d); err != nil {
						return err
					}
					before = artefacts[v]
				}
				if c.bad == "" {
					return nil
				}
				d, err := release.BadDocument(prod, release.Mark{Artefact: artefacts[c.bad], Run: 1})
				if err == nil {
					_, err = tx.PutDocument(d)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			catalog := provider.NewCatalog(nil, map[bot.Target]provider.Bindings{prod: {Deploy: elsewhere{far.Deployer(prod), c.deploying, c.silent}}})
			cmd := rollback.New(catalog, release.NewLedger(s), c.open)
			args := bot.Args{"service": "shop", "environment": "prod"}
			if c.version != "" {
				args["version"] = c.version
			}
			p, err := cmd.Plan(t.Context(), bot.Call{ID: "this", Args: args})
			if c.fails != "" {
				if err == nil || !strings.Contains(bot.Sentence(err, ""), c.fails) {
					t.Fatalf("got %+v (%v), want %q", p, err, c.fails)
				}
				return
			}
			if err != nil || p.Noop != c.noop {
				t.Fatalf("noop %q (%v), want %q", p.Noop, err, c.noop)
			}
			if c.noop != "" {
				return
			}
			var d provider.Deployment
			if err := json.Unmarshal(p.Spec.Body, &d); err != nil {
				t.Fatal(err)
			}
			now := p.Preview[0].Value
			for v, a := range artefacts {
				now = strings.ReplaceAll(now, a.Label(), v)
			}
			if want := cmp.Or(c.now, c.from); now != want || d.From.ID != artefacts[c.from].ID {
				t.Errorf("now %q, leaves %s, want %q and %s", now, d.From.Version, want, c.from)
			}
			if !p.WayBack || p.Summary != "roll back shop in prod to "+c.want ||
				(len(p.Preconditions) > 0) != c.checked || len(p.Obstacles) != c.obstacles {
				t.Fatalf("plan %+v", p)
			}
			if told := strings.Contains(strings.Join(p.Warnings, " "), "could not be read"); told != c.silent {
				t.Errorf("warnings %q", p.Warnings)
			}
			if c.checked && p.Preconditions[0].Want != artefacts[c.from].ID {
				t.Errorf("preconditions %+v", p.Preconditions)
			}
		})
	}
}

// The run that is being planned again is not in its own way.
func TestItsOwnRun(t *testing.T) {
	t.Parallel()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	far := providertest.NewFriendly(bot.SystemClock{})
	far.SetLive(prod, "v2")
	catalog := provider.NewCatalog(nil, map[bot.Target]provider.Bindings{prod: {Deploy: far.Deployer(prod)}})
	call := bot.Call{ID: "this", Args: bot.Args{"service": "shop", "environment": "prod"}}
	first, err := rollback.New(catalog, release.NewLedger(s), open{}).Plan(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	own := open{{Number: 3, State: bot.Queued, Call: call, Plan: first}}
	again, err := rollback.New(catalog, release.NewLedger(s), own).Plan(t.Context(), call)
	if err != nil || again.Noop != "" || again.Spec.Digest() != first.Spec.Digest() {
		t.Errorf("planned again as %+v (%v)", again, err)
	}
}
