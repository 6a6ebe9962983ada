package bot

// Spiller is a Chat whose messages cannot hold every card whole. What the message
// of a card does not show follows as cards of its own, marked Rest, in the
// message's thread. They are enqueued when the card was delivered, so that a
// picture that cannot be uploaded never holds back the words, and anew only when
// they changed since: editing a card does not post them again.
type Spiller interface {
	// Spill gives, in order, the few cards that show what the card's own message
	// does not; none when it shows everything. private says that only one account
	// sees the message. It is pure.
	Spill(c Card, private bool) []Card
}
