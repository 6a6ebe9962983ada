package fakeslack

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Message is one message as it stands.
type Message struct {
	Channel string
	TS      string
	Thread  string
	Text    string
	Blocks  json.RawMessage
	Edits   int
	// For, when set, is the only user who sees it.
	For string
	// From is the user who wrote it; the bot's own for its posts.
	From string
	// Hook says that it came by a response URL.
	Hook    bool
	Deleted bool
	At      time.Time
}

// File is one uploaded file.
type File struct {
	ID, Name, Title, Alt, Channel, Thread string
	Size                                  int64
	Data                                  []byte
	Done                                  bool
}

// View is one form as it stands.
type View struct {
	ID, Hash, User, Type, CallbackID, Private string
	Raw                                       json.RawMessage
	Closed                                    bool
}

// trigger permits one form to be opened for three seconds.
type trigger struct {
	user string
	at   time.Time
	used bool
}

// hook is one response URL: five posts in thirty minutes.
type hook struct {
	user, channel string
	at            time.Time
	left          int
}

type method func(s *Server, args url.Values) (answer map[string]any, code string)

var methods map[string]method

func init() {
	methods = map[string]method{
		"auth.test": func(s *Server, _ url.Values) (map[string]any, string) {
			answer := map[string]any{"url": "https://fake.slack.com/", "team": "fake", "user": "bot", "team_id": s.o.TeamID, "user_id": s.o.BotUser, "bot_id": "B1", "app_id": s.o.AppID,
				"is_enterprise_install": s.o.OrgWide}
			if s.o.EnterpriseID != "" {
				answer["enterprise_id"] = s.o.EnterpriseID
			}
			if s.o.OrgWide {
				answer["team_id"] = s.o.EnterpriseID
			}
			return answer, ""
		},
		"apps.connections.open":        (*Server).openConnection,
		"chat.postMessage":             (*Server).postMessage,
		"chat.postEphemeral":           (*Server).postEphemeral,
		"chat.update":                  (*Server).update,
		"chat.delete":                  (*Server).deleteMessage,
		"chat.getPermalink":            (*Server).permalink,
		"users.info":                   (*Server).userInfo,
		"users.list":                   (*Server).userList,
		"conversations.open":           (*Server).openDirect,
		"conversations.info":           (*Server).channelInfo,
		"conversations.list":           (*Server).channelList,
		"conversations.members":        (*Server).channelMembers,
		"usergroups.list":              (*Server).groupList,
		"usergroups.users.list":        (*Server).groupUsers,
		"views.open":                   (*Server).openView,
		"views.update":                 (*Server).updateView,
		"views.publish":                (*Server).publishView,
		"files.getUploadURLExternal":   (*Server).uploadURL,
		"files.completeUploadExternal": (*Server).completeUpload,
		"team.info": func(s *Server, _ url.Values) (map[string]any, string) {
			return map[string]any{"team": map[string]any{"id": s.o.TeamID, "name": "fake", "domain": "fake"}}, ""
		},
	}
}

// permit says when the channel may be posted to, as a Retry-After, or "".
// The lock is held.
func (s *Server) permit(channel string) string {
	if s.o.PerChannel == 0 {
		return ""
	}
	now, next := s.o.Clock.Now(), s.permits[channel]
	if earliest := now.Add(-time.Duration(s.o.Burst-1) * s.o.PerChannel); next.Before(earliest) {
		next = earliest
	}
	if next.After(now) {
		s.limited++
		return fmt.Sprintf("429 %d", max(1, int(next.Sub(now).Round(time.Second)/time.Second)))
	}
	s.permits[channel] = next.Add(s.o.PerChannel)
	return ""
}

// reach checks that the bot may post to the channel. The lock is held.
func (s *Server) reach(channel string) string {
	c, ok := s.channels[channel]
	switch {
	case !ok:
		return "channel_not_found"
	case c.Archived:
		return "is_archived"
	case c.User == "" && !slices.Contains(c.Members, s.o.BotUser):
		return "not_in_channel"
	}
	return ""
}

func (s *Server) postMessage(args url.Values) (map[string]any, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	channel := args.Get("channel")
	if strings.HasPrefix(channel, "U") || strings.HasPrefix(channel, "W") {
		channel = s.direct(channel)
	}
	for _, code := range []string{s.reach(channel), s.checkContent(args), s.permit(channel)} {
		if code != "" {
			return nil, code
		}
	}
	for name, want := range map[string]string{"unfurl_links": "false", "unfurl_media": "false"} {
		if args.Get(name) != want {
			s.note("chat.postMessage with %s=%q", name, args.Get(name))
		}
	}
	m := s.add(&Message{Channel: channel, Thread: args.Get("thread_ts"), Text: args.Get("text"), Blocks: raw(args.Get("blocks")), From: s.o.BotUser})
	return map[string]any{"channel": channel, "ts": m.TS, "message": map[string]any{"ts": m.TS, "text": m.Text}}, ""
}

func raw(s string) json.RawMessage {
	if s == "" {
		return nil
	}
	return json.RawMessage(s)
}

// add keeps a new message. The lock is held.
func (s *Server) add(m *Message) *Message {
	m.TS, m.At = s.ts(), s.o.Clock.Now()
	s.messages = append(s.messages, m)
	s.announce()
	return m
}

func (s *Server) postEphemeral(args url.Values) (map[string]any, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	channel, user := args.Get("channel"), args.Get("user")
	for _, code := range []string{s.reach(channel), s.checkContent(args), s.permit(channel)} {
		if code != "" {
			return nil, code
		}
	}
	if c := s.channels[channel]; c.User == "" && !slices.Contains(c.Members, user) {
		return nil, "user_not_in_channel"
	}
	m := s.add(&Message{Channel: channel, Thread: args.Get("thread_ts"), Text: args.Get("text"), Blocks: raw(args.Get("blocks")), For: user, From: s.o.BotUser})
	return map[string]any{"message_ts": m.TS}, ""
}

func (s *Server) update(args url.Values) (map[string]any, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.messages {
		if m.Channel != args.Get("channel") || m.TS != args.Get("ts") || m.Deleted {
			continue
		}
		switch {
		case m.For != "" || m.Hook:
			return nil, "message_not_found"
		case m.From != s.o.BotUser:
			return nil, "cant_update_message"
		}
		if code := s.checkContent(args); code != "" {
			return nil, code
		}
		m.Text, m.Blocks = args.Get("text"), raw(args.Get("blocks")) // text without blocks takes the blocks away
		m.Edits++
		s.announce()
		return map[string]any{"channel": m.Channel, "ts": m.TS, "text": m.Text}, ""
	}
	return nil, "message_not_found"
}

func (s *Server) deleteMessage(args url.Values) (map[string]any, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.messages {
		if m.Channel == args.Get("channel") && m.TS == args.Get("ts") && m.For == "" && !m.Deleted {
			m.Deleted = true
			s.announce()
			return map[string]any{"channel": m.Channel, "ts": m.TS}, ""
		}
	}
	return nil, "message_not_found"
}

func (s *Server) permalink(args url.Values) (map[string]any, string) {
	channel, ts := args.Get("channel"), args.Get("message_ts")
	return map[string]any{"channel": channel, "permalink": "https://fake.slack.com/archives/" + channel + "/p" + strings.ReplaceAll(ts, ".", "")}, ""
}

func (s *Server) openView(args url.Values) (map[string]any, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.triggers[args.Get("trigger_id")]
	switch {
	case t == nil:
		return nil, "invalid_trigger_id"
	case t.used:
		return nil, "exchanged_trigger_id"
	case s.o.Clock.Now().Sub(t.at) > 3*time.Second:
		return nil, "expired_trigger_id"
	}
	if code := checkView(args.Get("view")); code != "" {
		return nil, code
	}
	t.used = true
	return s.keepView(&View{ID: s.id("V"), User: t.user}, args.Get("view")), ""
}

// keepView gives the view its new content. The lock is held.
func (s *Server) keepView(v *View, content string) map[string]any {
	var d struct {
		Type       string `json:"type"`
		CallbackID string `json:"callback_id"`
		Private    string `json:"private_metadata"`
	}
	_ = json.Unmarshal([]byte(content), &d) // checkView read it
	v.Type, v.CallbackID, v.Private, v.Raw, v.Hash = d.Type, d.CallbackID, d.Private, json.RawMessage(content), s.id("h")
	s.views[v.ID] = v
	s.announce()
	return map[string]any{"view": map[string]any{"id": v.ID, "hash": v.Hash, "type": v.Type, "callback_id": v.CallbackID, "private_metadata": v.Private}}
}

func (s *Server) updateView(args url.Values) (map[string]any, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.views[args.Get("view_id")]
	switch {
	case v == nil || v.Closed:
		return nil, "not_found"
	case args.Get("hash") != "" && args.Get("hash") != v.Hash:
		return nil, "hash_conflict"
	}
	if code := checkView(args.Get("view")); code != "" {
		return nil, code
	}
	return s.keepView(v, args.Get("view")), ""
}

func (s *Server) publishView(args url.Values) (map[string]any, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	user := args.Get("user_id")
	if _, ok := s.users[user]; !ok {
		return nil, "user_not_found"
	}
	if code := checkView(args.Get("view")); code != "" {
		return nil, code
	}
	v := s.views["home/"+user]
	if v == nil {
		v = &View{ID: "home/" + user, User: user}
	}
	return s.keepView(v, args.Get("view")), ""
}

func (s *Server) uploadURL(args url.Values) (map[string]any, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var size int64
	if _, err := fmt.Sscan(args.Get("length"), &size); err != nil || size <= 0 || args.Get("filename") == "" {
		return nil, "invalid_arguments"
	}
	f := &File{ID: s.id("F"), Name: args.Get("filename"), Size: size, Alt: args.Get("alt_txt")}
	s.uploads[f.ID] = f
	to := s.o.UploadTo
	if to == "" {
		to = s.http.URL + "/upload/"
	}
	return map[string]any{"file_id": f.ID, "upload_url": to + f.ID}, ""
}

func (s *Server) completeUpload(args url.Values) (map[string]any, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var files []struct {
		ID    string `json:"id"`
		Title string `json:"title"`
	}
	if err := json.Unmarshal([]byte(args.Get("files")), &files); err != nil {
		return nil, "invalid_arguments"
	}
	for _, d := range files {
		f := s.uploads[d.ID]
		if f == nil || int64(len(f.Data)) != f.Size {
			return nil, "file_not_found"
		}
		if channel := args.Get("channel_id"); channel != "" {
			if code := s.reach(channel); code != "" {
				return nil, code
			}
			f.Channel, f.Thread = channel, args.Get("thread_ts")
		}
		f.Title, f.Done = d.Title, true
		s.files = append(s.files, f)
	}
	s.announce()
	return map[string]any{"files": files}, ""
}

// upload takes a file's bytes.
func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	id := strings.TrimPrefix(r.URL.Path, "/upload/")
	data, err := fileOf(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.uploads[id]
	if f == nil || f.Data != nil || err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	f.Data = data
	_, _ = w.Write([]byte("OK")) // the client may be gone
}

// hook takes a post by a response URL.
func (s *Server) hook(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Text            string          `json:"text"`
		Blocks          json.RawMessage `json:"blocks"`
		Type            string          `json:"response_type"`
		ReplaceOriginal bool            `json:"replace_original"`
		DeleteOriginal  bool            `json:"delete_original"`
		Thread          string          `json:"thread_ts"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if o := s.outage("hook"); o != nil && s.broken(w, r, o) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hooks[strings.TrimPrefix(r.URL.Path, "/hook/")]
	if h == nil || h.left == 0 || s.o.Clock.Now().Sub(h.at) > 30*time.Minute {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte("expired_url"))
		return
	}
	args := url.Values{"text": {body.Text}, "blocks": {string(body.Blocks)}}
	if code := s.checkContent(args); code != "" {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(code))
		return
	}
	h.left--
	m := &Message{Channel: h.channel, Thread: body.Thread, Text: body.Text, Blocks: body.Blocks, From: s.o.BotUser, Hook: true}
	if body.Type != "in_channel" {
		m.For = h.user
	}
	s.add(m)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"ok":true}`))
}
