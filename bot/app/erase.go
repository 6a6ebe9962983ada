package app

import (
	"context"
	"fmt"
	"os"
	"slices"

	"quarterdeck/bot"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/config"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/run"
	"quarterdeck/bot/store"
)

// Erase erases values from the configured database and the configured archive
// as audit.Eraser does. It needs the audit key, which the rows of runs are marked
// with, and is recorded as the account of whoever runs this process.
func Erase(ctx context.Context, c *config.Config, t Tables, o Options, what audit.Erasure) (audit.Erased, error) {
	key, err := audit.LoadKey(c.Audit.Key)
	if err != nil {
		return audit.Erased{}, err
	}
	if what.By = self(c); what.By.Standing == bot.Disabled {
		return audit.Erased{}, bot.Errorf(bot.Denied, "denied: account disabled")
	}
	s, err := OpenStore(ctx, c, t)
	if err != nil {
		return audit.Erased{}, err
	}
	defer s.Close()
	e := &audit.Eraser{Store: s, Log: audit.New(audit.Config{Store: s, Clock: o.complete().Clock, Redact: c.Audit.Redact}), Key: key,
		Seal: store.NewSeal(key.Secret()), RunSeal: run.SealName, Channels: c.Audit.Channels, Archive: c.Audit.Archive, Journal: c.Bot.Journal}
	e.Files, err = kept(c, t, o)
	if err != nil {
		return audit.Erased{}, err
	}
	return e.Erase(ctx, what)
}

// kept gives what erases from what providers keep on this machine.
func kept(c *config.Config, t Tables, o Options) (func(ctx context.Context, replace func(string) string, dryRun bool) ([]string, error), error) {
	var erasers []provider.Eraser
	for _, p := range c.Providers {
		for _, pt := range t.Providers {
			if pt.Name != p.Type {
				continue
			}
			made, err := pt.Open(provider.Options{Name: p.Name, Raw: p.Raw, State: c.Bot.State, Clock: o.Clock, Secrets: &bot.Secrets{}})
			if err != nil {
				return nil, err
			}
			if e, keeps := made.(provider.Eraser); keeps {
				erasers = append(erasers, e)
			}
		}
	}
	return func(ctx context.Context, replace func(string) string, dryRun bool) (places []string, err error) {
		for _, e := range erasers {
			found, err := e.Erase(ctx, replace, dryRun)
			places = append(places, found...)
			if err != nil {
				return places, err
			}
		}
		slices.Sort(places) // several may keep theirs in one folder
		return slices.Compact(places), nil
	}, nil
}

// self is who runs this process, as the socket would see them.
func self(c *config.Config) bot.Identity {
	who := bot.Identity{Account: bot.AccountID(fmt.Sprintf("os:%d", os.Getuid())), Standing: bot.Member}
	for _, p := range c.People {
		for _, a := range p.Accounts {
			if a == who.Account {
				who.Person = p.Name
				if p.Disabled {
					who.Standing = bot.Disabled
				}
			}
		}
	}
	return who
}

// archiver makes what moves old records out of s; dir is where to.
func archiver(c *config.Config, s store.Store, key audit.Key, dir string, o Options) *audit.Archiver {
	return &audit.Archiver{Store: s, Key: key, Clock: o.Clock, IDs: o.IDs, Dir: dir, Retain: c.Audit.Retain, Channels: c.Audit.Channels, Logger: o.Logger}
}

// Archive moves the records of the configured database that were made before a
// time into dir, as audit.Archiver does.
func Archive(ctx context.Context, c *config.Config, t Tables, o Options, dir string, what audit.ArchiveOptions) (audit.Moved, error) {
	key, err := audit.LoadKey(c.Audit.Key)
	if err != nil {
		return audit.Moved{}, err
	}
	s, err := OpenStore(ctx, c, t)
	if err != nil {
		return audit.Moved{}, err
	}
	defer s.Close()
	moved, err := archiver(c, s, key, dir, o.complete()).Move(ctx, what.Before)
	if err == nil && what.Purge && moved.Records > 0 {
		if p, ok := s.(store.Purger); ok {
			err = p.Purge(ctx)
		}
	}
	return moved, err
}
