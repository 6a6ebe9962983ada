package form

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/grammar"
)

// target is the name of an argument that holds SERVICE/ENVIRONMENT.
const target = "target"

// maxRuns is how many runs are looked at for choices.
const maxRuns = 50

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
	pick := picker{f: f, told: f.told(who), call: bot.Call{Who: who, Channel: p.Channel, At: f.Router.Clock.Now()}, command: c, values: p.Values}
	var names []string
	switch all[i].Type {
	case bot.TypeRun:
		return f.runs(ctx, who, p, c)
	case bot.TypeLine:
		g := f.Router.Grammar.Telling(pick.told)
		for _, line := range g.Complete(c.Name+" "+strings.TrimLeft(p.Typed, " "), visible) {
			names = append(names, before(p.Typed)+line)
		}
		return choices(names[:min(len(names), p.Limit)])
	case bot.TypeService:
		if all[i].Name == target {
			return choices(pick.targets(typed, p.Limit))
		}
		return choices(pick.services(typed, p.Limit))
	case bot.TypeEnvironment:
		names = pick.environments()
	case bot.TypeVersion:
		names = pick.versions(ctx)
		if typed != "" && !slices.Contains(names, typed) {
			names = append([]string{typed}, names...)
		}
	default:
		if known := all[i].Known; known != nil {
			call := pick.call
			call.Command, call.Args = c.Name, bot.Args(p.Values)
			names = known(call)
			break
		}
		names = f.Router.Grammar.Telling(pick.told).Candidates(c, all[i].Param, p.Values)
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

// picker finds what somebody may choose from for a command. It looks at no more
// targets than it offers: with thousands of services, to find out where somebody may
// run a command takes longer than a letter does.
type picker struct {
	f       *Forms
	told    grammar.Words
	call    bot.Call
	command bot.Command
	values  map[string]string
}

// may reports whether the command may be run on a target, as far as the target
// decides.
func (p picker) may(t bot.Target) bool {
	return !p.f.targeted[p.command.Permission] || len(bot.Permitted(p.f.Router.Policy, p.call, p.command.Permission, []bot.Target{t})) > 0
}

// services gives at most limit services that fit what is typed and on which the
// command may be run somewhere.
func (p picker) services(typed string, limit int) (found []string) {
	for _, service := range fitting(p.told.Services(), typed, math.MaxInt) {
		if len(found) == limit {
			break
		}
		if slices.ContainsFunc(p.told.Environments(service), func(env string) bool { return p.may(bot.Target{Service: service, Environment: env}) }) {
			found = append(found, service)
		}
	}
	return found
}

// environments gives those of the chosen service in which the command may be run;
// all that there are where none is chosen yet.
func (p picker) environments() []string {
	all := p.told.Environments(p.service())
	if p.service() == "" {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(env string) bool { return !p.may(bot.Target{Service: p.service(), Environment: env}) })
}

// targets gives SERVICE/ENVIRONMENT where that is one argument.
func (p picker) targets(typed string, limit int) (found []string) {
	service, _, whole := strings.Cut(typed, "/")
	if !whole {
		for _, s := range p.services(typed, limit) {
			for _, env := range p.told.Environments(s) {
				if t := (bot.Target{Service: s, Environment: env}); len(found) < limit && p.may(t) {
					found = append(found, t.String())
				}
			}
		}
		return found
	}
	for _, env := range p.told.Environments(service) {
		if t := (bot.Target{Service: service, Environment: env}); p.may(t) {
			found = append(found, t.String())
		}
	}
	return fitting(found, typed, limit)
}

func (p picker) service() string { return p.values["service"] }

// versions gives the releases of the chosen target, or of the service's first where
// only that is chosen.
func (p picker) versions(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	if p.service() == "" {
		return nil
	}
	for _, env := range p.environments() {
		if chosen := p.values["environment"]; chosen == "" || chosen == env {
			if names := p.f.releasesOf(ctx, bot.Target{Service: p.service(), Environment: env}); names != nil {
				return names
			}
		}
	}
	return nil
}
