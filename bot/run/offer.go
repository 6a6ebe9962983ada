package run

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/outbox"
	"quarterdeck/bot/store"
)

// Offer gives every button of a card that is no run's its token within tx: once
// for each line and release, and anew before it expires. shown says which card it
// is and where; its Line, Digest, Expires and Shown are filled in. A way back is
// bound to release, the digest of the run that changed the release last where
// there is one, so that it does nothing once another one did. tokens holds what was
// made, by name.
func Offer(tx store.Tx, ids bot.IDs, now time.Time, shown Press, release string, card *bot.Card, tokens map[string]string) error {
	for i := range card.Buttons {
		b := &card.Buttons[i]
		press := shown
		press.Line, press.Shown, press.Expires = b.Line, now, now.Add(pressLife)
		if strings.HasPrefix(b.Line, "rollback ") {
			press.Digest = release
		}
		name := press.Digest + " " + b.Line
		if token, known := tokens[name]; known {
			doc, found, err := tx.Document(KindPress, token)
			if err != nil {
				return err
			}
			var old Press
			if found && json.Unmarshal(doc.Body, &old) == nil && len(old.Places) == len(shown.Places) && old.Expires.Sub(now) > pressLife/2 {
				b.Token = token
				continue
			}
		}
		body, err := json.Marshal(press)
		if err != nil {
			return fmt.Errorf("encode button of %s: %w", card.Key, err)
		}
		b.Token = bucket(press.Expires) + ids.New()
		if _, err := tx.PutDocument(bot.Document{Kind: KindPress, ID: b.Token, Due: press.Expires, Body: body}); err != nil {
			return err
		}
		tokens[name] = b.Token
	}
	return nil
}

// onCard reports whether m's button was pressed on a message that shows the card
// it was offered with; see onOwnCard.
func onCard(r store.Reader, p Press, m bot.Message) (bool, error) {
	for _, place := range p.Places {
		ref, version, noted, err := outbox.At(r, place, p.Key)
		switch {
		case err != nil:
			return false, err
		case m.On != "" && m.On == ref:
			return true, nil
		case place != m.Channel:
		case m.On == "", !noted, ref == "", version < p.Card:
			return true, nil
		}
	}
	return false, nil
}
