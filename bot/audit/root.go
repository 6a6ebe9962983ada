package audit

import (
	"fmt"
	"strings"

	"quarterdeck/bot"
)

// rootRecords bounds how many records of each kind a run's first post draws on.
const rootRecords = 20

// root gives the run's first post as the run stands with the last of records.
// It is made from the log alone, so that it shows what is recorded.
func (t *telling) root(run *runRecords) (bot.Card, error) {
	last := run.records[len(run.records)-1]
	of := func(kind bot.RecordKind) (list []bot.Record, err error) {
		sealed, err := t.tx.Records(bot.RecordFilter{Run: run.number, Kind: kind, Limit: rootRecords})
		for i := len(sealed) - 1; i >= 0; i-- {
			if r, bad := Decode(sealed[i]); bad == nil && sealed[i].Seq <= last.Seq && !r.Read {
				list = append(list, r)
			}
		}
		return list, err
	}
	asked, err := of(bot.Requested)
	if err != nil {
		return bot.Card{}, err
	}
	head := run.records[0]
	if len(asked) > 0 {
		head = asked[len(asked)-1]
	}
	yes, err := of(bot.Approved)
	if err != nil {
		return bot.Card{}, err
	}
	over, err := of(bot.OverriddenKind)
	if err != nil {
		return bot.Card{}, err
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
	add("target", head.Target)
	add("asked in", string(head.Channel))
	add("rule", head.Rule)
	add("reason", value(head, "reason"))
	var by []string
	for _, r := range yes {
		if r.Detail["answer"] == string(bot.AnswerConfirm) {
			add("confirmed by", Actor(r))
		} else {
			by = append(by, Actor(r))
		}
	}
	add("approved by", strings.Join(by, ", "))
	var passed []string
	for _, r := range over {
		passed = append(passed, orElse(flat(r.Detail["passed"]), "what stood against it"))
	}
	add("overrode", strings.Join(passed, "; "))
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
	case bot.Requested, bot.Approved:
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
