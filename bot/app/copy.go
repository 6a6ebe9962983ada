package app

import (
	"context"
	"fmt"

	"quarterdeck/bot"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/config"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/store"
)

// bindVault binds what the log is copied to; nil for nothing.
func bindVault(c *config.Config, opened map[string]provider.Provider, f *faults) provider.Vault {
	to := c.Audit.Copy
	if to == nil || opened[to.Provider] == nil {
		return nil
	}
	binder, can := opened[to.Provider].(provider.VaultBinder)
	if !can {
		f.add(to.Raw.Where(), bot.Errorf(bot.Invalid, "provider %q keeps no copy of the audit log", to.Provider))
		return nil
	}
	v, err := binder.BindVault(to.Raw)
	if err != nil {
		f.add(to.Raw.Where(), err)
		return nil
	}
	return v
}

// copyDigest tells one [audit.copy] from another.
func copyDigest(c *config.Config) string {
	if c.Audit.Copy == nil {
		return ""
	}
	return fmt.Sprint(c.Audit.Copy.Retain, c.Audit.Copy.Every, boundDigest(c, "copy", &c.Audit.Copy.Binding))
}

func copier(c *config.Config, v provider.Vault, s store.Store, key audit.Key, o Options) *audit.Copier {
	if v == nil {
		return nil
	}
	return &audit.Copier{Store: s, Key: key, Clock: o.Clock, Vault: v, Retain: c.Audit.Copy.Retain, Interval: c.Audit.Copy.Every, Logger: o.Logger}
}

// VerifyCopy holds the copy of the log against the configured database.
func VerifyCopy(ctx context.Context, c *config.Config, t Tables, o Options, against []string) (audit.Report, error) {
	if c.Audit.Copy == nil {
		return audit.Report{}, bot.Errorf(bot.Invalid, "no copy of the audit log is kept: the configuration has no [audit.copy]")
	}
	a, err := New(c, t, o)
	if err != nil {
		return audit.Report{}, err
	}
	s, options, err := checked(ctx, c, t, against, "")
	if err != nil {
		return audit.Report{}, err
	}
	defer s.Close()
	options.Kept = ""
	return audit.VerifyCopy(ctx, s, a.vault, options)
}
