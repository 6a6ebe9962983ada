package flag

import (
	"context"
	"fmt"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/flag"
	"quarterdeck/bot/nearest"
)

// Bounds of a ramp. The shortest step is for trying it out.
const (
	usualStep    = 30 * time.Minute
	shortestStep = time.Second
	longestStep  = 7 * 24 * time.Hour
	maxSteps     = 20
)

func (v *verbs) ramp(w *flag.RampWorkflow) bot.Command {
	return bot.Command{
		Name:    "flag ramp",
		Summary: "take a flag further step by step, and back by itself",
		Help: "STEPS are rings and percentages, each further than the one before; behind them every TIME, half an hour unless given, and while METRIC. " +
			"Each step is watched for that time. Once the metric is not within its threshold, or has no data, the flag goes back to the last step that " +
			"was good, and its owner is told. Cancelled, it stays where it is.",
		Examples:   []string{"flag ramp new-checkout prod 5% 25% 100% every 30m while error rate", "flag ramp new-checkout prod internal beta 100% every 1d"},
		Params:     []bot.Param{v.knownParam(), environmentParam(false), {Name: "steps", Type: bot.TypeWords, Help: "5% 25% 100% every 30m while METRIC"}},
		Permission: bot.MaySetFlag,
		Resolve:    v.resolve(bot.MaySetFlag),
		Plan: func(ctx context.Context, c bot.Call) (bot.Plan, error) {
			was, flagger, err := v.get(ctx, c.Args["environment"], c.Args["flag"])
			if err != nil {
				return bot.Plan{}, err
			}
			words, every, metric, err := spoken(c.Args["steps"])
			if err != nil {
				return bot.Plan{}, err
			}
			r := flag.Ramp{Base: was, From: was.Revision, Every: every, Metric: metric}
			powers, rank, before := flagger.Powers(), 0, was.Reach()
			rank = flag.Rank(was, powers)
			stops := []string{before}
			for _, word := range words {
				step, err := flag.Parse(word, was, powers)
				switch {
				case err != nil:
					return bot.Plan{}, err
				case step.Rank < 0 || word == "off":
					return bot.Plan{}, bot.Errorf(bot.Invalid, "%q is no step of a ramp; write percentages and rings, such as 5%% 25%% 100%%", word)
				case step.Rank <= rank:
					return bot.Plan{}, bot.Errorf(bot.Invalid, "%s is no further than %s; each step of a ramp reaches more people than the one before", word, before)
				}
				rank, before = step.Rank, word
				r.Steps, stops = append(r.Steps, step.Apply(was)), append(stops, word)
			}
			if err := w.Watchable(ctx, was.Target, metric); err != nil {
				return bot.Plan{}, err
			}
			spec, err := bot.NewSpec(flag.RampKind, "flag ramp", was.Target, []bot.Resource{was.Resource()}, r)
			if err != nil {
				return bot.Plan{}, err
			}
			p := bot.Plan{
				Spec: spec, Slot: flag.Slot(was.Target, was.Key), Subject: flag.Subject(was.Target, was.Key), Guarded: true,
				Preconditions: flag.RampFacts(v.Catalog, r),
				Summary:       fmt.Sprintf("ramp %s in %s to %s", was.Key, was.Target.Environment, words[len(words)-1]),
				Preview:       []bot.Field{{Name: was.Key, Value: strings.Join(stops, " -> ")}, {Name: "every", Value: bot.Span(every)}},
				Undo:          fmt.Sprintf("flag set %s %s %s", was.Key, was.Target.Environment, typed(was.Reach(), was.On)),
			}
			if metric != "" {
				p.Preview = append(p.Preview, bot.Field{Name: "while", Value: metric + " is within its threshold, else back to the last good step"})
			} else {
				p.Warnings = append(p.Warnings, "nothing is watched meanwhile; add: while METRIC")
			}
			return p, nil
		},
	}
}

// typed gives how a reach is typed.
func typed(reach string, on bool) string {
	word, _, _ := strings.Cut(strings.TrimPrefix(reach, "ring "), " ")
	if !on {
		return "off"
	}
	return word
}

// spoken reads "5% 25% 100% every 30m while error rate".
func spoken(text string) (steps []string, every time.Duration, metric string, err error) {
	every = usualStep
	words := strings.Fields(text)
	for len(words) > 0 && words[0] != "every" && words[0] != "while" {
		steps, words = append(steps, words[0]), words[1:]
	}
	for _, s := range steps {
		for _, keyword := range []string{"every", "while"} {
			if s != keyword && !strings.HasSuffix(s, "%") && nearest.Of(s, []string{keyword}) != "" {
				return nil, 0, "", bot.Errorf(bot.Invalid, "%q is no step; did you mean %q?", s, keyword)
			}
		}
	}
	if len(steps) == 0 || len(steps) > maxSteps {
		return nil, 0, "", bot.Errorf(bot.Invalid, "a ramp takes 1 to %d steps; write 5%% 25%% 100%% every 30m", maxSteps)
	}
	if len(words) > 0 && words[0] == "every" {
		if len(words) < 2 {
			return nil, 0, "", bot.Errorf(bot.Invalid, "every what? Write every 30m")
		}
		if every, err = duration(words[1]); err != nil || every < shortestStep || every > longestStep {
			return nil, 0, "", bot.Errorf(bot.Invalid, "a step lasts from 1s to 7d, not %q; write every 30m", words[1])
		}
		words = words[2:]
	}
	if len(words) > 0 && words[0] != "while" {
		return nil, 0, "", bot.Errorf(bot.Invalid, "%q is not expected there; behind the steps stand every TIME and while METRIC", words[0])
	}
	if len(words) == 1 {
		return nil, 0, "", bot.Errorf(bot.Invalid, "while what? Write the name of a metric behind it")
	}
	if len(words) > 1 {
		metric = strings.Join(words[1:], " ")
	}
	return steps, every, metric, nil
}

// duration reads 90s, 30m, 6h, 2d.
func duration(s string) (time.Duration, error) {
	if n, isDays := strings.CutSuffix(s, "d"); isDays {
		d, err := time.ParseDuration(n + "h")
		return 24 * d, err
	}
	return time.ParseDuration(s)
}
