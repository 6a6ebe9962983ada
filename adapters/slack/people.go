package slackchat

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"quarterdeck/bot"
	"quarterdeck/bot/memo"
)

const (
	// standingLife is how long what users.info said counts. Changes are told by
	// events too; this bounds how long a missed one matters.
	standingLife = 5 * time.Minute
	// lookUp bounds one question. Two may be put one after the other, about a user
	// and about a group, and the acknowledgement is due three seconds after the
	// payload.
	lookUp = 1200 * time.Millisecond
	// maxPeople bounds how many users are remembered.
	maxPeople = 20000
)

// people knows what kind of user somebody is.
type people struct {
	s  *chat
	by *memo.Table[bot.Standing]
}

func newPeople(s *chat) *people {
	return &people{s: s, by: memo.New[bot.Standing](s.o.Clock, maxPeople, lookUp)}
}

// standing says what Slack vouches for about a user. team and enterprise are
// those of the verified payload. It answers Unvouched, which is refused, when
// Slack cannot be asked.
func (p *people) standing(ctx context.Context, team, enterprise, user string) bot.Standing {
	teams := p.s.config.Teams
	if !slices.Contains(teams, team) && (enterprise == "" || !slices.Contains(teams, enterprise)) {
		return bot.External
	}
	standing, err := p.know(ctx, user, standingLife)
	if err != nil {
		p.s.logger().Warn("Slack does not say who a user is; they are refused", "user", user, "err", err)
		return bot.Unvouched
	}
	return standing
}

// know says what kind of user somebody is, as Slack said at most life ago.
func (p *people) know(ctx context.Context, user string, life time.Duration) (bot.Standing, error) {
	return p.by.Get(ctx, user, life, func(ctx context.Context) (bot.Standing, error) { return p.ask(ctx, user) })
}

// forget has a user asked about anew, after an event said that they changed.
func (p *people) forget(user string) { p.by.Forget(user) }

// forgetAll has everybody asked about anew.
func (p *people) forgetAll() { p.by.ForgetAll() }

func (p *people) ask(ctx context.Context, user string) (bot.Standing, error) {
	api, err := p.s.client()
	if err != nil {
		return bot.Unvouched, &bot.Error{Op: "slack.people", Kind: bot.Unavailable, Say: "Slack cannot be used", Err: err}
	}
	u, err := api.GetUserInfoContext(ctx, user)
	if code(err) == "user_not_found" {
		return bot.External, nil
	}
	if err != nil {
		return bot.Unvouched, p.s.unanswered("slack.people", err)
	}
	p.s.revoked(false)
	return p.of(u), nil
}

// unanswered translates the error of a question, and has the token read anew
// where it was refused.
func (s *chat) unanswered(op string, err error) error {
	if refused(err) {
		s.forget()
	}
	return translated(op, err)
}

// Vouch implements bot.Vouching.
func (s *chat) Vouch(ctx context.Context, account bot.AccountID) (bot.Standing, error) {
	home, user, ok := apart(account)
	if !ok {
		return bot.Unvouched, nil
	}
	if !slices.Contains(s.config.Teams, home) {
		return bot.External, nil
	}
	return s.people.know(ctx, user, memo.Afresh)
}

// apart takes an account "slack:HOME/USER" apart.
func apart(account bot.AccountID) (home, user string, ok bool) {
	local, ours := strings.CutPrefix(string(account), Network+":")
	home, user, found := strings.Cut(local, "/")
	return home, user, ours && found && home != "" && user != ""
}

// of says what kind of user somebody is, strictest first.
func (p *people) of(u *slack.User) bot.Standing {
	ours := slices.Contains(p.s.config.Teams, u.TeamID) || u.Enterprise.EnterpriseID != "" && slices.Contains(p.s.config.Teams, u.Enterprise.EnterpriseID)
	switch {
	case u.Deleted:
		return bot.Disabled
	case u.IsBot, u.IsWorkflowBot, u.IsConnectorBot, u.ID == "USLACKBOT":
		return bot.Automated
	case u.IsStranger, !ours:
		return bot.External
	case u.IsRestricted, u.IsUltraRestricted, u.IsInvitedUser:
		return bot.Guest
	}
	return bot.Member
}
