package slackchat

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/sourcegraph/conc"

	"quarterdeck/bot"
)

// incoming is one payload, as far as the bot cares about it.
type incoming struct {
	id         string // what a redelivery has too
	team       string
	enterprise string
	user       string
	channel    string
	thread     string
	text       string
	command    string // the slash command, "" for anything else
	press      string
	on         string // the message that the button was on
	edited     bool
	automated  bool
	event      bool   // an event, which says whether its channel is shared
	shared     bool   // in a channel that is shared with another organisation
	hook       string // the response URL
	trigger    string // opens one form, once, within three seconds
	view       *viewing
}

// once makes a delivery key of a trigger id. The trigger id itself opens forms
// and must not be kept or logged.
func once(kind, trigger string) string {
	sum := sha256.Sum256([]byte(trigger))
	return kind + "/" + hex.EncodeToString(sum[:12])
}

// Payload kinds, as Socket Mode names them.
const (
	kindEvents      = "events_api"
	kindCommand     = "slash_commands"
	kindInteractive = "interactive"
)

// slash is the payload of a slash command.
type slash struct {
	TeamID       string `json:"team_id"`
	EnterpriseID string `json:"enterprise_id"`
	ChannelID    string `json:"channel_id"`
	UserID       string `json:"user_id"`
	Command      string `json:"command"`
	Text         string `json:"text"`
	ResponseURL  string `json:"response_url"`
	TriggerID    string `json:"trigger_id"`
}

func (p slash) incoming() incoming {
	return incoming{id: once("command", p.TriggerID), team: p.TeamID, enterprise: p.EnterpriseID, user: p.UserID, channel: p.ChannelID,
		text: typed(p.Text), command: p.Command, hook: p.ResponseURL, trigger: p.TriggerID}
}

// outer is the payload of the Events API.
type outer struct {
	Type           string          `json:"type"`
	TeamID         string          `json:"team_id"`
	EnterpriseID   string          `json:"enterprise_id"`
	EventID        string          `json:"event_id"`
	Event          json.RawMessage `json:"event"`
	IsExtShared    bool            `json:"is_ext_shared_channel"`
	Authorizations []struct {
		UserID string `json:"user_id"`
	} `json:"authorizations"`
}

// inner is the event in it: a message, a mention, or a change of somebody.
type inner struct {
	Type        string          `json:"type"`
	Subtype     string          `json:"subtype"`
	User        json.RawMessage `json:"user"` // an id, or in user_change the whole user
	Team        string          `json:"team"`
	UserTeam    string          `json:"user_team"`
	SourceTeam  string          `json:"source_team"`
	BotID       string          `json:"bot_id"`
	BotProfile  json.RawMessage `json:"bot_profile"`
	Channel     json.RawMessage `json:"channel"`
	ChannelType string          `json:"channel_type"`
	Text        string          `json:"text"`
	TS          string          `json:"ts"`
	ThreadTS    string          `json:"thread_ts"`
	Edited      json.RawMessage `json:"edited"`
	Tab         string          `json:"tab"`
}

// text gives a JSON string, or "" for anything else.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

func present(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// event makes a message of an event; ok is false for what nobody said to the
// bot.
func (s *chat) event(p outer) (m incoming, ok bool) {
	if p.Type == rateLimited {
		s.rateLimited()
		return m, false
	}
	var e inner
	if err := json.Unmarshal(p.Event, &e); err != nil {
		s.unreadable(kindEvents, err)
		return m, false
	}
	if e.Type == rateLimited {
		s.rateLimited()
		return m, false
	}
	switch e.Type {
	case "user_change", "subteam_members_changed", "subteam_updated":
		s.changed(p.Event)
		return m, false
	case "app_home_opened":
		return e.opened(p)
	case "app_uninstalled", "tokens_revoked":
		s.ended(e.Type, p)
		return m, false
	case "app_mention":
	case "message":
		if e.ChannelType != "im" || e.Subtype != "" && e.Subtype != "file_share" {
			return m, false // an edit, an unfurl, somebody who joined: nothing said to the bot
		}
	default:
		s.tally.unreadable.Add(1)
		s.logger().Debug("an event that the bot does not know was acknowledged", "type", cut(plain(e.Type), 60))
		return m, false
	}
	user := text(e.User)
	if user == "" || user == s.own() {
		return m, false
	}
	// The workspace that the event is for is ours also by its organisation.
	home := func(t string) bool { return s.ours(t) || t == p.TeamID && s.ours(p.EnterpriseID) }
	team := p.TeamID
	for _, t := range []string{e.Team, e.UserTeam, e.SourceTeam} {
		if t != "" && !home(t) {
			team = t // the sender's own, which is not ours
		} else if t != "" && team == p.TeamID {
			team = t
		}
	}
	m = incoming{id: "event/" + p.EventID, team: team, enterprise: p.EnterpriseID, user: user, channel: text(e.Channel), thread: e.ThreadTS,
		text: s.unaddressed(e.Text), edited: present(e.Edited), automated: e.BotID != "" || present(e.BotProfile), event: true, shared: p.IsExtShared}
	if !home(team) {
		m.enterprise = "" // that of the installation, not of a stranger
	}
	return m, true
}

// addressed finds the mention a message begins with.
var addressed = regexp.MustCompile(`^\s*<@([A-Z0-9]+)(?:\|[^>]*)?>[\s:,]*`)

// unaddressed gives the text without the mention of the bot it begins or ends
// with.
func (s *chat) unaddressed(t string) string {
	if m := addressed.FindStringSubmatch(t); m != nil && m[1] == s.own() {
		t = t[len(m[0]):]
	} else {
		t = strings.Replace(t, "<@"+s.own()+">", "", 1)
	}
	return strings.TrimSpace(typed(t))
}

// interaction is the payload of a button, a shortcut or a form.
type interaction struct {
	Type        string `json:"type"`
	CallbackID  string `json:"callback_id"`
	MessageTS   string `json:"message_ts"`
	BlockID     string `json:"block_id"`
	ActionID    string `json:"action_id"`
	Value       string `json:"value"`
	View        view   `json:"view"`
	TriggerID   string `json:"trigger_id"`
	ResponseURL string `json:"response_url"`
	Team        struct {
		ID string `json:"id"`
	} `json:"team"`
	Enterprise struct {
		ID string `json:"id"`
	} `json:"enterprise"`
	User struct {
		ID     string `json:"id"`
		TeamID string `json:"team_id"`
	} `json:"user"`
	Channel struct {
		ID string `json:"id"`
	} `json:"channel"`
	Container struct {
		Type      string `json:"type"`
		MessageTS string `json:"message_ts"`
		ThreadTS  string `json:"thread_ts"`
		ChannelID string `json:"channel_id"`
	} `json:"container"`
	Message struct {
		TS       string `json:"ts"`
		ThreadTS string `json:"thread_ts"`
	} `json:"message"`
	Actions []struct {
		ActionID string `json:"action_id"`
		Value    string `json:"value"`
	} `json:"actions"`
}

// pressAction begins the action ids of the buttons of cards.
const pressAction = "press/"

// press makes a message of a pressed button; ok is false for anything else.
func (s *chat) press(p interaction) (m incoming, ok bool) {
	if p.Type != "block_actions" || len(p.Actions) == 0 || !strings.HasPrefix(p.Actions[0].ActionID, pressAction) {
		return m, false
	}
	if p.Container.Type == "view" {
		return incoming{id: once("press", p.TriggerID), team: p.team(), enterprise: p.Enterprise.ID, user: p.User.ID, on: bot.OnHome,
			press: p.Actions[0].Value, trigger: p.TriggerID}, p.View.Type == viewHome
	}
	channel := p.Channel.ID
	if channel == "" {
		channel = p.Container.ChannelID
	}
	thread := p.Container.ThreadTS
	if thread == "" {
		thread = p.Message.ThreadTS
	}
	return incoming{id: once("press", p.TriggerID), team: p.team(), enterprise: p.Enterprise.ID, user: p.User.ID, channel: channel, thread: thread,
		on: p.on(channel), press: p.Actions[0].Value, hook: p.ResponseURL, trigger: p.TriggerID}, true
}

// on gives the reference of the message that a button was on, as Deliver gave
// it. One that Slack does not say is no message of ours.
func (p interaction) on(channel string) string {
	ts := p.Container.MessageTS
	if ts == "" {
		ts = p.Message.TS
	}
	if p.Container.ChannelID != "" && p.Container.ChannelID != channel || p.Message.TS != "" && p.Message.TS != ts {
		return channel + "/?" // the payload names two places
	}
	return channel + "/" + ts
}

// team gives the sender's workspace: their own, where the payload names it.
func (p interaction) team() string {
	if p.User.TeamID != "" {
		return p.User.TeamID
	}
	return p.Team.ID
}

// message makes what the hub understands of a payload: who, as Slack vouches
// for them, said what, where.
func (s *chat) message(ctx context.Context, p incoming) bot.Message {
	home := p.team
	if p.enterprise != "" && slices.Contains(s.config.Teams, p.enterprise) {
		home = p.enterprise // users of an organisation are the same in all its workspaces
	}
	standing := bot.Automated
	if !p.automated {
		standing = s.standing(ctx, p)
	}
	return bot.Message{ID: Network + ":" + p.id, Account: bot.AccountID(Network + ":" + home + "/" + p.user), Standing: standing,
		Channel: bot.ChannelID(Network + ":" + p.channel), Thread: p.thread, Text: plain(p.text), Press: p.press, On: p.on, Edited: p.edited}
}

// standing says what Slack vouches for about the sender of a payload, there where
// it was sent. Both questions are put at once, for there is little time.
func (s *chat) standing(ctx context.Context, p incoming) bot.Standing {
	var there bot.Standing
	var place conc.WaitGroup
	place.Go(func() { there = s.outside(ctx, p) })
	standing := s.people.standing(ctx, p.team, p.enterprise, p.user)
	place.Wait()
	if standing == bot.Member {
		return there
	}
	return standing
}

// taken is what to acknowledge a payload with.
type taken struct {
	// again has it delivered again: it could not be kept.
	again bool
	// say is shown to the asker alone with the acknowledgement, "" for nothing.
	say string
	// reply is what else the acknowledgement of an interaction says, nil for
	// nothing.
	reply any
}

// sorry is said when what somebody asked cannot be kept, and so is not done.
const sorry = "not run: it cannot be recorded right now; please ask again"

// take hands a payload to the hub and says how to acknowledge it.
func (s *chat) take(ctx context.Context, in bot.Inbound, p incoming) taken {
	if p.command != "" && p.command != s.config.Command {
		return taken{say: "this bot is asked with " + s.config.Command + ", not " + p.command}
	}
	switch {
	case p.view != nil && p.view.what == viewHome:
		if s.o.Home != nil {
			s.homes.ask(p, s.o.Clock.Now())
		}
		return taken{}
	case p.view != nil:
		return s.formed(ctx, in, p)
	case p.on == bot.OnHome:
		p.channel = s.directWith(ctx, p.user)
	}
	m := s.message(ctx, p)
	if s.asks(ctx, p, m) {
		return taken{}
	}
	if p.hook != "" {
		s.answers.keep(m.ID, p.hook)
		s.answers.from(m.ID, p.user)
	}
	if _, err := in.Receive(ctx, m); err != nil {
		s.logger().Error("a message could not be kept", "message", m.ID, "err", err)
		return taken{again: true, say: sorry}
	}
	if p.on == bot.OnHome && s.o.Home != nil {
		s.homes.ask(p, s.o.Clock.Now().Add(homeAfter))
	}
	return taken{}
}

// decode reads a payload of a kind; ok is false for what is not for the bot.
func (s *chat) decode(kind string, payload json.RawMessage) (p incoming, ok bool, err error) {
	switch kind {
	case kindCommand:
		var c slash
		if err := json.Unmarshal(payload, &c); err != nil {
			return p, false, err
		}
		return c.incoming(), c.UserID != "" && c.TriggerID != "", nil
	case kindEvents:
		var o outer
		if err := json.Unmarshal(payload, &o); err != nil {
			return p, false, err
		}
		p, ok = s.event(o)
		return p, ok && o.EventID != "", nil
	case kindInteractive:
		var i interaction
		if err := json.Unmarshal(payload, &i); err != nil {
			return p, false, err
		}
		switch i.Type {
		case "message_action":
			p, ok = i.shortcut()
		case "view_submission", "block_suggestion":
			p, ok = i.viewed()
		default:
			p, ok = s.press(i)
			ok = ok && i.TriggerID != ""
		}
		return p, ok && i.User.ID != "", nil
	}
	return p, false, errors.New("it is of an unknown kind")
}

// rateLimited is the type of what Slack sends unasked when it holds events back.
const rateLimited = "app_rate_limited"

// rateLimited says that Slack holds events back: more than 30,000 came within
// an hour (docs.slack.dev/apis/events-api). What is held back never comes.
func (s *chat) rateLimited() {
	s.logger().Error("Slack holds events back, because there were more than 30,000 in an hour; what is held back is lost")
}

// ended takes an event that says that an installation of the app, or a token, is
// no more. That of another workspace, where an app is installed in several, takes
// nothing from ours.
func (s *chat) ended(what string, p outer) {
	if !s.ours(p.TeamID) && !s.ours(p.EnterpriseID) {
		return
	}
	if what == "app_uninstalled" {
		s.lose("the app was uninstalled from the workspace")
		return
	}
	var revoked struct {
		Tokens struct {
			Bot []string `json:"bot"`
		} `json:"tokens"`
	}
	if json.Unmarshal(p.Event, &revoked) == nil && len(revoked.Tokens.Bot) > 0 {
		s.lose("the bot's token was revoked") // of others' tokens nothing is lost
	}
}

// lose notes that the bot can do nothing in Slack any more until it is installed
// again. What was asked is kept, and what is to be told waits in the outbox.
func (s *chat) lose(why string) {
	s.logger().Error("Slack took the bot's rights away; nothing can be answered there until it is installed anew", "why", why)
	s.people.forgetAll()
	s.revoked(true)
}
