package capacity_test

import (
	"encoding/json"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/capacity"
	"quarterdeck/bot/observe"
	"quarterdeck/bot/provider"
)

// What a run left is its own: what it set, and, when it did not succeed, what
// was before as well. Another dimension's run explains nothing.
func TestWatchExplains(t *testing.T) {
	t.Parallel()
	w := capacity.NewWatch(func() *provider.Catalog { return provider.NewCatalog(nil, nil) })
	seen := func(replicas string) observe.Seen {
		body, err := json.Marshal([]map[string]string{{"dimension": "class", "value": "large"}, {"dimension": "replicas", "unit": "instances", "value": replicas}})
		if err != nil {
			t.Fatal(err)
		}
		return observe.Seen{Value: string(body), Body: body}
	}
	shop := bot.Target{Service: "shop", Environment: "prod"}
	ran := func(dimension string, state bot.RunState) bot.Run {
		spec, err := bot.NewSpec(capacity.Kind, "scale", shop, nil, capacity.Change{Scaling: provider.Scaling{Target: shop, Dimension: dimension, From: "2", To: "4"}})
		if err != nil {
			t.Fatal(err)
		}
		return bot.Run{State: state, Plan: bot.Plan{Spec: spec}}
	}
	for _, c := range []struct {
		dimension string
		state     bot.RunState
		now       string
		want      bool
	}{
		{"replicas", bot.Succeeded, "4", true},
		{"replicas", bot.Succeeded, "2", false},
		{"replicas", bot.Failed, "2", true},
		{"replicas", bot.Unknown, "4", true},
		{"replicas", bot.Unknown, "3", false},
		{"storage", bot.Succeeded, "4", false},
	} {
		if got := w.Explains(ran(c.dimension, c.state), seen(c.now)); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	said := w.Says(observe.Change{Subject: observe.Subject{Target: shop}, Was: seen("2"), Now: seen("7")})
	if want := "shop/prod is scaled to 7 instances, no longer 2 instances; that was not done through the bot"; said != want {
		t.Errorf("says %q, want %q", said, want)
	}
}
