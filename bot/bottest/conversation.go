package bottest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"quarterdeck/bot"
)

// Talker is the people's side of a chat network: FakeChat, HostileChat, or
// what a network's own tests make of a fake server.
type Talker interface {
	Say(ctx context.Context, a bot.AccountID, text string) (Said, error)
	Press(ctx context.Context, a bot.AccountID, token string) (Said, error)
	Edit(ctx context.Context, a bot.AccountID, text string) (Said, error)
	Redeliver(ctx context.Context, id string) (Said, error)
	// Wait gives the newest post for which ok holds, as soon as there is one.
	Wait(ctx context.Context, what string, ok func(Post) bool) (Post, error)
	Posts() []Post
}

var (
	_ Talker = (*FakeChat)(nil)
	_ Talker = (*HostileChat)(nil)
)

// World is one running bot, fresh, and the people who talk to it. It has the
// service shop in staging and prod, where v1 is live, v1 and v2 are releases,
// and v1 was live before v2. Staging needs nothing; prod needs the asker's
// confirmation and one approval from an sre, except for rollbacks.
type World struct {
	Chat Talker
	// Dev is a developer, who may deploy and roll back; SRE may approve as
	// well; Guest is the account of a declared developer for which the network
	// vouches only as a guest; Stranger is nobody's.
	Dev, SRE, Guest, Stranger bot.AccountID
	// Effects gives what was started at the platform, as the platform itself
	// noted it: "shop/staging v2" for whatever makes v2 live there. Oldest first.
	Effects func() ([]string, error)
}

// Conversation is one script. Run gives an error that says what went
// differently; it needs a World of its own.
type Conversation struct {
	Name string
	Run  func(ctx context.Context, w *World) error
}

// Conversations runs every conversation, each against a World that make gives.
// What a World needs to be taken down is for make to register with t.Cleanup.
func Conversations(t *testing.T, make func(t *testing.T) *World) {
	t.Helper()
	for _, c := range All() {
		t.Run(strings.ReplaceAll(c.Name, " ", "_"), func(t *testing.T) {
			w := make(t)
			if err := c.Run(t.Context(), w); err != nil {
				t.Error(err)
			}
			if h, ok := w.Chat.(interface{ Violations() []string }); ok {
				for _, v := range h.Violations() {
					t.Errorf("the bot broke a rule of the network: %s", v)
				}
			}
		})
	}
}

// All gives the conversations.
func All() []Conversation {
	return []Conversation{
		{"a question is answered", question},
		{"bad input gets a sentence", badInput},
		{"staging needs nothing", staging},
		{"prod needs a confirmation and another person", production},
		{"buttons act once", buttons},
		{"a denied run is over", deniedRun},
		{"a cancelled run never starts", cancelled},
		{"guests and strangers are refused", refusals},
		{"an edit runs nothing", edits},
		{"a message that comes again runs once", redelivery},
		{"the way back", wayBack},
	}
}

// script is one conversation under way: the first thing that goes wrong ends it.
type script struct {
	context.Context
	*World
}

// says has an account type a line and gives the answer.
func (s script) says(a bot.AccountID, line string) (Post, error) {
	said, err := s.Chat.Say(s, a, line)
	if err != nil {
		return Post{}, fmt.Errorf("%s says %q: %w", a, line, err)
	}
	p, err := s.answer(said.ID)
	if err != nil {
		return p, fmt.Errorf("%s says %q: %w", a, line, err)
	}
	return p, nil
}

// answer waits for the answer to a message to be settled, or to wait for a
// person.
func (s script) answer(id string) (Post, error) {
	return s.Chat.Wait(s, "the answer to "+id, func(p Post) bool { return Answers(p, id) })
}

// gets has an account type a line and expects the answer's outcome.
func (s script) gets(a bot.AccountID, line string, want bot.Outcome) (Post, error) {
	p, err := s.says(a, line)
	if err == nil && p.Card.Outcome != want {
		err = fmt.Errorf("%s says %q: got %s, want outcome %q", a, line, show(p), want)
	}
	return p, err
}

// effects expects exactly these effects at the platform.
func (s script) effects(when string, want ...string) error {
	got, err := s.Effects()
	if err != nil {
		return fmt.Errorf("effects %s: %w", when, err)
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("effects %s: got %q, want %q", when, got, want)
	}
	return nil
}

// settles waits for a run to end and expects the state.
func (s script) settles(number int64, want bot.RunState) (Post, error) {
	p, err := s.Chat.Wait(s, fmt.Sprintf("run %d to end", number), func(p Post) bool {
		return p.Card.Run == number && p.Card.State != "" && p.Card.State.Settled()
	})
	if err == nil && p.Card.State != want {
		err = fmt.Errorf("run %d ended as %s, want %q", number, show(p), want)
	}
	return p, err
}

// asks has dev ask for a deployment to prod and gives the card that waits.
func (s script) asks() (Post, error) {
	p, err := s.gets(s.Dev, "deploy shop v2 prod", bot.OutcomeWaiting)
	if err == nil && (p.Card.Run == 0 || p.Card.State != bot.Waiting) {
		err = fmt.Errorf("asked for prod, got %s, want a run that waits", show(p))
	}
	return p, err
}

func show(p Post) string {
	return fmt.Sprintf("%q %q (run %d %q, outcome %q)", p.Card.Title, p.Card.Text, p.Card.Run, p.Card.State, p.Card.Outcome)
}

func question(ctx context.Context, w *World) error {
	s := script{ctx, w}
	p, err := s.gets(w.Dev, "status shop prod", bot.OutcomeOK)
	if err != nil {
		return err
	}
	text, err := json.Marshal(p.Card)
	if err != nil {
		return err
	}
	if !strings.Contains(string(text), "v1") {
		return fmt.Errorf("status does not show v1, which is live: %+v", p.Card)
	}
	return s.effects("after a question")
}

func badInput(ctx context.Context, w *World) error {
	s := script{ctx, w}
	for line, hint := range map[string]string{
		"deplyo shop v2 staging": "deploy", "deploy shpo v2 staging": "shop", "deploy shop v2 stagign": "staging", "deploy shop": "deploy"} {
		p, err := s.gets(w.Dev, line, bot.OutcomeInvalid)
		if err != nil {
			return err
		}
		if !strings.Contains(p.Card.Title+p.Card.Text, hint) {
			return fmt.Errorf("%q is answered by %s, which does not point to %q", line, show(p), hint)
		}
	}
	return s.effects("after bad input")
}

func staging(ctx context.Context, w *World) error {
	s := script{ctx, w}
	p, err := s.gets(w.Dev, "deploy shop v2 staging", bot.OutcomeOK)
	if err != nil {
		return err
	}
	if p.Card.State != bot.Succeeded {
		return fmt.Errorf("deploying to staging gave %s", show(p))
	}
	return s.effects("after deploying to staging", "shop/staging v2")
}

func production(ctx context.Context, w *World) error {
	s := script{ctx, w}
	p, err := s.asks()
	if err != nil {
		return err
	}
	run := p.Card.Run
	if _, err := s.says(w.SRE, fmt.Sprintf("approve %d", run)); err != nil {
		return err // too early: nothing may come of it
	}
	if err := s.effects("before the confirmation"); err != nil {
		return err
	}
	if _, err := s.gets(w.Dev, fmt.Sprintf("confirm %d", run), bot.OutcomeWaiting); err != nil {
		return err
	}
	if _, err := s.gets(w.Dev, fmt.Sprintf("approve %d", run), bot.OutcomeDenied); err != nil {
		return err
	}
	if err := s.effects("after the asker tried to approve"); err != nil {
		return err
	}
	if _, err := s.gets(w.SRE, fmt.Sprintf("approve %d", run), bot.OutcomeOK); err != nil {
		return err
	}
	if _, err := s.settles(run, bot.Succeeded); err != nil {
		return err
	}
	if p, err = s.says(w.SRE, fmt.Sprintf("approve %d", run)); err != nil {
		return err
	}
	if p.Card.Outcome == bot.OutcomeOK {
		return fmt.Errorf("approving again was answered by %s", show(p))
	}
	return s.effects("at the end", "shop/prod v2")
}

func buttons(ctx context.Context, w *World) error {
	s := script{ctx, w}
	p, err := s.asks()
	if err != nil {
		return err
	}
	run, first := p.Card.Run, p.Card.Buttons
	confirm, err := button(p, "confirm")
	if err != nil {
		return err
	}
	if _, err := w.Chat.Press(ctx, w.Dev, confirm.Token); err != nil {
		return fmt.Errorf("press %q: %w", confirm.Label, err)
	}
	p, err = s.waitButton(run, "approve")
	if err != nil {
		return err
	}
	approve, err := button(p, "approve")
	if err != nil {
		return err
	}
	if _, err := w.Chat.Press(ctx, w.SRE, approve.Token); err != nil {
		return fmt.Errorf("press %q: %w", approve.Label, err)
	}
	if _, err := s.settles(run, bot.Succeeded); err != nil {
		return err
	}
	for _, old := range append(first, approve, bot.Button{Line: "nothing", Token: "made-up"}) {
		said, err := w.Chat.Press(ctx, w.SRE, old.Token)
		if err != nil {
			return fmt.Errorf("press the stale %q: %w", old.Line, err)
		}
		p, err := s.answer(said.ID)
		if err != nil {
			return fmt.Errorf("press the stale %q: %w", old.Line, err)
		}
		if p.Card.Outcome == bot.OutcomeOK {
			return fmt.Errorf("the stale button %q was answered by %s", old.Line, show(p))
		}
	}
	return s.effects("after all buttons", "shop/prod v2")
}

// waitButton waits for a card of the run that offers the verb.
func (s script) waitButton(run int64, verb string) (Post, error) {
	return s.Chat.Wait(s, fmt.Sprintf("run %d to offer %q", run, verb), func(p Post) bool {
		_, none := button(p, verb)
		return p.Card.Run == run && none == nil
	})
}

func button(p Post, verb string) (bot.Button, error) {
	for _, b := range p.Card.Buttons {
		if strings.HasPrefix(b.Line, verb+" ") {
			if b.Token == "" {
				return b, fmt.Errorf("the button %q has no token", b.Line)
			}
			return b, nil
		}
	}
	return bot.Button{}, fmt.Errorf("no button for %q on %s", verb, show(p))
}

func deniedRun(ctx context.Context, w *World) error {
	s := script{ctx, w}
	p, err := s.asks()
	if err != nil {
		return err
	}
	run := p.Card.Run
	if _, err := s.gets(w.Dev, fmt.Sprintf("confirm %d", run), bot.OutcomeWaiting); err != nil {
		return err
	}
	if _, err := s.says(w.SRE, fmt.Sprintf("deny %d", run)); err != nil {
		return err
	}
	if _, err := s.settles(run, bot.Cancelled); err != nil {
		return err
	}
	if p, err = s.says(w.SRE, fmt.Sprintf("approve %d", run)); err != nil {
		return err
	}
	if p.Card.Outcome == bot.OutcomeOK {
		return fmt.Errorf("approving a denied run was answered by %s", show(p))
	}
	return s.effects("after a denial")
}

func cancelled(ctx context.Context, w *World) error {
	s := script{ctx, w}
	p, err := s.asks()
	if err != nil {
		return err
	}
	run := p.Card.Run
	if _, err := s.says(w.Dev, fmt.Sprintf("cancel %d", run)); err != nil {
		return err
	}
	if _, err := s.settles(run, bot.Cancelled); err != nil {
		return err
	}
	if p, err = s.says(w.Dev, fmt.Sprintf("confirm %d", run)); err != nil {
		return err
	}
	if p.Card.Outcome == bot.OutcomeOK || p.Card.Outcome == bot.OutcomeWaiting {
		return fmt.Errorf("confirming a cancelled run was answered by %s", show(p))
	}
	return s.effects("after a cancellation")
}

func refusals(ctx context.Context, w *World) error {
	s := script{ctx, w}
	for _, a := range []bot.AccountID{w.Guest, w.Stranger} {
		for _, line := range []string{"deploy shop v2 staging", "status shop prod", "deplyo shop"} {
			p, err := s.gets(a, line, bot.OutcomeDenied)
			if err != nil {
				return err
			}
			text := p.Card.Title + p.Card.Text
			if !strings.Contains(text, "denied") {
				return fmt.Errorf("%s is refused by %s, which does not say denied", a, show(p))
			}
			if strings.Contains(text, "did you mean") {
				return fmt.Errorf("%s is shown what is hidden: %s", a, show(p))
			}
		}
	}
	return s.effects("after refusals")
}

func edits(ctx context.Context, w *World) error {
	s := script{ctx, w}
	before := len(w.Chat.Posts())
	if _, err := w.Chat.Edit(ctx, w.Dev, "deploy shop v2 staging"); err != nil {
		return fmt.Errorf("edit: %w", err)
	}
	// The answer to a later question shows that the edit has been looked at.
	if _, err := s.gets(w.Dev, "status shop staging", bot.OutcomeOK); err != nil {
		return err
	}
	for _, p := range w.Chat.Posts()[before:] {
		if p.Card.Run != 0 {
			return fmt.Errorf("an edit made %s", show(p))
		}
	}
	return s.effects("after an edit")
}

func redelivery(ctx context.Context, w *World) error {
	s := script{ctx, w}
	said, err := w.Chat.Say(ctx, w.Dev, "deploy shop v2 staging")
	if err != nil {
		return err
	}
	for range 2 {
		again, err := w.Chat.Redeliver(ctx, said.ID)
		if err != nil {
			return fmt.Errorf("redeliver: %w", err)
		}
		if !again.Receipt.Duplicate {
			return fmt.Errorf("a redelivery of %s was taken for a new message", said.ID)
		}
		if _, err := s.answer(said.ID); err != nil {
			return err
		}
	}
	if _, err := s.gets(w.Dev, "status shop staging", bot.OutcomeOK); err != nil {
		return err
	}
	return s.effects("after two redeliveries", "shop/staging v2")
}

func wayBack(ctx context.Context, w *World) error {
	s := script{ctx, w}
	p, err := s.gets(w.Dev, "deploy shop v2 staging", bot.OutcomeOK)
	if err != nil {
		return err
	}
	if p, err = s.gets(w.Dev, "rollback shop staging", bot.OutcomeOK); err != nil {
		return err
	}
	if p.Card.State != bot.Succeeded {
		return fmt.Errorf("rolling back gave %s", show(p))
	}
	// The release it left is marked bad.
	p, err = s.says(w.Dev, "deploy shop v2 staging")
	if err != nil {
		return err
	}
	if p.Card.Outcome == bot.OutcomeOK {
		return fmt.Errorf("deploying a release that was rolled back was answered by %s", show(p))
	}
	return s.effects("after the way back", "shop/staging v2", "shop/staging v1")
}
