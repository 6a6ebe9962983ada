package app

import (
	"slices"
	"strings"
	"sync"

	"quarterdeck/auth"
	"quarterdeck/auth/directory"
	"quarterdeck/bot"
	"quarterdeck/bot/grammar"
	"quarterdeck/bot/provider"
)

// words is what the grammar knows by name.
type words struct {
	*provider.Catalog
	*directory.Directory
}

// seen gives everybody the names that they may know of: the targets on which a
// grant lets them do something. Safe for concurrent use.
type seen struct {
	policy *auth.Policy
	all    words

	mu   sync.Mutex
	kept map[string]grammar.Words // by person and roles
}

// maxSeen bounds what is kept; past it, all is found out afresh.
const maxSeen = 1000

// of gives the words of one person.
func (s *seen) of(who bot.Identity) grammar.Words {
	roles := slices.Sorted(slices.Values(who.Roles))
	key := who.Person + "\x00" + string(who.Standing) + "\x00" + strings.Join(roles, "\x00")
	s.mu.Lock()
	defer s.mu.Unlock()
	if w, found := s.kept[key]; found {
		return w
	}
	if len(s.kept) >= maxSeen || s.kept == nil {
		s.kept = map[string]grammar.Words{}
	}
	w := words{s.all.Only(func(t bot.Target) bool { return s.policy.Sees(who, t) }), s.all.Directory}
	s.kept[key] = w
	return w
}
