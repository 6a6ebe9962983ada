package terminal

import (
	"context"

	"quarterdeck/bot"
)

// Confide implements bot.Confidential: a session is its account's alone, and its
// client keeps nothing.
func (n *Network) Confide(ctx context.Context, d bot.Delivery) error {
	if d.To == "" {
		return bot.Errorf(bot.Invalid, "it is not said who alone may read the card")
	}
	_, err := n.Deliver(ctx, d)
	return err
}
