package slackchat

import (
	"context"
	"encoding/json"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"quarterdeck/bot"
)

// Slack's limits of forms, in characters, and what is used of them
// (docs.slack.dev/reference/views and /reference/block-kit).
const (
	maxHeading     = 24 // of the title and the buttons of a form
	maxInputLabel  = 150
	maxHint        = 300
	maxAbove       = 1000 // of the text above the inputs
	maxOptionText  = 75   // and of an option's value
	maxOptions     = 100
	maxEntry       = 3000
	maxFaultText   = 300
	maxInputBlocks = 60
	// maxReply bounds what is said with an acknowledgement, in bytes. Slack drops
	// one of 20,480 without a word; its envelope needs some of that.
	maxReply = 19000
	// openWithin bounds the call that opens a form: the trigger is good for three
	// seconds, and where it fails the message still has to be kept and acknowledged,
	// for which keepWithin is left.
	openWithin = 1200 * time.Millisecond
	keepWithin = time.Second

	formCallback = "form"
	entryAction  = "entry"
)

// What is done with a view.
const (
	viewSubmitted = "submitted"
	viewSuggests  = "suggests"
	viewHome      = "home"
)

// viewing is what of a payload is about a view. Of what the payload says about a
// form, the token and the entries alone are read; what the form is, and whose, is
// in the bot's own record.
type viewing struct {
	what   string
	token  string
	first  string            // the first input of the form
	values map[string]string // what is entered, by input
	input  string            // that choices are wanted for
	typed  string
}

// view is a view as payloads show it.
type view struct {
	ID         string `json:"id"`
	Type       string `json:"type"`
	CallbackID string `json:"callback_id"`
	Private    string `json:"private_metadata"`
	Blocks     []struct {
		Type    string `json:"type"`
		BlockID string `json:"block_id"`
	} `json:"blocks"`
	State struct {
		Values map[string]map[string]struct {
			Value          string `json:"value"`
			SelectedOption *struct {
				Value string `json:"value"`
			} `json:"selected_option"`
			SelectedOptions []struct {
				Value string `json:"value"`
			} `json:"selected_options"`
		} `json:"values"`
	} `json:"state"`
}

// entered gives what is entered by input.
func (v view) entered() map[string]string {
	values := map[string]string{}
	for input, actions := range v.State.Values {
		e := actions[entryAction]
		switch {
		case e.SelectedOption != nil:
			values[input] = e.SelectedOption.Value
		case len(e.SelectedOptions) > 0:
			values[input] = e.SelectedOptions[0].Value
		default:
			values[input] = e.Value
		}
	}
	return values
}

// viewed makes of a form that is sent, or of a pick that wants choices, what is to
// be done; ok is false for any other payload, such as a form that is closed.
func (p interaction) viewed() (m incoming, ok bool) {
	if p.View.CallbackID != formCallback || len(p.View.State.Values) > maxInputBlocks {
		return m, false
	}
	m = incoming{team: p.team(), enterprise: p.Enterprise.ID, user: p.User.ID,
		view: &viewing{token: p.View.Private, values: p.View.entered()}}
	for _, b := range p.View.Blocks {
		if b.Type == "input" && m.view.first == "" {
			m.view.first = b.BlockID
		}
	}
	switch p.Type {
	case "view_submission":
		// Whatever is delivered again, or sent by a second tap, is of the same view.
		m.id, m.view.what = once("form", p.View.ID+" "+p.View.Private), viewSubmitted
		return m, p.View.ID != ""
	case "block_suggestion":
		m.view.what, m.view.input, m.view.typed = viewSuggests, p.BlockID, p.Value
		return m, p.ActionID == entryAction
	}
	return m, false
}

// shortcut makes a message of the shortcut on a message, which is answered in
// that message's thread. What the message says is not read: others wrote it.
func (p interaction) shortcut() (m incoming, ok bool) {
	thread := p.Message.ThreadTS
	if thread == "" {
		thread = p.Message.TS
	}
	if thread == "" {
		thread = p.MessageTS
	}
	return incoming{id: once("shortcut", p.TriggerID), team: p.team(), enterprise: p.Enterprise.ID, user: p.User.ID, channel: p.Channel.ID, thread: thread,
		hook: p.ResponseURL, trigger: p.TriggerID}, p.CallbackID == askShortcut && p.TriggerID != ""
}

// asks opens the form that m lacks something for, and reports whether there is
// one now. Where a form cannot be opened m is answered as if there were none.
func (s *chat) asks(ctx context.Context, p incoming, m bot.Message) bool {
	if p.trigger == "" || s.o.Forms == nil {
		return false
	}
	f, needed := s.o.Forms.Form(ctx, m)
	if !needed {
		return false
	}
	api, err := s.client()
	if err == nil {
		within := openWithin
		if due, ok := ctx.Deadline(); ok {
			within = min(within, time.Until(due)-keepWithin)
		}
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		_, err = api.OpenViewContext(ctx, p.trigger, formView(f))
	}
	switch c := code(err); {
	case err == nil:
	case c == "exchanged_trigger_id":
		// The same payload came twice, and the other one has opened the form.
		return true
	default:
		if c == "" {
			c = "no answer" // the error itself may hold what was sent
		}
		s.logger().Warn("a form could not be opened", "message", m.ID, "why", c)
		return false
	}
	if p.hook != "" {
		s.answers.keep(formHook(f.Token), p.hook)
	}
	return true
}

// formHook is what the response URL of what opened a form is remembered by.
func formHook(token string) string { return "form " + token }

// move has what answers one message answer another.
func (a *answers) move(from, to string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if h := a.by[from]; h != nil {
		delete(a.by, from)
		a.by[to] = h
	}
}

// formView draws a form.
func formView(f bot.Form) slack.ModalViewRequest {
	v := slack.ModalViewRequest{Type: slack.VTModal, CallbackID: formCallback, PrivateMetadata: f.Token, Title: shown(orElse(f.Title, "Quarterdeck"), maxHeading),
		Submit: shown(orElse(f.Submit, "Send"), maxHeading), Close: shown("Cancel", maxHeading)}
	if t := plain(f.Text); t != "" {
		v.Blocks.BlockSet = append(v.Blocks.BlockSet, slack.NewSectionBlock(shown(t, maxAbove), nil, nil))
	}
	for _, in := range f.Inputs[:min(len(f.Inputs), maxInputBlocks)] {
		b := slack.NewInputBlock(in.Name, shown(orElse(in.Label, in.Name), maxInputLabel), nil, inputElement(in))
		if h := plain(in.Hint); h != "" {
			b.Hint = shown(h, maxHint)
		}
		b.Optional = in.Optional || in.Kind == bot.InputSwitch
		v.Blocks.BlockSet = append(v.Blocks.BlockSet, b)
	}
	return v
}

// shown is text that is shown as it is, within a limit.
func shown(s string, most int) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.PlainTextType, fitted(plain(s), most), false, false)
}

// fitted is cut for limits that Slack applies to what is escaped.
func fitted(s string, most int) string {
	for n := most; ; n -= max(1, (length(s)-most)/5) {
		if s = cut(s, n); length(s) <= most {
			return s
		}
	}
}

func inputElement(in bot.Input) slack.BlockElement {
	switch {
	case in.Kind == bot.InputPick && (in.Value == "" || selectable(in.Value)):
		e := slack.NewOptionsSelectBlockElement(slack.OptTypeExternal, shown("choose, or type", maxOptionText), entryAction)
		none := 0 // what there is is shown before anything is typed
		e.MinQueryLength = &none
		if in.Value != "" {
			e.InitialOption = option(in.Value)
		}
		return e
	case in.Kind == bot.InputSwitch:
		e := slack.NewCheckboxGroupsBlockElement(entryAction, slack.NewOptionBlockObject("true", shown("yes", maxOptionText), nil))
		if in.Value == "true" {
			e.InitialOptions = e.Options
		}
		return e
	}
	e := &slack.PlainTextInputBlockElement{Type: slack.METPlainTextInput, ActionID: entryAction, MaxLength: maxEntry}
	// What cannot be shown as it is is left out: shortened, it would say something else.
	if in.Kind != bot.InputCode && utf8.RuneCountInString(in.Value) <= maxEntry && plain(in.Value) == in.Value {
		e.InitialValue = in.Value
	}
	return e
}

// selectable reports whether a value can be an option of a menu, which shows
// whole what it stands for.
func selectable(value string) bool {
	return value != "" && utf8.RuneCountInString(value) <= maxOptionText && length(value) <= maxOptionText && plain(value) == value
}

func option(value string) *slack.OptionBlockObject {
	return slack.NewOptionBlockObject(value, shown(value, maxOptionText), nil)
}

// formed takes what is done with a view.
func (s *chat) formed(ctx context.Context, in bot.Inbound, p incoming) taken {
	if s.o.Forms == nil {
		return taken{}
	}
	who := s.message(ctx, p)
	e := bot.Entry{Token: p.view.token, Account: who.Account, Standing: who.Standing, ID: who.ID, Values: p.view.values}
	if p.view.what == viewSuggests {
		return taken{reply: options(s.o.Forms.Choices(ctx, e, p.view.input, p.view.typed, maxOptions))}
	}
	m, faults, err := s.o.Forms.Entered(ctx, e)
	switch kind := bot.KindOf(err); {
	case kind == bot.NotFound || kind == bot.Denied:
		s.logger().Warn("a form was not taken", "account", e.Account, "why", kind)
		return taken{reply: told("Not run", bot.Sentence(err, who.ID))}
	case err != nil:
		s.logger().Error("a form could not be taken", "message", e.ID, "err", err)
		return taken{again: true, reply: p.view.faults(map[string]string{"": sorry})}
	case len(faults) > 0:
		return taken{reply: p.view.faults(faults)}
	}
	s.answers.move(formHook(e.Token), m.ID)
	s.answers.from(m.ID, p.user)
	if _, err := in.Receive(ctx, m); err != nil {
		s.logger().Error("a message could not be kept", "message", m.ID, "err", err)
		return taken{again: true, reply: p.view.faults(map[string]string{"": sorry})}
	}
	return taken{reply: map[string]any{"response_action": "clear"}}
}

// faults says what is wrong beside each input. What is of none is said at the
// first.
func (v viewing) faults(by map[string]string) any {
	said := map[string]string{}
	for input, fault := range by {
		if input == "" || v.values == nil {
			input = v.first
		} else if _, there := v.values[input]; !there {
			input = v.first
		}
		said[input] = cut(plain(fault), maxFaultText)
	}
	return map[string]any{"response_action": "errors", "errors": said}
}

// told puts a sentence in the place of a form.
func told(title, say string) any {
	return map[string]any{"response_action": "update", "view": slack.ModalViewRequest{Type: slack.VTModal, Title: shown(title, maxHeading), Close: shown("Close", maxHeading),
		Blocks: slack.Blocks{BlockSet: []slack.Block{slack.NewSectionBlock(shown(say, maxAbove), nil, nil)}}}}
}

// options gives the choices of a menu, as many as an acknowledgement holds.
func options(values []string) any {
	list, size := []*slack.OptionBlockObject{}, 0
	for _, v := range values {
		if !selectable(v) || len(list) >= maxOptions || slices.ContainsFunc(list, func(o *slack.OptionBlockObject) bool { return o.Value == v }) {
			continue
		}
		o := option(v)
		raw, err := json.Marshal(o)
		if size += len(raw) + 1; err != nil || size > maxReply {
			break
		}
		list = append(list, o)
	}
	return map[string]any{"options": list}
}
