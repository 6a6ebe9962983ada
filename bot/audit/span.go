package audit

import (
	"slices"
	"strconv"
	"strings"
)

// span is a run of sequences, both ends included.
type span struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// spans is a set of sequences, ascending and apart.
type spans []span

// with gives the set with seq in it.
func (s spans) with(seq int64) spans { return s.join(spans{{seq, seq}}) }

// join gives the union of both.
func (s spans) join(o spans) spans {
	all := slices.Concat(s, o)
	slices.SortFunc(all, func(a, b span) int {
		switch {
		case a.From < b.From:
			return -1
		case a.From > b.From:
			return 1
		}
		return 0
	})
	kept := all[:0]
	for _, next := range all {
		if n := len(kept); n > 0 && next.From <= kept[n-1].To+1 {
			kept[n-1].To = max(kept[n-1].To, next.To)
			continue
		}
		kept = append(kept, next)
	}
	return kept
}

// atMost gives the set with no more than n runs, closing the narrowest holes
// where there are more, so that it may hold more than s, never less.
func (s spans) atMost(n int) spans {
	if len(s) <= n {
		return s
	}
	s = slices.Clone(s)
	for len(s) > n {
		at := 1
		for i := 2; i < len(s); i++ {
			if s[i].From-s[i-1].To < s[at].From-s[at-1].To {
				at = i
			}
		}
		s[at-1].To = s[at].To
		s = slices.Delete(s, at, at+1)
	}
	return s
}

// String gives "41-43, 45".
func (s spans) String() string {
	var b strings.Builder
	for i, p := range s {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.FormatInt(p.From, 10))
		if p.To > p.From {
			b.WriteByte('-')
			b.WriteString(strconv.FormatInt(p.To, 10))
		}
	}
	return b.String()
}

// footerWord begins the footer of every mirrored post.
const footerWord = "audit "

// footer gives the sequences that a post tells of: "audit 41-43, 45".
func (s spans) footer() string { return footerWord + s.String() }

// Sequences reads the record sequences out of the footer of a mirrored post, as
// pairs of first and last; ok is false when it is none. An auditor checks a
// channel for completeness with it.
func Sequences(footer string) (pairs [][2]int64, ok bool) {
	list, found := strings.CutPrefix(footer, footerWord)
	if !found {
		return nil, false
	}
	for part := range strings.SplitSeq(list, ", ") {
		from, to, ranged := strings.Cut(part, "-")
		if !ranged {
			to = from
		}
		a, err := strconv.ParseInt(from, 10, 64)
		if err != nil {
			return nil, false
		}
		b, err := strconv.ParseInt(to, 10, 64)
		if err != nil || b < a {
			return nil, false
		}
		pairs = append(pairs, [2]int64{a, b})
	}
	return pairs, true
}

func parseFooter(footer string) spans {
	pairs, _ := Sequences(footer)
	var s spans
	for _, p := range pairs {
		s = append(s, span{p[0], p[1]})
	}
	return s
}
