package restart_test

import (
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/bot/release"
	"quarterdeck/commands/restart"
)

func TestPlan(t *testing.T) {
	t.Parallel()
	prod := bot.Target{Service: "shop", Environment: "prod"}
	far := providertest.NewFriendly(bot.SystemClock{})
	catalog := provider.NewCatalog(nil, map[bot.Target]provider.Bindings{prod: {Deploy: far.Deployer(prod)}, {Service: "bare", Environment: "prod"}: {}})
	cmd := restart.New(catalog, release.NewLedger(nil))
	plan := func(service string) (bot.Plan, error) {
		return cmd.Plan(t.Context(), bot.Call{Args: bot.Args{"service": service, "environment": "prod"}})
	}
	p, err := plan("shop")
	if err != nil || p.Summary != "restart shop in prod" || p.Slot != release.Slot(prod) || p.WayBack || p.Noop != "" || len(p.Preconditions) != 1 {
		t.Fatalf("plan %+v (%v)", p, err)
	}
	far.SetLive(prod, "v2")
	if moved, err := plan("shop"); err != nil || moved.Spec.Digest() == p.Spec.Digest() {
		t.Errorf("a restart of another release is the same plan (%v)", err)
	}
	if _, err := plan("bare"); bot.KindOf(err) != bot.NotFound || !strings.Contains(bot.Sentence(err, ""), "no deploy provider") {
		t.Errorf("got %v", err)
	}
}

// A restart that nothing can do is refused before anybody is asked to confirm it.
func TestRefusedWhenPlanned(t *testing.T) {
	t.Parallel()
	prod := bot.Target{Service: "shop", Environment: "prod"}
	far := providertest.NewFriendly(bot.SystemClock{})
	catalog := provider.NewCatalog(nil, map[bot.Target]provider.Bindings{prod: {Deploy: limited{far.Deployer(prod)}}})
	_, err := restart.New(catalog, release.NewLedger(nil)).Plan(t.Context(), bot.Call{Args: bot.Args{"service": "shop", "environment": "prod"}})
	if bot.KindOf(err) != bot.Invalid || bot.Sentence(err, "") != "no restart here" {
		t.Errorf("got %v", err)
	}
}

// limited is a Deployer that can do nothing.
type limited struct{ provider.Deployer }

func (limited) Can(a provider.Action) error { return bot.Errorf(bot.Invalid, "no %s here", a) }
