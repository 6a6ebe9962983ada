package auth

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"quarterdeck/bot"
)

// The bounds of one sentence.
const (
	saidPeople  = 8
	saidTargets = 6
)

// accounts says which accounts act as somebody else, or as nobody, and who is
// disabled.
func (r *review) accounts() (changes []Change) {
	owners := [2]map[bot.AccountID]string{{}, {}}
	for i, side := range []Side{r.old, r.new} {
		for _, s := range side.People {
			for _, a := range s.Accounts {
				if !s.Disabled {
					owners[i][a] = s.Name
				}
			}
		}
	}
	added, removed := map[string][]string{}, map[string][]string{}
	all := maps.Clone(owners[0])
	maps.Copy(all, owners[1])
	for _, a := range slices.Sorted(maps.Keys(all)) {
		was, is := owners[0][a], owners[1][a]
		switch {
		case was == is:
		case was == "":
			added[is] = append(added[is], string(a))
		case is == "":
			removed[was] = append(removed[was], string(a))
		default:
			changes = append(changes, Change{true, fmt.Sprintf("%s acts as %s, no longer as %s", a, is, was)})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(added)) {
		changes = append(changes, Change{true, fmt.Sprintf("%s as %s: %s", counted(len(added[name]), "more account acts", "more accounts act"), name, firstOf(added[name], saidPeople))})
	}
	for _, name := range slices.Sorted(maps.Keys(removed)) {
		if s, there := subject(r.new.People, name); there && s.Disabled {
			changes = append(changes, Change{false, name + " is disabled"})
			continue
		}
		changes = append(changes, Change{false, fmt.Sprintf("%s as %s: %s", counted(len(removed[name]), "account no longer acts", "accounts no longer act"), name, firstOf(removed[name], saidPeople))})
	}
	return changes
}

// say makes sentences of the verdicts: what is the same for several targets, and
// then for several permissions, is one.
func (r *review) say() []Change {
	type group struct {
		Change
		before, after string // of the sentence, around what it is about
		permissions   []string
		targets       []string
	}
	var groups []*group
	at := map[string]*group{}
	add := func(v compared, wider bool, before, after string) {
		key := fmt.Sprint(wider, "\x00", v.permission, "\x00", before, "\x00", after)
		g := at[key]
		if g == nil {
			g = &group{Change: Change{Wider: wider}, before: before, after: after, permissions: []string{string(v.permission)}}
			at[key] = g
			groups = append(groups, g)
		}
		g.targets = append(g.targets, v.targets...)
	}
	for _, v := range r.asked {
		r.sentences(v, func(wider bool, before, after string) { add(v, wider, before, after) })
	}
	var kept []*group
	joined := map[string]*group{}
	for _, g := range groups {
		slices.Sort(g.targets)
		key := fmt.Sprint(g.Wider, "\x00", g.before, "\x00", g.after, "\x00", g.targets)
		if first := joined[key]; first != nil {
			first.permissions = append(first.permissions, g.permissions...)
			continue
		}
		joined[key] = g
		kept = append(kept, g)
	}
	var changes []Change
	if r.cut {
		changes = append(changes, Change{true, fmt.Sprintf("the rules name more hours and channels than are compared; only %d combinations were looked at", maxContexts)})
	}
	for _, g := range kept {
		what := strings.Join(g.permissions, ", ")
		if len(g.targets) > 0 {
			if g.before == "" || strings.HasSuffix(g.before, "approve") {
				what += " of"
			}
			what += " " + firstOf(g.targets, saidTargets)
		}
		g.Text = strings.Join(strings.Fields(g.before+" "+what+g.after), " ")
		changes = append(changes, g.Change)
	}
	return append(changes, r.cameAndWent()...)
}

// sentences says what one compared comes to.
func (r *review) sentences(v compared, say func(wider bool, before, after string)) {
	people := func(names []string) string { return ": " + firstOf(names, saidPeople) }
	if n := v.may[gained]; len(n) > 0 {
		say(true, counted(len(n), "more person may", "more people may"), people(n))
	}
	if n := v.may[more]; len(n) > 0 {
		say(true, counted(len(n), "person may", "people may"), " at more hours or in more channels"+people(n))
	}
	if n := v.may[other]; len(n) > 0 {
		say(true, counted(len(n), "person may", "people may"), " at other hours or in other channels"+people(n))
	}
	if n := v.may[less]; len(n) > 0 {
		say(false, counted(len(n), "person may", "people may"), " at fewer hours or in fewer channels"+people(n))
	}
	switch n := v.may[lost]; {
	case !v.has && v.had: // the target is gone, which is said
	case v.nobody:
		say(false, "nobody may", " any more; before:"+strings.TrimPrefix(people(v.before), ":"))
	case len(n) > 0:
		say(false, counted(len(n), "person may no longer", "people may no longer"), people(n))
	}
	for _, n := range needed(v) {
		say(n.Wider, "", n.Text)
	}
	if n := append(slices.Clip(v.approve[gained]), append(slices.Clip(v.approve[more]), v.approve[other]...)...); len(n) > 0 {
		say(true, counted(len(n), "more person may approve", "more people may approve"), people(n))
	}
	n := append(slices.Clip(v.approve[lost]), v.approve[less]...)
	switch {
	case v.noApprover:
		say(false, "nobody may approve", " any more")
	case len(n) > 0:
		say(false, counted(len(n), "person less may approve", "people less may approve"), people(n))
	}
}

// needed says what acting needs that it did not, or no longer needs.
func needed(v compared) (changes []Change) {
	if !v.able {
		return nil
	}
	add := func(was, is bool, what string) {
		if was && !is {
			changes = append(changes, Change{true, " no longer needs " + what})
		} else if is && !was {
			changes = append(changes, Change{false, " needs " + what})
		}
	}
	add(v.was.Confirm, v.is.Confirm, "a confirmation")
	add(v.was.Reason, v.is.Reason, "a reason")
	add(v.was.StepUp, v.is.StepUp, "a one-time code")
	for _, s := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(v.was.Ticket, v.is.Ticket)))) {
		add(slices.Contains(v.was.Ticket, s), slices.Contains(v.is.Ticket, s), "a ticket like "+s)
	}
	uncovered := func(rules, by []bot.ApprovalRule) (left []bot.ApprovalRule) {
		for _, r := range rules {
			if !slices.ContainsFunc(by, func(o bot.ApprovalRule) bool {
				return o.Count >= r.Count && slices.Equal(slices.Sorted(slices.Values(o.From)), slices.Sorted(slices.Values(r.From)))
			}) {
				left = append(left, r)
			}
		}
		return left
	}
	dropped, added := uncovered(v.was.Approvals, v.is.Approvals), uncovered(v.is.Approvals, v.was.Approvals)
	switch {
	case len(v.is.Approvals) == 0 && len(dropped) > 0:
		what := approvals(dropped)
		if rest, one := strings.CutPrefix(what, "1 "); one {
			what = "an " + rest
		}
		changes = append(changes, Change{true, " no longer needs " + what})
	case len(dropped) > 0:
		changes = append(changes, Change{true, fmt.Sprintf(" needs %s, no longer %s", approvals(v.is.Approvals), approvals(v.was.Approvals))})
	case len(added) > 0:
		changes = append(changes, Change{false, " needs " + approvals(v.is.Approvals)})
	}
	return changes
}

func approvals(rules []bot.ApprovalRule) string {
	var parts []string
	for _, r := range rules {
		s := counted(r.Count, "approval", "approvals")
		if len(r.From) > 0 {
			s += " from " + strings.Join(slices.Sorted(slices.Values(r.From)), " or ")
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, " and ")
}

// cameAndWent says which targets are new and which are gone.
func (r *review) cameAndWent() (changes []Change) {
	var came, went []string
	for _, t := range r.targets {
		switch {
		case t.has && !t.had:
			came = append(came, t.members...)
		case t.had && !t.has:
			went = append(went, t.members...)
		}
	}
	slices.Sort(came)
	slices.Sort(went)
	if len(came) > 0 {
		changes = append(changes, Change{false, counted(len(came), "target is new", "targets are new") + ": " + firstOf(came, saidTargets)})
	}
	if len(went) > 0 {
		changes = append(changes, Change{false, counted(len(went), "target is gone", "targets are gone") + ": " + firstOf(went, saidTargets)})
	}
	return changes
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// firstOf names the first few.
func firstOf(words []string, most int) string {
	sorted := slices.Sorted(slices.Values(words))
	if len(sorted) <= most {
		return strings.Join(sorted, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(sorted[:most], ", "), len(sorted)-most)
}
