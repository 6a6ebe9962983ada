package release_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/bot/release"
)

// vetted is a Deployer that knows of checks.
type vetted struct {
	provider.Deployer
	says []string
	err  error
}

func (v vetted) Vet(context.Context, provider.Artefact) ([]string, error) { return v.says, v.err }

type still struct{}

func (still) Now() time.Time { return time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC) }

// TestVet: what stands against a deployment does so through every shape of
// target, and what cannot be read does too.
func TestVet(t *testing.T) {
	at := bot.Target{Service: "shop", Environment: "prod"}
	plain := providertest.NewFriendly(still{}).Deployer(at)
	red := vetted{plain, []string{"the checks of v2 are not green"}, nil}
	blind := vetted{plain, nil, bot.Errorf(bot.Unavailable, "GitHub is out of order")}
	whole := provider.Composed([]provider.Part{{Component: "web", ID: "a", Version: "v2"}, {Component: "worker", ID: "b", Version: "v2"}})
	for name, c := range map[string]struct {
		d    provider.Deployer
		to   provider.Artefact
		want []string
	}{
		"knows of none": {plain, provider.Artefact{Version: "v2"}, nil},
		"green":         {vetted{plain, nil, nil}, provider.Artefact{Version: "v2"}, nil},
		"red":           {red, provider.Artefact{Version: "v2"}, []string{"the checks of v2 are not green"}},
		"unreadable":    {blind, provider.Artefact{Version: "v2"}, []string{"whether the checks of v2 are green is not known: GitHub is out of order"}},
		"split":         {release.NewSplit(red, plain, "other"), provider.Artefact{Version: "v2"}, []string{"the checks of v2 are not green"}},
		"components": {release.NewComponents([]release.Component{{Name: "web", Deployer: red}, {Name: "worker", Deployer: plain}}, nil, nil), whole,
			[]string{"web: the checks of v2 are not green"}},
		"a component is unreadable": {release.NewComponents([]release.Component{{Name: "web", Deployer: plain}, {Name: "worker", Deployer: blind}}, nil, nil), whole,
			[]string{"whether the checks of v2 are green is not known: worker: GitHub is out of order"}},
	} {
		var got []string
		for _, o := range release.Vet(t.Context(), c.d, c.to) {
			if o.Permission != bot.MayOverrideBad {
				t.Errorf("%s: passed by %q", name, o.Permission)
			}
			got = append(got, o.Text)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
