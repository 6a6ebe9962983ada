package page

import (
	"fmt"
	"strings"

	"quarterdeck/bot"
)

// maxChanges bounds how many changes a card tells of.
const maxChanges = 4

// card draws a page as it stands.
func (k *Keeper) card(s *Settings, p *Page) bot.Card {
	z := k.Zone()
	card := bot.Card{Key: CardKey(p.Number), Version: p.Version, Outcome: bot.OutcomeOK, Link: p.Link, Text: p.Summary, Footer: z.Note()}
	add := func(name, value string) {
		if value != "" {
			card.Fields = append(card.Fields, bot.Field{Name: name, Value: value})
		}
	}
	number := fmt.Sprint(p.Number)
	switch p.State {
	case Triggered:
		card.Tone, card.Title = bot.Bad, p.Name()
		switch {
		case len(p.Asked) > 0:
			add("asked", fmt.Sprintf("%s; level %d, goes on at %s", strings.Join(p.Asked, ", "), p.Level+1, z.Clock(p.Due)))
		default:
			add("asked", "everybody on call; nobody answers")
		}
	case Acknowledged:
		card.Tone, card.Title = bot.Warning, p.Name()+": "+p.Holder+" has it"
		add("has it", fmt.Sprintf("%s since %s; asked again at %s", p.Holder, z.Clock(p.Acked), z.Clock(p.Due)))
	case Snoozed:
		card.Tone, card.Title = bot.Plain, p.Name()+": snoozed"
		add("comes back", z.Minute(p.Due))
	case Resolved:
		card.Tone, card.Title = bot.Good, p.Name()+": resolved"
		by := p.By
		if by == "" {
			by = "itself"
		}
		add("resolved", fmt.Sprintf("%s by %s, after %s", z.Clock(p.Resolved), by, bot.Span(p.Resolved.Sub(p.Opened).Truncate(1e9))))
	}
	add("since", z.Minute(p.Opened))
	add("severity", p.Severity)
	if p.Alerts > 0 {
		add("alerts", fmt.Sprintf("%d fire, %d in all", p.Firing(), p.Alerts))
	}
	if p.Source != "alertmanager" {
		add("from", p.Source)
	}
	add("runbook", p.Runbook)
	if len(p.Changes) > 0 {
		add("last changes", strings.Join(p.Changes[:min(len(p.Changes), maxChanges)], "\n"))
	} else if p.Target != (bot.Target{}) {
		add("last changes", "none known")
	}
	if !p.Open() {
		return card
	}
	if p.State != Acknowledged {
		card.Buttons = append(card.Buttons, bot.Button{Label: "Ack", Line: "page ack " + number})
	}
	if p.Back {
		card.Buttons = append(card.Buttons, bot.Button{Label: "Roll back", Line: fmt.Sprintf("rollback %s %s --reason \"page %s\"", p.Target.Service, p.Target.Environment, number), Danger: true})
	}
	card.Buttons = append(card.Buttons, bot.Button{Label: "Resolve", Line: "page resolve " + number}, bot.Button{Label: "Escalate", Line: "page escalate " + number})
	if p.State != Snoozed {
		card.Buttons = append(card.Buttons, bot.Button{Label: "Snooze 1h", Line: "page snooze " + number + " --for 1h"})
	}
	return card
}

// Card draws a page for whoever asks for it.
func (k *Keeper) Card(p *Page) bot.Card {
	s, err := k.settings()
	if err != nil {
		return bot.Card{Title: p.Name()}
	}
	card := k.card(s, p)
	card.Key, card.Version = "", 0
	for i := range card.Buttons { // there they are to be typed
		card.Fields = append(card.Fields, bot.Field{Name: strings.ToLower(card.Buttons[i].Label), Value: card.Buttons[i].Line})
	}
	card.Buttons = nil
	return card
}

// plain says the same in a few lines without a card, for mail and the like.
func (p *Page) plain(s *Settings, z bot.Zone) string {
	lines := []string{p.Name(), p.Summary, "since " + z.Minute(p.Opened) + ", " + z.Note()}
	if p.Severity != "" {
		lines = append(lines, "severity "+p.Severity)
	}
	lines = append(lines, p.Changes[:min(len(p.Changes), maxChanges)]...)
	if p.Runbook != "" {
		lines = append(lines, "runbook "+p.Runbook)
	}
	lines = append(lines, p.Link, fmt.Sprintf("in chat, type: page ack %d", p.Number))
	kept := lines[:0]
	for _, l := range lines {
		if l != "" {
			kept = append(kept, l)
		}
	}
	return strings.Join(kept, "\n")
}

// Story tells what happened to a page as Markdown.
func (k *Keeper) Story(p *Page, events []Event) string {
	z := k.Zone()
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n\n", p.Name(), p.Summary)
	fmt.Fprintf(&b, "- opened %s, %s\n", z.Minute(p.Opened), z.Note())
	if !p.Acked.IsZero() {
		fmt.Fprintf(&b, "- acknowledged after %s by %s\n", bot.Span(p.Acked.Sub(p.Opened).Truncate(1e9)), p.Holder)
	}
	if !p.Resolved.IsZero() {
		fmt.Fprintf(&b, "- resolved after %s\n", bot.Span(p.Resolved.Sub(p.Opened).Truncate(1e9)))
	}
	fmt.Fprintf(&b, "- alerts: %d\n\n## Timeline\n\n", p.Alerts)
	for _, e := range events {
		who := e.Person
		if who == "" {
			who = "the bot"
		}
		fmt.Fprintf(&b, "- %s **%s** by %s: %s\n", z.Second(e.At), e.Kind, who, strings.ReplaceAll(e.Text, "\n", " "))
	}
	return strings.TrimSpace(b.String())
}
