package grammar

import (
	"fmt"
	"slices"
	"strings"

	"quarterdeck/bot"
)

// The options that commands get without declaring them.
const (
	optionDryRun     = "dry-run"
	optionReason     = "reason"
	optionOverride   = "override"
	optionBreakGlass = "break-glass"
	optionCode       = "code"
)

// check gives everything that makes a table ambiguous or incomplete.
func check(commands []bot.Command) []error {
	var faults []error
	seen := map[string]bool{}
	for i, c := range commands {
		name := fmt.Sprintf("command %q", c.Name)
		switch {
		case c.Name == "":
			name = fmt.Sprintf("command number %d", i+1)
			faults = append(faults, fmt.Errorf("%s has no name", name))
		case !wordsOf(c.Name):
			faults = append(faults, fmt.Errorf("%s is not named by lower-case words with single spaces between", name))
		case seen[c.Name]:
			faults = append(faults, fmt.Errorf("%s is in the table twice", name))
		}
		seen[c.Name] = true
		for _, fault := range checkCommand(c) {
			faults = append(faults, fmt.Errorf("%s %w", name, fault))
		}
	}
	return faults
}

func checkCommand(c bot.Command) []error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	roads := 0
	for _, set := range []bool{c.Read != nil, c.Plan != nil, c.Answer != nil} {
		if set {
			roads++
		}
	}
	if roads != 1 {
		fault("has %d of Read, Plan and Answer; exactly one is needed", roads)
	}
	if c.Resolve == nil && c.Answer == nil {
		fault("has no Resolve")
	}
	if c.Permission == "" {
		fault("has no permission")
	}
	switch {
	case c.Summary == "":
		fault("has no summary")
	case strings.ContainsAny(c.Summary, "\n\r"), strings.HasSuffix(c.Summary, "."):
		fault("has a summary that is more than one line, or ends in a full stop")
	}
	for _, example := range c.Examples {
		if example != c.Name && !strings.HasPrefix(example, c.Name+" ") {
			fault("has the example %q, which is of another command", example)
		}
	}
	return append(faults, checkParams(c)...)
}

// checkParams checks the arguments of one command, alone and together.
func checkParams(c bot.Command) []error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	names := map[string]bool{}
	for _, p := range automatic(c) {
		names[p.Name] = true
	}
	types := map[bot.ParamType]int{}
	optional, before := "", 0
	for i, p := range slices.Concat(c.Params, c.Options) {
		option := i >= len(c.Params)
		sort, forbidden := "argument", p.Type == bot.TypeFlag
		if option {
			sort, forbidden = "option", p.Type == bot.TypeLine || p.Type == bot.TypeWords
		}
		switch {
		case p.Name == "":
			fault("has an %s without a name", sort)
		case !wordsOf(p.Name) || strings.Contains(p.Name, " "):
			fault("has an %s %q that is not named by one lower-case word", sort, p.Name)
		case names[p.Name]:
			fault("has two arguments named %q", p.Name)
		}
		names[p.Name] = true
		if p.Help == "" {
			fault("has no help for %q", p.Name)
		}
		if !known(p.Type) {
			fault("has an %s %q of the unknown type %q", sort, p.Name, p.Type)
		}
		if forbidden {
			fault("has an %s %q of type %s, which cannot be one", sort, p.Name, p.Type)
		}
		faults = append(faults, checkChoices(p)...)
		if p.Filler != "" {
			switch {
			case option || p.Type == bot.TypeLine || p.Type == bot.TypeWords:
				fault("has a filler before %q, where none can stand", p.Name)
			case !wordsOf(p.Filler) || strings.Contains(p.Filler, " "):
				fault("has the filler %q, which is not one lower-case word", p.Filler)
			case slices.Contains(p.Choices, p.Filler):
				fault("has the filler %q, which is also a choice", p.Filler)
			}
		}
		types[p.Type]++
		if option {
			continue
		}
		if p.Optional {
			optional = p.Name
			before++
		} else if optional != "" && !mayBeSkipped(c.Params, i, before) {
			fault("needs %q after %q, which may be left out", p.Name, optional)
		}
		if (p.Type == bot.TypeLine || p.Type == bot.TypeWords) && i != len(c.Params)-1 {
			fault("has arguments after %q, which takes the rest of the line", p.Name)
		}
	}
	// SERVICE/ENV must say which service and which environment it fills.
	for _, t := range []bot.ParamType{bot.TypeService, bot.TypeEnvironment} {
		if types[t] > 1 {
			fault("has %d arguments of type %s; at most one can be told apart", types[t], t)
		}
	}
	return faults
}

// mayBeSkipped reports whether argument i, which is needed, may stand after one
// that may be left out: it is the last and that is the only one, so that one word
// for both is its own.
func mayBeSkipped(params []bot.Param, i, optional int) bool {
	return i == len(params)-1 && optional == 1 && params[i-1].Optional && params[i-1].Filler == "" &&
		params[i].Filler == "" && params[i].Type != bot.TypeLine && params[i-1].Type != bot.TypeService && params[i-1].Type != bot.TypeEnvironment
}

func checkChoices(p bot.Param) []error {
	var faults []error
	if (p.Type == bot.TypeChoice) != (len(p.Choices) > 0) {
		faults = append(faults, fmt.Errorf("has %d choices for %q of type %s", len(p.Choices), p.Name, p.Type))
	}
	for i, choice := range p.Choices {
		if !plain(choice) {
			faults = append(faults, fmt.Errorf("has the choice %q for %q, which cannot be typed as one word", choice, p.Name))
		}
		if slices.Contains(p.Choices[:i], choice) {
			faults = append(faults, fmt.Errorf("has the choice %q for %q twice", choice, p.Name))
		}
	}
	return faults
}

// known reports whether the grammar can read the type.
func known(t bot.ParamType) bool {
	switch t {
	case bot.TypeService, bot.TypeEnvironment, bot.TypeVersion, bot.TypeRun, bot.TypePerson, bot.TypeChoice,
		bot.TypeCount, bot.TypeNumber, bot.TypeDuration, bot.TypeText, bot.TypeLine, bot.TypeWords, bot.TypeFlag, bot.TypeCode:
		return true
	}
	return false
}

// automatic gives the options that a command takes without declaring them.
func automatic(c bot.Command) []bot.Param {
	dryRun := bot.Param{Name: optionDryRun, Type: bot.TypeFlag, Optional: true, Help: "show what would be done and do nothing"}
	reason := bot.Param{Name: optionReason, Type: bot.TypeText, Optional: true, Help: "why, for the record"}
	override := bot.Param{Name: optionOverride, Type: bot.TypeText, Optional: true, Help: "why to pass what stands against it, for those who may"}
	breakGlass := bot.Param{Name: optionBreakGlass, Type: bot.TypeText, Optional: true, Help: "why to act now, for those who may; another person reviews it after"}
	code := bot.Param{Name: optionCode, Type: bot.TypeCode, Optional: true, Help: "a one-time code of your authenticator, where the rules ask for one"}
	switch {
	case c.Plan != nil:
		return []bot.Param{dryRun, reason, override, breakGlass, code}
	case c.Answer != nil && slices.ContainsFunc(c.Params, func(p bot.Param) bool { return p.Type == bot.TypeCode }):
		return []bot.Param{reason} // it has a code of its own
	case c.Answer != nil && c.Posts:
		return []bot.Param{dryRun, reason, code}
	case c.Answer != nil:
		return []bot.Param{reason, code}
	}
	return nil
}

// wordsOf reports whether s is words of lower-case letters, digits and inner
// hyphens that each begin with a letter, with single spaces between.
func wordsOf(s string) bool {
	for _, w := range strings.Split(s, " ") {
		if w == "" || w[0] < 'a' || w[0] > 'z' || strings.HasSuffix(w, "-") {
			return false
		}
		for _, r := range w {
			if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
				return false
			}
		}
	}
	return true
}
