package audit

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode"
)

// rewriteStrings gives raw, which is JSON, with every string in it replaced by
// what f gives for it, names of members included. All other bytes stay as they
// are. It is not checked that raw is JSON: what is none is searched as if its
// quotes were those of strings.
func rewriteStrings(raw []byte, f func(string) string) (out []byte, changed bool, err error) {
	for rest := raw; ; {
		from := bytes.IndexByte(rest, '"')
		if from < 0 {
			return append(out, rest...), changed, nil
		}
		end := from + 1
		for end < len(rest) && rest[end] != '"' {
			if rest[end] == '\\' {
				end++
			}
			end++
		}
		if end >= len(rest) {
			return append(out, rest...), changed, nil
		}
		literal := rest[from : end+1]
		var s string
		if json.Unmarshal(literal, &s) == nil {
			if is := f(s); is != s {
				if literal, err = json.Marshal(is); err != nil {
					return nil, false, err
				}
				changed = true
			}
		}
		out = append(append(out, rest[:from]...), literal...)
		rest = rest[end+1:]
	}
}

// shortest is how long a value must be to be looked for wherever it is kept: a
// short one stands everywhere by chance.
const shortest = 8

// literal gives a function that takes value out of a text, also where it stands
// there as part of a JSON string; nil when it cannot be told from chance.
func literal(value string) func(string) string {
	// A word of letters alone may be a name of the stored forms themselves.
	plain := strings.IndexFunc(value, func(r rune) bool { return !unicode.IsLetter(r) && r != '_' }) < 0
	if len(value) < shortest || plain && len(value) < 2*shortest {
		return nil
	}
	forms := []string{value}
	for _, escape := range []bool{true, false} {
		raw, err := json.Marshal(value)
		if !escape {
			raw, err = encode(value)
		}
		if err != nil {
			continue
		}
		if inner := string(raw[1 : len(raw)-1]); inner != value {
			forms = append(forms, inner)
		}
	}
	lines := map[string]bool{}
	if strings.Contains(value, "\n") {
		for line := range strings.SplitSeq(value, "\n") {
			if line = strings.TrimSpace(line); len(line) >= shortest {
				lines[line] = true // as kept one by one
			}
		}
	}
	return func(s string) string {
		if lines[strings.TrimSpace(s)] {
			return erasedMark
		}
		for _, form := range forms {
			s = strings.ReplaceAll(s, form, erasedMark)
		}
		return s
	}
}
