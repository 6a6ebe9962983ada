package flag_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/flag"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/store"
)

// follower is a Set on a store that others change too.
type follower struct {
	t     *testing.T
	store store.Store
	log   *audit.Log
	clock *bottest.Clock
	*flag.Set
}

func newFollower(t *testing.T) *follower {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "q.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	clock := bottest.NewClock(time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC))
	f := &follower{t, s, audit.New(audit.Config{Store: s, Clock: clock}), clock, &flag.Set{Store: s, Clock: clock, Logger: slog.New(slog.DiscardHandler)}}
	if err := f.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
}

// write changes flags as another process does: document and record in one commit.
func (f *follower) write(recorded bool, flags ...provider.Flag) {
	f.t.Helper()
	err := f.store.Update(f.t.Context(), func(tx store.Tx) error {
		for _, one := range flags {
			body, err := json.Marshal(one)
			if err != nil {
				return err
			}
			id := provider.FlagID(one.Target.Environment, one.Key)
			old, _, err := tx.Document(provider.FlagDocument, id)
			if err != nil {
				return err
			}
			if _, err := tx.PutDocument(bot.Document{Kind: provider.FlagDocument, ID: id, Rev: old.Rev, Body: body}); err != nil {
				return err
			}
			if !recorded {
				continue
			}
			if _, err := f.log.Append(tx, bot.Record{Kind: bot.SucceededKind, At: f.clock.Now(), Resources: []bot.Resource{one.Resource()}}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *follower) follow() *flag.Snapshot {
	f.t.Helper()
	if err := f.Follow(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	now, _ := f.Now()
	return now
}

// TestSetFollowsTheLog: a change is seen at the next look whoever made it, one that
// archives takes the flag away, and where nothing changed nobody is woken.
func TestSetFollowsTheLog(t *testing.T) {
	f := newFollower(t)
	a, b := boolean("a"), boolean("b")
	f.write(true, a, b)
	_, changed := f.Now()
	now := f.follow()
	select {
	case <-changed:
	default:
		t.Error("who waits for a change is not woken")
	}
	if served := now.Of(target); len(served.Flags) != 2 || served.Flags[0].Key != "a" || served.Flags[0].Revision != "1" {
		t.Fatalf("there is %+v", served)
	}
	if got := now.Environments("a"); len(got) != 1 || got[0] != "prod" {
		t.Errorf("a is in %v", got)
	}
	digest := now.Of(target).Digest
	if again := f.follow(); again != now {
		t.Error("without a change there is another snapshot")
	}
	a.Percent = 25
	f.write(true, a)
	next := f.follow()
	if got, _ := next.Get("prod", "a"); got.Percent != 25 || next.Of(target).Digest == digest {
		t.Errorf("there is %+v", got)
	}
	if old, _ := now.Get("prod", "a"); old.Percent != 100 {
		t.Error("a snapshot that somebody holds was changed")
	}
	b.Archived = true
	f.write(true, b)
	if _, found := f.follow().Get("prod", "b"); found {
		t.Error("an archived flag is there")
	}
}

// TestSetReadsAllNowAndThen: what was missed is there after a minute.
func TestSetReadsAllNowAndThen(t *testing.T) {
	f := newFollower(t)
	f.write(false, boolean("a"))
	if _, found := f.follow().Get("prod", "a"); found {
		t.Fatal("a change without a record was seen at once, so this test shows nothing")
	}
	f.clock.Advance(time.Minute)
	if _, found := f.follow().Get("prod", "a"); !found {
		t.Error("it is not there after a minute")
	}
}

// TestManyFlags reads more than are read at once.
func TestManyFlags(t *testing.T) {
	f := newFollower(t)
	var all []provider.Flag
	for i := range 2500 {
		all = append(all, boolean(fmt.Sprintf("flag-%04d", i)))
	}
	f.write(false, all...)
	if err := f.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	now, _ := f.Now()
	if n := len(now.Of(target).Flags); n != len(all) {
		t.Errorf("%d of %d flags", n, len(all))
	}
}

// TestSetOutlivesItsStore: services get what there was.
func TestSetOutlivesItsStore(t *testing.T) {
	f := newFollower(t)
	f.write(true, boolean("a"))
	f.follow()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Follow(ctx); err == nil {
		t.Fatal("the store answers, so this test shows nothing")
	}
	if now, _ := f.Now(); len(now.Of(target).Flags) != 1 {
		t.Error("the flags are gone")
	}
}
