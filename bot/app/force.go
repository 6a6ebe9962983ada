package app

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/run"
	"quarterdeck/bot/store"
)

// Of the replicas of one bot, whichever was started or reloaded last says which
// configuration is in force, for all of them: a mark of it stands in the store,
// and the commit of every intent compares it. A replica that works by another
// reads its own file again. Should that say the same by now, it takes it over,
// so that one reload is enough; otherwise it begins nothing, says so in /healthz,
// and leaves what is to be done to the others until it is reloaded or replaced.
//
// A process that is started for one command only puts nothing in force while a
// replica serves by what is: somebody's old file must not stop a fleet.

// forceID is the document, of kind kindRules, that holds the mark.
const forceID = "force"

// force is what is in force.
type force struct {
	Mark string    `json:"mark"` // of config.Common, by the audit key
	At   time.Time `json:"at"`
}

// outdated says why a replica begins nothing.
type outdated struct {
	since time.Time // when the other configuration took effect
	why   string
}

const (
	forceEvery = time.Second     // how often it is looked at
	forceRetry = 5 * time.Second // how often a file that says otherwise is read again

	// forceClaim is held, for forceHeld at a time, by a replica that serves by what
	// is in force.
	forceClaim = "rules/force"
	forceHeld  = 30 * time.Second
)

// givesWay reports whether a's process was started for one command, and another
// configuration is in force by which a replica serves.
func (a *App) givesWay(r store.Reader, seal store.Seal) (bool, error) {
	if a.options.Serve {
		return false, nil
	}
	f, _, found, err := readForce(r)
	if err != nil || !found || f.Mark == a.mark(seal) {
		return false, err
	}
	d, found, err := r.Document(store.KindClaim, forceClaim)
	return found && a.options.Clock.Now().Before(d.Due), err
}

// serves notes that a replica serves by what is in force; that ends with release.
func (a *App) serves(ctx context.Context, owner string) error {
	return a.ground.store.Update(ctx, func(tx store.Tx) error {
		now := a.options.Clock.Now()
		_, err := store.Claim(tx, forceClaim, owner, now, now.Add(forceHeld), store.Allowance(a.ground.store))
		return err
	})
}

// mark tells a's configuration from others; seal is always the same.
func (a *App) mark(seal store.Seal) string {
	a.marked.Do(func() { a.as = seal.Mark("rules", []byte(a.Config.Common())) })
	return a.as
}

// readForce gives what is in force; found is false before the first start of a
// build that writes it.
func readForce(r store.Reader) (f force, d bot.Document, found bool, err error) {
	d, found, err = r.Document(kindRules, forceID)
	if err == nil && found {
		err = json.Unmarshal(d.Body, &f)
	}
	return f, d, found, err
}

// putForce has a's configuration in force from the commit of tx on.
func (a *App) putForce(tx store.Tx, seal store.Seal) error {
	is := force{Mark: a.mark(seal), At: a.options.Clock.Now().UTC()}
	was, d, found, err := readForce(tx)
	if err != nil || found && was.Mark == is.Mark {
		return err
	}
	body, err := json.Marshal(is)
	if err != nil {
		return fmt.Errorf("encode what is in force: %w", err)
	}
	_, err = tx.PutDocument(bot.Document{Kind: kindRules, ID: forceID, Rev: d.Rev, Body: body})
	return err
}

// inForce gives what tells whether a's configuration is in force; see
// run.Config.
func (a *App) inForce(seal store.Seal) func(r store.Reader) error {
	mark := a.mark(seal)
	return func(r store.Reader) error {
		f, _, found, err := readForce(r)
		if err == nil && found && f.Mark != mark {
			err = &bot.Error{Op: "app.rules", Kind: bot.Unavailable, Err: run.ErrOutdated,
				Say: "another configuration than this replica's is in force since " + bot.Moment(f.At)}
		}
		return err
	}
}

// keepUp looks after what is in force until ctx ends.
func (a *App) keepUp(ctx context.Context) error {
	ticker := time.NewTicker(forceEvery)
	defer ticker.Stop()
	var tried, noted time.Time
	owner := a.options.IDs.New()
	for {
		select {
		case <-ctx.Done():
			if !noted.IsZero() {
				a.release(ctx, owner)
			}
			return nil
		case <-ticker.C:
		}
		now := a.options.Clock.Now()
		_, same, err := a.compare(ctx)
		switch {
		case err != nil: // the store's own alarm tells of it
		case same:
			if a.aside.Swap(nil) != nil {
				a.options.Logger.Info("this replica works by the configuration in force again")
			}
			if a.options.Serve && now.Sub(noted).Abs() >= forceHeld/3 && a.serves(ctx, owner) == nil {
				noted = now
			}
		case a.aside.Load() == nil || now.Sub(tried).Abs() >= forceRetry:
			tried = now
			a.catchUp(ctx)
		}
	}
}

// compare gives what is in force, and whether that is what is worked by.
func (a *App) compare(ctx context.Context) (f force, same bool, err error) {
	var found bool
	err = a.ground.store.View(ctx, func(r store.Reader) (err error) {
		f, _, found, err = readForce(r)
		return err
	})
	return f, !found || f.Mark == a.current().mark(a.ground.seal), err
}

// release ends what serves noted, so that nobody waits for it to end by itself.
func (a *App) release(ctx context.Context, owner string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	err := a.ground.store.Update(ctx, func(tx store.Tx) error { return store.Release(tx, forceClaim, owner) })
	if err != nil {
		a.options.Logger.Debug("note that this replica does not serve any more", "err", err)
	}
}

// catchUp works by what is in force, when the configuration file says that, and
// notes why not otherwise. A process that was started for one command puts its
// own in force instead, as soon as nobody serves.
func (a *App) catchUp(ctx context.Context) {
	a.mu.Lock() // no reload is half done
	defer a.mu.Unlock()
	g := a.ground
	f, same, err := a.compare(ctx)
	if err != nil || same {
		return
	}
	if !a.options.Serve {
		if _, err := a.current().recordStart(ctx, g.store, g.log, g.seal); err != nil && ctx.Err() == nil {
			a.options.Logger.Warn("put the configuration in force", "err", err)
		}
		return
	}
	why := "its configuration file says otherwise"
	next, err := a.reread()
	switch {
	case err != nil:
		why = "its configuration file cannot be taken over: " + bot.Sentence(err, "the bot's log")
	case next.mark(g.seal) == f.Mark:
		// It is on record and in force already, or replaced since, which the next look shows.
		if _, err = a.takeOver(g, next, func() (int, error) { return 0, nil }); err == nil {
			a.aside.Store(nil)
			a.options.Logger.Info("reloaded, because another replica was")
			if err := g.engine.StopDisabled(ctx); err != nil {
				a.options.Logger.Error("stop what disabled people asked for", "err", err)
			}
			g.engine.Wake()
			if a.options.Level != nil {
				a.options.Level.Set(next.Config.Log.Level)
			}
			return
		}
		why = bot.Sentence(err, "the bot's log")
	}
	if a.aside.Swap(&outdated{f.At, why}) == nil {
		a.options.Logger.Error("another configuration is in force than this replica works by; it begins nothing until it is reloaded or replaced", "since", f.At, "why", why)
	}
}

// alarms gives the lines of /healthz about the configuration.
func (a *App) alarms() []string {
	o := a.aside.Load()
	if o == nil {
		return nil
	}
	return []string{fmt.Sprintf("configuration: NOT the one in force since %s (%s); nothing is begun here until this replica is reloaded or replaced", bot.Moment(o.since), o.why)}
}
