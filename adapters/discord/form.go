package discordchat

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bwmarrin/discordgo"

	"quarterdeck/bot"
)

// Discord's limits of forms, in characters, and what is used of them
// (docs.discord.com/developers/components/reference).
const (
	maxHeading    = 45 // of the title of a form and the label of an input
	maxHint       = 100
	maxAbove      = 1000 // of the text above the inputs
	maxEntry      = 4000
	maxFormParts  = 5
	maxFormFaults = 1500

	formID  = "form:"  // what the id of a form begins with; its token follows
	againID = "again:" // of the button that opens a form again

	// formLife is how long what was entered into a form is remembered, so that it
	// can be corrected; the form itself expires by the bot's own record.
	formLife = 15 * time.Minute
	maxForms = 2000
)

// The components of a form that the library does not have yet: a label, which holds
// one input, and that input without a label of its own.
type (
	labelled struct {
		Kind        discordgo.ComponentType    `json:"type"`
		Label       string                     `json:"label"`
		Description string                     `json:"description,omitempty"`
		Component   discordgo.MessageComponent `json:"component"`
	}
	textInput struct {
		Kind        discordgo.ComponentType  `json:"type"`
		CustomID    string                   `json:"custom_id"`
		Style       discordgo.TextInputStyle `json:"style"`
		Value       string                   `json:"value,omitempty"`
		Placeholder string                   `json:"placeholder,omitempty"`
		Required    bool                     `json:"required"`
		MaxLength   int                      `json:"max_length"`
	}
	menu struct {
		Kind     discordgo.ComponentType `json:"type"`
		CustomID string                  `json:"custom_id"`
		Required bool                    `json:"required"`
		Options  []menuOption            `json:"options"`
	}
	menuOption struct {
		Label   string `json:"label"`
		Value   string `json:"value"`
		Default bool   `json:"default,omitempty"`
	}
	words struct {
		Kind    discordgo.ComponentType `json:"type"`
		Content string                  `json:"content"`
	}
)

const labelComponent discordgo.ComponentType = 18

func (l labelled) Type() discordgo.ComponentType  { return l.Kind }
func (l textInput) Type() discordgo.ComponentType { return l.Kind }
func (l menu) Type() discordgo.ComponentType      { return l.Kind }
func (l words) Type() discordgo.ComponentType     { return l.Kind }

// The library asks for these; without them it is what encoding/json does.
func (l labelled) MarshalJSON() ([]byte, error)  { type t labelled; return json.Marshal(t(l)) }
func (l textInput) MarshalJSON() ([]byte, error) { type t textInput; return json.Marshal(t(l)) }
func (l menu) MarshalJSON() ([]byte, error)      { type t menu; return json.Marshal(t(l)) }
func (l words) MarshalJSON() ([]byte, error)     { type t words; return json.Marshal(t(l)) }

// modal draws a form; pick gives the choices for an input, at most one more than a
// menu holds, and others are typed. ok is false where the form asks for more than
// Discord has room for: what is needed is on it, and of the rest the first.
func modal(f bot.Form, pick func(input string) []string) (r *discordgo.InteractionResponse, ok bool) {
	data := &discordgo.InteractionResponseData{CustomID: formID + f.Token, Title: orElse(cutPlain(bot.LegibleLine(f.Title), maxHeading), "Quarterdeck")}
	var needed, optional []bot.Input
	for _, in := range f.Inputs {
		if in.Optional || in.Kind == bot.InputSwitch {
			optional = append(optional, in)
		} else {
			needed = append(needed, in)
		}
	}
	if len(needed) > maxFormParts || len(f.Inputs) == 0 || len(data.CustomID) > maxCustomID {
		return nil, false
	}
	inputs := append(needed, optional...)
	room := maxFormParts
	if above := oneParagraph(f.Text); above != "" && len(needed) < maxFormParts {
		data.Components = append(data.Components, words{discordgo.TextDisplayComponent, escaped(cut(above, maxAbove))})
		room--
	}
	for _, in := range inputs[:min(len(inputs), room)] {
		l := labelled{Kind: labelComponent, Label: orElse(cutPlain(bot.LegibleLine(orElse(in.Label, in.Name)), maxHeading), "…"), Description: cutPlain(bot.LegibleLine(in.Hint), maxHint)}
		l.Component = inputElement(in, pick)
		data.Components = append(data.Components, l)
	}
	return &discordgo.InteractionResponse{Type: discordgo.InteractionResponseModal, Data: data}, true
}

func oneParagraph(s string) string { return strings.TrimSpace(bot.LegibleLines(s)) }

func inputElement(in bot.Input, pick func(input string) []string) discordgo.MessageComponent {
	required := !in.Optional && in.Kind != bot.InputSwitch
	switch in.Kind {
	case bot.InputSwitch:
		return menu{discordgo.SelectMenuComponent, in.Name, false, []menuOption{{Label: "no", Value: "false", Default: in.Value != "true"}, {Label: "yes", Value: "true", Default: in.Value == "true"}}}
	case bot.InputPick:
		var names []string
		if pick != nil {
			names = pick(in.Name)
		}
		if in.Value != "" && !slices.Contains(names, in.Value) {
			names = append([]string{in.Value}, names...)
		}
		if len(names) == 0 || len(names) > maxOptions || slices.ContainsFunc(names, func(s string) bool { return s == "" || plainLength(s) > maxChoice || bot.LegibleLine(s) != s }) {
			break
		}
		m := menu{discordgo.SelectMenuComponent, in.Name, required, nil}
		for _, name := range names {
			m.Options = append(m.Options, menuOption{Label: name, Value: name, Default: name == in.Value})
		}
		return m
	}
	t := textInput{Kind: discordgo.TextInputComponent, CustomID: in.Name, Style: discordgo.TextInputShort, Required: required, MaxLength: maxEntry}
	// What cannot be shown as it is is left out: shortened, it would say something else.
	if in.Kind != bot.InputCode && plainLength(in.Value) <= maxEntry && bot.LegibleLine(in.Value) == in.Value {
		t.Value = in.Value
	}
	return t
}

// formData is what an interaction says about a form that was sent.
type formData struct {
	CustomID   string          `json:"custom_id"`
	Components []formComponent `json:"components"`
}

type formComponent struct {
	CustomID   string          `json:"custom_id"`
	Value      string          `json:"value"`
	Values     []string        `json:"values"`
	Component  *formComponent  `json:"component"`  // of a label
	Components []formComponent `json:"components"` // of a row
}

// entered gives the token of a form and what was entered by input; ok is false for
// what is no form of the bot's. Which inputs count, and whose form it is, is in the
// bot's own record.
func (d formData) entered() (token string, values map[string]string, ok bool) {
	if token, ok = strings.CutPrefix(d.CustomID, formID); !ok || token == "" {
		return "", nil, false
	}
	values = map[string]string{}
	var take func(c formComponent, depth int)
	take = func(c formComponent, depth int) {
		if depth > 3 || len(values) > 2*maxFormParts {
			return
		}
		if c.Component != nil {
			take(*c.Component, depth+1)
		}
		for _, inner := range c.Components {
			take(inner, depth+1)
		}
		if c.CustomID == "" {
			return
		}
		values[c.CustomID] = c.Value
		if len(c.Values) > 0 {
			values[c.CustomID] = c.Values[0]
		}
	}
	for _, c := range d.Components {
		take(c, 0)
	}
	return token, values, true
}

// forms remembers the forms that were opened: what they had no room for, and what
// was entered into one that was not taken, so that nobody types it twice. It is in
// memory alone; after a restart a form has to be asked for again.
type forms struct {
	clock bot.Clock
	mu    sync.Mutex
	by    map[string]openForm
}

type openForm struct {
	form bot.Form
	at   time.Time
}

func newForms(clock bot.Clock) *forms { return &forms{clock: clock, by: map[string]openForm{}} }

// keep remembers a form.
func (o *forms) keep(f bot.Form) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.clock.Now()
	if len(o.by) >= maxForms {
		for token, open := range o.by {
			if now.Sub(open.at) > formLife {
				delete(o.by, token)
			}
		}
		if len(o.by) >= maxForms {
			clear(o.by)
		}
	}
	o.by[f.Token] = openForm{f, now}
}

// with gives what was entered together with what the form had no room to show, and
// remembers it. Codes are not remembered.
func (o *forms) with(token string, values map[string]string) map[string]string {
	o.mu.Lock()
	defer o.mu.Unlock()
	open, there := o.by[token]
	if !there {
		return values
	}
	open.form.Inputs = slices.Clone(open.form.Inputs)
	for i, in := range open.form.Inputs {
		v, given := values[in.Name]
		switch {
		case !given && in.Kind != bot.InputCode:
			values[in.Name] = in.Value
		case in.Kind != bot.InputCode:
			open.form.Inputs[i].Value = v
		}
	}
	o.by[token] = open
	return values
}

// again gives a form as it was filled in last.
func (o *forms) again(token string) (bot.Form, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	open, there := o.by[token]
	if !there || o.clock.Now().Sub(open.at) > formLife {
		delete(o.by, token)
		return bot.Form{}, false
	}
	return open.form, true
}

// drop forgets a form that was taken.
func (o *forms) drop(token string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.by, token)
}

// reopens reads the id of a component that opens a form again.
func reopens(customID string) (token string, ok bool) {
	token, ok = strings.CutPrefix(customID, againID)
	return token, ok && token != ""
}

// faulted says what is wrong with what was entered, and offers to correct it: a
// form that was sent is closed, and Discord opens none in answer to one.
func (o *forms) faulted(token string, faults map[string]string) message {
	var said []string
	f, there := o.again(token)
	seen := map[string]bool{}
	for _, in := range f.Inputs {
		if fault := faults[in.Name]; fault != "" {
			said = append(said, orElse(bot.LegibleLine(in.Label), in.Name)+": "+bot.LegibleLine(fault))
			seen[in.Name] = true
		}
	}
	for _, name := range sortedKeys(faults) {
		if !seen[name] && faults[name] != "" {
			said = append(said, bot.LegibleLine(faults[name]))
		}
	}
	m := message{content: escaped(cut("❌ "+strings.Join(said, "\n"), maxFormFaults))}
	if id := againID + token; there && len(id) <= maxCustomID {
		m.components = []discordgo.MessageComponent{discordgo.ActionsRow{Components: []discordgo.MessageComponent{
			discordgo.Button{Label: "Correct it", Style: discordgo.PrimaryButton, CustomID: id}}}}
	} else {
		m.content += "\nSend the command again."
	}
	m.bare = m.content
	return m
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
