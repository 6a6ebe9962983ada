package grammar

import (
	"strings"

	"quarterdeck/bot"
)

// Argument is one thing that a command takes, for forms and typed options of
// chat networks and for help.
type Argument struct {
	bot.Param
	Option bool // written --name; otherwise by its position
}

// Options gives everything that a command takes: its arguments in order, its
// declared options, then those that every command of its sort takes (dry-run,
// reason, override). Options are always Optional.
func Options(c bot.Command) []Argument {
	var all []Argument
	for _, p := range c.Params {
		all = append(all, Argument{Param: p})
	}
	for _, p := range optionsOf(c) {
		p.Optional = true
		all = append(all, Argument{Param: p, Option: true})
	}
	return all
}

// optionsOf gives the declared and the automatic options of a command.
func optionsOf(c bot.Command) []bot.Param {
	return append(append([]bot.Param(nil), c.Options...), automatic(c)...)
}

// Usage gives the usage line of a command without the options that every
// command of its sort takes: "deploy SERVICE VERSION [to] ENV".
func Usage(c bot.Command) string {
	parts := []string{positional(c)}
	for _, p := range c.Options {
		parts = append(parts, "["+optionUsage(p)+"]")
	}
	return strings.Join(parts, " ")
}

// positional gives the usage line without any option.
func positional(c bot.Command) string {
	parts := []string{c.Name}
	for _, p := range c.Params {
		part := placeholder(p)
		if p.Filler != "" {
			part = "[" + p.Filler + "] " + part
		}
		if p.Optional && p.Type != bot.TypeCode { // it is no part of the line that is parsed
			part = "[" + part + "]"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, " ")
}

// optionUsage gives "--last 6h", or "--steal" for a switch.
func optionUsage(p bot.Param) string {
	if p.Type == bot.TypeFlag {
		return "--" + p.Name
	}
	return "--" + p.Name + " " + valueUsage(p)
}

// valueUsage says what stands after an option's name: its type where that says
// more than repeating the name.
func valueUsage(p bot.Param) string {
	switch p.Type {
	case bot.TypeDuration:
		return "6h"
	case bot.TypePerson:
		return "PERSON"
	case bot.TypeCount, bot.TypeNumber:
		return "N"
	case bot.TypeText:
		return `"..."`
	case bot.TypeCode:
		return "123456"
	}
	return placeholder(p)
}

// placeholder gives how an argument is called in usage lines: SERVICE, ENV,
// on|off, COMMAND...
func placeholder(p bot.Param) string {
	switch {
	case p.Type == bot.TypeChoice:
		return strings.Join(p.Choices, "|")
	case p.Type == bot.TypeEnvironment && p.Name == "environment":
		return "ENV"
	case p.Type == bot.TypeWords, p.Type == bot.TypeLine && p.Name != nameVerb:
		return label(p) + "..."
	}
	return label(p)
}

// label gives what an argument is called in a sentence.
func label(p bot.Param) string {
	if p.Type == bot.TypeEnvironment && p.Name == "environment" {
		return "ENV"
	}
	return strings.ToUpper(p.Name)
}
