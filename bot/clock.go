package bot

import (
	"crypto/rand"
	"encoding/base32"
	"time"
)

// Clock tells the time. Tests pass a fixed one.
type Clock interface {
	Now() time.Time
}

// SystemClock is the machine's wall clock, in UTC and rounded down to the
// microsecond, which every store keeps exactly.
type SystemClock struct{}

// Now gives the present time.
func (SystemClock) Now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// IDs makes identifiers that nobody can guess. Tests pass a counting one.
type IDs interface {
	// New gives a fresh identifier of letters and digits, at most 32 long.
	New() string
}

// RandomIDs makes identifiers from 80 random bits.
type RandomIDs struct{}

// New gives 16 lower-case letters and digits.
func (RandomIDs) New() string {
	var b [10]byte
	rand.Read(b[:]) // never fails, crypto/rand documents
	return lowerBase32.EncodeToString(b[:])
}

var lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
