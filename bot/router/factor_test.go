package router_test

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/store"
)

// withStepUp asks for a second factor in prod.
const withStepUp = `rate = 1000
[auth]
totp_key = "file:totp.key"
[[require]]
permissions = ["deploy"]
targets = ["*/prod"]
step_up = true
[[grant]]
roles = ["sre"]
permissions = ["break-glass"]
targets = ["*/*"]`

// confiding is a network that can show something to one account alone.
type confiding struct {
	*bottest.FakeChat
	shown chan bot.Delivery
}

func (c *confiding) Confide(_ context.Context, d bot.Delivery) error {
	c.shown <- d
	return nil
}

var secretIn = regexp.MustCompile(`secret=([A-Z2-7]{32})`)

// phone is an authenticator.
type phone struct {
	w      *world
	secret string
}

// code gives the code so many steps from now.
func (p phone) code(t *testing.T, steps int64) string {
	t.Helper()
	code, err := hotp.GenerateCodeCustom(p.secret, uint64(p.w.clock.Now().Unix()/30+steps), hotp.ValidateOpts{Digits: otp.DigitsSix})
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// enrols gives the sre a phone, confirmed by the code of the step before.
func enrols(t *testing.T, w *world, talk *confiding) phone {
	t.Helper()
	said, err := talk.Say(t.Context(), "x:sre", "totp enrol")
	if err != nil {
		t.Fatal(err)
	}
	d := <-talk.shown
	if d.To != "x:sre" || d.Card.ReplyTo != said.ID {
		t.Fatalf("shown to %q, for %q", d.To, d.Card.ReplyTo)
	}
	p := phone{w, secretIn.FindStringSubmatch(d.Card.Link)[1]}
	w.gets(t, "x:sre", "totp confirm "+p.code(t, -1), bot.OutcomeOK)
	return p
}

// TestCodeAtTheDoor: a code is checked as its message is received, once however
// often that is delivered, and is not kept; what an adapter says of a factor is
// not believed.
func TestCodeAtTheDoor(t *testing.T) {
	t.Parallel()
	fake, now := friendly()
	talk := &confiding{fake, make(chan bot.Delivery, 8)}
	w := start(t, talk, now, withStepUp)
	p := enrols(t, w, talk)
	w.gets(t, "x:dev", "deploy shop v2 prod", bot.OutcomeWaiting)
	card := w.gets(t, "x:dev", "confirm", bot.OutcomeWaiting)
	send := func(m bot.Message) bot.Receipt {
		t.Helper()
		m.Account, m.Standing, m.Channel, m.Received = "x:sre", bot.Member, "x:main", now.Now()
		receipt, err := w.chat.Send(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		return receipt
	}
	send(bot.Message{ID: "x:lie", Text: "approve 1", Factor: bot.FactorTOTP})
	w.answer(t, "x:lie", bot.OutcomeDenied)
	press := bot.Message{Press: card.Card.Buttons[0].Token, On: card.Ref}
	if !w.app.NeedsCode(t.Context(), bot.Message{Account: "x:sre", Standing: bot.Member, Channel: "x:main", Press: press.Press}) {
		t.Error("no code is asked for a pressed button")
	}
	press.ID = "x:bare"
	send(press)
	w.answer(t, "x:bare", bot.OutcomeDenied)
	press.ID, press.Code = "x:form", p.code(t, 0)
	if send(press).Duplicate {
		t.Error("received before it was sent")
	}
	if !send(press).Duplicate {
		t.Error("received twice")
	}
	w.answer(t, "x:form", bot.OutcomeOK)
	if got := effects(w.far); !slices.Equal(got, []string{"shop/prod v2"}) {
		t.Errorf("effects are %q", got)
	}
	again := bot.Message{ID: "x:again", Text: "status --code " + press.Code}
	send(again)
	if a := w.answer(t, again.ID, bot.OutcomeDenied); !strings.Contains(a.Card.Title, "was used already") {
		t.Errorf("answered %q", a.Card.Title)
	}
	err := w.store(t).View(t.Context(), func(r store.Reader) error {
		for _, shelf := range store.Shelves() {
			bodies, err := r.Bodies(shelf, "", 1000)
			if err != nil {
				return err
			}
			for _, b := range bodies {
				for _, secret := range []string{p.secret, "otpauth", `"` + press.Code, " " + press.Code} {
					if strings.Contains(string(b.Value), secret) {
						t.Errorf("%s %q holds %q", shelf, b.ID, secret)
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestNeedsCodeOfALine: what a network with forms is told of lines.
func TestNeedsCodeOfALine(t *testing.T) {
	t.Parallel()
	fake, now := friendly()
	talk := &confiding{fake, make(chan bot.Delivery, 8)}
	w := start(t, talk, now, withStepUp)
	enrols(t, w, talk)
	w.gets(t, "x:dev", "deploy shop v2 prod", bot.OutcomeWaiting)
	w.gets(t, "x:dev", "confirm", bot.OutcomeWaiting)
	for _, c := range []struct {
		who  bot.AccountID
		line string
		want bool
	}{
		{"x:sre", "approve", true},
		{"x:sre", "approve 1", true},
		{"x:sre", "approve 1 --code 123456", false}, // it is there
		{"x:sre", "approve 2", false},
		{"x:sre", "deny 1", false},
		{"x:dev", "approve 1", false},
		{"x:guest", "approve 1", false},
		{"x:stranger", "approve 1", false},
		{"x:sre", `deploy shop v2 prod --break-glass "now"`, true},
		{"x:sre", `deploy shop v2 prod --break-glass "now" --dry-run`, false},
		{"x:sre", "deploy shop v2 prod", false}, // the approval brings it
		{"x:sre", "deploy shop v2 staging", false},
		{"x:sre", "rollback shop prod", false},
		{"x:sre", "totp confirm", true},
		{"x:sre", "totp enrol", true},
		{"x:dev", "totp enrol", false},
		{"x:sre", "status", false},
		{"x:sre", "no such line", false},
	} {
		m := bot.Message{Account: c.who, Standing: bot.Member, Channel: "x:main", Text: c.line}
		if c.who == "x:guest" {
			m.Standing = bot.Guest
		}
		if got := w.app.NeedsCode(t.Context(), m); got != c.want {
			t.Errorf("%s %q: %v", c.who, c.line, got)
		}
	}
}

// TestNoSecretWhereOthersRead: where nothing can be said to one account alone, no
// secret is made that could be seen.
func TestNoSecretWhereOthersRead(t *testing.T) {
	t.Parallel()
	talk, now := friendly()
	w := start(t, talk, now, withStepUp)
	a := w.gets(t, "x:sre", "totp enrol", bot.OutcomeDenied)
	if !strings.Contains(a.Card.Title, "nothing can be shown to you alone here") {
		t.Errorf("answered %q", a.Card.Title)
	}
	for _, post := range talk.Posts() {
		if strings.Contains(post.Card.Link, "otpauth") {
			t.Errorf("posted %+v", post)
		}
	}
	w.gets(t, "x:sre", "totp confirm 123456", bot.OutcomeFailed)
}
