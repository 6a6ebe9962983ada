package grammar

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/nearest"
)

// Bounds of what an argument may be.
const (
	maxCount   = 1_000_000_000 // fits every integer that a command may use
	maxVersion = 200           // bytes; longer than any tag, digest or branch in use
)

// values checks what was collected and gives the canonical values by name.
func (g *Grammar) values(a *arguments) (map[string]string, error) {
	values := map[string]string{}
	service := ""
	for _, p := range a.ranked() {
		w, ok := a.given[p.Name]
		if !ok {
			continue
		}
		v, err := g.checked(p, w, service)
		if err != nil {
			if errors.Is(err, errEmpty) {
				err = a.empty(p)
			}
			return nil, err
		}
		values[p.Name] = v
		if p.Type == bot.TypeService {
			service = v
		}
	}
	return values, nil
}

func rank(t bot.ParamType) int {
	if t == bot.TypeService {
		return 0
	}
	return 1
}

// errEmpty is for values to say that a value was empty; it never leaves here.
var errEmpty = errors.New("empty")

func (a *arguments) empty(p bot.Param) error {
	if slices.ContainsFunc(a.options, func(o bot.Param) bool { return o.Name == p.Name }) {
		return invalid("the value of --%s is empty: %s", p.Name, optionUsage(p))
	}
	return invalid("the %s is empty: %s", label(p), Usage(a.command))
}

// value checks one word against its type and gives the canonical value.
func (g *Grammar) value(p bot.Param, w word, service string) (string, error) {
	name := w.name()
	if strings.TrimSpace(name) == "" {
		return "", errEmpty
	}
	switch p.Type {
	case bot.TypeService:
		if p.Name == nameTarget && strings.Contains(name, "/") {
			return g.target(name)
		}
		return name, g.service(name)
	case bot.TypeEnvironment:
		return name, g.environment(name, service)
	case bot.TypeVersion:
		return name, version(name)
	case bot.TypeRun:
		return run(name)
	case bot.TypePerson:
		if name = strings.TrimPrefix(name, "@"); name == "" {
			return "", errEmpty
		}
		return name, g.person(name)
	case bot.TypeChoice:
		return name, choice(p, name)
	case bot.TypeCount:
		return count(name)
	case bot.TypeNumber:
		return number(name)
	case bot.TypeDuration:
		d, over, ok := parseDuration(name)
		switch {
		case !ok, d == 0 && !over:
			return "", invalid("%s is not a duration; write 90s, 30m, 6h, 2d or 1w", show(name))
		case over:
			return "", invalid("%s is too long; the most is %s", show(name), "3650d")
		}
		return d.String(), nil
	case bot.TypeWords:
		return strings.Join(strings.Fields(w.text), " "), nil
	case bot.TypeText, bot.TypeLine, bot.TypeFlag, bot.TypeCode:
		return strings.TrimSpace(w.text), nil
	}
	return "", &bot.Error{Op: "grammar", Kind: bot.Internal, Say: "an argument has the unknown type " + string(p.Type)}
}

func (g *Grammar) service(name string) error {
	if slices.Contains(g.words.Services(), name) {
		return nil
	}
	services := g.told.Services()
	said := "there is no service " + show(name)
	if near := nearest.Of(name, services); near != "" {
		return invalid("%s; did you mean %q?", said, near)
	}
	return invalid("%s; %s", said, there(services, "services"))
}

func (g *Grammar) environment(name, service string) error {
	if slices.Contains(g.words.Environments(service), name) {
		return nil
	}
	environments := g.told.Environments(service)
	said := "there is no environment " + show(name) + "; " + there(environments, "environments")
	if service != "" && (len(environments) > 0 || len(g.words.Environments(service)) == 0) {
		said = service + " has no environment " + show(name) + "; it has " + list(environments, "and")
	}
	if near := nearest.Of(name, environments); near != "" {
		return invalid("%s; did you mean %q?", said, near)
	}
	return invalid("%s", said)
}

// target checks SERVICE/ENV where it is kept whole.
func (g *Grammar) target(name string) (string, error) {
	t, ok := bot.ParseTarget(name)
	if !ok {
		return "", invalid("%s is not a target; write SERVICE/ENV", show(name))
	}
	if err := g.service(t.Service); err != nil {
		return "", err
	}
	return t.String(), g.environment(t.Environment, t.Service)
}

func (g *Grammar) person(name string) error {
	persons := g.words.Persons()
	if slices.Contains(persons, name) {
		return nil
	}
	if near := nearest.Of(name, persons); near != "" {
		return invalid("there is no person %s; did you mean %q?", show(name), near)
	}
	return invalid("there is no person %s; write the name of a declared person", show(name))
}

// version accepts what tags, digests, branches and run references are written
// with; only their Deployer knows whether one exists.
func version(name string) error {
	if len(name) > maxVersion {
		return invalid("the version %s is %d bytes long; the most is %d", show(name), len(name), maxVersion)
	}
	for i, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && (r != '#' || i > 0) && (!strings.ContainsRune("._-+/:@~^", r) || i == 0) {
			return invalid("%s is not a version; write one word of letters, digits and ._-+/:@~^ such as v2, latest or #12", show(name))
		}
	}
	return nil
}

func run(name string) (string, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(name, "#"), 10, 63)
	if err != nil || n == 0 {
		return "", invalid("%s is not a run; write its number: 12 or #12", show(name))
	}
	return strconv.FormatUint(n, 10), nil
}

func count(name string) (string, error) {
	n, err := strconv.ParseUint(name, 10, 63)
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && n > maxCount:
		return "", invalid("%s is too large; the most is %d", show(name), maxCount)
	case err != nil:
		return "", invalid("%s is not a count; write a whole number of 0 or more", show(name))
	}
	return strconv.FormatUint(n, 10), nil
}

func number(name string) (string, error) {
	n, err := strconv.ParseInt(name, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && (n > maxCount || n < -maxCount):
		return "", invalid("%s is too large; the most is %d", show(name), maxCount)
	case err != nil:
		return "", invalid("%s is not a number; write a whole number such as 3 or -3", show(name))
	}
	return strconv.FormatInt(n, 10), nil
}

func choice(p bot.Param, name string) error {
	if slices.Contains(p.Choices, name) {
		return nil
	}
	called := label(p)
	said := called + " is " + list(p.Choices, "or") + ", not " + show(name)
	if near := nearest.Of(name, p.Choices); near != "" {
		return invalid("%s; did you mean %q?", said, near)
	}
	return invalid("%s", said)
}
