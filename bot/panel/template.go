package panel

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/nearest"
	"quarterdeck/bot/provider"
)

// expression is a Metric's Expr with everything filled in but the time that its
// rates are taken over, which depends on the step: its parts are joined by that.
type expression []string

// in gives the expression with a time for its rates, in whole seconds as PromQL
// and others write it.
func (e expression) in(window time.Duration) string {
	return strings.Join(e, fmt.Sprintf("%ds", max(1, int64((window+time.Second-1)/time.Second))))
}

var (
	// placeholder finds {name}. No language that we know of has a bare word alone
	// in braces, so that an unknown one is a slip; {{name}} is for one that does.
	placeholder = regexp.MustCompile(`\{\{[A-Za-z_][A-Za-z0-9_]*\}\}|\{[A-Za-z_][A-Za-z0-9_]*\}`)
	// plain is what may stand outside of quotes without meaning something there.
	plain = regexp.MustCompile(`^[A-Za-z0-9_:.]+$`)
)

// fill puts a target's names and variables into an expression. Its Error is of
// kind Invalid. Values hold no quotes and no backslashes (names cannot, and the
// configuration refuses variables that do), so that none ends the text that it
// stands in. Within a regular expression of PromQL, the names stand for
// themselves: a dot in one is a dot; a variable is the pattern that it is.
func fill(expr string, t bot.Target, variables map[string]string) (expression, error) {
	known := map[string]string{"service": t.Service, "env": t.Environment, "window": ""}
	maps.Copy(known, variables)
	var parts expression
	var text strings.Builder
	quotes := quoting{}
	at := 0
	for _, span := range placeholder.FindAllStringIndex(expr, -1) {
		quotes.read(expr[at:span[0]])
		text.WriteString(expr[at:span[0]])
		whole := expr[span[0]:span[1]]
		at = span[1]
		if strings.HasPrefix(whole, "{{") {
			text.WriteString(whole[1 : len(whole)-1])
			continue
		}
		name := whole[1 : len(whole)-1]
		value, found := known[name]
		switch {
		case !found:
			names := slices.Sorted(maps.Keys(known))
			remedy := "it has " + strings.Join(names, ", ")
			if near := nearest.Of(name, names); near != "" {
				remedy = fmt.Sprintf("did you mean %q?", near)
			}
			return nil, bot.Errorf(bot.Invalid, "%s has no variable %q; %s", t, name, remedy)
		case name == "window":
			parts = append(parts, text.String())
			text.Reset()
			continue
		case !quotes.open() && !plain.MatchString(value):
			return nil, bot.Errorf(bot.Invalid, "{%s} is %q for %s, which has to stand in quotes; write \"{%s}\"", name, value, t, name)
		case quotes.pattern && (name == "service" || name == "env"):
			value = regexp.QuoteMeta(value)
			if quotes.quote != '`' { // where a backslash is written twice
				value = strings.ReplaceAll(value, `\`, `\\`)
			}
		}
		text.WriteString(value)
	}
	text.WriteString(expr[at:])
	return append(parts, text.String()), nil
}

// quoting follows where an expression's quoted texts begin and end.
type quoting struct {
	quote   byte // the one that the text began with; 0 outside
	pattern bool // the text is a regular expression: =~ or !~ stands before it
	escaped bool
	before  string // the last two characters before a text, blanks left out
}

func (q *quoting) open() bool { return q.quote != 0 }

func (q *quoting) read(s string) {
	for i := range len(s) {
		c := s[i]
		switch {
		case q.escaped:
			q.escaped = false
		case q.open() && c == '\\' && q.quote != '`':
			q.escaped = true
		case q.open() && c == q.quote:
			*q = quoting{}
		case q.open():
		case c == '"' || c == '\'' || c == '`':
			q.quote, q.pattern = c, q.before == "=~" || q.before == "!~"
		case c != ' ' && c != '\n' && c != '\t':
			q.before = q.before[max(0, len(q.before)-1):] + string(c)
		}
	}
}

// rateWindow gives the time that rates are taken over: four values at least, so
// that one lost reading leaves no gap, and never less than a step, so that
// nothing between two points is lost.
func rateWindow(source provider.MetricSource, step time.Duration) time.Duration {
	return max(step, 4*interval(source))
}

// interval is how far apart a source's values are; a minute where it does not
// say, as most are set up.
func interval(source provider.MetricSource) time.Duration {
	if s, ok := source.(provider.Sampled); ok {
		return s.Interval()
	}
	return time.Minute
}
