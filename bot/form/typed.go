package form

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/grammar"
)

const (
	// offeredFor is how long what somebody may choose from is remembered, because
	// they type several letters. What they may do is decided when they are done.
	offeredFor = 3 * time.Second
	maxOffered = 200 // people and permissions that are remembered
	maxRuns    = 50  // that are looked at for choices
)

// Verbs gives the command surface; see bot.Typed.
func (f *Forms) Verbs() []bot.Verb { return f.Router.Grammar.Verbs() }

// Line gives the line of a typed command; see bot.Typed.
func (f *Forms) Line(verb string, values map[string]string) string {
	return f.Router.Grammar.Typed(verb, values)
}

// Pick gives what an argument may become; it is the Choices of bot.Typed.
func (f *Forms) Pick(ctx context.Context, p bot.Picking) []bot.Choice {
	if len(p.Typed) > grammar.MaxLine || p.Limit < 1 {
		return nil
	}
	who, err := f.Router.Directory.Identify(ctx, p.Account, p.Standing)
	if err != nil || !who.Known() {
		return nil
	}
	visible := f.Router.Visible(who)
	c, found := f.Router.Grammar.Lookup(p.Verb)
	if !found || !visible(c) {
		return nil
	}
	all := grammar.Options(c)
	i := slices.IndexFunc(all, func(a grammar.Argument) bool { return a.Name == p.Argument })
	if i < 0 {
		return nil
	}
	typed := strings.TrimSpace(p.Typed)
	var names []string
	switch all[i].Type {
	case bot.TypeRun:
		return f.runs(ctx, who, p, c)
	case bot.TypeLine:
		g := f.Router.Grammar.Telling(f.told(who))
		for _, line := range g.Complete(c.Name+" "+strings.TrimLeft(p.Typed, " "), visible) {
			names = append(names, before(p.Typed)+line)
		}
		return choices(names[:min(len(names), p.Limit)])
	case bot.TypeVersion:
		names = f.versions(ctx, f.offered(who, p.Channel, c), c, p.Values)
		if typed != "" && !slices.Contains(names, typed) {
			names = append([]string{typed}, names...)
		}
	default:
		names = f.offered(who, p.Channel, c).Candidates(c, all[i].Param, p.Values)
	}
	return choices(fitting(names, typed, p.Limit))
}

// before gives what stands before the last word.
func before(typed string) string {
	typed = strings.TrimLeft(typed, " ")
	return typed[:strings.LastIndexByte(typed, ' ')+1]
}

func choices(names []string) []bot.Choice {
	all := make([]bot.Choice, 0, len(names))
	for _, name := range names {
		all = append(all, bot.Choice{Value: name, Label: name})
	}
	return all
}

// runs gives the runs that an argument may name: those that the verb could do
// something about, of targets whose runs the person may see.
func (f *Forms) runs(ctx context.Context, who bot.Identity, p bot.Picking, c bot.Command) (all []bot.Choice) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	filter := bot.RunFilter{Limit: maxRuns}
	switch bot.Answer(c.Name) {
	case bot.AnswerConfirm, bot.AnswerApprove, bot.AnswerDeny:
		filter.State = bot.Waiting
	case bot.AnswerCancel:
		filter.Open = true
	case bot.AnswerReview:
		filter.ToReview = true
	}
	found, err := f.Router.Engine.Runs(ctx, filter)
	if err != nil {
		f.log().WarnContext(ctx, "runs cannot be offered", "err", err)
		return nil
	}
	call := bot.Call{Who: who, Channel: p.Channel, At: f.Router.Clock.Now()}
	typed := strings.ToLower(strings.TrimPrefix(strings.TrimSpace(p.Typed), "#"))
	for _, r := range found {
		if t := r.Ask.Target; t != (bot.Target{}) && len(bot.Permitted(f.Router.Policy, call, bot.MaySeeRuns, []bot.Target{t})) == 0 {
			continue
		}
		number := strconv.FormatInt(r.Number, 10)
		if !strings.HasPrefix(number, typed) && !strings.Contains(strings.ToLower(r.Plan.Summary), typed) {
			continue
		}
		if len(all) == p.Limit {
			break
		}
		all = append(all, bot.Choice{Value: number, Label: fmt.Sprintf("#%d %s: %s, by %s", r.Number, r.Plan.Summary, r.State.Word(), r.Call.Who.Name())})
	}
	return all
}

// offers remembers for a moment what people may choose from.
type offers struct {
	mu sync.Mutex
	by map[string]*offer
}

type offer struct {
	mu sync.Mutex // held while it is found out, so that many letters ask once
	at time.Time
	g  *grammar.Grammar
}

// of gives what is remembered under key.
func (o *offers) of(key string) *offer {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.by == nil || len(o.by) >= maxOffered {
		o.by = map[string]*offer{}
	}
	if o.by[key] == nil {
		o.by[key] = &offer{}
	}
	return o.by[key]
}

// offered is grammarFor, remembered for a moment: with thousands of services, to
// find out where somebody may run a command takes longer than a letter does.
func (f *Forms) offered(who bot.Identity, channel bot.ChannelID, c bot.Command) *grammar.Grammar {
	o := f.offers.of(strings.Join(append([]string{who.Person, string(who.Account), string(who.Standing), string(channel), string(c.Permission)}, who.Roles...), "\x00"))
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := f.Router.Clock.Now(); o.g == nil || now.Sub(o.at).Abs() >= offeredFor {
		o.g, o.at = f.grammarFor(who, channel, c), now
	}
	return o.g
}
