package backup_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/backup"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
	"quarterdeck/bot/store"
)

// engine is what a Sweeper does not ask for.
type engine interface {
	Get(ctx context.Context, number int64) (bot.Run, error)
	Answer(ctx context.Context, c bot.Call, a bot.Answer, number int64) (bot.Reply, error)
}

// openRuns says which runs are open.
type openRuns struct {
	engine
	all []bot.Run
	err error
}

func (o openRuns) Runs(context.Context, bot.RunFilter) ([]bot.Run, error) { return o.all, o.err }

func sweeper(t *testing.T, v *providertest.Vault, runs bot.Runs) (*backup.Sweeper, func() []bot.Record) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "q.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	c := provider.NewCatalog([]string{"prod"}, map[bot.Target]provider.Bindings{shop: {Backup: v.Restorer()}})
	clock := bottest.NewClock(now)
	return &backup.Sweeper{Catalog: func() *provider.Catalog { return c }, Runs: runs, Store: s, Recorder: audit.New(audit.Config{Store: s, Clock: clock}),
			Clock: clock, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}, func() (all []bot.Record) {
			t.Helper()
			err := s.View(t.Context(), func(tx store.Reader) error {
				rows, err := tx.Records(bot.RecordFilter{Limit: 100})
				for _, row := range rows {
					var r bot.Record
					if err := json.Unmarshal(row.Body, &r); err != nil {
						return err
					}
					all = append(all, r)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return all
		}
}

// left has a vault hold what a run restored.
func left(t *testing.T, v *providertest.Vault, key string) {
	t.Helper()
	r := v.Restorer()
	h, err := r.Begin(provider.Trial{Target: shop, Backup: v.Listed[0]}, bot.Task{Key: key, Actor: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Advance(t.Context(), h); err != nil {
		t.Fatal(err)
	}
}

// What a run needs stays; what none needs goes; and when nobody can tell, all of it
// stays.
func TestSweeper(t *testing.T) {
	t.Parallel()
	v := providertest.NewVault(shop, providertest.VaultSound, now)
	left(t, v, "run-1-a")
	left(t, v, "run-2-b")
	blind, _ := sweeper(t, v, openRuns{err: bot.Errorf(bot.Unavailable, "the store does not answer")})
	blind.Sweep(t.Context())
	if n := v.Places(); n != 2 {
		t.Errorf("%d places are left though nobody could tell", n)
	}
	s, records := sweeper(t, v, openRuns{all: []bot.Run{{Number: 2, Handle: bot.Handle{Key: "run-2-b"}}}})
	s.Sweep(t.Context())
	if n := v.Places(); n != 1 || v.Foreign() != 1 {
		t.Errorf("%d places and %d of others are left", n, v.Foreign())
	}
	if all := records(); len(all) != 0 {
		t.Errorf("it tells of %v", all)
	}
}

// What cannot be removed is a copy of production data that lies about: it is
// recorded, once a day.
func TestSweeperTells(t *testing.T) {
	t.Parallel()
	v := providertest.NewVault(shop, providertest.VaultStuck, now)
	left(t, v, "run-1-a")
	s, records := sweeper(t, v, openRuns{})
	posted := 0
	s.Posted = func() { posted++ }
	s.Sweep(t.Context())
	s.Sweep(t.Context())
	all := records()
	if len(all) != 1 || posted != 1 || all[0].Kind != bot.ObservedKind || all[0].Target != "shop/prod" || !strings.Contains(all[0].Detail["summary"], "a restored copy was not removed") {
		t.Errorf("%d records, %d posts: %+v", len(all), posted, all)
	}
}
