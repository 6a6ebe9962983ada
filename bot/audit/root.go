package audit

import (
	"fmt"
	"slices"
	"strings"

	"quarterdeck/bot"
)

// rootRecords bounds how many of a run's newest records its first post is made
// from; the request is looked for beyond them.
const rootRecords = 200

// root gives the run's first post as the run stands with the last of records.
// It is made from the log alone, so that it shows what is recorded.
func (t *telling) root(run *runRecords) (bot.Card, error) {
	last := run.records[len(run.records)-1]
	var asked, yes, over, seen []bot.Record
	sort := func(f bot.RecordFilter) error {
		sealed, err := t.tx.Records(f)
		for _, s := range slices.Backward(sealed) { // oldest first
			var list *[]bot.Record
			switch s.Kind {
			case bot.Requested:
				list = &asked
			case bot.Approved, bot.ConfirmedKind:
				list = &yes
			case bot.OverriddenKind:
				list = &over
			case bot.ReviewedKind:
				list = &seen
			default:
				continue
			}
			if r, bad := Decode(s); bad == nil && s.Seq <= last.Seq && !r.Read {
				*list = append(*list, r)
			}
		}
		return err
	}
	if err := sort(bot.RecordFilter{Run: run.number, Limit: rootRecords}); err != nil {
		return bot.Card{}, err
	}
	if len(asked) == 0 {
		if err := sort(bot.RecordFilter{Run: run.number, Kind: bot.Requested, Limit: 1}); err != nil {
			return bot.Card{}, err
		}
	}
	head := run.records[0]
	if len(asked) > 0 {
		head = asked[len(asked)-1]
	}

	state := stateOf(last)
	c := bot.Card{Key: fmt.Sprintf("%s%d", keyRun, run.number), Version: last.Seq, Run: run.number, State: state, Tone: toneOf(state),
		Title:  fmt.Sprintf("#%d %s: %s — %s", run.number, Actor(head), summary(head), state),
		Footer: rootFooter + spans{{last.Seq, last.Seq}}.footer()}
	add := func(name, value string) {
		if value = flat(value); value != "" {
			c.Fields = append(c.Fields, bot.Field{Name: name, Value: value})
		}
	}
	if head.Channel != "" {
		c.About = &bot.Shown{Channel: head.Channel, Key: bot.RunCardKey(run.number)}
	}
	add("target", head.Target)
	add("asked in", string(head.Channel))
	add("rule", head.Rule)
	add("reason", value(head, "reason"))
	var by []string
	for _, r := range yes {
		if r.Kind == bot.ConfirmedKind {
			add("confirmed by", actorShown(r))
		} else {
			by = append(by, actorShown(r))
		}
	}
	add("approved by", strings.Join(by, ", "))
	var passed []string
	for _, r := range over {
		if r.Detail["break_glass"] != "" {
			add("break-glass", value(r, "override"))
			add("went without", spoken(r, "passed"))
			if len(seen) == 0 {
				add("review", fmt.Sprintf("another person must look at it: review %d", run.number))
			}
			continue
		}
		passed = append(passed, orElse(flat(spoken(r, "passed")), "what stood against it"))
	}
	add("overrode", strings.Join(passed, "; "))
	for _, r := range seen {
		add("reviewed by", joined(actorShown(r), value(r, "reason")))
	}
	if state.Settled() {
		c.Text = value(last, "result")
	}
	return c, nil
}

// stateOf says how a run stands with the last record about it. A record that
// does not name the state leaves what its kind means.
func stateOf(r bot.Record) bot.RunState {
	if s := bot.RunState(r.Detail["state"]); toneKnown(s) {
		return s
	}
	switch r.Kind {
	case bot.Requested, bot.Approved, bot.ConfirmedKind:
		return bot.Waiting
	case bot.SucceededKind:
		return bot.Succeeded
	case bot.FailedKind:
		return bot.Failed
	case bot.CancelledKind, bot.DeniedRecord:
		return bot.Cancelled
	case bot.ExpiredKind:
		return bot.Expired
	case bot.UnknownKind:
		return bot.Unknown
	}
	return bot.Running
}

func toneOf(s bot.RunState) bot.Tone {
	switch s {
	case bot.Waiting:
		return bot.Question
	case bot.Queued, bot.Running, bot.Cancelling:
		return bot.Working
	case bot.Succeeded:
		return bot.Good
	case bot.RolledBack, bot.Cancelled, bot.Expired:
		return bot.Warning
	}
	return bot.Bad
}

func toneKnown(s bot.RunState) bool {
	switch s {
	case bot.Waiting, bot.Queued, bot.Running, bot.Cancelling, bot.Succeeded, bot.Failed, bot.RolledBack, bot.Cancelled, bot.Expired, bot.Unknown:
		return true
	}
	return false
}
