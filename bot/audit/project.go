package audit

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// projection makes rows of records as they come, by ascending sequence. It
// keeps only the runs that have not ended, the reviews that are open and the
// last configuration before the period.
type projection struct {
	scope  Scope
	emit   func(Row) error
	lookUp func(run int64) (spec bot.Spec, found bool)

	open     map[int64]*change
	unseen   map[int64]*Row // acted first, not yet reviewed
	inForce  bot.Record     // the newest configured record before the period
	kinds    map[bot.RecordKind]int64
	reads    int64
	first    int64 // of the period; 0 for none
	last     int64
	unread   int64
	attested spans // of unread records
}

// Scope is what a Book is about: what was asked or happened at or after From and
// before To, at targets that Target matches; "" for all. A pattern compares
// whole segments, as rules do: "shop/prod", "*/prod".
type Scope struct {
	From   time.Time
	To     time.Time
	Target string
}

func (s Scope) in(t time.Time) bool { return !t.Before(s.From) && t.Before(s.To) }

// about reports whether target is in scope.
func (s Scope) about(target string) bool {
	if s.Target == "" {
		return true
	}
	pattern, segments := strings.Split(s.Target, "/"), strings.Split(target, "/")
	if len(pattern) != len(segments) {
		return false
	}
	for i, p := range pattern {
		if p != "*" && p != segments[i] {
			return false
		}
	}
	return true
}

// change is a run as its records tell it so far.
type change struct {
	row  Row
	yes  []string // approvals
	conf []string
	rest []string // what was overridden
	spec string
	seqs spans
	in   bool
}

func newProjection(s Scope, emit func(Row) error, lookUp func(int64) (bot.Spec, bool)) *projection {
	return &projection{scope: s, emit: emit, lookUp: lookUp, open: map[int64]*change{}, unseen: map[int64]*Row{}, kinds: map[bot.RecordKind]int64{}}
}

// add takes one record.
func (p *projection) add(s store.Sealed) error {
	r, err := Decode(s)
	if err != nil {
		p.unread++
		p.attested = p.attested.with(s.Seq).atMost(maxSpans)
		return nil // the verification names it
	}
	r.Seq = s.Seq
	in := p.scope.in(r.At)
	if in {
		if p.first == 0 {
			p.first = r.Seq
		}
		p.last = r.Seq
		p.kinds[r.Kind]++
		if r.Read {
			p.reads++
		}
	}
	if r.Read {
		return nil
	}
	if r.Run != 0 {
		if err := p.ofRun(r, in); err != nil {
			return err
		}
	}
	return p.single(r, in)
}

// single makes the row that a record has by itself.
func (p *projection) single(r bot.Record, in bool) error {
	if r.Kind == bot.ConfiguredKind && !in && r.At.Before(p.scope.From) && r.Detail[detailRules] != "" {
		p.inForce = r
	}
	if r.Kind == bot.ReviewedKind {
		return p.reviewed(r, in)
	}
	row := Row{At: r.At, Run: r.Run, Who: Actor(r), Account: string(r.Account), Verb: r.Verb, Target: r.Target,
		What: orElse(spoken(r, "summary"), words(r, "line")), Rule: r.Rule, Reason: words(r, "reason"), Result: words(r, "result"),
		Records: spans{{r.Seq, r.Seq}}.String()}
	switch {
	case r.Kind == bot.DeniedRecord && r.Error != "":
		row.Section = SectionDenial
	case r.Kind == bot.OverriddenKind:
		if c, found := p.open[r.Run]; found {
			row.What = orElse(row.What, c.row.What)
		}
		row.Section, row.BreakGlass = SectionOverride, breakGlass(r)
		if row.BreakGlass == "" {
			row.Override = words(r, "override")
		}
		row.Result = orElse(spoken(r, "passed"), row.Result)
		if row.BreakGlass != "" && p.scope.about(r.Target) {
			open := row
			open.Section, open.State = SectionReview, "open"
			p.unseen[r.Run] = &open
		}
	case r.Kind == bot.ObservedKind:
		row.Section, row.From, row.To = SectionObserved, r.Detail["from"], r.Detail["to"]
		row.What = orElse(row.What, orElse(words(r, "observed"), orElse(row.Result, facts(r))))
	case r.Kind == bot.ConfiguredKind:
		row.Section, row.What = SectionSettings, Say(r)
		if difference := words(r, "difference"); difference != "" {
			row.What, row.Result = "people, rules or settings changed", difference
		}
	default:
		return nil
	}
	if !in || row.Section != SectionSettings && !p.scope.about(r.Target) {
		return nil
	}
	return p.emit(row)
}

// reviewed closes an open review.
func (p *projection) reviewed(r bot.Record, in bool) error {
	row := Row{At: r.At, Run: r.Run, Target: r.Target}
	if open, found := p.unseen[r.Run]; found {
		row = *open
		delete(p.unseen, r.Run)
	}
	row.Section, row.State, row.Ended = SectionReview, "done", r.At
	row.Approved = fmt.Sprintf("%s (%s) %s", Actor(r), shownFrom(r), instant(r.At))
	row.Result = orElse(words(r, "result"), words(r, "reason"))
	row.Records = joinedSpans(row.Records, r.Seq)
	if !in && !p.scope.in(row.At) || !p.scope.about(row.Target) {
		return nil
	}
	return p.emit(row)
}

func joinedSpans(list string, seq int64) string {
	if list == "" {
		return spans{{seq, seq}}.String()
	}
	return parseFooter(footerWord + list).with(seq).String()
}

// ofRun adds a record to the run it tells of, and gives the run's row once it
// has ended. A change belongs to the period in which it was asked for, so that
// reports of one month after the other show each once.
func (p *projection) ofRun(r bot.Record, in bool) error {
	c, found := p.open[r.Run]
	if !found {
		if r.Kind != bot.Requested {
			return nil // it has ended, or was asked for before the log begins
		}
		c = &change{in: in && p.scope.about(r.Target), row: Row{Section: SectionChange, At: r.At, Run: r.Run, Who: Actor(r),
			Account: string(r.Account), Verb: r.Verb, Target: r.Target, Reason: words(r, "reason")}}
		p.open[r.Run] = c
	}
	c.seqs = c.seqs.with(r.Seq).atMost(maxSpans)
	row := &c.row
	row.What = orElse(spoken(r, "summary"), orElse(row.What, words(r, "line")))
	row.State = string(stateOf(r))
	c.spec = orElse(r.Spec, c.spec)
	yes := func() string {
		s := fmt.Sprintf("%s (%s) %s", Actor(r), shownFrom(r), instant(r.At))
		if why := words(r, "reason"); why != "" {
			s += ": " + why
		}
		return s
	}
	switch r.Kind {
	case bot.Requested:
		row.Rule = r.Rule
		if require := r.Detail["require"]; require != "" {
			row.Rule = strings.TrimPrefix(row.Rule+"; "+require, "; ")
		}
	case bot.ConfirmedKind:
		c.conf = append(c.conf, yes())
	case bot.Approved:
		c.yes, row.ApprovedAt = append(c.yes, yes()), r.At
	case bot.OverriddenKind:
		if why := breakGlass(r); why != "" {
			row.BreakGlass = why
			if f := bot.Factor(r.Detail[detailFactor]); f.Shown() {
				row.BreakGlass += " (with " + string(f) + ")"
			}
			if passed := spoken(r, "passed"); passed != "" {
				row.BreakGlass += " (without " + passed + ")"
			}
			break
		}
		row.Override = orElse(words(r, "override"), row.Override)
		if passed := spoken(r, "passed"); passed != "" {
			c.rest = append(c.rest, passed)
		}
	case bot.Started:
		row.Started = r.At
	}
	if !stateOf(r).Settled() || !ends(r) {
		return nil
	}
	row.Ended = r.At
	row.Result = orElse(words(r, "result"), c.denied(r))
	if r.Kind == bot.UnknownKind {
		return nil // a person may settle it later
	}
	delete(p.open, r.Run)
	return p.give(c)
}

// denied says who answered no, where a run ended with that.
func (c *change) denied(r bot.Record) string {
	if r.Kind != bot.DeniedRecord {
		return ""
	}
	return Say(r)
}

// ends reports whether a record of this kind can end a run.
func ends(r bot.Record) bool {
	switch r.Kind {
	case bot.SucceededKind, bot.FailedKind, bot.CancelledKind, bot.ExpiredKind, bot.UnknownKind, bot.DeniedRecord:
		return true
	}
	return false
}

// give emits the row of a run.
func (p *projection) give(c *change) error {
	if !c.in {
		return nil
	}
	row := c.row
	row.Confirmed, row.Approved = strings.Join(c.conf, "; "), strings.Join(c.yes, "; ")
	if len(c.rest) > 0 && row.Override != "" {
		row.Override += " (passed: " + strings.Join(c.rest, "; ") + ")"
	}
	row.Records = c.seqs.String()
	// The run's own row is not the log; what it says counts only where the
	// digest in the log is that of what it says.
	if spec, found := p.lookUp(row.Run); found && c.spec != "" && spec.Digest() == c.spec {
		row.From, row.To = endsOf(spec.Body)
	}
	return p.emit(row)
}

// finish gives what is still open: runs under way and reviews owed.
func (p *projection) finish() error {
	var numbers []int64
	for n := range p.open {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		if err := p.give(p.open[n]); err != nil {
			return err
		}
	}
	numbers = numbers[:0]
	for n := range p.unseen {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		if row := p.unseen[n]; row.At.Before(p.scope.To) {
			if err := p.emit(*row); err != nil {
				return err
			}
		}
	}
	return nil
}

// endsOf reads what was there and what is to be there out of a Spec's body,
// whatever the workflow: its members "from" and "to".
func endsOf(body json.RawMessage) (from, to string) {
	var b struct{ From, To any }
	if json.Unmarshal(body, &b) != nil {
		return "", ""
	}
	return sayValue(b.From), sayValue(b.To)
}

// sayValue gives a value of a Spec on one line: an artefact as its version and
// its immutable id.
func sayValue(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case map[string]any:
		var parts []string
		for _, name := range []string{"version", "name", "value", "id"} {
			if s := sayValue(v[name]); s != "" && !slices.Contains(parts, s) {
				parts = append(parts, s)
			}
		}
		if len(parts) > 0 {
			return strings.Join(parts, " ")
		}
	}
	raw, err := encode(v)
	if err != nil {
		return ""
	}
	return string(raw)
}
