package bot

import "context"

// Memberships is a chat network that has groups of its own, which roles can be
// taken from: a further power of a Chat, whose ChatType.Groups says what ids of
// such groups begin with. Safe for concurrent use; every method but GroupFault
// returns when ctx ends and gives an Error when the network does not say.
type Memberships interface {
	// GroupFault says offline why group, the part after the prefix, cannot be a
	// group's id, as the rest of a sentence; "" where it can.
	GroupFault(group string) string
	// Holds reports whether the account is a full member of the network and in the
	// group. It is asked for every message, and keeps what it was told for minutes.
	Holds(ctx context.Context, group string, account AccountID) (bool, error)
	// HoldsNow is Holds for the moment of acting: a yes was asked for afresh.
	HoldsNow(ctx context.Context, group string, account AccountID) (bool, error)
}

// Vouching is a chat network that can be asked about an account that wrote
// earlier: a further power of a Chat.
type Vouching interface {
	// Vouch gives what the network vouches for about the account now, asked afresh:
	// somebody may have been deactivated or made a guest since they wrote. An Error
	// says that the network does not tell. Safe for concurrent use.
	Vouch(ctx context.Context, account AccountID) (Standing, error)
}

// Doubt is something about an identity that could not be found out. Nothing is
// permitted by it, and whatever it could forbid is forbidden.
type Doubt struct {
	Role string // the role that may be held; "" when the standing itself is not known
	Say  string // a sentence without its end: what is not known, and why
}
