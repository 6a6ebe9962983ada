package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"quarterdeck/bot"
)

// KindClaim documents are claims: what the replicas of one bot must not do side
// by side is done by the one that holds the claim on it. The ID is the claim's
// name, Due its end and Body the holder, as JSON. A claim is a document so that
// taking it, keeping it and what is done under it share one commit.
const KindClaim = "claim"

// ChannelClaim names the claim on delivering to a channel; OutgoingDue heeds it.
func ChannelClaim(c bot.ChannelID) string { return channelClaims + string(c) }

const channelClaims = "outbox/"

// ErrClaimLost is wrapped by the Conflict that Held gives.
var ErrClaimLost = errors.New("another replica holds the claim")

// Holder gives the stored form of a claim's holder.
func Holder(owner string) json.RawMessage {
	raw, _ := json.Marshal(owner) // a string always encodes
	return raw
}

// Claim gives owner the claim called name from now until a time, or lengthens
// it; ok is false while somebody else holds it. owner must name one start of one
// process: nothing else tells its own claim from that of its successor. For
// others it ends later by allowance, which is how far their clocks may be ahead;
// see Allowance.
func Claim(tx Tx, name, owner string, now, until time.Time, allowance time.Duration) (ok bool, err error) {
	old, found, err := tx.Document(KindClaim, name)
	if err != nil {
		return false, err
	}
	holder := Holder(owner)
	if found && string(old.Body) != string(holder) && now.Before(old.Due) {
		return false, nil
	}
	_, err = tx.PutDocument(bot.Document{Kind: KindClaim, ID: name, Rev: old.Rev, Due: until.Add(allowance), Body: holder})
	return err == nil, err
}

// Held gives an Error that wraps ErrClaimLost when nobody or somebody else
// holds the claim. One whose time is over and that nobody else took is still
// held: nothing was done under it by anybody else.
func Held(r Reader, name, owner string) error {
	d, found, err := r.Document(KindClaim, name)
	if err != nil {
		return err
	}
	if !found || string(d.Body) != string(Holder(owner)) {
		return &bot.Error{Op: "store.claim", Kind: bot.Conflict, Say: fmt.Sprintf("another replica took %s over meanwhile", name), Err: ErrClaimLost}
	}
	return nil
}

// Release gives a claim back, if owner still holds it.
func Release(tx Tx, name, owner string) error {
	err := Held(tx, name, owner)
	if errors.Is(err, ErrClaimLost) {
		return nil
	}
	if err != nil {
		return err
	}
	return tx.DeleteDocument(KindClaim, name)
}

// Clocked is a Store that processes on several machines may share.
type Clocked interface {
	// Allowance is how far the clocks of two processes that write to this
	// store can differ; a process whose clock is further off is refused. A
	// lease has ended for others only once that is over too.
	Allowance() time.Duration
}

// Allowance gives how far the clocks of two processes on s can differ; zero for
// a store of one machine.
func Allowance(s Store) time.Duration {
	if c, ok := s.(Clocked); ok {
		return c.Allowance()
	}
	return 0
}

// ErrUncertain is wrapped by the Error of an Update whose commit was sent and
// whose outcome could not be found out: what f wrote is there whole or not at
// all. Whoever must know reads it again within the next Update, which begins
// only once the lost commit has been carried out or given up.
var ErrUncertain = errors.New("whether the change was committed is not known")
