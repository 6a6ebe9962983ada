package outbox

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// maxSpill bounds how many cards may follow one.
const maxSpill = 6

// spilled is what follows a card's message in its thread.
type spilled struct {
	cards  []bot.Card
	digest string // of what they say
	thread string
	to     bot.AccountID
	// pending says that the card is not at its end, and what was spilled by an
	// earlier version stands until then.
	pending bool
}

// spill asks the network what of the card its message did not show. While the
// run behind the card is under way nothing follows: each new line of its output
// would come again and again.
func (d *Deliverer) spill(chat bot.Chat, to bot.Delivery, ref string) (rest spilled) {
	spiller, ok := chat.(bot.Spiller)
	if !ok || to.Card.Rest {
		return rest
	}
	if to.Card.Phase == bot.PhaseWorking {
		return spilled{pending: true}
	}
	rest.thread, rest.to = to.Thread, to.To
	if rest.thread == "" {
		rest.thread = ref
	}
	defer func() {
		if p := recover(); p != nil { // the card is shown; it must not come again for this
			d.Meter.Panicked("chat")
			d.Logger.Error("panic while looking for what does not fit a card", "card", to.Card.Key, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			rest = spilled{pending: true}
		}
	}()
	cards := spiller.Spill(to.Card, to.To != "")
	sum := sha256.New()
	for i, c := range cards[:min(len(cards), maxSpill)] {
		c.Rest, c.Run, c.State, c.Phase, c.Version, c.Key, c.ReplyTo, c.Buttons = true, 0, "", "", 0, "", "", nil
		body, err := json.Marshal(c)
		if err != nil {
			d.Logger.Error("encode what does not fit a card", "card", to.Card.Key, "err", err)
			return spilled{pending: true}
		}
		fmt.Fprintf(sum, "%d ", len(body))
		sum.Write(body)
		c.ReplyTo, c.Version = to.Card.ReplyTo, to.Card.Version
		if to.Card.Key != "" {
			c.Key = restKey(to.Card.Key, i)
		}
		rest.cards = append(rest.cards, c)
	}
	rest.digest = hex.EncodeToString(sum.Sum(nil)[:12])
	return rest
}

// enqueue enqueues what follows o unless it followed already, and gives what to
// remember of it. It is not ordered: a file that cannot be uploaded must not hold
// back the audit channel, whose words are all in its posts.
func (s spilled) enqueue(tx store.Tx, o store.Outgoing, now time.Time) (digest string, count int, err error) {
	before, _, err := where(tx, o.Channel, o.Key)
	if err != nil {
		return "", 0, err
	}
	if s.pending || o.Key != "" && s.digest == before.Spilled {
		return before.Spilled, before.Count, nil
	}
	all := s.cards
	for i := len(all); i < before.Count; i++ { // what still stands there is not true any more
		key := restKey(o.Key, i)
		if _, found, err := where(tx, o.Channel, key); err != nil {
			return "", 0, err
		} else if found {
			all = append(all, bot.Card{Key: key, Version: o.Version, Rest: true, Text: "This has changed; see above."})
		}
	}
	for _, c := range all {
		body, err := json.Marshal(c)
		if err != nil {
			return "", 0, fmt.Errorf("encode %s: %w", c.Key, err)
		}
		out := store.Outgoing{Channel: o.Channel, Thread: s.thread, To: s.to, Version: c.Version, Card: body, Created: now, NextAt: now}
		if o.Key != "" { // what is never edited is not looked for
			out.Key = c.Key
		}
		if _, err := tx.Enqueue(out); err != nil {
			return "", 0, err
		}
	}
	return s.digest, len(s.cards), nil
}

func restKey(key string, i int) string { return fmt.Sprintf("%s/rest/%d", key, i+1) }
