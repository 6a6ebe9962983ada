package page

import (
	"fmt"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/notify"
	"quarterdeck/bot/oncall"
	"quarterdeck/bot/store"
)

// againEvery is how often the wider channel is told of a page that everybody was
// asked about and nobody took.
const againEvery = 15 * time.Minute

// asks gives who is told at a level now; why says what keeps it from telling
// anybody.
func (k *Keeper) asks(r store.Reader, s *Settings, l Level) (who []string, why string, err error) {
	who = addOnce(who, l.Persons...)
	if l.Schedule != "" {
		schedule, ok := s.Schedules[l.Schedule]
		if !ok {
			return who, fmt.Sprintf("there is no schedule %s any more", l.Schedule), nil
		}
		over, err := overrides(r)
		if err != nil {
			return nil, "", err
		}
		person, onCall := schedule.Primary(k.Clock.Now(), over)
		if !onCall {
			return who, "nobody is on call by schedule " + l.Schedule, nil
		}
		who = addOnce(who, person)
	}
	kept := who[:0]
	for _, name := range who {
		if !s.Persons[name].Disabled {
			kept = append(kept, name)
		}
	}
	return kept, "", nil
}

// ask tells the page's present level within tx, or the next at which there is
// anybody, and sets when it goes on. It changes p, which must be written after.
func (k *Keeper) ask(tx store.Tx, s *Settings, p *Page) error {
	policy, ok := s.Policies[p.Policy]
	if !ok {
		policy = s.Policies[s.Escalation] // it was renamed; nobody is left unasked
	}
	for passed := 0; passed <= len(policy.Levels); p.Level++ {
		if p.Level >= len(policy.Levels) {
			if p.Round++; p.Round > policy.Repeat {
				break
			}
			p.Level = 0
		}
		l := policy.Levels[p.Level]
		who, why, err := k.asks(tx, s, l)
		if err != nil {
			return err
		}
		if len(who) == 0 && l.Channel == "" {
			if passed++; p.Number != 0 && why != "" {
				if err := k.post(tx, s.Channel, CardKey(p.Number), bot.Card{Text: why + fmt.Sprintf("; level %d is passed over", p.Level+1)}); err != nil {
					return err
				}
			}
			continue
		}
		p.Asked, p.Due = who, k.Clock.Now().Add(l.Wait)
		if l.Channel != "" {
			p.Places = addOnce(p.Places, l.Channel)
			p.Asked = append(who[:len(who):len(who)], string(l.Channel))
		}
		return k.tell(tx, s, p, l, who)
	}
	p.Level, p.Asked, p.Due = len(policy.Levels), nil, k.Clock.Now().Add(againEvery)
	return k.wider(tx, s, p)
}

// tell reaches the persons of a level directly and by its second ways.
func (k *Keeper) tell(tx store.Tx, s *Settings, p *Page, l Level, who []string) error {
	for _, name := range who {
		for _, account := range s.Persons[name].Accounts {
			if k.Direct == nil {
				continue
			}
			if c, ok := k.Direct(account); ok {
				p.Places = addOnce(p.Places, c)
			}
		}
	}
	for _, way := range l.Ways {
		to := who
		if len(to) == 0 {
			to = []string{""}
		}
		for _, name := range to {
			n := notice{Way: way, Since: k.Clock.Now(), Notice: notify.Notice{Page: p.Number, Title: cut(p.Name(), 150), Text: p.plain(s, k.Zone()), Person: name,
				Email: s.Persons[name].Email, Target: p.Target.String(), Level: p.Level + 1, Link: p.Link}}
			id := fmt.Sprintf("%s/%06d/%02d/%s/%s", pageID(p.Number), p.Events, p.Level, way, name)
			n.ID = strings.NewReplacer("/", "-", " ", "-").Replace(id)
			if err := set(tx, kindNotice, id, k.Clock.Now(), n); err != nil {
				return err
			}
		}
	}
	return nil
}

// wider tells the wider channel that nobody answers.
func (k *Keeper) wider(tx store.Tx, s *Settings, p *Page) error {
	card := bot.Card{Tone: bot.Bad, Title: "nobody answers: " + p.Name(), Text: fmt.Sprintf("everybody on call was asked; whoever reads this, please type: page ack %d", p.Number),
		About: &bot.Shown{Channel: s.Channel, Key: CardKey(p.Number)}}
	if policy := s.Policies[p.Policy]; len(policy.Levels) > 0 {
		for _, l := range policy.Levels {
			for _, name := range l.Persons {
				card.Mention = addOnce(card.Mention, s.Persons[name].Accounts...)
			}
		}
	}
	return k.post(tx, s.Wider, "", card)
}

// again asks about a page once more within tx: its time has come.
func (k *Keeper) again(tx store.Tx, s *Settings, p *Page) error {
	switch p.State {
	case Triggered:
		p.Level++
		return k.escalated(tx, s, p, Event{Kind: Escalated, Text: "no answer"})
	case Acknowledged:
		holder := p.Holder
		p.restart()
		return k.escalated(tx, s, p, Event{Kind: Retriggered, Text: fmt.Sprintf("%s acknowledged it and %s passed", holder, bot.Span(s.AckTimeout))})
	case Snoozed:
		p.restart()
		return k.escalated(tx, s, p, Event{Kind: Retriggered, Text: "it is not snoozed any more"})
	}
	p.Due = time.Time{}
	return k.write(tx, s, p, Event{}, nil)
}

// restart takes the page back to its first level.
func (p *Page) restart() {
	p.State, p.Holder, p.Acked, p.Level, p.Round = Triggered, "", time.Time{}, 0, 0
}

// escalated asks the present level, and writes that.
func (k *Keeper) escalated(tx store.Tx, s *Settings, p *Page, e Event) error {
	if err := k.ask(tx, s, p); err != nil {
		return err
	}
	var mention []bot.AccountID
	if len(p.Asked) == 0 {
		e.Kind, e.Text = Unanswered, e.Text+"; nobody answers, so it goes to the wider channel"
	} else {
		e.Text += "; " + p.asked()
		for _, name := range p.Asked {
			mention = addOnce(mention, s.Persons[name].Accounts...)
		}
		// An edited card rings nowhere, so that a new post does.
		loud := bot.Card{Tone: bot.Bad, Title: p.Name(), Text: fmt.Sprintf("%s; %s, please type: page ack %d", e.Text, strings.Join(p.Asked, ", "), p.Number), Mention: mention,
			About: &bot.Shown{Channel: s.Channel, Key: CardKey(p.Number)}}
		for _, place := range p.Places {
			if err := k.post(tx, place, "", loud); err != nil {
				return err
			}
		}
	}
	return k.write(tx, s, p, e, nil)
}

// end resolves the page within tx. What its groups still send is looked at anew.
func (k *Keeper) end(tx store.Tx, s *Settings, p *Page, by, text string, run int64) error {
	p.State, p.Resolved, p.By, p.Due = Resolved, k.Clock.Now(), by, time.Time{}
	return k.write(tx, s, p, Event{Kind: Ended, Person: by, Text: text, Run: run}, nil)
}

// maxOverrides bounds how many overrides are looked at: the newest.
const maxOverrides = 200

// overrides gives what was put above the rotations.
func overrides(r store.Reader) (all []oncall.Override, err error) {
	docs, err := r.Documents(kindOverride, "", maxOverrides, true)
	if err != nil {
		return nil, err
	}
	for _, d := range docs {
		var o oncall.Override
		if _, _, err := get(r, kindOverride, d.ID, &o); err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, nil
}
