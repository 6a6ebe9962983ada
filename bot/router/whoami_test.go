package router

import (
	"testing"

	"quarterdeck/bot"
)

// Places are told as shortly as is true: never more than is meant.
func TestPlaces(t *testing.T) {
	targets := func(names ...string) (list []bot.Target) {
		for _, n := range names {
			target, ok := bot.ParseTarget(n)
			if !ok {
				t.Fatal(n)
			}
			list = append(list, target)
		}
		return list
	}
	all := targets("a/staging", "b/staging", "c/staging", "a/prod", "b/prod", "c/prod", "d/prod", "e/prod", "z/lab")
	for want, some := range map[string][]bot.Target{
		"everywhere":                     all,
		"*/staging":                      all[:3],
		"a/staging b/staging":            all[:2],
		"*/staging a/prod":               all[:4],
		"z/lab":                          all[8:],
		"*/staging */prod":               all[:8],
		"*/staging a/prod b/prod 2 more": all[:7],
	} {
		if got := places(some, all); got != want {
			t.Errorf("%v is told as %q, want %q", some, got, want)
		}
	}
	if got := places(all[:1], all[:1]); got != "a/staging" {
		t.Errorf("the only target is told as %q", got)
	}
}
