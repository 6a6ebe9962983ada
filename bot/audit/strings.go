package audit

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode"
)

// rewriteStrings gives raw, which is JSON, with every text in it replaced by what
// f gives for it. All other bytes stay as they are. What is no text but what the
// bot works by stays too, whatever f would give for it: times, digests, names of
// members, and what stands under a member such as state or account; left names
// those members. A member's name that has a space in it holds a line, and is text.
// It is not checked that raw is JSON: what is none is searched as if its quotes
// were those of strings.
func rewriteStrings(raw []byte, f func(string) string) (out []byte, changed bool, left []string, err error) {
	var in []string // the member that each open object or list stands under
	member := ""
	for rest := raw; ; {
		from := bytes.IndexByte(rest, '"')
		if from < 0 {
			return append(out, rest...), changed, left, nil
		}
		end := from + 1
		for end < len(rest) && rest[end] != '"' {
			if rest[end] == '\\' {
				end++
			}
			end++
		}
		if end >= len(rest) {
			return append(out, rest...), changed, left, nil
		}
		for _, c := range rest[:from] {
			switch c {
			case '{', '[':
				in = append(in, member)
			case '}', ']':
				if len(in) > 0 {
					member, in = in[len(in)-1], in[:len(in)-1]
				}
			}
		}
		literal := rest[from : end+1]
		name := bytes.HasPrefix(bytes.TrimLeft(rest[end+1:], " \t\r\n"), []byte(":"))
		var s string
		if json.Unmarshal(literal, &s) == nil {
			is := f(s)
			switch {
			case is == s:
			case name && strings.Contains(s, " "), !name && isText(s, append(in, member)):
				if literal, err = encode(is); err != nil {
					return nil, false, nil, err
				}
				changed = true
			case !name && !isTime(s): // no time was ever typed by mistake
				if slices.Contains(in, "tokens") {
					member = "tokens" // what they are named by may be what is erased
				}
				left = append(left, member)
			}
			if name {
				member = s
			}
		}
		out = append(append(out, rest[:from]...), literal...)
		rest = rest[end+1:]
	}
}

// workings are the members that say what something is and whom it is about,
// and free are those below which people name members as they like.
var (
	workings = setOf("account", "accounts", "person", "digest", "state", "standing", "kind", "verb", "action", "command", "permission", "service", "environment", "env",
		"target", "resources", "roles", "channel", "thread", "reply_to", "key", "id", "request", "spec", "slot", "subject", "seal", "mark", "token", "tokens", "ref",
		"phase", "outcome", "tone", "host", "boot", "dimension", "basis", "moves", "want", "bound", "zone", "log", "hash", "prev")
	free = setOf("args", "values")
)

func setOf(list ...string) map[string]bool {
	m := map[string]bool{}
	for _, s := range list {
		m[s] = true
	}
	return m
}

func isTime(s string) bool {
	_, err := time.Parse(time.RFC3339Nano, s)
	return err == nil
}

// isText reports whether s, which stands under these members, outermost first,
// is something that people or programs said.
func isText(s string, under []string) bool {
	if isTime(s) {
		return false
	}
	if digest, found := strings.CutPrefix(s, "sha256:"); found && len(digest) == 64 {
		return false
	}
	for _, member := range under {
		if free[member] {
			return true
		}
	}
	return !workings[under[len(under)-1]] && !slices.Contains(under, "tokens")
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
