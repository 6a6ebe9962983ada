package audit

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// guise is a text as its reader will see it, and where in the source each of
// its bytes came from. Programs print what they were given in JSON, in a URL or
// broken into lines, and what was to be hidden is as readable there.
type guise struct {
	text string
	at   []int // at[i] is the offset in the source of text[i]; one more for the end
}

// guiseOf gives s as it is.
func guiseOf(s string) guise {
	at := make([]int, len(s)+1)
	for i := range at {
		at[i] = i
	}
	return guise{s, at}
}

// rewrite gives g with each piece that read knows replaced: read gives what
// stands at the beginning of its argument and how many bytes that takes there,
// or 0 bytes for an ordinary one. It is nil where there is nothing to replace.
func (g *guise) rewrite(mark string, read func(s string) (put string, size int)) *guise {
	if g == nil || !strings.ContainsAny(g.text, mark) {
		return nil
	}
	var text strings.Builder
	at := make([]int, 0, len(g.at))
	found := false
	for i := 0; i < len(g.text); {
		put, size := "", 0
		if strings.IndexByte(mark, g.text[i]) >= 0 {
			put, size = read(g.text[i:])
		}
		if size == 0 {
			put, size = g.text[i:i+1], 1
		} else {
			found = true
		}
		for range len(put) {
			at = append(at, g.at[i])
		}
		text.WriteString(put)
		i += size
	}
	if !found {
		return nil
	}
	return &guise{text.String(), append(at, g.at[len(g.text)])}
}

// fromJSON reads one escape of a JSON string.
func fromJSON(s string) (put string, size int) {
	if len(s) < 2 {
		return "", 0
	}
	switch s[1] {
	case '"', '\\', '/':
		return s[1:2], 2
	case 'n':
		return "\n", 2
	case 't':
		return "\t", 2
	case 'u':
		r, ok := hexRune(s)
		if !ok {
			return "", 0
		}
		if utf16.IsSurrogate(r) {
			if low, ok := hexRune(s[6:]); ok {
				if r := utf16.DecodeRune(r, low); r != unicode.ReplacementChar {
					return string(r), 12
				}
			}
		}
		return string(r), 6
	}
	return "", 0
}

// hexRune reads \uXXXX.
func hexRune(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[2:6], 16, 32)
	return rune(n), err == nil
}

// fromURL reads one byte as a URL writes it, fromForm one as a query does.
func fromURL(s string) (put string, size int) {
	if len(s) < 3 || s[0] != '%' {
		return "", 0
	}
	n, err := strconv.ParseUint(s[1:3], 16, 8)
	if err != nil {
		return "", 0
	}
	return string([]byte{byte(n)}), 3
}

func fromForm(s string) (put string, size int) {
	if s[0] == '+' {
		return " ", 1
	}
	return fromURL(s)
}

// unbroken takes a line break for nothing, spaced takes it for a space; either
// way with the indentation behind it.
func unbroken(s string) (put string, size int) {
	size = len(s) - len(strings.TrimLeft(s, "\r\n"))
	if !strings.Contains(s[:size], "\n") {
		return "", 0
	}
	return "", size + len(s[size:]) - len(strings.TrimLeft(s[size:], " \t"))
}

func spaced(s string) (put string, size int) {
	_, size = unbroken(s)
	return " ", size
}

// undisguised redacts what the patterns match in any guise of s.
func undisguised(s string, patterns []*regexp.Regexp) string {
	// What was hidden already is not joined with what is around it.
	parts := strings.Split(s, Redacted)
	for i, part := range parts {
		parts[i] = undisguisedPart(part, patterns)
	}
	return strings.Join(parts, Redacted)
}

func undisguisedPart(s string, patterns []*regexp.Regexp) string {
	const deep = 3 // JSON in JSON in JSON
	var spans [][2]int
	spans = base64Spans(spans, s, nil, patterns)
	look := func(g *guise) {
		if g == nil {
			return
		}
		for _, p := range patterns {
			for _, m := range p.FindAllStringIndex(g.text, -1) {
				if m[0] < m[1] {
					spans = append(spans, [2]int{g.at[m[0]], g.at[m[1]]})
				}
			}
		}
		spans = base64Spans(spans, g.text, g.at, patterns)
	}
	if strings.ContainsAny(s, "\\%+\n") {
		plain := guiseOf(s)
		for _, r := range []struct {
			mark  string
			read  func(string) (string, int)
			times int
		}{{`\`, fromJSON, deep}, {"%", fromURL, deep}, {"%+", fromForm, 1}, {"\r\n", unbroken, 1}, {"\r\n", spaced, 1}} {
			g := &plain
			for range r.times {
				g = g.rewrite(r.mark, r.read)
				look(g)
			}
		}
	}
	if len(spans) == 0 {
		return s
	}
	slices.SortFunc(spans, func(a, b [2]int) int { return a[0] - b[0] })
	var out strings.Builder
	end := 0
	for _, span := range spans {
		if span[0] >= end {
			out.WriteString(s[end:span[0]])
			out.WriteString(Redacted)
		}
		end = max(end, span[1])
	}
	out.WriteString(s[end:])
	return out.String()
}

// base64Spans adds where s, or the source that at maps it to, has base64 of
// text that a pattern matches.
func base64Spans(spans [][2]int, s string, at []int, patterns []*regexp.Regexp) [][2]int {
	if len(patterns) == 0 {
		return spans
	}
	for _, alphabet := range [...]struct {
		extra    string
		encoding *base64.Encoding
	}{{"+/", base64.RawStdEncoding}, {"-_", base64.RawURLEncoding}} {
		for i := 0; i < len(s); {
			end := i
			odd := false // the two readings differ, or it may be no ordinary word
			for end < len(s) && (alphanumeric(s[end]) || s[end] == alphabet.extra[0] || s[end] == alphabet.extra[1]) {
				odd = odd || s[end] < 'a'
				end++
			}
			start := i
			i = end + 1
			const least = 6 // of four bytes
			if end-start < least || !odd {
				continue
			}
			usable := end - start
			if usable%4 == 1 { // cut off
				usable--
			}
			raw, err := alphabet.encoding.DecodeString(s[start : start+usable])
			if err != nil || !printable(raw) || !slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool {
				m := p.FindIndex(raw)
				return m != nil && m[0] < m[1]
			}) {
				continue
			}
			for end < len(s) && s[end] == '=' {
				end++
			}
			span := [2]int{start, end}
			if at != nil {
				span = [2]int{at[start], at[end]}
			}
			spans = append(spans, span)
			i = end
		}
	}
	return spans
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// printable reports whether raw is text.
func printable(raw []byte) bool {
	for len(raw) > 0 {
		r, size := utf8.DecodeRune(raw)
		if r == utf8.RuneError && size <= 1 || !unicode.IsPrint(r) && !unicode.IsSpace(r) {
			return false
		}
		raw = raw[size:]
	}
	return true
}
