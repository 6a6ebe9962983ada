package page

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/oncall"
	"quarterdeck/bot/store"
)

// Roster answers who is on call, for roles from "schedule:NAME". It implements
// bot.Schedules.
type Roster struct {
	settings *Settings
	clock    bot.Clock
	store    atomic.Pointer[store.Store]

	mu   sync.Mutex
	over []oncall.Override
	read time.Time
	have bool
}

// rosterFor is how long the overrides that were read are good for.
const rosterFor = time.Second

// NewRoster makes a Roster, which knows of overrides once Attach was called.
func NewRoster(s *Settings, c bot.Clock) *Roster { return &Roster{settings: s, clock: c} }

// Attach says where overrides are.
func (r *Roster) Attach(s store.Store) { r.store.Store(&s) }

// Names implements bot.Schedules.
func (r *Roster) Names() []string { return keys(r.settings.Schedules) }

// OnCall implements bot.Schedules: at most one person. While the store cannot be
// read, the overrides that were read last hold.
func (r *Roster) OnCall(ctx context.Context, name string) ([]string, error) {
	schedule, ok := r.settings.Schedules[name]
	if !ok {
		return nil, bot.Errorf(bot.NotFound, "there is no schedule %q", name)
	}
	over, err := r.overrides(ctx)
	if err != nil {
		return nil, err
	}
	person, ok := schedule.Primary(r.clock.Now(), over)
	if !ok {
		return nil, nil
	}
	return []string{person}, nil
}

func (r *Roster) overrides(ctx context.Context) ([]oncall.Override, error) {
	s := r.store.Load()
	if s == nil { // the configuration alone is looked at
		return nil, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Now()
	if r.have && now.Sub(r.read).Abs() < rosterFor {
		return r.over, nil
	}
	var over []oncall.Override
	err := (*s).View(ctx, func(rd store.Reader) (err error) {
		over, err = overrides(rd)
		return err
	})
	if err != nil && !r.have {
		return nil, err
	}
	if err == nil {
		r.over, r.have = over, true
	}
	r.read = now
	return r.over, nil
}

// Turns gives who is on call by a schedule from now on, and the overrides there
// are.
func (k *Keeper) Turns(ctx context.Context, name string, length time.Duration) (turns []oncall.Turn, over []oncall.Override, err error) {
	s, err := k.settings()
	if err != nil {
		return nil, nil, err
	}
	schedule, ok := s.Schedules[name]
	if !ok {
		return nil, nil, bot.Errorf(bot.Invalid, "there is no schedule %q%s", name, near(name, keys(s.Schedules)))
	}
	err = k.Store.View(ctx, func(r store.Reader) (err error) {
		over, err = overrides(r)
		return err
	})
	now := k.Clock.Now()
	return schedule.Turns(now, now.Add(length), over), over, err
}

// Schedules gives the names of the schedules and, of one, its zone.
func (k *Keeper) Schedules() []string {
	s, err := k.settings()
	if err != nil {
		return nil
	}
	return keys(s.Schedules)
}

// Zoned gives the zone of a schedule; UTC for one that does not exist.
func (k *Keeper) Zoned(name string) *time.Location {
	if s, err := k.settings(); err == nil {
		if schedule, ok := s.Schedules[name]; ok {
			return schedule.Zone
		}
	}
	return time.UTC
}

// Configured gives an Error of kind Invalid where there is no pager.
func (k *Keeper) Configured() error {
	_, err := k.settings()
	return err
}

// AtHand says from memory why who may act at once on a target and be reviewed
// after: they hold its page, or are on call for it; "" where neither is so.
func (k *Keeper) AtHand(who bot.Identity, t bot.Target) string {
	s, err := k.settings()
	if err != nil || who.Person == "" {
		return ""
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for n, p := range k.open {
		if p.Target == t && (p.State == Acknowledged && p.Holder == who.Person || k.acks[n].Person == who.Person) {
			return fmt.Sprintf("holds page %d", n)
		}
	}
	one, ok := s.service(t)
	if !ok {
		return ""
	}
	for _, l := range s.Policies[one.Escalation].Levels {
		schedule, ok := s.Schedules[l.Schedule]
		if !ok {
			continue
		}
		if person, _ := schedule.Primary(k.Clock.Now(), k.over); person == who.Person {
			return "is on call by " + l.Schedule
		}
	}
	return ""
}

// refresh reads what AtHand and a store that cannot be read rest on.
func (k *Keeper) refresh(ctx context.Context) (open []*Page, err error) {
	var over []oncall.Override
	err = k.Store.View(ctx, func(r store.Reader) (err error) {
		if open, err = openPages(r); err != nil {
			return err
		}
		over, err = overrides(r)
		return err
	})
	if err != nil {
		return nil, err // as it was read last, it goes on
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.open)
	for _, p := range open {
		k.open[p.Number] = p
	}
	k.over = over
	return open, nil
}
