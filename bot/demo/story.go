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
	{"sre", "approve", "rolls out; errors climb, and sre is paged"},
	{"sre", "page ack", "the page names the deployment before it"},
	{"sre", "metrics shop/prod --last 5m", "the chart has the deployment marked"},
	{"sre", "rollback shop prod", "at once, with no questions; v3 is marked bad"},
}

// teller steps through the story.
type teller struct{ next int }

// lines gives what the next step types when as is who speaks, after a switch of
// person where somebody else is to speak. At the end it says what else there is.
func (t *teller) lines(as string) string {
	if t.next >= len(story) {
		return "# the story is over; go on with: crash, tamper, targets, audit, help; Ctrl-D ends the demo"
	}
	s := story[t.next]
	t.next++
	if s.as == as {
		return s.line
	}
	return "/as " + s.as + "\n" + s.line
}
