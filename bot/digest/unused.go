package digest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Use is one right that somebody used, as the audit log has it.
type Use struct {
	Account    bot.AccountID
	Person     string
	Permission bot.Permission
	Resource   bot.Resource // "" for all that they may see
}

// unusedFor is for how long a right must have been idle to be told of: less would
// tell of those that are for bad days, which do not come every month.
const unusedFor = 12 * 7 * 24 * time.Hour

// unused tells of rights that nobody used: what is granted and not needed is there
// for an attacker alone.
func (s Sources) unused(ctx context.Context, w Window) (Block, error) {
	if !w.May(bot.MayReadAudit, bot.Target{}) {
		return Block{}, bot.Errorf(bot.Denied, "%s may not read the audit log", w.Principal())
	}
	since := w.Now.Add(-unusedFor)
	uses, oldest, err := s.uses(ctx, since)
	if err != nil {
		return Block{}, err
	}
	weeks := int(unusedFor / (7 * 24 * time.Hour))
	if oldest.After(since) {
		return Block{Lines: []string{fmt.Sprintf("the log in the database goes back to %s; unused rights are told once it covers %d weeks", w.Zone.Day(oldest), weeks)}}, nil
	}
	lines, err := s.Unused(ctx, uses)
	if err != nil || len(lines) == 0 {
		return Block{}, err
	}
	return Block{Lines: slices.Insert(lines, 0, fmt.Sprintf("not used in %d weeks:", weeks))}, nil
}

const chunk = 1000 // records read at a time

// uses gives what rights were used since a time, and when the oldest record that
// is in the database was written, or one before since.
func (s Sources) uses(ctx context.Context, since time.Time) (all []Use, oldest time.Time, err error) {
	found := map[Use]bool{}
	var head store.Head
	err = s.Store.View(ctx, func(r store.Reader) (err error) {
		head, err = r.Head()
		return err
	})
	for last := head.Seq; err == nil && last > 0 && (oldest.IsZero() || oldest.After(since)); last -= chunk {
		var records []store.Sealed
		err = s.Store.View(ctx, func(r store.Reader) (err error) {
			records, err = r.RecordsFrom(max(1, last-chunk+1), int(min(chunk, last)))
			return err
		})
		if err != nil || len(records) == 0 || records[0].Seq > last { // the rest is in the archive
			break
		}
		for _, sealed := range slices.Backward(records) {
			if oldest = sealed.At; oldest.Before(since) {
				break
			}
			var rec bot.Record
			if err := json.Unmarshal(sealed.Body, &rec); err != nil {
				return nil, oldest, fmt.Errorf("decode record %d: %w", sealed.Seq, err)
			}
			if rec.Permission == "" || rec.Person == "" || rec.Kind == bot.DeniedRecord {
				continue
			}
			if rec.Permission == bot.MayAskSelf { // over all that they may see, such as a bare "status"
				if p := s.Means(rec.Verb); p != bot.MayAskSelf && p != "" {
					found[Use{Account: rec.Account, Person: rec.Person, Permission: p}] = true
				}
				continue
			}
			for _, resource := range rec.Resources {
				found[Use{Account: rec.Account, Person: rec.Person, Permission: rec.Permission, Resource: resource}] = true
			}
		}
	}
	for u := range found {
		all = append(all, u)
	}
	return all, oldest, err
}
