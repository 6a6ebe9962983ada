package stepup

import (
	"errors"
	"fmt"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// How authenticators make codes unless told otherwise, which not all of them
// heed: RFC 6238 with SHA-1, six digits, thirty seconds.
const (
	period = 30
	digits = otp.DigitsSix
	// skew is how many steps a clock may be off, either way (RFC 6238, 5.2).
	skew = 1
)

// match finds the time step around now that given is the code of. used says that
// it is only the code of one that is not after last.
func match(secret, given string, now time.Time, last int64) (step int64, good, used bool, err error) {
	at := now.Unix() / period
	for d := int64(-skew); d <= skew; d++ {
		ok, err := hotp.ValidateCustom(given, uint64(at+d), secret, hotp.ValidateOpts{Digits: digits, Algorithm: otp.AlgorithmSHA1})
		if err != nil && !errors.Is(err, otp.ErrValidateInputInvalidLength) {
			return 0, false, false, fmt.Errorf("check a code: %w", err)
		}
		if !ok {
			continue
		}
		if at+d > last {
			return at + d, true, false, nil
		}
		used = true
	}
	return 0, false, used, nil
}

// Shown is a code as it came with a message.
type Shown struct {
	Who     bot.Identity
	Message bot.Message // ID, channel
	Code    string
	// Enrolling says that the code is to show that the authenticator works that is
	// being enrolled.
	Enrolling bool
}

// Check says within tx what a code is worth, and uses it up: the same step is not
// taken again, and wrong codes are counted. It must be in the commit that stores
// the message. An error is of the store or of the bot's own; the message is not to
// be taken then.
func (k *Keeper) Check(tx store.Tx, s Shown) (bot.Factor, error) {
	if s.Code == "" || s.Who.Person == "" || k == nil {
		return bot.NoFactor, nil
	}
	if k.Fault != nil {
		return bot.FactorLost, nil
	}
	person, now := s.Who.Person, k.Clock.Now()
	e, err := k.read(tx, person)
	if errors.Is(err, errKey) {
		return bot.FactorLost, nil
	}
	if err != nil {
		return bot.NoFactor, err
	}
	secret, last, waiting := e.Secret, e.Last, e.waiting(now)
	if s.Enrolling {
		secret, last = "", 0
		if waiting != nil {
			secret, last = waiting.Secret, waiting.Last
		}
	}
	switch {
	case secret == "":
		return bot.FactorNone, nil
	case now.Before(e.Locked):
		return bot.FactorLocked, nil
	}
	step, good, used, err := match(secret, s.Code, now, last)
	switch {
	case err != nil:
		return bot.NoFactor, err
	case used:
		return bot.FactorUsed, nil
	case !good:
		return k.wrong(tx, s, &e, now)
	}
	e.Wrong, e.Locks, e.Locked = nil, 0, time.Time{}
	f := bot.FactorTOTP
	if s.Enrolling {
		waiting.Last, waiting.Proved = step, s.Message.ID
		f = bot.FactorNew
	} else {
		e.Last = step
	}
	return f, k.write(tx, person, &e)
}

// wrong counts a wrong code. The one too many locks, which everybody is told.
func (k *Keeper) wrong(tx store.Tx, s Shown, e *row, now time.Time) (bot.Factor, error) {
	f := bot.FactorWrong
	e.Wrong = append(e.recent(now), now)
	if len(e.Wrong) >= maxWrong {
		f = bot.FactorLocked
		lock := min(firstLock<<min(e.Locks, 10), longestBan)
		e.Wrong, e.Locked = nil, now.Add(lock)
		e.Locks++
		c := bot.Call{Who: s.Who, Channel: s.Message.Channel, Message: s.Message.ID, Factor: f}
		err := k.record(tx, c, fmt.Sprintf("LOCKED: %d one-time codes in the name of %s were wrong, so none is taken until %s; somebody else may have their chat session (%s)", maxWrong, s.Who.Person, bot.Moment(e.Locked), s.Who.Account), bot.Denied)
		if err != nil {
			return bot.NoFactor, err
		}
	}
	return f, k.write(tx, s.Who.Person, e)
}
