package flag_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/flag"
	"quarterdeck/bot/provider"
)

func boolean(key string) provider.Flag {
	return provider.Flag{Key: key, Target: bot.Target{Service: "shop", Environment: "prod"}, Type: provider.BooleanFlag, On: true, Off: "off", Variant: "on", Percent: 100,
		Variants: []provider.FlagVariant{{Name: "off", Value: json.RawMessage("false")}, {Name: "on", Value: json.RawMessage("true")}}}
}

// TestBucket holds the hash against values that an implementation in another
// language gave. The first are those that MurmurHash3 is usually checked by: with
// 2^32 - 1 parts, the part is the hash but for the last bit.
func TestBucket(t *testing.T) {
	for text, want := range map[string]uint32{
		"": 0, "test": 0xba6bd213, "Hello, world!": 0xc0363e43, "The quick brown fox jumps over the lazy dog": 0x2e4ff723,
	} {
		if got := flag.Bucket(text, "", 1<<32-1); got != want && got != want-1 {
			t.Errorf("the hash of %q is %#x, want %#x", text, got, want)
		}
	}
	for _, v := range []struct {
		flag, key       string
		hundred, fourth uint32
	}{
		{"new-checkout", "user-1", 45, 1}, {"new-checkout", "user-2", 22, 0}, {"new-checkout", "user-3", 77, 3},
		{"headerColor", "rachel@faas.com", 42, 1}, {"headerColor", "monica@faas.com", 77, 3}, {"a", "", 23, 0}, {"theme", "zoë", 55, 2},
	} {
		if got := flag.Bucket(v.flag, v.key, 100); got != v.hundred {
			t.Errorf("%s for %s: part %d of 100, want %d", v.flag, v.key, got, v.hundred)
		}
		if got := flag.Bucket(v.flag, v.key, 4); got != v.fourth {
			t.Errorf("%s for %s: part %d of 4, want %d", v.flag, v.key, got, v.fourth)
		}
	}
}

// TestRaisingTakesNobodyOut: whoever is in at one percentage is in at every larger
// one, and the share that is in is about the percentage.
func TestRaisingTakesNobodyOut(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 11))
	for range 20 {
		f := boolean(fmt.Sprintf("flag-%d", rnd.Uint64()))
		const people = 2000
		before := make([]bool, people)
		seed := rnd.Uint64()
		for f.Percent = 0; f.Percent <= 100; f.Percent += 1 + rnd.IntN(9) {
			in := 0
			for i := range people {
				e := flag.Evaluate(&f, flag.Context{flag.TargetingKey: fmt.Sprintf("user-%d-%d", seed, i)})
				if before[i] && e.Variant != "on" {
					t.Fatalf("%s: user %d was in and is out at %d%%", f.Key, i, f.Percent)
				}
				if before[i] = e.Variant == "on"; before[i] {
					in++
				}
			}
			if share := in * 100 / people; share < f.Percent-5 || share > f.Percent+5 {
				t.Errorf("%s at %d%% reaches %d%%", f.Key, f.Percent, share)
			}
		}
	}
}

// TestStepsReachMore: the same over all steps of a ramp, rings and percentages
// alike, as verbs make them.
func TestStepsReachMore(t *testing.T) {
	powers := provider.FlagPowers{Rings: []provider.Ring{
		{Name: "internal", If: provider.Condition{Attribute: "email", EndsWith: []string{"@example.com"}}},
		{Name: "beta", If: provider.Condition{Attribute: "plan", In: []string{"beta"}}},
	}}
	f := boolean("new-checkout")
	f.On = false
	was := map[int]bool{}
	rank := flag.Rank(f, powers)
	for _, word := range []string{"internal", "beta", "5%", "25%", "99%", "100%"} {
		s, err := flag.Parse(word, f, powers)
		if err != nil {
			t.Fatal(err)
		}
		f = s.Apply(f)
		if now := flag.Rank(f, powers); now <= rank || now != s.Rank {
			t.Errorf("%s has rank %d after %d, and says %d", word, now, rank, s.Rank)
		} else {
			rank = now
		}
		in := 0
		for i := range 3000 {
			c := flag.Context{flag.TargetingKey: fmt.Sprint(i), "email": "x@example.net", "plan": "free"}
			if i%50 == 0 {
				c["email"] = "y@example.com"
			}
			if i%30 == 0 {
				c["plan"] = "beta"
			}
			e := flag.Evaluate(&f, c)
			if was[i] && e.Variant != "on" {
				t.Fatalf("%d is out at %s", i, word)
			}
			if was[i] = e.Variant == "on"; was[i] {
				in++
			}
		}
		if in == 0 {
			t.Errorf("%s reaches nobody", word)
		}
	}
	if len(was) != 3000 {
		t.Error("not everybody was looked at")
	}
}

func TestEvaluate(t *testing.T) {
	rule := func(f *provider.Flag) {
		f.Rules = []provider.FlagRule{{If: provider.Condition{Attribute: "country", In: []string{"DE", "5", "true"}}, Variant: "on"}}
		f.Percent = 0
	}
	for name, row := range map[string]struct {
		change func(*provider.Flag)
		c      flag.Context
		want   flag.Evaluation
	}{
		"on for everybody":      {func(*provider.Flag) {}, nil, flag.Evaluation{Variant: "on", Reason: flag.Static}},
		"off":                   {func(f *provider.Flag) { f.On = false }, nil, flag.Evaluation{Variant: "off", Reason: flag.Disabled}},
		"nobody":                {func(f *provider.Flag) { f.Percent = 0 }, nil, flag.Evaluation{Variant: "off", Reason: flag.Static}},
		"a rule":                {rule, flag.Context{"country": "DE"}, flag.Evaluation{Variant: "on", Reason: flag.TargetingMatch}},
		"a rule by number":      {rule, flag.Context{"country": json.Number("5")}, flag.Evaluation{Variant: "on", Reason: flag.TargetingMatch}},
		"a rule by boolean":     {rule, flag.Context{"country": true}, flag.Evaluation{Variant: "on", Reason: flag.TargetingMatch}},
		"a rule that holds not": {rule, flag.Context{"country": "FR"}, flag.Evaluation{Variant: "off", Reason: flag.TargetingMatch}},
		"an attribute missing":  {rule, nil, flag.Evaluation{Variant: "off", Reason: flag.TargetingMatch}},
		"an object":             {rule, flag.Context{"country": map[string]any{"DE": 1}}, flag.Evaluation{Variant: "off", Reason: flag.TargetingMatch}},
		"no targeting key":      {func(f *provider.Flag) { f.Percent = 10 }, flag.Context{"country": "DE"}, flag.Evaluation{Reason: flag.Split, Keyless: true}},
		"an empty one":          {func(f *provider.Flag) { f.Percent = 10 }, flag.Context{flag.TargetingKey: ""}, flag.Evaluation{Reason: flag.Split, Keyless: true}},
		"in a percentage":       {func(f *provider.Flag) { f.Percent = 46 }, flag.Context{flag.TargetingKey: "user-1"}, flag.Evaluation{Variant: "on", Reason: flag.Split}},
		"not in a percentage":   {func(f *provider.Flag) { f.Percent = 45 }, flag.Context{flag.TargetingKey: "user-1"}, flag.Evaluation{Variant: "off", Reason: flag.Split}},
	} {
		f := boolean("new-checkout")
		row.change(&f)
		if got := flag.Evaluate(&f, row.c); got != row.want {
			t.Errorf("%s: %+v, want %+v", name, got, row.want)
		}
	}
}

func TestEvaluateAllocatesNothing(t *testing.T) {
	f := boolean("new-checkout")
	f.Percent = 25
	c := flag.Context{flag.TargetingKey: "user-1"}
	if n := testing.AllocsPerRun(100, func() { flag.Evaluate(&f, c) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkEvaluate(b *testing.B) {
	f := boolean("new-checkout")
	f.Percent = 25
	f.Rules = []provider.FlagRule{{If: provider.Condition{Attribute: "country", In: []string{"DE", "AT"}}, Variant: "on"}}
	c := flag.Context{flag.TargetingKey: "user-1", "country": "FR"}
	for b.Loop() {
		flag.Evaluate(&f, c)
	}
}
