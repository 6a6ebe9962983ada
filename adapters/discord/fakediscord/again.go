package fakediscord

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// past is a payload that was delivered before.
type past struct {
	kind    string // of the gateway's event
	intent  int
	payload any
}

// keep remembers a payload by the id of what it tells of. The lock is held.
func (s *Server) keep(id string, p past) {
	if s.past == nil {
		s.past = map[string]past{}
	}
	s.past[id] = p
}

// Again delivers a payload of before once more, in the way that w says.
func (s *Server) Again(ctx context.Context, w Way, id string) error {
	s.mu.Lock()
	p, known := s.past[id]
	s.mu.Unlock()
	if !known {
		return fmt.Errorf("nothing was delivered as %s", id)
	}
	if w.HTTP != "" && p.kind == "INTERACTION_CREATE" {
		_, _, err := s.request(ctx, w, p.payload)
		return err
	}
	s.Dispatch(p.kind, p.intent, p.payload)
	return nil
}

// Typed has somebody choose a command of a guild's by the words of its verb, and
// fill in its options, as Discord lets them: only what is registered, with all that
// is required, each value of its kind.
func (s *Server) Typed(ctx context.Context, w Way, user, channel, verb string, values map[string]string) (Sent, error) {
	s.mu.Lock()
	c := s.channels[channel]
	var list []json.RawMessage
	if c != nil {
		list = slices.Clone(s.commands[c.Guild])
	}
	s.mu.Unlock()
	head, rest, _ := strings.Cut(verb, " ")
	for _, raw := range list {
		var command registered
		if err := json.Unmarshal(raw, &command); err != nil {
			return Sent{}, err
		}
		if command.Name != head || command.Type != 1 {
			continue
		}
		options, err := command.fill(strings.Fields(rest), values)
		if err != nil {
			return Sent{}, fmt.Errorf("%s: %w", verb, err)
		}
		return s.Slash(ctx, w, user, channel, head, options...)
	}
	return Sent{}, fmt.Errorf("no command %q is registered", verb)
}

// registered is a command or an option of one.
type registered struct {
	Type     int          `json:"type"`
	Name     string       `json:"name"`
	Required bool         `json:"required"`
	Options  []registered `json:"options"`
}

// fill gives the options of a command as they are sent.
func (r registered) fill(words []string, values map[string]string) ([]Option, error) {
	if below := slices.ContainsFunc(r.Options, func(o registered) bool { return o.Type <= 2 }); below {
		for _, name := range []string{strings.Join(words, "-"), r.Name} {
			for _, o := range r.Options {
				if o.Name == name && o.Type == 1 && (len(words) > 0 || name == r.Name) {
					inner, err := o.fill(nil, values)
					return []Option{{Name: o.Name, Type: 1, Options: inner}}, err
				}
			}
			if len(words) > 1 {
				break
			}
		}
		for _, o := range r.Options {
			if len(words) == 2 && o.Type == 2 && o.Name == words[0] {
				inner, err := o.fill(words[1:], values)
				return []Option{{Name: o.Name, Type: 2, Options: inner}}, err
			}
		}
		return nil, fmt.Errorf("%s has nothing below it that is %q", r.Name, words)
	}
	var options []Option
	used := 0
	for _, o := range r.Options {
		value, given := values[o.Name]
		switch {
		case !given && o.Required:
			return nil, fmt.Errorf("it needs %s", o.Name)
		case !given:
			continue
		}
		used++
		switch sent := (Option{Name: o.Name, Type: o.Type, Value: value}); o.Type {
		case 4:
			sent.Value = json.Number(value)
			options = append(options, sent)
		case 5:
			sent.Value = value == "true"
			options = append(options, sent)
		default:
			options = append(options, sent)
		}
	}
	if used != len(values) {
		return nil, fmt.Errorf("it does not have all of %v", values)
	}
	return options, nil
}
