package discordchat

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
)

// modalData is a form as its JSON says it.
type modalData struct {
	Type int
	Data struct {
		CustomID   string `json:"custom_id"`
		Title      string
		Components []struct {
			Type                        int
			Content, Label, Description string
			Component                   *struct {
				Type      int
				CustomID  string `json:"custom_id"`
				Value     string
				Required  bool
				MaxLength int `json:"max_length"`
				Options   []struct {
					Label, Value string
					Default      bool
				}
			}
		}
	}
}

func opened(t fault, f bot.Form, pick func(string) []string) (d modalData, ok bool) {
	t.Helper()
	r, ok := modal(f, pick)
	if !ok {
		return d, false
	}
	conforms(t, "ModalInteractionCallbackRequest", r)
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatalf("%v", err)
	}
	if d.Type != 9 || d.Data.Title == "" || characters(d.Data.Title) > 45 || len(d.Data.Components) == 0 || len(d.Data.Components) > 5 {
		t.Errorf("a form that Discord refuses: %s", raw)
	}
	for _, c := range d.Data.Components {
		if c.Component == nil {
			if c.Type != 10 || c.Content == "" {
				t.Errorf("%s", raw)
			}
			continue
		}
		if c.Label == "" || characters(c.Label) > 45 || characters(c.Description) > 100 || characters(c.Component.Value) > 4000 || len(c.Component.Options) > 25 {
			t.Errorf("an input that Discord refuses: %+v", c)
		}
		defaults := 0
		for _, o := range c.Component.Options {
			if o.Label == "" || characters(o.Label) > 100 || o.Value == "" || characters(o.Value) > 100 {
				t.Errorf("an option that Discord refuses: %+v", o)
			}
			if o.Default {
				defaults++
			}
		}
		if defaults > 1 {
			t.Errorf("%d defaults", defaults)
		}
	}
	return d, true
}

// submit writes what Discord sends when a form is sent as it is shown, but for
// what is changed.
func submit(t fault, d modalData, change map[string]string) formData {
	t.Helper()
	var parts []map[string]any
	for i, c := range d.Data.Components {
		if c.Component == nil {
			parts = append(parts, map[string]any{"type": 10, "id": i})
			continue
		}
		in := map[string]any{"type": c.Component.Type, "custom_id": c.Component.CustomID, "id": 10 + i}
		v, changed := change[c.Component.CustomID]
		switch {
		case c.Component.Type == 3:
			values := []string{}
			for _, o := range c.Component.Options {
				if changed && o.Value == v || !changed && o.Default {
					values = append(values, o.Value)
				}
			}
			in["values"] = values
		case changed:
			in["value"] = v
		default:
			in["value"] = c.Component.Value
		}
		parts = append(parts, map[string]any{"type": 18, "id": i, "component": in})
	}
	raw, err := json.Marshal(map[string]any{"custom_id": d.Data.CustomID, "components": parts})
	if err != nil {
		t.Fatalf("%v", err)
	}
	var f formData
	if err := json.Unmarshal(raw, &f); err != nil {
		t.Fatalf("%v", err)
	}
	return f
}

func deployForm() bot.Form {
	return bot.Form{Token: "tok", Title: "Deploy", Text: "bring a version to an environment", Submit: "Deploy", Inputs: []bot.Input{
		{Name: "service", Label: "Service", Hint: "what to deploy", Kind: bot.InputPick, Value: "shop"},
		{Name: "version", Label: "Version", Kind: bot.InputPick},
		{Name: "environment", Label: "Environment", Kind: bot.InputPick},
		{Name: "dry-run", Label: "Dry run", Kind: bot.InputSwitch, Value: "true"},
		{Name: "reason", Label: "Reason", Kind: bot.InputText, Value: "kept", Optional: true}}}
}

// TestModal shows a form and reads what is entered back, also what it had no room
// for.
func TestModal(t *testing.T) {
	pick := func(input string) []string {
		switch input {
		case "service":
			return []string{"pay", "shop"}
		case "environment":
			return []string{"staging", "prod"}
		}
		return nil // versions cannot be told yet
	}
	f := deployForm()
	d, ok := opened(t, f, pick)
	if !ok || d.Data.CustomID != "form:tok" {
		t.Fatalf("%+v", d)
	}
	forms := newForms(bottest.NewClock(time.Now()))
	forms.keep(f)
	token, values, ok := submit(t, d, map[string]string{"version": "v2", "environment": "prod"}).entered()
	if !ok || token != "tok" {
		t.Fatalf("%q %v", token, values)
	}
	want := map[string]string{"service": "shop", "version": "v2", "environment": "prod", "dry-run": "true", "reason": "kept"}
	if got := forms.with(token, values); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	again, there := forms.again("tok")
	if !there || again.Inputs[1].Value != "v2" {
		t.Errorf("what was entered has to be typed again: %+v", again)
	}
	m := forms.faulted("tok", map[string]string{"version": "there is no v2", "": "and more"})
	if !strings.Contains(m.content, "Version: there is no v2") || !strings.Contains(m.content, "and more") {
		t.Errorf("%s", m.content)
	}
	s := asSent(t, m)
	if again, ok := reopens(s.Components[0].Components[0].CustomID); !ok || again != "tok" {
		t.Errorf("%+v", s.Components)
	}
	forms.drop("tok")
	if m := forms.faulted("tok", map[string]string{"version": "gone"}); m.components != nil || !strings.Contains(m.content, "Send the command again") {
		t.Errorf("%+v", m)
	}
	// Rows, as of a client that knows no labels.
	var old formData
	if err := json.Unmarshal([]byte(`{"custom_id":"form:tok","components":[{"type":1,"components":[{"type":4,"custom_id":"code","value":"123456"}]},{"type":99,"component":{"type":77}}]}`), &old); err != nil {
		t.Fatal(err)
	}
	if _, values, ok := old.entered(); !ok || values["code"] != "123456" {
		t.Errorf("%v", values)
	}
	for _, id := range []string{"", "form:", "press:x", "again:tok"} {
		if _, _, ok := (formData{CustomID: id}).entered(); ok {
			t.Errorf("%q is a form", id)
		}
	}
}

// TestCodesAreNotKept forgets a one-time code that was entered: not even the form
// that is opened again has it.
func TestCodesAreNotKept(t *testing.T) {
	forms := newForms(bottest.NewClock(time.Now()))
	f := bot.Form{Token: "tok", Title: "Second factor", Inputs: []bot.Input{{Name: "code", Label: "One-time code", Kind: bot.InputCode, Value: "999999"}}}
	forms.keep(f)
	if got := forms.with("tok", map[string]string{"code": "123456"}); got["code"] != "123456" {
		t.Errorf("%v", got)
	}
	if fmt.Sprint(forms.by) == "" || strings.Contains(fmt.Sprint(forms.by), "123456") {
		t.Errorf("the code is kept: %v", forms.by)
	}
	again, _ := forms.again("tok")
	if d, _ := opened(t, again, nil); d.Data.Components[0].Component.Value != "" {
		t.Errorf("%+v", d)
	}
}

// TestFormsAreForgotten bounds what is remembered of forms, by time and by number.
func TestFormsAreForgotten(t *testing.T) {
	clock := bottest.NewClock(time.Now())
	forms := newForms(clock)
	for i := range 3 * maxForms {
		forms.keep(bot.Form{Token: fmt.Sprint(i)})
	}
	if len(forms.by) > maxForms {
		t.Errorf("%d forms are kept", len(forms.by))
	}
	forms.keep(bot.Form{Token: "tok"})
	clock.Advance(formLife + time.Second)
	if _, there := forms.again("tok"); there {
		t.Error("a form is opened again after it expired")
	}
}

// TestEveryFormFits draws forms of every shape: each is within every limit, and what
// is entered comes back as it was.
func TestEveryFormFits(t *testing.T) {
	all := evils()
	var texts []string
	for _, s := range all {
		texts = append(texts, s)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := func(label string) string { return rapid.SampledFrom(append(texts, "", "shop", "v2")).Draw(t, label) }
		f := bot.Form{Token: "tok", Title: text("title"), Text: text("text")}
		needed := 0
		for i := range rapid.IntRange(0, 9).Draw(t, "inputs") {
			in := bot.Input{Name: fmt.Sprintf("in-%d", i), Label: text("label"), Hint: text("hint"), Value: text("value"), Optional: rapid.Bool().Draw(t, "optional"),
				Kind: rapid.SampledFrom([]bot.InputKind{bot.InputText, bot.InputPick, bot.InputSwitch, bot.InputCode}).Draw(t, "kind")}
			if !in.Optional && in.Kind != bot.InputSwitch {
				needed++
			}
			f.Inputs = append(f.Inputs, in)
		}
		choices := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", strings.Repeat("x", 101), ""}), 0, 3).Draw(t, "choices")
		pick := func(string) (unique []string) {
			seen := map[string]bool{}
			for _, c := range choices {
				if !seen[c] {
					unique = append(unique, c)
				}
				seen[c] = true
			}
			return unique
		}
		d, ok := opened(t, f, pick)
		if ok != (len(f.Inputs) > 0 && needed <= 5) {
			t.Fatalf("%d inputs, %d needed: %v", len(f.Inputs), needed, ok)
		}
		if !ok {
			return
		}
		shown := 0
		for _, c := range d.Data.Components {
			if c.Component != nil && c.Component.Required {
				shown++
			}
		}
		if shown != needed {
			t.Fatalf("%d of %d needed inputs are shown", shown, needed)
		}
		if _, _, ok := submit(t, d, nil).entered(); !ok {
			t.Fatalf("what is sent is no form")
		}
	})
}
