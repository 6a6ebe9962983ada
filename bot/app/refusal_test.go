package app_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/app"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/commands"
)

// surface is every command there is; none of them is run.
func surface() []bot.Command { return commands.All(app.CommandNeeds{}) }

// value gives a right argument of every type, as it may be typed.
func value(t *testing.T, p bot.Param) string {
	t.Helper()
	switch p.Type {
	case bot.TypeService:
		return "shop"
	case bot.TypeEnvironment:
		return "staging"
	case bot.TypeVersion:
		return "v2"
	case bot.TypeRun, bot.TypeCount:
		return "1"
	case bot.TypePerson:
		return "dev"
	case bot.TypeChoice:
		return p.Choices[0]
	case bot.TypeDuration:
		return "1h"
	case bot.TypeText, bot.TypeLine, bot.TypeWords:
		return "deploy"
	case bot.TypeCode:
		return "123456"
	}
	t.Fatalf("no value is known for arguments of type %s", p.Type)
	return ""
}

// typed gives a line with all of a command's arguments and options.
func typed(t *testing.T, c bot.Command) string {
	t.Helper()
	words := []string{c.Name}
	for _, p := range c.Options {
		if p.Type == bot.TypeFlag {
			words = append(words, "--"+p.Name)
			continue
		}
		words = append(words, "--"+p.Name, value(t, p))
	}
	for _, p := range c.Params {
		words = append(words, value(t, p))
	}
	return strings.Join(words, " ")
}

// waiting makes run 1 a deployment that waits for the confirmation of dev, and
// gives its buttons.
func (w *world) waiting() []bot.Button {
	w.t.Helper()
	p := w.gets(w.Dev, "deploy shop v2 prod", bot.OutcomeWaiting)
	if p.Card.Run != 1 || len(p.Card.Buttons) == 0 {
		w.t.Fatalf("dev asked and got %+v", p.Card)
	}
	return p.Card.Buttons
}

// untouched checks that run 1 alone is there, waits still, and that the
// platform was left alone.
func (w *world) untouched() {
	w.t.Helper()
	if got := w.runs(); !slices.Equal(got, []bot.RunState{bot.Waiting}) {
		w.t.Errorf("runs are %v, want the one that waits", got)
	}
	if got := effects(w.far); len(got) != 0 {
		w.t.Errorf("the platform was made to do %q", got)
	}
	if s := w.output.String(); strings.Contains(s, "level=ERROR") {
		w.t.Errorf("errors in the log:\n%s", s)
	}
	w.violations()
}

// denied checks a refusal: said to be one, to the asker alone.
func (w *world) denied(a bot.AccountID, what string, p bottest.Post) {
	w.t.Helper()
	if p.Card.Outcome != bot.OutcomeDenied || !strings.HasPrefix(p.Card.Title, "denied: ") || p.Card.Run != 0 || len(p.Card.Buttons) > 0 {
		w.t.Errorf("%s: %q was answered %q %q, outcome %q", a, what, p.Card.Title, p.Card.Text, p.Card.Outcome)
	}
	if p.To != a {
		w.t.Errorf("%s: the refusal of %q is shown to %q", a, what, p.To)
	}
}

// TestStandingsRunNothing has the account of a declared developer try every
// command and every button while its network vouches for it as less than a
// member. It is refused with one sentence, whatever it tried.
func TestStandingsRunNothing(t *testing.T) {
	for standing, sentence := range map[bot.Standing]string{
		bot.Guest:     "denied: guests may not run anything here",
		bot.External:  "denied: people from outside may not run anything here",
		bot.Automated: "denied: other bots may not run anything here",
		bot.Disabled:  "denied: account disabled",
		bot.Unvouched: "denied: the chat network does not vouch for this account",
		"bishop":      "denied: the chat network does not vouch for this account",
	} {
		for name, n := range map[string]network{"friendly": friendly, "hostile": hostile} {
			if name == "hostile" && standing != bot.Guest {
				continue // the network's faults do not differ by whom it vouches for
			}
			t.Run(fmt.Sprintf("%s/%s", name, orUnvouched(standing)), func(t *testing.T) {
				t.Parallel()
				w := start(t, n, providertest.NewFriendly)
				buttons := w.waiting()
				before := len(w.records())
				w.x.SetStanding(w.Dev, standing)
				tried := 0
				for _, c := range surface() {
					line := typed(t, c)
					p := w.says(w.Dev, line)
					w.denied(w.Dev, line, p)
					if p.Card.Title != sentence || p.Card.Text != "" {
						t.Errorf("%q was answered %q %q, want %q", line, p.Card.Title, p.Card.Text, sentence)
					}
					tried++
				}
				for _, b := range buttons {
					said, err := w.x.Press(t.Context(), w.Dev, b.Token)
					if err != nil {
						t.Fatal(err)
					}
					if p := w.answer(said.ID); p.Card.Title != sentence {
						t.Errorf("the button %q was answered %q", b.Line, p.Card.Title)
					}
					tried++
				}
				recorded := 0
				for _, r := range w.records()[before:] {
					if r.Kind == bot.DeniedRecord && r.Standing == standing && r.Person == "dev" && r.Account == w.Dev {
						recorded++
					} else if r.Account != "" {
						t.Errorf("recorded as %s by %q %s %q", r.Kind, r.Standing, r.Account, r.Person)
					}
				}
				if recorded < tried { // a hostile network has every button pressed twice
					t.Errorf("%d of %d refusals are on record", recorded, tried)
				}
				w.untouched()
			})
		}
	}
}

func orUnvouched(s bot.Standing) bot.Standing {
	if s == bot.Unvouched {
		return "unvouched"
	}
	return s
}

// TestEditsAndPreviewsRunNothing has every command come as an edit of an
// earlier message and as a link preview that quotes it, and every button as a
// press that is marked as an edit. Nothing comes of it: no answer, no record.
func TestEditsAndPreviewsRunNothing(t *testing.T) {
	t.Parallel()
	w := start(t, friendly, providertest.NewFriendly)
	buttons := w.waiting()
	before, posts := len(w.records()), len(w.x.Posts())
	n := 0
	send := func(by bot.Standing, text, press string) {
		t.Helper()
		n++
		m := bot.Message{ID: fmt.Sprintf("x:edit:%d", n), Account: w.Dev, Standing: by, Channel: "x:main", Text: text, Press: press,
			Edited: true, Received: w.clock.Now()}
		r, err := w.x.Send(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		if !r.Duplicate {
			t.Errorf("the edit to %q is to be answered: %+v", text+press, r)
		}
	}
	for _, by := range []bot.Standing{bot.Member, bot.Automated} {
		for _, c := range surface() {
			send(by, typed(t, c), "")
		}
		for _, b := range buttons {
			send(by, "", b.Token)
		}
	}
	// The answer to a later question shows that all of it has been looked at.
	w.gets(w.SRE, "whoami", bot.OutcomeOK)
	if got := w.records()[before:]; len(got) != 1 || got[0].Verb != "whoami" {
		t.Errorf("%d records came of it: %+v", len(got)-1, got)
	}
	for _, p := range w.x.Posts()[posts:] {
		if p.Channel == "x:main" && p.Card.Title != "you are sre" {
			t.Errorf("it was answered %q %q", p.Card.Title, p.Card.Text)
		}
	}
	w.untouched()
}

// TestStrangersLearnNothing has an account that nobody declared type what is
// there and what is not, right and wrong. One answer fits all.
func TestStrangersLearnNothing(t *testing.T) {
	t.Parallel()
	w := start(t, friendly, providertest.NewFriendly)
	buttons := w.waiting()
	lines := []string{"", " ", "deplyo shop v2 staging", "warehouse", "deploy warehouse v2 staging", "deploy shop v9 moon", "deploy shop",
		"deploy --nope", "confirm 99", "help deplyo", "can deploy shop v2 prod", "help", `deploy "shop`, "deploy sh\x00op v2 staging",
		strings.Repeat("status ", 1000), "deploy shop v2 staging --dry-run", "Deploy Shop V2 Staging"}
	for _, c := range surface() {
		lines = append(lines, c.Name, typed(t, c))
	}
	const sentence = "denied: the account x:stranger belongs to no declared person; ask whoever runs this bot to add it"
	for _, line := range lines {
		said, err := w.x.Say(t.Context(), w.Stranger, line)
		if err != nil {
			t.Fatal(err)
		}
		if !said.Receipt.Private {
			t.Errorf("%.60q is acknowledged for everybody to see", line)
		}
		p := w.answer(said.ID)
		w.denied(w.Stranger, line, p)
		if got := shown(p.Card); strings.TrimSpace(got) != sentence {
			t.Errorf("%.60q was answered %q, want %q", line, got, sentence)
		}
	}
	for _, b := range buttons {
		said, err := w.x.Press(t.Context(), w.Stranger, b.Token)
		if err != nil {
			t.Fatal(err)
		}
		if p := w.answer(said.ID); p.Card.Title != sentence {
			t.Errorf("the button %q was answered %q", b.Line, p.Card.Title)
		}
	}
	w.untouched()
}

// self are the commands that only speak of the asker; they answer everybody
// who is declared.
var self = []string{"help", "whoami", "can", "totp enrol", "totp confirm"}

// TestWithoutAnyGrant has a declared person who was granted nothing try every
// command: it is denied, or shows that there is nothing.
func TestWithoutAnyGrant(t *testing.T) {
	const trainee = bot.AccountID("x:trainee")
	t.Parallel()
	w := start(t, friendly, providertest.NewFriendly)
	w.waiting()
	w.gets(w.Dev, "confirm 1", bot.OutcomeWaiting)
	for _, c := range surface() {
		if slices.Contains(self, c.Name) {
			continue
		}
		line := typed(t, c)
		if c.Answer != nil && !c.Posts { // whether there is such a run is not theirs to know
			if p := w.gets(trainee, line, bot.OutcomeInvalid); p.Card.Title != "there is no run #1; type runs to see which there are" {
				t.Errorf("%s was answered %q", line, p.Card.Title)
			}
			continue
		}
		w.denied(trainee, line, w.says(trainee, line))
	}
	for _, c := range surface() {
		if slices.Contains(self, c.Name) || c.Permission == bot.MayAskSelf {
			continue
		}
		line := typed(t, c)
		ask, err := c.Resolve(bot.Call{Args: bot.Args{"service": "shop", "environment": "staging"}})
		if err != nil {
			t.Fatal(err)
		}
		// What is checked target by target is known only when it is read.
		if ask.Permission != bot.MayAskSelf {
			if p := w.gets(trainee, "can "+line, bot.OutcomeOK); !strings.HasPrefix(p.Card.Title, "no: ") {
				t.Errorf("can %s was answered %q %q", line, p.Card.Title, p.Card.Text)
			}
		}
		// What is hidden is as if it were not there.
		first := strings.Fields(c.Name)[0]
		want := fmt.Sprintf("there is no command %q; type help to see what there is", first)
		if first == "totp" { // two of its verbs are everybody's
			want = `"totp" is not the whole command; write totp enrol or totp confirm`
		}
		if p := w.gets(trainee, "help "+c.Name, bot.OutcomeInvalid); p.Card.Title != want {
			t.Errorf("help %s was answered %q %q", c.Name, p.Card.Title, p.Card.Text)
		}
	}
	help := shown(w.gets(trainee, "help", bot.OutcomeOK).Card)
	for _, c := range surface() {
		if hidden := c.Permission != bot.MayAskSelf; hidden == strings.Contains(help, c.Summary) {
			t.Errorf("%s is hidden: %v, and help shows\n%s", c.Name, hidden, help)
		}
	}
	if p := w.gets(trainee, "whoami", bot.OutcomeOK); p.Card.Table != nil || p.To != trainee {
		t.Errorf("whoami shows %s to %q", shown(p.Card), p.To)
	}
	w.untouched()
}
