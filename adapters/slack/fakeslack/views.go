package fakeslack

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Limits of forms and Homes beyond those of blocks.
const (
	maxLabel       = 2000
	maxPlaceholder = 150
	maxTyped       = 3000 // of a text input
	maxAnswer      = 20480
)

// inView lists the blocks that a form, or a Home, may hold. Tables are for
// messages alone.
var inView = map[string][]string{
	"modal": {"section", "header", "context", "actions", "input", "rich_text", "divider", "image"},
	"home":  {"section", "header", "context", "actions", "input", "rich_text", "divider", "image"},
}

// checkView checks a form or a Home.
func checkView(content string) string {
	var d struct {
		Type    string          `json:"type"`
		Title   *textObject     `json:"title"`
		Submit  *textObject     `json:"submit"`
		Close   *textObject     `json:"close"`
		Blocks  json.RawMessage `json:"blocks"`
		Private string          `json:"private_metadata"`
		ID      string          `json:"callback_id"`
	}
	if err := json.Unmarshal([]byte(content), &d); err != nil {
		return "invalid_arguments"
	}
	if len(content) > maxView {
		return "view_too_large"
	}
	for _, t := range []*textObject{d.Title, d.Submit, d.Close} {
		if t != nil && (t.Type != "plain_text" || t.Text == "" || long(t.Text, maxTitle) || d.Type == "home") {
			return "invalid_arguments"
		}
	}
	kinds, known := inView[d.Type]
	if !known || d.Type == "modal" && d.Title == nil || long(d.Private, maxPrivate) || long(d.ID, maxID) {
		return "invalid_arguments"
	}
	var list []block
	if err := json.Unmarshal(d.Blocks, &list); err != nil || unescaped(d.Blocks) != "" {
		return "invalid_blocks_format"
	}
	for _, b := range list {
		if !slices.Contains(kinds, b.Type) {
			return "invalid_blocks"
		}
		if b.Type != "input" {
			continue
		}
		if d.Type == "modal" && d.Submit == nil || !checkInput(b) { // nothing entered could be sent
			return "invalid_blocks"
		}
	}
	return checkBlocks(d.Blocks, maxViewBlocks)
}

// input is the element of an input block.
type input struct {
	Type           string      `json:"type"`
	ActionID       string      `json:"action_id"`
	Placeholder    *textObject `json:"placeholder"`
	InitialValue   string      `json:"initial_value"`
	MaxLength      int         `json:"max_length"`
	MinQueryLength *int        `json:"min_query_length"`
	InitialOption  *choice     `json:"initial_option"`
	InitialOptions []choice    `json:"initial_options"`
	Options        []choice    `json:"options"`
}

type choice struct {
	Text  textObject `json:"text"`
	Value string     `json:"value"`
}

func (c choice) fits() bool {
	return c.Text.Type == "plain_text" && c.Text.Text != "" && !long(c.Text.Text, maxOption) && c.Value != "" && !long(c.Value, maxOption)
}

func checkInput(b block) bool {
	var e input
	if json.Unmarshal(b.Element, &e) != nil || e.ActionID == "" || b.BlockID == "" || b.Label == nil || b.Label.Type != "plain_text" {
		return false
	}
	if b.Hint != nil && (b.Hint.Type != "plain_text" || b.Hint.Text == "" || long(b.Hint.Text, maxLabel)) || e.Placeholder != nil && long(e.Placeholder.Text, maxPlaceholder) {
		return false
	}
	for _, o := range append(e.Options, e.InitialOptions...) {
		if !o.fits() {
			return false
		}
	}
	if e.Type == "external_select" && len(e.Options) > 0 || e.InitialOption != nil && !e.InitialOption.fits() {
		return false
	}
	return e.Type != "plain_text_input" || e.MaxLength <= maxTyped && !long(e.InitialValue, maxTyped)
}

// inputs gives the input blocks of a view.
func inputs(view json.RawMessage) []block {
	var d struct {
		Blocks []block `json:"blocks"`
	}
	if json.Unmarshal(view, &d) != nil {
		return nil
	}
	return slices.DeleteFunc(d.Blocks, func(b block) bool { return b.Type != "input" })
}

// Entered gives what a form's inputs hold before anybody changes them, by block
// id and action id.
func (v View) Entered() map[string]string {
	held := map[string]string{}
	for _, b := range inputs(v.Raw) {
		var e input
		if json.Unmarshal(b.Element, &e) != nil {
			continue
		}
		name := b.BlockID + "/" + e.ActionID
		switch {
		case e.InitialOption != nil:
			held[name] = e.InitialOption.Value
		case len(e.InitialOptions) > 0:
			held[name] = e.InitialOptions[0].Value
		default:
			held[name] = e.InitialValue
		}
	}
	return held
}

// state gives the state of a form with these values, as payloads hold it.
func state(v View, values map[string]string) map[string]any {
	blocks := map[string]any{}
	for name, value := range values {
		id, action, _ := strings.Cut(name, "/")
		filled := map[string]any{"type": elementType(v.Raw, id, action)}
		chosen := map[string]any{"text": map[string]any{"type": "plain_text", "text": value}, "value": value}
		switch filled["type"] {
		case "plain_text_input", "":
			filled["type"], filled["value"] = "plain_text_input", value
			if value == "" {
				filled["value"] = nil
			}
		case "checkboxes":
			filled["selected_options"] = []any{}
			if value != "" {
				filled["selected_options"] = []any{chosen}
			}
		default:
			filled["selected_option"] = chosen
			if value == "" {
				filled["selected_option"] = nil
			}
		}
		if blocks[id] == nil {
			blocks[id] = map[string]any{}
		}
		blocks[id].(map[string]any)[action] = filled
	}
	return map[string]any{"values": blocks}
}

// viewOf gives a view as payloads hold it. What is not in values is as it was.
func (s *Server) viewOf(v View, values map[string]string) map[string]any {
	var content map[string]any
	_ = json.Unmarshal(v.Raw, &content) // checked when it was shown
	all := v.Entered()
	for name, value := range values {
		all[name] = value
	}
	content["id"], content["hash"], content["team_id"], content["state"] = v.ID, v.Hash, s.o.TeamID, state(v, all)
	return content
}

// Suggest types into a menu of a form whose choices come from the bot, and gives
// what is offered. name is the menu's block id and action id, values are what
// else is entered by now.
func (s *Server) Suggest(ctx context.Context, w Way, v View, name, typed string, values map[string]string) ([]string, Sent, error) {
	block, action, _ := strings.Cut(name, "/")
	if elementType(v.Raw, block, action) != "external_select" {
		return nil, Sent{}, fmt.Errorf("the form has no such menu as %q: %s", name, v.Raw)
	}
	payload := map[string]any{"type": "block_suggestion", "block_id": block, "action_id": action, "value": typed, "action_ts": "1790000000.1",
		"container": map[string]any{"type": "view", "view_id": v.ID}, "view": s.viewOf(v, values)}
	sent, err := s.interaction(ctx, w, v.User, payload, Sent{})
	if err != nil || !sent.Acked {
		return nil, sent, err
	}
	var answer struct {
		Options []choice `json:"options"`
	}
	if err := json.Unmarshal(sent.Answer, &answer); err != nil {
		return nil, sent, fmt.Errorf("the choices: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(sent.Answer) >= maxAnswer || len(answer.Options) > maxOptions {
		s.note("%d choices in %d bytes, which Slack drops", len(answer.Options), len(sent.Answer))
	}
	var offered []string
	for _, o := range answer.Options {
		if !o.fits() || slices.Contains(offered, o.Value) {
			s.note("a choice that Slack does not take: %+v", o)
		}
		offered = append(offered, o.Value)
	}
	return offered, sent, nil
}

// Submit fills in a form and sends it. values are by block id and action id:
// "command/line"; what is not among them stays as the form came. A value is text
// for an input and the chosen value for a menu. As in Slack, a form that lacks
// what is required is not sent.
func (s *Server) Submit(ctx context.Context, w Way, v View, values map[string]string) (Sent, error) {
	all := v.Entered()
	for name, value := range values {
		if _, there := all[name]; !there {
			return Sent{}, fmt.Errorf("the form has no input %q: %s", name, v.Raw)
		}
		all[name] = value
	}
	for _, b := range inputs(v.Raw) {
		var e input
		if json.Unmarshal(b.Element, &e) == nil && !b.Optional && all[b.BlockID+"/"+e.ActionID] == "" {
			return Sent{}, fmt.Errorf("the form needs %s, and cannot be sent without", b.BlockID)
		}
	}
	return s.Forge(ctx, w, v, values)
}

// Forge sends a form with values that its inputs may not have.
func (s *Server) Forge(ctx context.Context, w Way, v View, values map[string]string) (Sent, error) {
	s.mu.Lock()
	trig := s.newTrigger(v.User)
	s.mu.Unlock()
	payload := map[string]any{"type": "view_submission", "trigger_id": trig, "view": s.viewOf(v, values), "response_urls": []any{}}
	sent, err := s.interaction(ctx, w, v.User, payload, Sent{ID: trig, Trigger: trig})
	if err != nil || !sent.Acked {
		return sent, err
	}
	var answer struct {
		Action string            `json:"response_action"`
		View   json.RawMessage   `json:"view"`
		Errors map[string]string `json:"errors"`
	}
	if len(sent.Answer) > 0 {
		if err := json.Unmarshal(sent.Answer, &answer); err != nil {
			return sent, fmt.Errorf("the answer to the form: %w", err)
		}
	}
	sent.Errors = answer.Errors
	s.mu.Lock()
	defer s.mu.Unlock()
	shown := s.views[v.ID]
	switch answer.Action {
	case "errors":
		if len(answer.Errors) == 0 {
			s.note("a form was answered with no errors as errors")
		}
		for id, say := range answer.Errors {
			if say == "" || !slices.ContainsFunc(inputs(v.Raw), func(b block) bool { return b.BlockID == id }) {
				s.note("a form was answered with the error %q at %q, which is no input of it", say, id)
			}
		}
	case "update":
		if code := checkView(string(answer.View)); code != "" {
			s.note("a form was answered with a view that is %s", code)
		} else if shown != nil {
			s.keepView(shown, string(answer.View))
		}
	case "", "clear":
		if shown != nil {
			shown.Closed = true
		}
		s.announce()
	default:
		s.note("a form was answered with the action %q", answer.Action)
	}
	return sent, nil
}

// Dismiss closes a form without sending it.
func (s *Server) Dismiss(ctx context.Context, w Way, v View) (Sent, error) {
	s.mu.Lock()
	if shown := s.views[v.ID]; shown != nil {
		shown.Closed = true
	}
	s.mu.Unlock()
	return s.interaction(ctx, w, v.User, map[string]any{"type": "view_closed", "view": s.viewOf(v, nil), "is_cleared": false}, Sent{})
}

// Line types a slash command. Where that opens a form, it is closed and the line
// said again in a mention, which is answered as it stands; Trigger is "" then.
func (s *Server) Line(ctx context.Context, w Way, user, channel, text string) (Sent, error) {
	sent, err := s.Slash(ctx, w, user, channel, text)
	if err != nil || !sent.Acked {
		return sent, err
	}
	for _, v := range s.Views(user) {
		if v.Type != "modal" || v.Closed {
			continue
		}
		if sent, err := s.Dismiss(ctx, w, v); err != nil || !sent.Acked {
			return sent, err
		}
		return s.Mention(ctx, w, user, channel, text, "")
	}
	return sent, nil
}

// OpenHome opens the bot's App Home.
func (s *Server) OpenHome(ctx context.Context, w Way, user string) (Sent, error) {
	s.mu.Lock()
	channel := s.direct(user)
	s.mu.Unlock()
	return s.Event(ctx, w, "", map[string]any{"type": "app_home_opened", "user": user, "channel": channel, "tab": "home", "event_ts": "1790000000.1"})
}

// Home waits for a user's App Home for which ok holds.
func (s *Server) Home(ctx context.Context, user, what string, ok func(View) bool) (View, error) {
	var got View
	err := s.Until(ctx, what, func() bool {
		for _, v := range s.Views(user) {
			if v.Type == "home" && ok(v) {
				got = v
				return true
			}
		}
		return false
	})
	return got, err
}

// Form waits for a form that a user has open, the newest.
func (s *Server) Form(ctx context.Context, user string) (View, error) {
	var got View
	err := s.Until(ctx, "a form of "+user, func() bool {
		for _, v := range s.Views(user) {
			if v.Type == "modal" {
				got = v
			}
		}
		return got.ID != ""
	})
	return got, err
}
