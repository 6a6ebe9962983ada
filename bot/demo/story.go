package main

// step is one line of the story: who types it and what it shows. Ask is the
// whole line; its run, where one is needed, is the one that waits.
type step struct {
	as, line, shows string
}

// story is an incident in a few minutes. An empty Enter types its next line.
var story = []step{
	{"dev", "deploy shop v3 staging", "passes: too little traffic to show the fault"},
	{"dev", "deploy shop v3 prod", "plan v1 -> v3; asks dev to confirm"},
	{"dev", "confirm", "now it waits for an sre"},
	{"sre", "approve", "rolls out; in 20 s errors climb: type targets"},
	{"sre", "rollback shop prod", "at once, with no questions; v3 is marked bad"},
	{"dev", "deploy shop v3 prod", "refused: it is marked bad"},
}

// teller steps through the story.
type teller struct {
	next int
	as   string
}

// lines gives what the next step types, after a switch of person where
// somebody else speaks; "" at the end.
func (t *teller) lines() string {
	if t.next >= len(story) {
		return ""
	}
	s := story[t.next]
	t.next++
	if s.as == t.as {
		return s.line
	}
	t.as = s.as
	return "/as " + s.as + "\n" + s.line
}
