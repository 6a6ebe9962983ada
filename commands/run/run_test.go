package run_test

import (
	"context"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/commands/run"
)

// one is the only run there is.
type one struct{ run bot.Run }

func (o *one) Get(context.Context, int64) (bot.Run, error) { return o.run, nil }

func (o *one) Runs(context.Context, bot.RunFilter) ([]bot.Run, error) { return []bot.Run{o.run}, nil }

func (o *one) Answer(context.Context, bot.Call, bot.Answer, int64) (bot.Reply, error) {
	return bot.Reply{}, bot.Errorf(bot.Conflict, "nothing is asked here")
}

type noRecords struct{}

func (noRecords) Records(context.Context, bot.RecordFilter) ([]bot.Record, error) { return nil, nil }

type everybody struct{ bot.Policy }

func (everybody) Decide(bot.Request) bot.Decision { return bot.Decision{Allowed: true} }

// What a plan called "now" is the past once the run has ended.
func TestPreviewOfARunThatEnded(t *testing.T) {
	t.Parallel()
	o := &one{run: bot.Run{Number: 1, Ask: bot.Ask{Target: bot.Target{Service: "shop", Environment: "prod"}},
		Plan: bot.Plan{Preview: []bot.Field{{Name: "now", Value: "v3"}, {Name: "new", Value: "v2"}}}}}
	for state, want := range map[bot.RunState]string{bot.Running: "now", bot.Waiting: "now", bot.Succeeded: "was", bot.Failed: "was", bot.Cancelled: "was"} {
		o.run.State = state
		reply, err := run.New(o, noRecords{}, everybody{}, bot.Zone{}).Read(t.Context(), bot.Call{Args: bot.Args{"run": "1"}})
		if err != nil {
			t.Fatal(err)
		}
		if got := reply.Card.Fields[0].Name; got != want {
			t.Errorf("of a run that is %s it says %q, want %q", state, got, want)
		}
	}
	if o.run.Plan.Preview[0].Name != "now" {
		t.Error("the plan itself was changed")
	}
}
