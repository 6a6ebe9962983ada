package fakediscord

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"
)

// Flags of messages.
const (
	SuppressEmbeds = 1 << 2
	Ephemeral      = 1 << 6
	Loading        = 1 << 7 // "is thinking"
	componentsV2   = 1 << 15
)

// Message is one message as it stands now.
type Message struct {
	ID, Channel, Author string
	Content             string
	Embeds              json.RawMessage
	Components          json.RawMessage
	Flags               int64
	For                 string // who alone sees it; "" for everybody
	ReplyTo             string // the message that it refers to
	Files               []File
	Edits               int
	Thread              string // the thread that was started from it, "" for none
	// Interaction is the id of the one that it answers.
	Interaction string
}

// File is what is attached to a message.
type File struct {
	ID, Name, Alt string
	Data          []byte
}

// Messages gives what is said in a channel, or everywhere for "", oldest first,
// what one person alone sees among it.
func (s *Server) Messages(channel string) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Message
	for _, m := range s.messages {
		if channel == "" || m.Channel == channel {
			c := *m
			c.Files = slices.Clone(m.Files)
			all = append(all, c)
		}
	}
	return all
}

// Message gives one message.
func (s *Server) Message(id string) (Message, bool) {
	for _, m := range s.Messages("") {
		if m.ID == id {
			return m, true
		}
	}
	return Message{}, false
}

func (s *Server) find(id string) *Message {
	i := slices.IndexFunc(s.messages, func(m *Message) bool { return m.ID == id })
	if i < 0 {
		return nil
	}
	return s.messages[i]
}

// messageOf gives a message as payloads show it.
func (s *Server) messageOf(m *Message) map[string]any {
	list := func(raw json.RawMessage) json.RawMessage {
		if len(raw) == 0 {
			return json.RawMessage("[]")
		}
		return raw
	}
	attachments := []any{}
	for _, f := range m.Files {
		attachments = append(attachments, map[string]any{"id": f.ID, "filename": f.Name, "size": len(f.Data), "url": "https://cdn.invalid/" + f.ID, "proxy_url": "https://cdn.invalid/" + f.ID})
	}
	out := map[string]any{"id": m.ID, "channel_id": m.Channel, "author": s.userOf(m.Author), "content": m.Content, "timestamp": "2026-11-21T00:00:00+00:00", "edited_timestamp": nil,
		"tts": false, "mention_everyone": false, "mentions": []any{}, "mention_roles": []any{}, "attachments": attachments, "embeds": list(m.Embeds), "components": list(m.Components),
		"pinned": false, "type": 0, "flags": m.Flags}
	if m.Edits > 0 {
		out["edited_timestamp"] = "2026-11-21T00:00:01+00:00"
	}
	return out
}

// length is how Discord counts characters.
func length(s string) int { return len(utf16.Encode([]rune(s))) }

// fields of a message's body, in their raw form.
type body struct {
	Content    *string          `json:"content"`
	Embeds     *json.RawMessage `json:"embeds"`
	Components *json.RawMessage `json:"components"`
	Flags      int64            `json:"flags"`
	Mentions   *struct {
		Parse []string `json:"parse"`
		Users []string `json:"users"`
		Roles []string `json:"roles"`
	} `json:"allowed_mentions"`
	Attachments *[]struct {
		ID          string `json:"id"`
		Filename    string `json:"filename"`
		Description string `json:"description"`
	} `json:"attachments"`
	Nonce     any  `json:"nonce"`
	Enforce   bool `json:"enforce_nonce"`
	Reference *struct {
		MessageID string `json:"message_id"`
	} `json:"message_reference"`
}

// written reads a message's body and changes m to what it says; the answer says
// what Discord does not take.
func (s *Server) written(m *Message, raw json.RawMessage, files map[string]file, fresh bool) answer {
	var b body
	if err := json.Unmarshal(raw, &b); err != nil {
		return invalidBody(err.Error())
	}
	// Whose attention a page draws is named one by one, and stands in the text; what
	// else the text may hold mentions nobody.
	if b.Mentions == nil || b.Mentions.Parse == nil || len(b.Mentions.Parse)+len(b.Mentions.Roles) > 0 ||
		slices.ContainsFunc(b.Mentions.Users, func(id string) bool {
			return !strings.Contains(string(raw), "@"+id+"\\u003e") && !strings.Contains(string(raw), "<@"+id+">")
		}) {
		s.note("a message may mention somebody: it does not say allowed_mentions {parse: []}: %.200s", raw)
	}
	next := *m
	if b.Content != nil {
		next.Content = *b.Content
	}
	if b.Embeds != nil {
		next.Embeds = *b.Embeds
	}
	if b.Components != nil {
		next.Components = *b.Components
	}
	if fresh {
		next.Flags |= b.Flags
	} else if b.Flags&Ephemeral != 0 && m.Flags&Ephemeral == 0 {
		s.note("a message that everybody sees cannot be made private by an edit")
	}
	next.Flags &^= Loading
	// An edit keeps what it names, and everything where it names nothing.
	kept := next.Files
	if b.Attachments != nil {
		kept = nil
		for _, at := range *b.Attachments {
			if f, isNew := files[at.ID]; isNew {
				kept = append(kept, File{ID: s.snowflake(), Name: f.name, Alt: at.Description, Data: f.data})
				delete(files, at.ID)
			} else if i := slices.IndexFunc(m.Files, func(f File) bool { return f.ID == at.ID }); i >= 0 {
				kept = append(kept, m.Files[i])
			} else {
				return invalidBody("attachments: " + at.ID + " is none")
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(files)) {
		kept = append(kept, File{ID: s.snowflake(), Name: files[id].name, Data: files[id].data})
	}
	next.Files = kept
	if why := s.fits(&next); why != "" {
		return invalidBody(why)
	}
	*m = next
	return answer{}
}

var attachmentURL = regexp.MustCompile(`"attachment://([^"]*)"`)

// fits says what of a message is over a limit; "" for nothing
// (docs: resources/message).
func (s *Server) fits(m *Message) string {
	if n := length(m.Content); n > 2000 {
		return fmt.Sprintf("content has %d characters; at most 2000", n)
	}
	var embeds []struct {
		Title, Description string
		Fields             []struct{ Name, Value string }
		Footer             struct{ Text string }
		Author             struct{ Name string }
	}
	if len(m.Embeds) > 0 && json.Unmarshal(m.Embeds, &embeds) != nil {
		return "embeds are none"
	}
	total := 0
	over := func(what, text string, most int) string {
		total += length(text)
		if n := length(text); n > most {
			return fmt.Sprintf("%s has %d characters; at most %d", what, n, most)
		}
		return ""
	}
	if len(embeds) > 10 {
		return "there are more than 10 embeds"
	}
	for _, e := range embeds {
		if len(e.Fields) > 25 {
			return "an embed has more than 25 fields"
		}
		faults := []string{over("title", e.Title, 256), over("description", e.Description, 4096), over("footer", e.Footer.Text, 2048), over("author", e.Author.Name, 256)}
		for _, f := range e.Fields {
			if f.Name == "" || f.Value == "" {
				faults = append(faults, "a field has no name or no value")
			}
			faults = append(faults, over("field name", f.Name, 256), over("field value", f.Value, 1024))
		}
		for _, f := range faults {
			if f != "" {
				return f
			}
		}
	}
	if total > 6000 {
		return fmt.Sprintf("the embeds have %d characters; at most 6000", total)
	}
	if why := componentsFit(m.Components); why != "" {
		return why
	}
	for _, ref := range attachmentURL.FindAllStringSubmatch(string(m.Embeds), -1) {
		if !slices.ContainsFunc(m.Files, func(f File) bool { return f.Name == ref[1] }) {
			return "no file " + ref[1] + " is attached"
		}
	}
	all := 0
	for _, f := range m.Files {
		if all += len(f.Data); len(f.Data) > 10<<20 || all > 25<<20 {
			return "the files are too large"
		}
	}
	if len(m.Files) > 10 {
		return "there are more than 10 files"
	}
	if strings.TrimSpace(m.Content) == "" && len(embeds) == 0 && len(m.Files) == 0 && m.Flags&componentsV2 == 0 {
		return "Cannot send an empty message"
	}
	return ""
}

// component is one part of a message or form.
type component struct {
	Type       int         `json:"type"`
	CustomID   string      `json:"custom_id"`
	Label      string      `json:"label"`
	Style      int         `json:"style"`
	Disabled   bool        `json:"disabled"`
	URL        string      `json:"url"`
	Components []component `json:"components"`
	Component  *component  `json:"component"`
	Options    []struct {
		Label, Value string
	} `json:"options"`
	Value    string `json:"value"`
	Required *bool  `json:"required"`
}

// componentsFit says what of a message's components is over a limit.
func componentsFit(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	var rows []component
	if json.Unmarshal(raw, &rows) != nil {
		return "components are none"
	}
	if len(rows) > 5 {
		return "there are more than 5 rows"
	}
	ids := map[string]bool{}
	for _, row := range rows {
		if row.Type != 1 {
			return "what is not in a row is no component of such a message"
		}
		width := 0
		for _, c := range row.Components {
			if c.Type == 2 {
				width++
			} else {
				width += 5
			}
			switch {
			case c.Type == 2 && c.Style == 5:
				if c.URL == "" || c.CustomID != "" {
					return "a link has no address"
				}
				continue
			case c.Type == 2 && (length(c.Label) > 80 || c.Label == ""):
				return "a button's label has to have 1 to 80 characters"
			case c.Type == 3 && (len(c.Options) == 0 || len(c.Options) > 25):
				return "a menu has to have 1 to 25 options"
			}
			if ids[c.CustomID] || c.CustomID == "" {
				return "Component custom id cannot be duplicated or empty"
			}
			ids[c.CustomID] = true
		}
		if width == 0 || width > 5 {
			return "a row holds 1 to 5 buttons or one menu"
		}
	}
	return ""
}

// put adds a message. The lock is held.
func (s *Server) put(m *Message) { s.messages = append(s.messages, m) }

func (s *Server) post(a ask) answer {
	id := a.path("channel_id")
	c := s.channels[id]
	if c == nil {
		return unknownChannel
	}
	need := int64(SendMessages)
	if c.Kind == PublicThread || c.Kind == PrivateThread {
		need = SendMessagesInThreads
	}
	switch {
	case !s.can(c, ViewChannel):
		return missingAccess
	case !s.can(c, need):
		return missingPermissions
	case c.Kind == DM && (s.users[c.User] == nil || s.users[c.User].Closed):
		return cannotDM
	}
	m := &Message{Channel: id, Author: s.o.AppID}
	var b body
	_ = json.Unmarshal(a.raw, &b) // written says what is wrong with it
	if nonce := fmt.Sprint(b.Nonce); b.Nonce != nil && b.Enforce {
		if length(nonce) > 25 {
			return invalidBody("nonce is too long")
		}
		if was := s.nonces[id+" "+nonce]; was != nil {
			return ok(s.messageOf(was))
		}
		defer func() {
			if m.ID != "" {
				s.nonces[id+" "+nonce] = m
			}
		}()
	} else {
		s.note("a message was posted without a nonce that is enforced; a repeated post would be told twice")
	}
	if b.Embeds != nil && string(*b.Embeds) != "[]" && !s.can(c, EmbedLinks) || len(a.files) > 0 && !s.can(c, AttachFiles) {
		return missingPermissions
	}
	if b.Reference != nil {
		if s.find(b.Reference.MessageID) == nil {
			return invalidBody("MESSAGE_REFERENCE_UNKNOWN_MESSAGE")
		}
		m.ReplyTo = b.Reference.MessageID
	}
	if fault := s.written(m, a.raw, a.files, true); fault.status != 0 {
		return fault
	}
	m.ID = s.snowflake()
	s.put(m)
	return ok(s.messageOf(m))
}

// mine finds a message in a channel that the bot may see.
func (s *Server) mine(a ask) (*Message, answer) {
	c := s.channels[a.path("channel_id")]
	if c == nil {
		return nil, unknownChannel
	}
	if !s.can(c, ViewChannel) {
		return nil, missingAccess
	}
	m := s.find(a.path("message_id"))
	if m == nil || m.Channel != c.ID || m.Flags&Ephemeral != 0 { // what one person sees is no message of the channel
		return nil, unknownMessage
	}
	return m, answer{}
}

func (s *Server) get(a ask) answer {
	m, fault := s.mine(a)
	if m == nil {
		return fault
	}
	return ok(s.messageOf(m))
}

func (s *Server) edit(a ask) answer {
	m, fault := s.mine(a)
	if m == nil {
		return fault
	}
	if m.Author != s.o.AppID {
		return othersMessage
	}
	if fault := s.written(m, a.raw, a.files, false); fault.status != 0 {
		return fault
	}
	m.Edits++
	return ok(s.messageOf(m))
}

func (s *Server) remove(a ask) answer {
	m, fault := s.mine(a)
	if m == nil {
		return fault
	}
	s.drop(m)
	return done
}

func (s *Server) drop(m *Message) {
	s.messages = slices.DeleteFunc(s.messages, func(o *Message) bool { return o == m })
}

// startThread begins a thread whose id is that of the message.
func (s *Server) startThread(a ask) answer {
	m, fault := s.mine(a)
	if m == nil {
		return fault
	}
	c := s.channels[m.Channel]
	switch {
	case c.Kind != Text && c.Kind != Announcement:
		return wrongChannelType
	case !s.can(c, CreatePublicThreads):
		return missingPermissions
	case m.Thread != "":
		return hasThread
	}
	var b struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(a.raw, &b) != nil || length(b.Name) < 1 || length(b.Name) > 100 {
		return invalidBody("name has to have 1 to 100 characters")
	}
	m.Thread = m.ID
	t := &Channel{ID: m.ID, Guild: c.Guild, Name: b.Name, Parent: c.ID, Kind: PublicThread, Denies: c.Denies}
	s.channels[t.ID] = t
	return answer{201, s.channelOf(t)}
}
