package grammar

import (
	"maps"

	"quarterdeck/bot"
)

// Hide gives p with hide applied to what was typed freely in it: the reasons,
// texts, lines and versions. What is checked against a list, such as the name of
// a service, is no secret and stays, so that no pattern can keep a line from
// being understood. A value is looked at by itself and as its option is typed,
// since "--token abc" tells more than "abc". The Line is written anew.
func (g *Grammar) Hide(p Parsed, hide func(string) string) Parsed {
	of := func(name, value string) string {
		if v := hide(value); v != value {
			return v
		}
		if typed := "--" + name + " " + plainOrQuoted(value); hide(typed) != typed {
			return bot.Redacted
		}
		return value
	}
	p.Args = maps.Clone(p.Args)
	for _, param := range append(append([]bot.Param(nil), p.Command.Params...), p.Command.Options...) {
		switch param.Type {
		case bot.TypeText, bot.TypeLine, bot.TypeWords, bot.TypeVersion:
			if v, given := p.Args[param.Name]; given {
				p.Args[param.Name] = of(param.Name, v)
			}
		}
	}
	values := maps.Clone(map[string]string(p.Args))
	for name, value := range map[string]*string{optionReason: &p.Reason, optionOverride: &p.Override, optionBreakGlass: &p.BreakGlass} {
		if *value != "" {
			*value = of(name, *value)
			values[name] = *value
		}
	}
	if p.DryRun {
		values[optionDryRun] = "true"
	}
	p.Line = g.canonical(p.Command, values)
	return p
}
