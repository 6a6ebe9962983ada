package directory

import (
	"context"
	"errors"
	"fmt"

	"github.com/sourcegraph/conc/panics"

	"quarterdeck/bot"
)

// fresh is a source that can be asked anew.
type fresh interface {
	HoldsNow(ctx context.Context, group string, account bot.AccountID) (bool, error)
}

// discerning is a source that can tell an id from what is none.
type discerning interface {
	GroupFault(group string) string
}

// Vouched gives the directory with the networks that Recall asks about the
// accounts of theirs, by the network's name.
func (d *Directory) Vouched(by map[string]bot.Vouching) *Directory {
	with := *d
	with.vouching = by
	return &with
}

// Recall gives the identity of somebody who acted through account earlier: as
// what its network vouches for now, or as a member where the network cannot be
// asked about accounts; as disabled when the person is, and as unvouched when
// nobody declares the account or the network does not tell.
// Roles are found out afresh.
func (d *Directory) Recall(ctx context.Context, account bot.AccountID) (bot.Identity, error) {
	if account.IsClock() {
		return d.ofClock(bot.Identity{Account: account, Standing: bot.Member}), nil
	}
	p, ok := d.accounts[account]
	if !ok {
		return bot.Identity{Account: account, Standing: bot.Unvouched}, nil
	}
	v := d.vouching[account.Network()]
	if v == nil || p.Disabled {
		return d.identify(ctx, account, bot.Member, true), nil
	}
	standing, err := d.vouch(ctx, v, account)
	who := d.identify(ctx, account, standing, true)
	if err != nil {
		d.logger.Warn("the network does not say who an account is, nothing is permitted", "account", account, "err", err)
		who.Doubts = append(who.Doubts, bot.Doubt{Say: fmt.Sprintf("whether %s is still a full member is not known right now%s", account, because(err))})
	}
	return who, nil
}

func (d *Directory) vouch(ctx context.Context, v bot.Vouching, account bot.AccountID) (standing bot.Standing, err error) {
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	if caught := panics.Try(func() { standing, err = v.Vouch(ctx, account) }); caught != nil {
		err = caught.AsError()
	}
	if err != nil {
		standing = bot.Unvouched
	}
	return standing, err
}

// because gives what may be told of why a source did not answer.
func because(err error) string {
	var e *bot.Error
	if errors.As(err, &e) && e.Say != "" && e.Kind != bot.Internal {
		return ": " + e.Say
	}
	return ""
}
