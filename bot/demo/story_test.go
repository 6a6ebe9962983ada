package main

import (
	"strings"
	"testing"
)

// Whoever became somebody else meanwhile sees the switch back before the step,
// so that none of the story is lost; and its end is said.
func TestStory(t *testing.T) {
	var s teller
	if got, want := s.lines("sree"), "/as dev\ndeploy shop v3 staging"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	as := "dev"
	for i, want := range story[1:] {
		got := s.lines(as)
		if want.as != as {
			got, _ = strings.CutPrefix(got, "/as "+want.as+"\n")
			as = want.as
		}
		if got != want.line {
			t.Errorf("step %d types %q, want %q", i+2, got, want.line)
		}
	}
	for range 2 {
		if got := s.lines(as); !strings.HasPrefix(got, "# the story is over; go on with: ") {
			t.Errorf("after the end it types %q", got)
		}
	}
}
