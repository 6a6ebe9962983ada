package slackchat

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"quarterdeck/bot"
)

const (
	// standingLife is how long what users.info said counts. Changes are told by
	// events too; this bounds how long a missed one matters.
	standingLife = 5 * time.Minute
	// lookUp bounds the question about one user: the acknowledgement is due
	// three seconds after the payload.
	lookUp = 1500 * time.Millisecond
	// maxPeople bounds how many users are remembered.
	maxPeople = 20000
)

// people knows what kind of user somebody is.
type people struct {
	s  *chat
	mu sync.Mutex
	by map[string]*known
}

// known is what was last learnt about one user.
type known struct {
	mu       sync.Mutex // held while it is asked, so that many ask once
	standing bot.Standing
	at       time.Time
}

func newPeople(s *chat) *people { return &people{s: s, by: map[string]*known{}} }

// standing says what Slack vouches for about a user. team and enterprise are
// those of the verified payload. It answers Unvouched, which is refused, when
// Slack cannot be asked.
func (p *people) standing(ctx context.Context, team, enterprise, user string) bot.Standing {
	teams := p.s.config.Teams
	if !slices.Contains(teams, team) && (enterprise == "" || !slices.Contains(teams, enterprise)) {
		return bot.External
	}
	p.mu.Lock()
	k := p.by[user]
	if k == nil {
		if len(p.by) >= maxPeople {
			clear(p.by)
		}
		k = &known{}
		p.by[user] = k
	}
	p.mu.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	now := p.s.o.Clock.Now()
	if !k.at.IsZero() && now.Sub(k.at) < standingLife && !k.at.After(now) {
		return k.standing
	}
	standing, err := p.ask(ctx, user)
	if err != nil {
		p.s.logger().Warn("Slack does not say who a user is; they are refused", "user", user, "err", err)
		return bot.Unvouched
	}
	k.standing, k.at = standing, now
	return standing
}

// forget has a user asked about anew, after an event said that they changed.
func (p *people) forget(user string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.by, user)
}

// forgetAll has everybody asked about anew.
func (p *people) forgetAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.by)
}

func (p *people) ask(ctx context.Context, user string) (bot.Standing, error) {
	api, err := p.s.client()
	if err != nil {
		return bot.Unvouched, err
	}
	ctx, cancel := context.WithTimeout(ctx, lookUp)
	defer cancel()
	u, err := api.GetUserInfoContext(ctx, user)
	if code(err) == "user_not_found" {
		return bot.External, nil
	}
	if err != nil {
		return bot.Unvouched, err
	}
	p.s.revoked(false)
	return p.of(u), nil
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
