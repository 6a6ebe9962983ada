package form

import (
	"context"
	"slices"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/grammar"
)

// Entered implements bot.Forms. What the message then says is read, refused or
// run by the router like what anybody types.
func (f *Forms) Entered(ctx context.Context, e bot.Entry) (bot.Message, map[string]string, error) {
	k, err := f.look(ctx, e.Token)
	switch {
	case err != nil:
		return bot.Message{}, nil, err
	case k.Account != e.Account:
		f.recordThief(ctx, e, k)
		return bot.Message{}, nil, &bot.Error{Op: "form", Kind: bot.Denied, Say: "this form is another person's"}
	case k.Used != "" && k.Used != e.ID:
		return bot.Message{}, nil, errGone()
	}
	m := bot.Message{ID: e.ID, Account: e.Account, Standing: e.Standing, Channel: k.Channel, Thread: k.Thread, Press: k.Press, On: k.On, Text: k.Line, Bound: k.Bound}
	values := map[string]string{}
	for _, name := range k.Inputs { // nothing else was asked for
		values[name] = strings.TrimSpace(e.Values[name])
	}
	who, err := f.Router.Directory.Identify(ctx, e.Account, e.Standing)
	if err != nil {
		return bot.Message{}, nil, err
	}
	var faults map[string]string
	m.Code = values[Code]
	delete(values, Code) // it is no part of a line
	switch {
	case len(m.Code) > maxCode:
		faults = map[string]string{Code: "that is too long for a code"}
	case len(k.Inputs) == 1 && k.Inputs[0] == Code:
		if m.Code == "" {
			faults = map[string]string{Code: "the code is missing"}
		}
	case !who.Known():
		m.Text = k.Command // who lost every right meanwhile is told so, and of nothing else
	case k.Command != "":
		m.Text, faults = f.compose(who, k, values)
	default:
		m.Text, faults = values[Line], f.unread(who, values[Line])
	}
	if len(faults) > 0 {
		return bot.Message{}, faults, nil
	}
	if err := f.use(ctx, e.Token, e.ID); err != nil {
		return bot.Message{}, nil, err
	}
	return m, nil, nil
}

// unread says what is wrong with a line, as the router would.
func (f *Forms) unread(who bot.Identity, line string) map[string]string {
	_, err := f.Router.Grammar.Telling(f.told(who)).ParseFor(line, f.Router.Visible(who))
	if err != nil {
		return map[string]string{Line: bot.Sentence(err, "form")}
	}
	return nil
}

// compose writes the line that was entered for a command.
func (f *Forms) compose(who bot.Identity, k kept, values map[string]string) (line string, faults map[string]string) {
	c, found := f.Router.Grammar.Lookup(k.Command)
	if !found {
		return k.Command, nil // it is gone since, which the router says
	}
	g := f.grammarFor(who, k.Channel, c)
	line, faults = g.Compose(k.Command, values)
	if len(faults) == 0 && slices.Contains(k.Inputs, "reason") && f.wantsReason(who, k, line) {
		faults = map[string]string{"reason": "a reason is needed there"}
	}
	for name := range faults {
		if !slices.Contains(k.Inputs, name) { // what is not in the form is shown at its first input
			return "", map[string]string{k.Inputs[0]: faults[name]}
		}
	}
	return line, faults
}

// wantsReason reports whether a rule asks for the reason that the line lacks, so
// that it can be asked for while the form is open.
func (f *Forms) wantsReason(who bot.Identity, k kept, line string) bool {
	p, err := f.Router.Grammar.Parse(line)
	if err != nil || p.DryRun || p.Reason != "" || p.BreakGlass != "" || p.Command.Resolve == nil {
		return false
	}
	c := bot.Call{Who: who, Channel: k.Channel, At: f.Router.Clock.Now(), Line: p.Line, Command: p.Command.Name, Args: p.Args}
	ask, err := p.Command.Resolve(c)
	if err != nil {
		return false
	}
	d := f.Router.Policy.Decide(bot.Request{Who: who, Permission: ask.Permission, Resources: ask.Resources, Channel: k.Channel, At: c.At})
	return d.Allowed && d.Needs.Reason
}

// Choices implements bot.Forms.
func (f *Forms) Choices(ctx context.Context, e bot.Entry, input, typed string, limit int) []string {
	k, err := f.look(ctx, e.Token)
	if err != nil || k.Account != e.Account || k.Used != "" || !slices.Contains(k.Inputs, input) || len(typed) > grammar.MaxLine {
		return nil
	}
	who, err := f.Router.Directory.Identify(ctx, e.Account, e.Standing)
	c, found := f.Router.Grammar.Lookup(k.Command)
	if err != nil || !who.Known() || !found {
		return nil
	}
	all := grammar.Options(c)
	i := slices.IndexFunc(all, func(a grammar.Argument) bool { return a.Name == input })
	if i < 0 {
		return nil
	}
	typed = strings.TrimSpace(typed)
	g := f.grammarFor(who, k.Channel, c)
	names := g.Candidates(c, all[i].Param, e.Values)
	if all[i].Type == bot.TypeVersion {
		names = f.versions(ctx, g, c, e.Values)
		if typed != "" && !slices.Contains(names, typed) {
			names = append([]string{typed}, names...)
		}
	}
	return fitting(names, typed, limit)
}

// fitting gives those names that go on from what is typed, then those that hold it.
func fitting(names []string, typed string, limit int) []string {
	var first, then []string
	typed = strings.ToLower(typed)
	for _, name := range names {
		switch lower := strings.ToLower(name); {
		case strings.HasPrefix(lower, typed):
			first = append(first, name)
		case strings.Contains(lower, typed):
			then = append(then, name)
		}
	}
	all := append(first, then...)
	return all[:max(0, min(len(all), limit))]
}
