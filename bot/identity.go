package bot

import "strings"

// AccountID is one account on one network: "slack:T1/U1", "discord:42",
// "os:1000", "terminal:dev". It is made by an adapter from the verified payload
// only, never from a name that its owner can change.
type AccountID string

// Network gives the part before the first colon, or "" when there is none.
func (a AccountID) Network() string { return network(string(a)) }

// ClockNetwork is the network of the accounts by which the clock asks for what the
// configuration has it ask for. No adapter may have it.
const ClockNetwork = "clock"

// ClockAccount gives the account of a principal of the clock, "digest:daily" or
// "job:restore-shop". The principal's name is that of a person in rules and
// records, and no declared person can have it.
func ClockAccount(principal string) AccountID { return AccountID(ClockNetwork + ":" + principal) }

// IsClock reports whether nobody is behind the account but the clock.
func (a AccountID) IsClock() bool { return a.Network() == ClockNetwork }

// ChannelID is one place where messages are read and cards are posted:
// "slack:C0AUDIT", "terminal:4f2a", "file:audit-channel.txt".
type ChannelID string

// Network gives the part before the first colon, or "" when there is none.
func (c ChannelID) Network() string { return network(string(c)) }

// Local gives the part after the first colon.
func (c ChannelID) Local() string {
	_, local, _ := strings.Cut(string(c), ":")
	return local
}

func network(s string) string {
	n, _, found := strings.Cut(s, ":")
	if !found {
		return ""
	}
	return n
}

// Standing is what a network vouches for about an account. The zero value is
// "not vouched for" and is refused, so an adapter that forgets to say fails
// closed.
type Standing string

// The closed set of standings. Only Member may run anything.
const (
	Unvouched Standing = ""
	Member    Standing = "member"
	Guest     Standing = "guest"
	External  Standing = "external"
	Automated Standing = "bot"
	Disabled  Standing = "disabled"
)

// Identity is who a message comes from, as the directory knows it at one
// moment. Person is empty for an account that no declared person owns.
type Identity struct {
	Account  AccountID `json:"account"`
	Standing Standing  `json:"standing"`
	Person   string    `json:"person,omitempty"`
	Roles    []string  `json:"roles,omitempty"`
	// Doubts are of the moment and never kept.
	Doubts []Doubt `json:"-"`
}

// Known reports whether a declared person owns the account and the network
// vouches for it as a full member.
func (i Identity) Known() bool { return i.Person != "" && i.Standing == Member }

// Name gives what to call the actor in a sentence: the person, or else the account.
func (i Identity) Name() string {
	if i.Person != "" {
		return i.Person
	}
	return string(i.Account)
}

// HasRole reports whether the identity holds the role.
func (i Identity) HasRole(role string) bool {
	for _, r := range i.Roles {
		if r == role {
			return true
		}
	}
	return false
}
