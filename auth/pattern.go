package auth

import (
	"strings"
	"unicode"
)

// wildcard stands for exactly one whole segment.
const wildcard = "*"

// splitName cuts the name of a target or a flag into its two segments. A name
// of any other shape matches no pattern at all.
func splitName(name string) (first, second string, ok bool) {
	first, second, found := strings.Cut(name, "/")
	if !found || first == "" || second == "" || strings.Contains(second, "/") {
		return "", "", false
	}
	return first, second, true
}

// pattern is a parsed "FIRST/SECOND" of which either may be the wildcard.
type pattern struct {
	first, second string
}

// parsePattern reads a pattern for a target or a flag; problem says what is
// wrong with it, or is "".
func parsePattern(s string) (p pattern, problem string) {
	first, second, ok := splitName(s)
	if !ok {
		return pattern{}, "it needs two segments with one slash between them"
	}
	for _, segment := range []string{first, second} {
		if problem := checkSegment(segment); problem != "" {
			return pattern{}, problem
		}
	}
	return pattern{first, second}, ""
}

func checkSegment(s string) string {
	if s == wildcard {
		return ""
	}
	if strings.Contains(s, wildcard) {
		return `"*" stands for one whole segment and cannot be a part of one`
	}
	if i := strings.IndexFunc(s, strange); i >= 0 {
		return "it holds a character that no name can have"
	}
	return ""
}

// strange reports characters that identifiers of this project never hold, so
// that a pattern with one can only be a mistake.
func strange(r rune) bool {
	return r == unicode.ReplacementChar || unicode.IsSpace(r) || !unicode.IsPrint(r) || strings.ContainsRune(`"'?[]{}\,;`, r)
}

// matches compares whole segments.
func (p pattern) matches(first, second string) bool {
	return (p.first == wildcard || p.first == first) && (p.second == wildcard || p.second == second)
}

// coversPermission reports whether a permission pattern names the permission:
// literally, by "*" for all, or by segments split at dots.
func coversPermission(pattern, permission string) bool {
	if pattern == wildcard || pattern == permission {
		return true
	}
	for {
		want, morePattern, patternGoesOn := strings.Cut(pattern, ".")
		have, morePermission, permissionGoesOn := strings.Cut(permission, ".")
		if want != wildcard && want != have || patternGoesOn != permissionGoesOn {
			return false
		}
		if !patternGoesOn {
			return true
		}
		pattern, permission = morePattern, morePermission
	}
}
