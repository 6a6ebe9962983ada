package run

import (
	"context"
	"encoding/json"
	"fmt"

	"quarterdeck/bot"
	"quarterdeck/bot/outbox"
	"quarterdeck/bot/store"
)

// Pressed gives what the button stands for that the message m pressed. A token
// alone proves nothing, for whoever reads a channel's payloads, or copies or
// forwards a message, has it too: the button must have been pressed on the very
// message that shows its run's card, and before it expired. An expired or
// unknown one is an Error of kind Conflict, one pressed elsewhere of kind Denied.
//
// What presses, and with which rights, is not looked at here: the line runs with
// those of m's account like any other.
func (e *Engine) Pressed(ctx context.Context, m bot.Message) (p Press, err error) {
	err = e.Store.View(ctx, func(r store.Reader) error {
		doc, found, err := r.Document(KindPress, m.Press)
		if err != nil {
			return err
		}
		if found {
			if err := json.Unmarshal(doc.Body, &p); err != nil {
				return fmt.Errorf("decode button: %w", err)
			}
		}
		if !found || !e.Clock.Now().Before(p.Expires) {
			return bot.Errorf(bot.Conflict, "that button has expired; type the command instead")
		}
		if p.Key != "" {
			own, err := onCard(r, p, m)
			if err == nil && !own {
				err = errElsewhere()
			}
			return err
		}
		row, found, err := r.Run(p.Run)
		if err != nil {
			return err
		}
		if !found {
			return bot.Errorf(bot.Conflict, "the run of that button is gone; type the command instead")
		}
		c, err := e.decode(row)
		if err != nil {
			return err
		}
		own, err := onOwnCard(r, &c.run, p, m)
		if err == nil && !own {
			err = errElsewhere()
		}
		return err
	})
	return p, err
}

func errElsewhere() error {
	return bot.Errorf(bot.Denied, "that button is not on the card that it belongs to; press it where the bot posted that, or type the command")
}

// onOwnCard reports whether m's button was pressed on a message that shows the
// run's card.
//
// A bot that was killed between posting a card and noting where may meet with a
// press on a message that it does not know of. Where the place has no note, or
// one older than the button, the card with it is on its way there, and the
// channel alone has to be right: nobody is locked out.
func onOwnCard(r store.Reader, run *bot.Run, p Press, m bot.Message) (bool, error) {
	if m.On == bot.OnHome {
		return true, nil // shown to nobody but the account that presses
	}
	for _, place := range run.Places {
		ref, version, noted, err := outbox.At(r, place.Channel, bot.RunCardKey(run.Number))
		switch {
		case err != nil:
			return false, err
		case m.On != "" && m.On == ref:
			return true, nil
		case place.Channel != m.Channel:
		case m.On == "", !noted, ref == "", version < p.Card:
			return true, nil
		}
	}
	return false, nil
}
