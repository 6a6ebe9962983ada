// Package flagsprovider keeps feature flags in the bot's own store: provider type
// "flags". A change of a flag is a document that the bot writes in one commit with
// the record of it, so that no flag ever changed without a trace; the bot itself
// answers services with them.
package flagsprovider

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/nearest"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/store"
)

// Type gives the row "flags" for the table of provider types.
func Type() provider.Type { return provider.Type{Name: "flags", Open: Open} }

// settings is the [provider.NAME] table.
type settings struct {
	// Rings are the circles that a rollout goes through before it goes by
	// percentage, in this order.
	Rings []ring `toml:"rings"`
}

type ring struct {
	Name       string   `toml:"name"`
	Attribute  string   `toml:"attribute"`
	In         []string `toml:"in"`
	StartsWith []string `toml:"starts_with"`
	EndsWith   []string `toml:"ends_with"`
}

// table is a target's flags table.
type table struct {
	// Keys are what the target's service shows to read its flags: one, or for the
	// time of a change two.
	Keys []string `toml:"keys"`
}

// Bounds of what is configured and kept.
const (
	maxRings = 20
	maxKeys  = 8
	maxFlags = 10_000 // of one environment
)

// flags is one [provider.NAME] of type flags.
type flags struct {
	name    string
	rings   []provider.Ring
	secrets *bot.Secrets
	clock   bot.Clock
	store   store.Store
}

// Open checks a [provider.NAME] table.
func Open(o provider.Options) (provider.Provider, error) {
	var s settings
	if err := o.Raw.Decode(&s); err != nil {
		return nil, err
	}
	f := &flags{name: o.Name, secrets: o.Secrets, clock: o.Clock}
	bad := func(format string, args ...any) (provider.Provider, error) {
		return nil, bot.Errorf(bot.Invalid, "%s: %s", o.Raw.Where(), fmt.Sprintf(format, args...))
	}
	if len(s.Rings) > maxRings {
		return bad("provider %s has %d rings; the most is %d", o.Name, len(s.Rings), maxRings)
	}
	for _, r := range s.Rings {
		switch {
		case !Named(r.Name):
			return bad("a ring of provider %s is named %q; write lower-case letters, digits and dashes, a letter first", o.Name, r.Name)
		case slices.ContainsFunc(f.rings, func(other provider.Ring) bool { return other.Name == r.Name }):
			return bad("provider %s has two rings named %q", o.Name, r.Name)
		case slices.Contains([]string{"on", "off", "every", "while"}, r.Name):
			return bad("a ring of provider %s is named %q, which means something else on a command line", o.Name, r.Name)
		case r.Attribute == "":
			return bad("the ring %q does not say which attribute of a caller counts; add attribute = \"email\"", r.Name)
		case len(r.In)+len(r.StartsWith)+len(r.EndsWith) == 0:
			return bad("the ring %q holds nobody; add in, starts_with or ends_with", r.Name)
		}
		f.rings = append(f.rings, provider.Ring{Name: r.Name, If: provider.Condition{Attribute: r.Attribute, In: r.In, StartsWith: r.StartsWith, EndsWith: r.EndsWith}})
	}
	return f, nil
}

// Named reports whether s can be the name of a flag's ring or variant as it is
// typed.
func Named(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	for i, r := range s {
		if r >= 'a' && r <= 'z' || i > 0 && (r >= '0' && r <= '9' || r == '-' || r == '_') {
			continue
		}
		return false
	}
	return true
}

// Name implements provider.Provider.
func (f *flags) Name() string { return f.name }

// Use implements store.User.
func (f *flags) Use(s store.Store) { f.store = s }

// BindFlags implements provider.FlagBinder.
func (f *flags) BindFlags(t bot.Target, raw provider.Raw) (provider.Flagger, error) {
	var in table
	if err := raw.Decode(&in); err != nil {
		return nil, err
	}
	if len(in.Keys) > maxKeys {
		return nil, bot.Errorf(bot.Invalid, "flags of %s has %d keys; the most is %d", t, len(in.Keys), maxKeys)
	}
	b := &bound{flags: f, target: t}
	for _, ref := range in.Keys {
		secret, err := f.secrets.Open(ref, raw.Dir())
		if err != nil {
			return nil, bot.Errorf(bot.Invalid, "a key of the flags of %s is none; %s", t, bot.Sentence(err, ""))
		}
		b.keys = append(b.keys, secret)
	}
	return b, nil
}

// bound is the flags of one target. It implements provider.Flagger,
// provider.FlagHistorian and provider.FlagReader.
type bound struct {
	*flags
	target bot.Target
	keys   []bot.Secret
}

// Keys implements provider.FlagReader.
func (b *bound) Keys() []bot.Secret { return b.keys }

// Powers implements provider.Flagger.
func (b *bound) Powers() provider.FlagPowers {
	return provider.FlagPowers{Create: true, Types: provider.FlagTypes(), Rules: true, Rings: b.rings, Steps: true}
}

// Timing implements bot.Timed: what is written is seen at once.
func (b *bound) Timing(bot.Target) bot.Timing { return bot.Timing{Call: 5 * time.Second} }

func decode(d bot.Document) (provider.Flag, error) {
	var f provider.Flag
	if err := json.Unmarshal(d.Body, &f); err != nil {
		return f, fmt.Errorf("decode flag %s: %w", d.ID, err)
	}
	f.Revision = fmt.Sprint(d.Rev)
	return f, nil
}

// view reads the store, which there is none of before the bot runs.
func (b *bound) view(ctx context.Context, f func(r store.Reader) error) error {
	if b.store == nil {
		return bot.Errorf(bot.Unavailable, "the flags of %s are not open yet", b.target)
	}
	return b.store.View(ctx, f)
}

// all gives what there is in the environment, of whichever service.
func (b *bound) all(ctx context.Context) (list []provider.Flag, err error) {
	err = b.view(ctx, func(r store.Reader) error {
		docs, err := r.Documents(provider.FlagDocument, provider.FlagID(b.target.Environment, ""), maxFlags, false)
		if err != nil {
			return err
		}
		list = make([]provider.Flag, 0, len(docs))
		for _, d := range docs {
			f, err := decode(d)
			if err != nil {
				return err
			}
			list = append(list, f)
		}
		return nil
	})
	return list, err
}

// Flags implements provider.Flagger.
func (b *bound) Flags(ctx context.Context) ([]provider.Flag, error) {
	list, err := b.all(ctx)
	return slices.DeleteFunc(list, func(f provider.Flag) bool { return f.Archived || f.Target != b.target }), err
}

// Get implements provider.Flagger.
func (b *bound) Get(ctx context.Context, key string) (f provider.Flag, err error) {
	found := false
	err = b.view(ctx, func(r store.Reader) error {
		d, there, err := r.Document(provider.FlagDocument, provider.FlagID(b.target.Environment, key))
		if err != nil || !there {
			return err
		}
		f, err = decode(d)
		found = err == nil && !f.Archived && f.Target == b.target
		return err
	})
	if err != nil || found {
		return f, err
	}
	list, err := b.Flags(ctx)
	if err != nil {
		return provider.Flag{}, err
	}
	names := make([]string, 0, len(list))
	for _, other := range list {
		names = append(names, other.Key)
	}
	say := fmt.Sprintf("there is no flag %q in %s", key, b.target.Environment)
	if near := nearest.Of(key, names); near != "" {
		return provider.Flag{}, bot.Errorf(bot.NotFound, "%s; did you mean %q?", say, near)
	}
	return provider.Flag{}, bot.Errorf(bot.NotFound, "%s; flag list shows what there is", say)
}

// Versions implements provider.FlagHistorian.
func (b *bound) Versions(ctx context.Context, key string, limit int) (list []provider.Flag, err error) {
	err = b.view(ctx, func(r store.Reader) error {
		docs, err := r.Documents(provider.FlagVersionDocument, provider.FlagID(b.target.Environment, key)+"#", limit, true)
		if err != nil {
			return err
		}
		list = make([]provider.Flag, 0, len(docs))
		for _, d := range docs {
			f, err := decode(d)
			if err != nil {
				return err
			}
			_, f.Revision, _ = strings.Cut(d.ID, "#")
			if f.Revision = strings.TrimLeft(f.Revision, "0"); f.Target == b.target {
				list = append(list, f)
			}
		}
		return nil
	})
	return list, err
}
