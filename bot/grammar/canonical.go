package grammar

import (
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
)

// canonical writes the line that parses to the command with these values: the
// arguments by position, then the options in the order in which Options lists
// them. A rest-of-line argument stands behind the options, because it would
// swallow them.
func (g *Grammar) canonical(c bot.Command, values map[string]string) string {
	parts := []string{c.Name}
	written := map[string]bool{}
	last := ""
	for i, p := range c.Params {
		v, ok := values[p.Name]
		if !ok || written[p.Name] || p.Type == bot.TypeCode {
			continue
		}
		if p.Type == bot.TypeLine {
			last = v
			continue
		}
		text := format(p, v)
		if p.Type == bot.TypeService {
			if env, found := ofType(c, bot.TypeEnvironment); found && hole(c, values, env) {
				written[env.Name] = true
				text = plainOrQuoted(v + "/" + values[env.Name])
			}
		}
		if strings.EqualFold(text, p.Filler) || i == 0 && g.continues(c.Name, text) {
			text = quote(v)
		}
		parts = append(parts, text)
	}
	for _, p := range optionsOf(c) {
		v, ok := values[p.Name]
		switch {
		case !ok, p.Type == bot.TypeCode:
		case p.Type == bot.TypeFlag:
			parts = append(parts, "--"+p.Name)
		default:
			parts = append(parts, "--"+p.Name, format(p, v))
		}
	}
	if last != "" {
		parts = append(parts, last)
	}
	return strings.Join(parts, " ")
}

// hole reports whether an environment given by position could not be written in
// its place, because an argument before it was left out.
func hole(c bot.Command, values map[string]string, env bot.Param) bool {
	if _, given := values[env.Name]; !given {
		return false
	}
	at := slices.IndexFunc(c.Params, func(p bot.Param) bool { return p.Name == env.Name })
	for _, p := range c.Params[:max(at, 0)] {
		if _, given := values[p.Name]; !given {
			return true
		}
	}
	return false
}

// continues reports whether a bare word behind the command's name would be
// taken for part of a longer name.
func (g *Grammar) continues(name, text string) bool {
	longer := name + " " + strings.ToLower(text)
	return slices.ContainsFunc(g.commands, func(c bot.Command) bool {
		return c.Name == longer || strings.HasPrefix(c.Name, longer+" ")
	})
}

// format writes one value as it is typed.
func format(p bot.Param, value string) string {
	if p.Type == bot.TypeDuration {
		if d, err := time.ParseDuration(value); err == nil {
			return shortDuration(d)
		}
	}
	if p.Type == bot.TypeWords && !slices.ContainsFunc(strings.Split(value, " "), func(w string) bool { return !plain(w) }) {
		return value
	}
	return plainOrQuoted(value)
}

func plainOrQuoted(value string) string {
	if plain(value) {
		return value
	}
	return quote(value)
}

// plain reports whether a value is typed without quotation marks and read back
// unchanged.
func plain(value string) bool {
	if value == "" || value[0] == '-' {
		return false
	}
	for _, r := range value {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && !strings.ContainsRune("._-+/:@~^#=,%", r) {
			return false
		}
	}
	return true
}

// quote puts a value in quotation marks, with what would end them escaped.
func quote(value string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range value {
		if r == '\\' || doubleQuote(r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	b.WriteByte('"')
	return b.String()
}
