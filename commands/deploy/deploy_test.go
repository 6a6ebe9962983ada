package deploy_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/bot/release"
	"quarterdeck/bot/store"
	"quarterdeck/commands/deploy"
)

type stage struct {
	t       *testing.T
	far     *providertest.Infrastructure
	store   store.Store
	command bot.Command
}

var (
	staging = bot.Target{Service: "shop", Environment: "staging"}
	prod    = bot.Target{Service: "shop", Environment: "prod"}
)

// mixed is a Deployer that says that several versions are live.
type mixed struct {
	provider.Deployer
	versions []string
}

func (m *mixed) Current(ctx context.Context) (provider.Live, error) {
	live, err := m.Deployer.Current(ctx)
	live.Mixed = m.versions
	return live, err
}

// noRuns is an engine that ran nothing.
type noRuns struct{}

func (noRuns) Runs(context.Context, bot.RunFilter) ([]bot.Run, error) { return nil, nil }

func (noRuns) Get(context.Context, int64) (bot.Run, error) { return bot.Run{}, nil }

func (noRuns) Answer(context.Context, bot.Call, bot.Answer, int64) (bot.Reply, error) {
	return bot.Reply{}, nil
}

func newStage(t *testing.T) (*stage, *mixed) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	far := providertest.NewFriendly(bot.SystemClock{})
	m := &mixed{Deployer: far.Deployer(staging)}
	c := provider.NewCatalog([]string{"staging", "prod"}, map[bot.Target]provider.Bindings{
		staging: {Deploy: m}, prod: {Deploy: far.Deployer(prod)}, {Service: "bare", Environment: "prod"}: {}})
	return &stage{t, far, s, deploy.New(c, release.NewLedger(s), noRuns{}, providertest.NewJudge(), bot.SystemClock{})}, m
}

func (s *stage) plan(service, version, environment string) (bot.Plan, error) {
	return s.command.Plan(s.t.Context(), bot.Call{Args: bot.Args{"service": service, "version": version, "environment": environment}})
}

func (s *stage) mustPlan(version, environment string) bot.Plan {
	s.t.Helper()
	p, err := s.plan("shop", version, environment)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// The Spec holds one immutable artefact and nothing that drifts.
func TestSpecIsImmutable(t *testing.T) {
	t.Parallel()
	s, _ := newStage(t)
	p := s.mustPlan("v2", "prod")
	if p.Summary != "deploy shop v2 to prod" || p.Undo != "rollback shop prod" || p.Slot != release.Slot(prod) || p.WayBack || p.Noop != "" {
		t.Errorf("plan %+v", p)
	}
	if body := string(p.Spec.Body); strings.Contains(body, "notes") || strings.Contains(body, "origin") || !strings.Contains(body, "sha256:") {
		t.Errorf("spec %s", body)
	}
	if again := s.mustPlan("v2", "prod"); again.Spec.Digest() != p.Spec.Digest() {
		t.Error("the same plan has another digest")
	}
	// latest is v4 today: what is approved is v4.
	if latest := s.mustPlan("latest", "prod"); latest.Spec.Digest() != s.mustPlan("v4", "prod").Spec.Digest() {
		t.Error("latest is not one artefact")
	}
	s.far.SetLive(prod, "v3")
	if moved := s.mustPlan("v2", "prod"); moved.Spec.Digest() == p.Spec.Digest() || moved.Preconditions[0].Text != "v3 is live" {
		t.Errorf("from another release it is the same plan: %+v", moved)
	}
}

func TestWordsForVersions(t *testing.T) {
	t.Parallel()
	s, m := newStage(t)
	s.far.SetLive(staging, "v3")
	if p := s.mustPlan("staging", "prod"); p.Summary != "deploy shop v3 to prod" {
		t.Errorf("summary %q", p.Summary)
	}
	m.versions = []string{"v2", "v3"}
	if _, err := s.plan("shop", "staging", "prod"); bot.KindOf(err) != bot.Conflict || !strings.Contains(bot.Sentence(err, ""), "has no single live release") {
		t.Errorf("got %v", err)
	}
	if p := s.mustPlan("v3", "staging"); p.Noop != "" || len(p.Warnings) == 0 {
		t.Errorf("half of v3 is taken for all of it: %+v", p)
	}
	if _, err := s.plan("shop", "previous", "prod"); bot.KindOf(err) != bot.NotFound {
		t.Errorf("got %v", err)
	}
	a, err := m.Resolve(t.Context(), "v2")
	if err != nil {
		t.Fatal(err)
	}
	d, err := release.LiveDocument(prod, release.Entry{Artefact: a, Run: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.store.Update(t.Context(), func(tx store.Tx) error { _, err := tx.PutDocument(d); return err }); err != nil {
		t.Fatal(err)
	}
	if p := s.mustPlan("previous", "prod"); p.Summary != "deploy shop v2 to prod" {
		t.Errorf("summary %q", p.Summary)
	}
	for _, bad := range []struct{ service, version, environment string }{{"shop", "v9", "prod"}, {"bare", "v1", "prod"}, {"shop", "v1", "moon"}} {
		if _, err := s.plan(bad.service, bad.version, bad.environment); bot.KindOf(err) != bot.NotFound {
			t.Errorf("%v: got %v", bad, err)
		}
	}
}

func TestNoop(t *testing.T) {
	t.Parallel()
	s, _ := newStage(t)
	if p := s.mustPlan("v1", "prod"); p.Noop != "v1 is live in shop/prod already" {
		t.Errorf("plan %+v", p)
	}
}
