package grammar

import (
	"regexp"
	"slices"
	"strings"

	"quarterdeck/bot"
)

// unread finds codes where the words of a line cannot be told apart.
var unread = regexp.MustCompile(`(?i)[-\x{2010}-\x{2015}\x{2212}\x{FE58}\x{FE63}\x{FF0D}]+(?:code)[\s=]+["']?([0-9]+(?:[ -][0-9]+)*)["']?`)

// codeDigits is how long the codes of authenticators are.
const codeDigits = 6

// bare finds a code that stands by itself where --code was forgotten, whole or as
// half of "123 456".
var bare = regexp.MustCompile(`(?i)^(?:code[:=])?([0-9]{3}|[0-9]{6})$`)

// cut is a part of a line that is to go, from one byte offset to another.
type cut struct{ from, to int }

// TakeCode takes a one-time code off a line, before that is stored or parsed:
// what --code is given anywhere on it, and the words of an argument that is a
// code. It works on every line, also on one that does not parse: a code that stays
// would be stored while it may still be used, so that six digits behind an option
// that the command does not have go too, and so do those that stand by themselves behind
// the number of a run: "approve 12 123456" brings a code. The rest is the line without it. own reports that the code is the command's own argument, which
// is to say that it is of an authenticator that is being enrolled. Of several
// codes all go and the first is given.
func (g *Grammar) TakeCode(line string) (rest, code string, own bool) {
	heads := g.heads(line)
	c, n := match(g.commands, heads)
	begin := 0
	if n > 0 {
		own = slices.ContainsFunc(c.Params, func(p bot.Param) bool { return p.Type == bot.TypeCode })
		begin = heads[n-1].end
	}
	var known, flags []string
	for _, p := range optionsOf(c) {
		known = append(known, p.Name)
		if p.Type == bot.TypeFlag {
			flags = append(flags, p.Name)
		}
	}
	// "totp cnofirm 123456" holds a code all the same.
	digits := n == 0 && len(heads) > 0 && g.takesCode(heads[0].text)
	// Behind the run that a command is about nothing else can be digits.
	spare := n > 0 && len(c.Params) > 0 && !slices.ContainsFunc(c.Params, func(p bot.Param) bool { return p.Type != bot.TypeRun })
	if !own && !digits && !spare && !strings.ContainsFunc(line, dash) {
		return line, "", false
	}
	var cuts []cut
	var codes, words, loose []string
	var looseCuts []cut
	args := 0
	s := scanner{line: line, at: begin}
	for s.skipSpace(); !s.done(); s.skipSpace() {
		start := s.at
		w, err := s.next()
		switch {
		case err != nil:
			// A quotation mark that is never closed, or is in the middle of a word:
			// where options begin is anybody's guess.
			at := start
			for _, m := range unread.FindAllStringSubmatchIndex(line[start:], -1) {
				codes = append(codes, line[start+m[2]:start+m[3]])
				cuts = append(cuts, cut{start + m[0], start + m[1]})
				at = start + m[1]
			}
			s.at = max(s.at, at)
		case w.option == optionCode:
			value := w.text
			if !w.valued {
				value = s.codeAhead()
			}
			// A quotation mark before the code that is never closed.
			if m := unread.FindStringSubmatchIndex(line[start:]); value == "" && m != nil && m[0] == 0 && start+m[1] > s.at {
				value, s.at = line[start+m[2]:start+m[3]], start+m[1]
			}
			codes, cuts = append(codes, value), append(cuts, cut{start, s.at})
		case w.option != "" && slices.Contains(known, w.option):
			if spare && !w.valued && !slices.Contains(flags, w.option) && !s.optionAhead() {
				s.skipSpace()
				back := s.at
				if _, err := s.next(); err != nil { // its value
					s.at = back
				}
			}
		case w.option != "":
			behind := start + strings.IndexByte(line[start:s.at]+"=", '=')
			value := w.text
			if !w.valued {
				behind = s.at
				value = s.codeAhead()
			}
			if len(value) == codeDigits && digitsOnly(value) {
				cuts = append(cuts, cut{behind, s.at})
			} else if !w.valued {
				s.at = behind
			}
		case own, digits && digitsOnly(w.text):
			words, cuts = append(words, w.text), append(cuts, cut{start, s.at})
		case spare:
			if m := bare.FindStringSubmatch(w.text); args >= len(c.Params) && m != nil {
				loose, looseCuts = append(loose, m[1]), append(looseCuts, cut{start, s.at})
			}
			args++
		}
	}
	if joined := strings.Join(loose, ""); len(joined) == codeDigits {
		codes, cuts = append(codes, joined), append(cuts, looseCuts...)
		slices.SortFunc(cuts, func(a, b cut) int { return a.from - b.from })
	}
	if len(words) > 0 {
		codes = append([]string{strings.Join(words, "")}, codes...)
	}
	if len(cuts) == 0 {
		return line, "", own
	}
	for _, c := range codes {
		if code = plainCode(c); code != "" {
			break
		}
	}
	return without(line, cuts), code, own
}

// takesCode reports whether the first word is that of commands of which one has
// an argument that is a code.
func (g *Grammar) takesCode(first string) bool {
	return slices.ContainsFunc(g.commands, func(c bot.Command) bool {
		return strings.Fields(c.Name)[0] == first && slices.ContainsFunc(c.Params, func(p bot.Param) bool { return p.Type == bot.TypeCode })
	})
}

// codeAhead reads the code behind --code: a word, or two as authenticators show
// it, "123 456".
func (s *scanner) codeAhead() string {
	s.skipSpace()
	if s.done() || s.optionAhead() {
		return ""
	}
	back := s.at
	w, err := s.next()
	if err != nil {
		s.at = back
		return ""
	}
	if len(w.text) != 3 || !digitsOnly(w.text) {
		return w.text
	}
	back = s.at
	s.skipSpace()
	if !s.done() && !s.optionAhead() {
		if more, err := s.next(); err == nil && len(more.text) == 3 && digitsOnly(more.text) {
			return w.text + more.text
		}
	}
	s.at = back
	return w.text
}

func digitsOnly(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// plainCode gives a code as it is checked: without spaces and dashes.
func plainCode(s string) string {
	return strings.Map(func(r rune) rune {
		if dash(r) || r == ' ' {
			return -1
		}
		return r
	}, strings.TrimSpace(s))
}

// without gives the line without the cuts and the spaces that they leave.
func without(line string, cuts []cut) string {
	var kept []string
	at := 0
	for _, c := range cuts {
		kept = append(kept, line[at:c.from])
		at = c.to
	}
	kept = append(kept, line[at:])
	for i := range kept {
		switch {
		case i == 0:
			kept[i] = strings.TrimRight(kept[i], " ")
		case i == len(kept)-1:
			kept[i] = strings.TrimLeft(kept[i], " ")
		default:
			kept[i] = strings.Trim(kept[i], " ")
		}
	}
	return strings.Join(slices.DeleteFunc(kept, func(s string) bool { return s == "" }), " ")
}
