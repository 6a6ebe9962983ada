package app

import (
	"context"
	"fmt"
	"os"

	"quarterdeck/bot"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/config"
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
		Seal: store.NewSeal(key.Secret()), RunSeal: run.SealName, Channels: c.Audit.Channels, Archive: c.Audit.Archive}
	return e.Erase(ctx, what)
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
