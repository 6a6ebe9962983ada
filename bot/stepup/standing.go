package stepup

import (
	"context"
	"errors"
)

// Standing says in a few words how the person's second factor stands and what to do
// about it; "" where none is configured. It gives nothing that a code could be made
// from, and is for that person alone.
func (k *Keeper) Standing(ctx context.Context, person string) string {
	if k == nil {
		return ""
	}
	e, err := k.look(ctx, person)
	switch {
	case errors.Is(err, errKey) || k.Fault != nil:
		return "cannot be read with the key there is, so no code counts"
	case err != nil:
		return "not known: it cannot be read now"
	case e.Locked.After(k.Clock.Now()):
		return "locked until " + e.Locked.UTC().Format("15:04 MST") + ", after too many wrong codes"
	case e.Secret != "":
		return "enrolled since " + e.Since.UTC().Format("2006-01-02")
	case e.Pending != nil && k.Clock.Now().Sub(e.Pending.At) < pendingFor:
		return "not yet; type its first code: totp confirm 123456"
	}
	return "none; to add one: totp enrol"
}
