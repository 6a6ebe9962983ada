// Package nearest finds the word a person probably meant, for the
// `did you mean "deploy"?` at the end of a sentence.
package nearest

import (
	"slices"
	"unicode"
)

// maxRunes bounds the work per candidate; longer words are no slips of the
// finger.
const maxRunes = 64

// Of gives the candidate nearest to word, or "" when none is near enough to be
// what was meant. Nearness is the optimal string alignment form of
// Damerau-Levenshtein distance (insert, delete, replace, swap two neighbours),
// counted in characters and without regard to case: at most a third of the
// longer word's characters, at least 1 and at most 3. When nothing is as near
// as that, a word of three or more characters that begins exactly one candidate
// gives that candidate. Of equally near candidates the one that shares the
// longest beginning with word wins, then the earlier one.
//
// A candidate equal to word is given back too: the caller asks only about
// words that it does not know, so they differ in case or meaning.
func Of(word string, candidates []string) string {
	w := fold(word)
	if len(w) == 0 || len(w) > maxRunes {
		return ""
	}
	best, bestDistance, bestShared := "", maxRunes, -1
	for _, candidate := range candidates {
		c := fold(candidate)
		if len(c) == 0 || len(c) > maxRunes {
			continue
		}
		limit := bound(max(len(w), len(c)))
		if d := len(w) - len(c); d > limit || -d > limit {
			continue
		}
		distance := distance(w, c)
		if distance > limit {
			continue
		}
		shared := sharedPrefix(w, c)
		if distance < bestDistance || distance == bestDistance && shared > bestShared {
			best, bestDistance, bestShared = candidate, distance, shared
		}
	}
	if best != "" {
		return best
	}
	return begun(w, candidates)
}

// begun gives the only candidate that begins with w, or "".
func begun(w []rune, candidates []string) string {
	if len(w) < 3 {
		return ""
	}
	found := ""
	for _, candidate := range candidates {
		if sharedPrefix(w, fold(candidate)) < len(w) {
			continue
		}
		if found != "" && found != candidate {
			return ""
		}
		found = candidate
	}
	return found
}

// bound says how many slips still make the same word. Of two letters, one slip
// is half the word, so only case may differ there.
func bound(longer int) int {
	if longer < 3 {
		return 0
	}
	return min(longer/3, 3)
}

func fold(s string) []rune {
	runes := []rune(s)
	for i, r := range runes {
		runes[i] = unicode.ToLower(r)
	}
	return runes
}

func sharedPrefix(a, b []rune) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// distance keeps three rows of the table: a swap looks back two.
func distance(a, b []rune) int {
	if slices.Equal(a, b) {
		return 0
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
