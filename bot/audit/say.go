package audit

import (
	"fmt"
	"strings"
	"time"

	"quarterdeck/bot"
)

// Say gives a record in one line for people, without its time: who did what to
// what, and what came of it. What people typed is quoted, flattened and cut.
func Say(r bot.Record) string {
	if r.Run != 0 && !r.Read {
		return fmt.Sprintf("#%d %s", r.Run, sayRun(r))
	}
	switch r.Kind {
	case bot.DeniedRecord:
		return joined("denied: "+Actor(r)+" tried "+asked(r), value(r, "result"))
	case bot.FailedKind:
		if channel := r.Detail[detailGap]; channel != "" {
			return fmt.Sprintf("posts to %s are missing: %s (%s)", channel, orElse(r.Detail[detailAudit], "without a sequence"), r.Detail[detailCause])
		}
		return joined("failed: "+Actor(r)+" asked for "+asked(r), value(r, "result"))
	case bot.SucceededKind:
		return Actor(r) + " asked for " + asked(r)
	case bot.ConfiguredKind:
		if seq := r.Detail[detailErased]; seq != "" {
			return joined(fmt.Sprintf("%s erased %s of record %s", Actor(r), r.Detail[detailName], seq), value(r, "reason"))
		}
		if places := r.Detail[detailPlaces]; places != "" {
			return joined(fmt.Sprintf("%s erased something in %s places outside the log", Actor(r), places), value(r, "reason"))
		}
		if notice := value(r, "notice"); notice != "" {
			return notice
		}
		if r.Error != "" {
			return value(r, "result")
		}
		if lines := value(r, "difference"); lines != "" {
			return "people, rules or settings changed: " + strings.Join(strings.Fields(lines), " ")
		}
	}
	return joined(fmt.Sprintf("%s by %s", r.Kind, Actor(r)), orElse(value(r, "result"), facts(r)))
}

// sayRun says what a record tells of its run.
func sayRun(r bot.Record) string {
	result, reason := value(r, "result"), value(r, "reason")
	switch r.Kind {
	case bot.Requested:
		s := Actor(r) + ": " + summary(r) + " — requested"
		if parent := r.Detail["parent"]; parent != "" {
			s = Actor(r) + ": " + summary(r) + " — follows #" + parent
			if at, err := time.Parse(time.RFC3339Nano, r.Detail["not_before"]); err == nil {
				s += " at " + bot.Moment(at)
			}
		}
		if reason != "" {
			s += fmt.Sprintf(" (reason: %s)", reason)
		}
		return s
	case bot.ConfirmedKind:
		return joined("confirmed by "+actorShown(r), reason)
	case bot.Approved:
		return joined("approved by "+actorShown(r), reason)
	case bot.DeniedRecord:
		if r.Error == "" {
			return joined("denied by "+Actor(r), reason)
		}
		return joined("denied: "+Actor(r)+" may not "+summary(r), result)
	case bot.Started:
		s := "started: " + summary(r)
		if by := r.Detail["approved_by"]; by != "" {
			s += ", approved by " + by
		}
		return s
	case bot.Step:
		return sayStep(r)
	case bot.OverriddenKind:
		if r.Detail["break_glass"] != "" {
			return fmt.Sprintf("BREAK-GLASS by %s: %s, without %s (reason: %s); another person must review it: review %d",
				actorShown(r), summary(r), flat(spoken(r, "passed")), value(r, "override"), r.Run)
		}
		s := Actor(r) + " overrode: " + orElse(flat(spoken(r, "passed")), summary(r))
		if why := value(r, "override"); why != "" {
			s += fmt.Sprintf(" (reason: %s)", why)
		}
		return s
	case bot.ReviewedKind:
		return joined("reviewed by "+actorShown(r), orElse(result, reason))
	case bot.CancelledKind:
		if r.Detail["answer"] == string(bot.AnswerCancel) {
			return joined("cancelled by "+Actor(r), reason)
		}
	case bot.UnknownKind:
		return joined("UNKNOWN: a person must look", result)
	}
	state := string(r.Kind)
	if s := r.Detail["state"]; s != "" {
		state = s
	}
	return joined(state, result)
}

func sayStep(r bot.Record) string {
	state := orElse(r.Detail["state"], "goes on")
	switch {
	case r.Detail["answer"] == string(bot.AnswerCancel):
		return "asked to cancel by " + Actor(r)
	case r.Detail["by"] != "":
		return state + ", by " + flat(r.Detail["by"])
	case r.Detail["asked"] != "":
		return state + ": " + flat(r.Detail["asked"])
	case spoken(r, "why") != "":
		s := state + ": " + flat(spoken(r, "why"))
		if needs := r.Detail["needs"]; needs != "" {
			s += "; needs " + flat(needs)
		}
		return s
	}
	return joined(state, value(r, "progress"))
}

// Actor names who a record is about: the person, or what the network vouches
// for and the account.
func Actor(r bot.Record) string {
	switch {
	case r.Person != "":
		return r.Person
	case r.Account == "":
		return "the bot"
	case r.Standing == bot.Unvouched:
		return "unvouched " + string(r.Account)
	case r.Standing == bot.Member:
		return "unknown " + string(r.Account)
	}
	return string(r.Standing) + " " + string(r.Account)
}

// summary says what a run does.
func summary(r bot.Record) string {
	if s := flat(spoken(r, "summary")); s != "" {
		return s
	}
	if line := value(r, "line"); line != "" {
		return line
	}
	return strings.TrimSpace(orElse(r.Verb, "what was asked") + " " + r.Target)
}

// asked quotes the line that was typed.
func asked(r bot.Record) string {
	for _, name := range r.Erased {
		if name == "line" {
			return "a line that was erased since"
		}
	}
	if line := value(r, "line"); line != "" {
		return `"` + line + `"`
	}
	return strings.TrimSpace(orElse(r.Verb, "an empty line") + " " + r.Target)
}

// facts gives the Detail of a record as text, by name.
func facts(r bot.Record) string {
	var parts []string
	for _, name := range sortedKeys(r.Detail) {
		parts = append(parts, name+" "+flat(r.Detail[name]))
	}
	for _, name := range sortedKeys(r.Text) {
		parts = append(parts, name+" "+value(r, name))
	}
	return bounded(strings.Join(parts, ", "), maxSaid)
}

// maxSaid bounds one quoted value in a post, in bytes.
const maxSaid = 300

func value(r bot.Record, name string) string { return flat(r.Text[name]) }

func flat(s string) string { return bounded(strings.TrimSpace(s), maxSaid) }

func joined(s, more string) string {
	if more == "" {
		return s
	}
	return s + ": " + more
}

func orElse(s, other string) string {
	if s != "" {
		return s
	}
	return other
}
