package discordchat

import (
	"context"
	"encoding/json"

	"quarterdeck/bot"
)

// asks opens the form that m lacks something for, and reports whether there is one
// now. Where a form cannot be opened m is answered as if there were none.
func (s *chat) asks(ctx context.Context, p payload, m bot.Message, reply replier) bool {
	if s.o.Forms == nil {
		return false
	}
	f, needed := s.o.Forms.Form(ctx, m)
	if !needed {
		return false
	}
	return s.open(ctx, m, f, reply) == nil
}

// open opens a form.
func (s *chat) open(ctx context.Context, m bot.Message, f bot.Form, reply replier) error {
	r, ok := modal(f, func(input string) []string {
		return s.o.Forms.Choices(ctx, bot.Entry{Token: f.Token, Account: m.Account, Standing: m.Standing}, input, "", maxOptions+1)
	})
	if !ok {
		return errNoRoom
	}
	s.forms.keep(f)
	err := reply(ctx, r)
	if codeOf(err) == alreadyAnswered {
		return nil // it came twice, and the other one has opened the form
	}
	if err != nil {
		s.logger().Warn("a form could not be opened", "message", m.ID, "err", err)
	}
	return err
}

var errNoRoom = bot.Errorf(bot.Invalid, "Discord has no room for the form")

// reopen opens a form again, as it was filled in.
func (s *chat) reopen(ctx context.Context, p payload, token string, reply replier) error {
	f, there := s.forms.again(token)
	if !there || s.o.Forms == nil {
		return reply(ctx, inWords("that form is too old; send the command again"))
	}
	return s.open(ctx, s.message(ctx, p), f, reply)
}

// formed takes a form that was sent. Of what the payload says about it, the token
// and the entries alone are read; what the form is, and whose, is in the bot's own
// record.
func (s *chat) formed(ctx context.Context, in bot.Inbound, p payload, reply replier) error {
	var d formData
	if err := json.Unmarshal(p.Data, &d); err != nil {
		return err
	}
	token, values, ok := d.entered()
	if !ok || s.o.Forms == nil {
		return reply(ctx, inWords("this form is none of mine any more"))
	}
	who := s.message(ctx, p)
	m, faults, err := s.o.Forms.Entered(ctx, bot.Entry{Token: token, Account: who.Account, Standing: who.Standing, ID: who.ID, Values: s.forms.with(token, values)})
	switch kind := bot.KindOf(err); {
	case kind == bot.NotFound || kind == bot.Denied:
		s.logger().Warn("a form was not taken", "account", who.Account, "why", kind)
		return reply(ctx, inWords(bot.Sentence(err, who.ID)))
	case err != nil:
		s.logger().Error("a form could not be taken", "message", who.ID, "err", err)
		return reply(ctx, inWords(sorry))
	case len(faults) > 0:
		return reply(ctx, told(s.forms.faulted(token, faults)))
	}
	m.Aside = who.Aside
	err = s.received(ctx, in, p, m, reply)
	if err == nil {
		s.forms.drop(token)
	}
	return err
}
