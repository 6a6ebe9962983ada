package run

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// KindReview is the document kind of open reviews: one for each run that acted
// by break-glass, until another person reviewed it. It only lists them; what is
// open is told by the sealed run.
const KindReview = "review"

// detailBroke marks the records of a run that says it acts by break-glass.
const detailBroke = "break_glass"

// breakGlass does without what rules ask for before the run may act, when who
// holds the right to that. Denies, locks of others and a halt hold against it
// as against anybody.
func (e *Engine) breakGlass(r *bot.Run, who bot.Identity) error {
	d := e.mayBreakGlass(r, who)
	if !d.Allowed {
		why := d.Near
		if why == "" {
			why = d.Because
		}
		return &bot.Error{Op: d.Rule, Kind: bot.Denied, Say: "you may not break glass here: " + why}
	}
	needs := r.Decision.Needs
	if needs.StepUp && !r.Call.DryRun {
		if err := shown(r.Call, "break-glass here", r.Call.Line); err != nil {
			return err
		}
	}
	r.Waived, r.Decision.Needs = needs, bot.Needs{StepUp: needs.StepUp} // that is not waived
	r.Waived.StepUp = false
	if !r.Waived.None() {
		r.Decision.Rule += ", break-glass by " + d.Rule
	}
	return nil
}

func (e *Engine) mayBreakGlass(r *bot.Run, who bot.Identity) bot.Decision {
	req := e.request(r, who)
	req.Permission = bot.MayBreakGlass
	d := e.Policy.Decide(req)
	// A deny holds against whoever is on call too.
	if !d.Allowed && d.Rule == noGrant && who.Known() && e.AtHand != nil && r.Ask.Target != (bot.Target{}) {
		if why := e.AtHand(who, r.Ask.Target); why != "" {
			return bot.Decision{Allowed: true, Rule: why, Because: who.Name() + " " + why}
		}
	}
	return d
}

// noGrant is the rule of a Decision that no rule made; see auth.Policy.
const noGrant = "no grant"

// breaks reports whether break-glass passes the obstacle: what is set up for
// ordinary days. A release that is marked bad takes the right to override that.
func breaks(o bot.Obstacle) bool {
	return o.Permission == bot.MayOverrideFreeze || o.Permission == bot.MayOverrideOrder
}

// broken reports whether the run acts by break-glass: it was asked for, and
// something would have stood against acting now.
func broken(r *bot.Run) bool {
	return r.Call.BreakGlass != "" && without(r) != ""
}

// without says what the run does without.
func without(r *bot.Run) string {
	var parts []string
	if !r.Waived.None() {
		parts = append(parts, strings.Replace(needsText(bot.Decision{Needs: r.Waived}), "your confirmation", "a confirmation", 1))
	}
	for _, o := range r.Plan.Obstacles {
		if r.Plan.WayBack && o.Permission != bot.MayOverrideBad {
			continue // that is passed anyway
		}
		parts = append(parts, "heeding that "+o.Text)
	}
	return strings.Join(parts, "; ")
}

// takeOver ends what the asker of a run by break-glass had waiting for the
// same, within tx: it is done now.
func (e *Engine) takeOver(tx store.Tx, r *bot.Run) error {
	if !broken(r) {
		return nil
	}
	rows, err := tx.Runs(bot.RunFilter{Target: r.Ask.Target, State: bot.Waiting, Limit: maxQueue})
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.Number == r.Number || row.Slot != r.Plan.Slot || row.Person != r.Call.Who.Person {
			continue
		}
		c, err := e.another(row)
		if err != nil {
			return err
		}
		if c.run.Digest != r.Digest {
			continue
		}
		c.run.Replaced, c.run.Result = r.Number, fmt.Sprintf("#%d does the same at once, by break-glass", r.Number)
		if err := e.finish(tx, c, bot.Cancelled, bot.Record{Kind: bot.CancelledKind, Detail: map[string]string{"by": fmt.Sprintf("run #%d", r.Number)}}, nil); err != nil {
			return err
		}
	}
	return nil
}

// recordBroken records within the intent's commit that the run acts by
// break-glass, and opens its review.
func (e *Engine) recordBroken(tx store.Tx, r *bot.Run) error {
	if r.Broke = broken(r); !r.Broke {
		return nil
	}
	id := reviewID(r.Number)
	body, err := json.Marshal(struct {
		Run int64 `json:"run"`
	}{r.Number})
	if err != nil {
		return fmt.Errorf("encode review of run %d: %w", r.Number, err)
	}
	if _, found, err := tx.Document(KindReview, id); err != nil {
		return err
	} else if !found {
		if _, err := tx.PutDocument(bot.Document{Kind: KindReview, ID: id, Body: body}); err != nil {
			return err
		}
	}
	rec := bot.Record{Kind: bot.OverriddenKind,
		Text:   map[string]string{"override": r.Call.BreakGlass, "passed": without(r), "summary": r.Plan.Summary},
		Detail: map[string]string{detailBroke: "true"}}
	if r.Call.Factor != bot.NoFactor {
		rec.Detail[detailFactor] = string(r.Call.Factor)
	}
	return e.record(tx, r, rec)
}

// reviewID makes ids that sort by number.
func reviewID(number int64) string { return fmt.Sprintf("%019d", number) }

// toReview gives the rows of up to limit runs whose review is open, oldest
// first; 0 means 20.
func toReview(rd store.Reader, limit int) ([]store.RunRow, error) {
	if limit <= 0 {
		limit = 20
	}
	docs, err := rd.Documents(KindReview, "", limit, false)
	if err != nil {
		return nil, err
	}
	var rows []store.RunRow
	for _, d := range docs {
		var number int64
		if _, err := fmt.Sscanf(d.ID, "%d", &number); err != nil {
			continue // not of this bot's making
		}
		row, found, err := rd.Run(number)
		if err != nil {
			return nil, err
		}
		if found {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// mayReview answers whether who may look at what the asker did by break-glass:
// another person, whose approval would have counted for what was waived.
func (e *Engine) mayReview(r *bot.Run, who bot.Identity) bot.Decision {
	if who.Person == "" || who.Person == r.Call.Who.Person || who.Account == r.Call.Who.Account {
		return bot.Decision{Rule: "the asker", Because: "another person must review it"}
	}
	rules := r.Waived.Approvals
	if len(rules) == 0 {
		rules = []bot.ApprovalRule{{}}
	}
	var d bot.Decision
	for _, rule := range rules {
		if d = e.Policy.MayApprove(e.request(r, who), rule); d.Allowed {
			return d
		}
	}
	return d
}

// review notes that c's asker looked at the run afterwards.
func (e *Engine) review(r *bot.Run, c bot.Call) (rule string, err error) {
	switch {
	case c.Who.Person == r.Call.Who.Person && r.Broke:
		return "", bot.Errorf(bot.Denied, "you broke the glass in #%d yourself; another person must review it", r.Number)
	case !r.Broke:
		return "", bot.Errorf(bot.Conflict, "#%d did not act by break-glass; there is nothing to review", r.Number)
	case r.Review.Person != "":
		return "", bot.Errorf(bot.Conflict, "#%d was reviewed by %s already, at %s", r.Number, r.Review.Person, r.Review.At.Format("2006-01-02 15:04"))
	case !r.State.Settled():
		return "", bot.Errorf(bot.Conflict, "#%d is still %s; review it when it has ended", r.Number, r.State)
	}
	d := e.mayReview(r, c.Who)
	if !d.Allowed {
		return "", bot.Errorf(bot.Denied, "you may not review #%d: %s", r.Number, d.Because)
	}
	if r.Decision.Needs.StepUp { // what hides a theft from the others is as good as the theft
		if err := shown(c, fmt.Sprintf("reviewing #%d", r.Number), fmt.Sprintf("review %d", r.Number)); err != nil {
			return "", err
		}
	}
	r.Review = bot.Review{Factor: c.Factor, Account: c.Who.Account, Person: c.Who.Person, Note: e.Recorder.Redact(c.Reason), At: e.Clock.Now()}
	return d.Rule, nil
}

// closeReview takes the run off the list within tx.
func closeReview(tx store.Tx, number int64) error {
	if err := tx.DeleteDocument(KindReview, reviewID(number)); err != nil {
		return fmt.Errorf("close the review of run %d: %w", number, err)
	}
	return nil
}

// showBroken adds to a run's card that it acted by break-glass and how its
// review stands.
func (e *Engine) showBroken(r *bot.Run, card *bot.Card) {
	add := func(name, value string) {
		if !slices.ContainsFunc(card.Fields, func(f bot.Field) bool { return f.Name == name }) {
			card.Fields = append(card.Fields, bot.Field{Name: name, Value: value})
		}
	}
	add("break-glass", r.Call.BreakGlass)
	add("went without", without(r))
	switch {
	case r.Review.Person != "":
		say := "by " + named(r.Review.Person, r.Review.Factor)
		if r.Review.Note != "" {
			say += ": " + r.Review.Note
		}
		add("reviewed", say)
	case r.State.Settled():
		add("review", "another person must look at it: review "+fmt.Sprint(r.Number))
		card.Buttons = append(card.Buttons, bot.Button{Label: "Reviewed", Line: fmt.Sprintf("review %d", r.Number), Not: r.Call.Who.Account, Code: r.Decision.Needs.StepUp})
	default:
		add("review", "by another person, once it has ended")
	}
}
