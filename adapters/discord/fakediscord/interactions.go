package fakediscord

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Types of interactions, and of what they are answered with
// (docs: interactions/receiving-and-responding).
const (
	Ping         = 1
	Command      = 2
	Component    = 3
	Autocomplete = 4
	Modal        = 5

	pong           = 1
	sayMessage     = 4
	deferMessage   = 5
	deferUpdate    = 6
	updateMessage  = 7
	autocompletion = 8
	openModal      = 9
)

// interaction is one that people began.
type interaction struct {
	id, token string
	kind      int
	made      time.Time
	channel   string
	user      string
	on        *Message // that the pressed component is on

	answered  int // the type of the callback, 0 while there is none
	data      json.RawMessage
	original  *Message
	ephemeral bool // of what the first answer promised
	first     bool // the first follow-up takes the place of what is deferred
	done      chan struct{}
}

// Answer is what an interaction was answered with.
type Answer struct {
	Type int
	Data json.RawMessage
}

// taken takes the first answer of an interaction, which comes by REST or with the
// answer to a signed request. The lock is held.
func (s *Server) taken(i *interaction, raw json.RawMessage, files map[string]file) answer {
	var b struct {
		Type int             `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		return invalidBody(err.Error())
	}
	switch {
	case s.o.Clock.Now().Sub(i.made) > s.o.AckWithin:
		return unknownInteraction
	case i.answered != 0:
		return alreadyAnswered
	}
	var flags struct {
		Flags int64 `json:"flags"`
	}
	if len(b.Data) > 0 {
		if err := json.Unmarshal(b.Data, &flags); err != nil {
			return invalidBody(err.Error())
		}
	}
	of := func(kinds ...int) bool { return slices.Contains(kinds, i.kind) }
	var fault answer
	allowed := map[int]bool{sayMessage: of(Command, Component, Modal), deferMessage: of(Command, Component, Modal), deferUpdate: of(Component) || i.kind == Modal && i.on != nil,
		updateMessage: of(Component) || i.kind == Modal && i.on != nil, autocompletion: of(Autocomplete), openModal: of(Command, Component)}[b.Type]
	if !allowed {
		return invalidBody(fmt.Sprintf("an interaction of type %d is not answered with %d", i.kind, b.Type))
	}
	i.ephemeral = flags.Flags&Ephemeral != 0
	switch b.Type {
	case sayMessage, deferMessage:
		m := &Message{Channel: i.channel, Author: s.o.AppID, Interaction: i.id}
		if i.ephemeral {
			m.For, m.Flags = i.user, Ephemeral
		}
		if b.Type == deferMessage {
			m.Flags |= Loading
			i.first = true
		} else if fault = s.written(m, b.Data, files, true); fault.status != 0 {
			return fault
		}
		m.ID = s.snowflake()
		s.put(m)
		i.original = m
	case deferUpdate:
		i.original = i.on
	case updateMessage:
		if fault = s.written(i.on, b.Data, files, false); fault.status != 0 {
			return fault
		}
		i.on.Edits++
		i.original = i.on
	case autocompletion:
		if why := choicesFit(b.Data); why != "" {
			return invalidBody(why)
		}
	case openModal:
		if why := modalFits(b.Data); why != "" {
			return invalidBody(why)
		}
	}
	i.answered, i.data = b.Type, b.Data
	close(i.done)
	return answer{}
}

// choicesFit says what of autocomplete choices is over a limit.
func choicesFit(data json.RawMessage) string {
	var d struct {
		Choices []struct {
			Name  string `json:"name"`
			Value any    `json:"value"`
		} `json:"choices"`
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return err.Error()
	}
	if len(d.Choices) > 25 {
		return "there are more than 25 choices"
	}
	for _, c := range d.Choices {
		text, isText := c.Value.(string)
		if c.Name == "" || length(c.Name) > 100 || isText && (text == "" || length(text) > 100) {
			return fmt.Sprintf("the choice %q has to have 1 to 100 characters", c.Name)
		}
	}
	return ""
}

// modalFits says what of a form is over a limit.
func modalFits(data json.RawMessage) string {
	var d struct {
		CustomID   string      `json:"custom_id"`
		Title      string      `json:"title"`
		Components []component `json:"components"`
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return err.Error()
	}
	if d.CustomID == "" || length(d.CustomID) > 100 || d.Title == "" || length(d.Title) > 45 {
		return "a form's custom_id has to have 1 to 100 characters and its title 1 to 45"
	}
	if len(d.Components) == 0 || len(d.Components) > 5 {
		return "a form has 1 to 5 parts"
	}
	ids := map[string]bool{}
	for _, part := range d.Components {
		inner := part.Components
		if part.Component != nil {
			inner = append(inner, *part.Component)
		}
		for _, c := range inner {
			if c.CustomID == "" || ids[c.CustomID] || length(c.CustomID) > 100 {
				return "an input's custom_id is missing or used twice"
			}
			ids[c.CustomID] = true
			if c.Type == 4 && (length(c.Label) > 45 || length(c.Value) > 4000) {
				return "an input's label has at most 45 characters and its value 4000"
			}
			if c.Type == 3 && (len(c.Options) == 0 || len(c.Options) > 25) {
				return "a menu has to have 1 to 25 options"
			}
		}
	}
	return ""
}

func (s *Server) callback(a ask) answer {
	i := s.interactions[a.path("interaction_id")]
	if i == nil || i.token != a.path("interaction_token") {
		return unknownInteraction
	}
	if fault := s.taken(i, a.raw, a.files); fault.status != 0 {
		return fault
	}
	if a.query.Get("with_response") != "true" {
		return done
	}
	out := map[string]any{"interaction": map[string]any{"id": i.id, "type": i.kind}}
	if i.original != nil {
		out["resource"] = map[string]any{"type": i.answered, "message": s.messageOf(i.original)}
	}
	return ok(out)
}

// byToken finds the interaction that a token belongs to, while it is good.
func (s *Server) byToken(a ask) (*interaction, answer) {
	i := s.tokens[a.path("webhook_token")]
	switch {
	case i == nil || a.path("webhook_id") != s.o.AppID:
		return nil, unknownWebhook
	case s.o.Clock.Now().Sub(i.made) > s.o.TokenLife:
		return nil, invalidToken
	case i.answered == 0:
		return nil, unknownWebhook
	}
	return i, answer{}
}

func (s *Server) followUp(a ask) answer {
	i, fault := s.byToken(a)
	if i == nil {
		return fault
	}
	var b body
	_ = json.Unmarshal(a.raw, &b) // written says what is wrong with it
	m := &Message{Channel: i.channel, Author: s.o.AppID, Interaction: i.id}
	if i.first && i.original != nil && i.original.Flags&Loading != 0 {
		// Discord has the first one take the place of what was deferred, whoever that
		// was for.
		m = i.original
		b.Flags = m.Flags & Ephemeral
	} else if b.Flags&Ephemeral != 0 {
		m.For = i.user
	}
	i.first = false
	if fault := s.written(m, a.raw, a.files, true); fault.status != 0 {
		return fault
	}
	m.Flags = m.Flags&^Ephemeral | b.Flags&Ephemeral
	if m.ID == "" {
		m.ID = s.snowflake()
		s.put(m)
	}
	return ok(s.messageOf(m))
}

// originalOf finds what an interaction was first answered with.
func (s *Server) originalOf(a ask) (*Message, answer) {
	i, fault := s.byToken(a)
	if i == nil {
		return nil, fault
	}
	if i.original == nil || s.find(i.original.ID) == nil {
		return nil, unknownMessage
	}
	return i.original, answer{}
}

func (s *Server) getOriginal(a ask) answer {
	m, fault := s.originalOf(a)
	if m == nil {
		return fault
	}
	return ok(s.messageOf(m))
}

func (s *Server) editOriginal(a ask) answer {
	m, fault := s.originalOf(a)
	if m == nil {
		return fault
	}
	return s.change(m, a)
}

func (s *Server) change(m *Message, a ask) answer {
	waited := m.Flags&Loading != 0
	if fault := s.written(m, a.raw, a.files, false); fault.status != 0 {
		return fault
	}
	if !waited {
		m.Edits++
	}
	return ok(s.messageOf(m))
}

func (s *Server) removeOriginal(a ask) answer {
	m, fault := s.originalOf(a)
	if m == nil {
		return fault
	}
	s.drop(m)
	s.tokens[a.path("webhook_token")].original = nil
	return done
}

// followed finds a follow-up of an interaction.
func (s *Server) followed(a ask) (*Message, answer) {
	i, fault := s.byToken(a)
	if i == nil {
		return nil, fault
	}
	m := s.find(a.path("message_id"))
	if m == nil || m.Interaction != i.id {
		return nil, unknownMessage
	}
	return m, answer{}
}

func (s *Server) editFollowUp(a ask) answer {
	m, fault := s.followed(a)
	if m == nil {
		return fault
	}
	return s.change(m, a)
}

func (s *Server) removeFollowUp(a ask) answer {
	m, fault := s.followed(a)
	if m == nil {
		return fault
	}
	s.drop(m)
	return done
}

// place is what commands are registered in.
func place(a ask) string { return a.path("guild_id") }

func (s *Server) listCommands(a ask) answer {
	if a.path("application_id") != s.o.AppID {
		return missingAccess
	}
	list := s.commands[place(a)]
	if list == nil {
		list = []json.RawMessage{}
	}
	return ok(list)
}

// putCommands replaces all commands of a place. Discord gives each an id, keeps
// those of commands that were there by name, and fills in what is left out.
func (s *Server) putCommands(a ask) answer {
	if a.path("application_id") != s.o.AppID {
		return missingAccess
	}
	if g := place(a); g != "" && (s.guilds[g] == nil || s.guilds[g].NoBot) {
		return missingAccess
	}
	var list []map[string]any
	if err := json.Unmarshal(a.raw, &list); err != nil {
		return invalidBody(err.Error())
	}
	if why := commandsFit(list); why != "" {
		return invalidBody(why)
	}
	var kept []json.RawMessage
	for _, c := range list {
		c["id"], c["application_id"], c["version"] = s.snowflake(), s.o.AppID, s.snowflake()
		for name, value := range map[string]any{"type": 1, "nsfw": false, "default_member_permissions": nil, "contexts": nil, "integration_types": []int{0}, "description": ""} {
			if _, said := c[name]; !said {
				c[name] = value
			}
		}
		if g := place(a); g != "" {
			c["guild_id"] = g
		}
		raw, err := json.Marshal(c)
		if err != nil {
			return invalidBody(err.Error())
		}
		kept = append(kept, raw)
	}
	s.commands[place(a)] = kept
	return ok(kept)
}

// Commands gives what is registered in a guild, or everywhere for "".
func (s *Server) Commands(guild string) []json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.commands[guild])
}

// commandsFit says what of commands is over a limit that the contract lacks
// (docs: interactions/application-commands).
func commandsFit(list []map[string]any) string {
	counts, names := map[float64]int{}, map[string]bool{}
	for _, c := range list {
		kind, _ := c["type"].(float64)
		kind = max(kind, 1)
		name, _ := c["name"].(string)
		if names[fmt.Sprint(kind, name)] {
			return "there are two commands " + name
		}
		names[fmt.Sprint(kind, name)] = true
		counts[kind]++
		if kind == 1 && (strings.ToLower(name) != name || strings.ContainsAny(name, " ")) {
			return "the name " + name + " is none"
		}
		if n := weight(c); n > 8000 {
			return fmt.Sprintf("the command %s has %d characters; at most 8000", name, n)
		}
		if why := optionsFit(name, c["options"]); why != "" {
			return why
		}
	}
	if counts[1] > 100 || counts[2] > 15 || counts[3] > 15 {
		return http.StatusText(http.StatusBadRequest) + ": there are too many commands"
	}
	return ""
}

// weight counts the characters of a command as Discord does.
func weight(c map[string]any) (n int) {
	for _, name := range []string{"name", "description"} {
		text, _ := c[name].(string)
		n += length(text)
	}
	if text, is := c["value"].(string); is {
		n += length(text)
	}
	for _, name := range []string{"options", "choices"} {
		list, _ := c[name].([]any)
		for _, o := range list {
			if inner, is := o.(map[string]any); is {
				n += weight(inner)
			}
		}
	}
	return n
}

func optionsFit(at string, raw any) string {
	list, _ := raw.([]any)
	if len(list) > 25 {
		return at + " has more than 25 options"
	}
	optional, names := false, map[string]bool{}
	for _, o := range list {
		c, is := o.(map[string]any)
		if !is {
			return at + " has an option that is none"
		}
		name, _ := c["name"].(string)
		if names[name] {
			return at + " has two options " + name
		}
		names[name] = true
		required, _ := c["required"].(bool)
		kind, _ := c["type"].(float64)
		if required && optional {
			return at + ": required options come before others"
		}
		optional = optional || !required && kind > 2
		choices, _ := c["choices"].([]any)
		completes, _ := c["autocomplete"].(bool)
		if len(choices) > 25 || completes && len(choices) > 0 {
			return at + " " + name + " has more than 25 choices, or choices and autocomplete"
		}
		if why := optionsFit(at+" "+name, c["options"]); why != "" {
			return why
		}
	}
	return ""
}
