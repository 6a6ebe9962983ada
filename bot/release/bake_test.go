package release_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/bot/release"
	"quarterdeck/bot/store"
)

// judging is a Judge by a function.
type judging func(ctx context.Context, metric string) (provider.Judgement, error)

func (judging) Metrics(bot.Target) []string { return nil }

func (j judging) Judge(ctx context.Context, _ bot.Target, metric string) (provider.Judgement, error) {
	return j(ctx, metric)
}

// Whatever a source does, each metric has a stand, and nothing that is not good
// passes for it.
func TestJudgeFailsClosed(t *testing.T) {
	t.Parallel()
	j := judging(func(ctx context.Context, metric string) (provider.Judgement, error) {
		switch metric {
		case "panics":
			panic("boom")
		case "errs":
			return provider.Judgement{Stand: provider.Within}, bot.Errorf(bot.Invalid, "there is no metric %q", metric)
		case "empty":
			return provider.Judgement{}, nil
		case "odd":
			return provider.Judgement{Stand: "fine"}, nil
		case "hangs":
			<-ctx.Done()
			return provider.Judgement{}, ctx.Err()
		}
		return provider.Judgement{Stand: provider.Within, Value: 1}, nil
	})
	names := []string{"panics", "errs", "good", "empty", "odd", "hangs"}
	for i, g := range release.Judge(t.Context(), j, bot.Target{Service: "shop", Environment: "prod"}, names, 50*time.Millisecond) {
		want := provider.Unread
		if names[i] == "good" {
			want = provider.Within
		}
		if g.Metric != names[i] || g.Stand != want || want == provider.Unread && g.Why == "" {
			t.Errorf("%s: %+v", names[i], g)
		}
	}
}

// pushed is a clock that a test moves.
type pushed struct{ at time.Time }

func (c *pushed) Now() time.Time { return c.at }

// TestBakeEnds: however metrics stand, a watch ends in bounded time; it ends well
// only when every metric was within its bounds at the last look and none was over
// its threshold at two looks in a row, and the state goes through its handle alone.
func TestBakeEnds(t *testing.T) {
	ledger := release.NewLedger(store.Nothing{})
	deployment := provider.Deployment{Action: provider.Deploy, Target: bot.Target{Service: "shop", Environment: "prod"}, From: provider.Artefact{ID: "one", Version: "v1"}, To: provider.Artefact{ID: "two", Version: "v2"},
		Guard: &provider.Guard{Metrics: []string{"a", "b"}, Bake: 10 * time.Minute, Every: time.Minute, OnBreach: provider.GoBack, OnSilence: provider.GoBack}}
	spec, err := bot.NewSpec(release.KindBake, "deploy", deployment.Target, nil, release.Baking{Deployment: deployment, Kind: "deploy@1"})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		clock := &pushed{time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)}
		judge := providertest.NewJudge("a", "b")
		h, err := release.NewBake(ledger, judge, clock).Begin(spec, bot.Task{Key: "k", Actor: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		stands := rapid.SampledFrom([]provider.Stand{provider.Within, provider.Within, provider.Within, provider.Breached, provider.NoData, provider.Unread})
		over := map[string]int{}
		twice := false
		for look := range 40 {
			last := map[string]provider.Stand{}
			for _, m := range []string{"a", "b"} {
				s := stands.Draw(t, m)
				judge.Set(m, s, 9)
				switch last[m] = s; s {
				case provider.Within:
					over[m] = 0
				case provider.Breached:
					over[m]++
				}
				twice = twice || over[m] >= 2
			}
			// Each look by a process of its own.
			next, p, err := release.NewBake(ledger, judge, clock).Advance(t.Context(), h)
			if err != nil {
				t.Fatalf("advance: %v", err)
			}
			if h = next; !p.State.Settled() {
				if twice {
					t.Fatal("a metric was over its threshold twice, and the watch goes on")
				}
				if p.State != bot.OpBaking || p.Next <= 0 || p.Next > time.Minute || p.Percent == nil || len(p.Parts) != 2 {
					t.Fatalf("look %d: %+v", look, p)
				}
				clock.at = clock.at.Add(p.Next)
				continue
			}
			responses, err := release.NewBake(ledger, judge, clock).Responses(bot.Run{Number: 2, Parent: 1, State: bot.Failed, Handle: h, Plan: bot.Plan{Spec: spec}})
			if err != nil {
				t.Fatalf("responses: %v", err)
			}
			good := last["a"] == provider.Within && last["b"] == provider.Within && !twice
			switch {
			case p.State == bot.OpSucceeded && !good, p.State == bot.OpFailed && good:
				t.Fatalf("ends %s (%s), at last %v, twice over %v", p.State, p.Text, last, twice)
			case (p.State == bot.OpFailed) != (len(p.Tell) == 1 && p.Tell[0] == "ann"):
				t.Fatalf("ends %s, and tells %q", p.State, p.Tell)
			case p.State == bot.OpFailed && len(responses) != 1:
				t.Fatalf("%d things follow", len(responses))
			case p.State == bot.OpSucceeded && clock.at.Sub(time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)) < 10*time.Minute:
				t.Fatal("it ended well before its time")
			}
			if p.State == bot.OpFailed {
				var back provider.Deployment
				if err := json.Unmarshal(responses[0].Plan.Spec.Body, &back); err != nil || back.To.ID != "one" || back.From.ID != "two" || !strings.HasPrefix(back.Why, "the guard of #1: ") {
					t.Fatalf("what follows is %+v (%v)", back, err)
				}
			}
			return
		}
		t.Fatal("it looked 40 times in 10 minutes and did not end")
	})
}
