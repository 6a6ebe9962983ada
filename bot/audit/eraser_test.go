package audit_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/store"
)

// TestEraseFromADocumentAlone erases what no record holds: it is recorded all the
// same, the document loses the value and nothing else, and what only looks like
// it stays and is named.
func TestEraseFromADocumentAlone(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "quarterdeck.db"))
	log := newLog(s)
	const lock = `{"target":{"service":"shop-2026","environment":"prod"},"person":"dev","reason":"badge 2026-77","since":"2026-11-21T03:00:00Z","until":"2026-11-22T03:00:00Z","ended":false,"args":{"key":"2026-77"},"tokens":{"sha256:20 lock shop 2026-77":"2026-77"}}`
	if err := s.Update(t.Context(), func(tx store.Tx) error {
		_, err := tx.PutDocument(bot.Document{Kind: "guard", ID: "lock/shop/prod", Body: []byte(lock)})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	var asked []bool
	e := &audit.Eraser{Store: s, Log: log, Seal: store.NewSeal(make([]byte, 32)),
		Files: func(_ context.Context, replace func(string) string, dryRun bool) ([]string, error) {
			asked = append(asked, dryRun)
			if replace("it printed 2026-77") == "it printed 2026-77" {
				t.Error("the files are not asked about what is erased")
			}
			return []string{"file 1.log"}, nil
		}}
	what := audit.Erasure{Matching: regexp.MustCompile(`2026(-77)?`), Reason: "a badge", By: bot.Identity{Person: "admin", Account: "os:1000"}}
	done, err := e.Erase(t.Context(), what)
	if err != nil {
		t.Fatal(err)
	}
	if len(done.Values) != 0 || done.Records != 1 || strings.Join(done.Places, ", ") != "document guard lock/shop/prod, file 1.log" || len(asked) != 2 || !asked[0] || asked[1] {
		t.Errorf("erased %+v; the files were asked %v", done, asked)
	}
	if hand := strings.Join(done.ByHand, "\n"); !strings.Contains(hand, "has it as service, tokens, which is no text and stays") {
		t.Errorf("by hand:\n%s", hand)
	}
	err = s.View(t.Context(), func(r store.Reader) error {
		d, _, err := r.Document("guard", "lock/shop/prod")
		if err != nil {
			return err
		}
		want := strings.NewReplacer("badge 2026-77", "badge [erased]", `"key":"2026-77"`, `"key":"[erased]"`, "shop 2026-77", "shop [erased]").Replace(lock)
		if string(d.Body) != want {
			t.Errorf("the document is\n%s, not\n%s", d.Body, want)
		}
		records, err := r.Records(bot.RecordFilter{Kind: bot.ConfiguredKind})
		if err != nil || len(records) != 1 {
			t.Fatalf("%d records tell of it: %v", len(records), err)
		}
		rec, err := audit.Decode(records[0])
		if said := audit.Say(rec); said != "admin erased something in 2 places outside the log: a badge" {
			t.Errorf("the log says %q", said)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// busy is a store in which somebody writes a document just before the first two
// updates.
type busy struct {
	store.Store
	updates int
}

func (b *busy) Update(ctx context.Context, f func(tx store.Tx) error) error {
	if b.updates++; b.updates <= 2 {
		err := b.Store.Update(ctx, func(tx store.Tx) error {
			d, _, err := tx.Document("guard", "lock/shop/prod")
			if err != nil {
				return err
			}
			_, err = tx.PutDocument(bot.Document{Kind: "guard", ID: "lock/shop/prod", Rev: d.Rev, Body: []byte(fmt.Sprintf(`{"reason":"badge 2026-77, and %d"}`, b.updates))})
			return err
		})
		if err != nil {
			return err
		}
	}
	return b.Store.Update(ctx, f)
}

// TestEraseWhileTheBotServes looks again when what it is about to rewrite was
// written to meanwhile: the newer text stays, without the value.
func TestEraseWhileTheBotServes(t *testing.T) {
	s := &busy{Store: open(t, filepath.Join(t.TempDir(), "quarterdeck.db"))}
	if err := s.Update(t.Context(), func(store.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	e := &audit.Eraser{Store: s, Log: newLog(s), Seal: store.NewSeal(make([]byte, 32))}
	done, err := e.Erase(t.Context(), audit.Erasure{Matching: regexp.MustCompile(`2026-77`), Reason: "a badge"})
	if err != nil || done.Records != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	err = s.View(t.Context(), func(r store.Reader) error {
		d, _, err := r.Document("guard", "lock/shop/prod")
		if want := `{"reason":"badge [erased], and 2"}`; string(d.Body) != want {
			t.Errorf("the document is %s, not %s", d.Body, want)
		}
		records, bad := r.Records(bot.RecordFilter{Kind: bot.ConfiguredKind})
		if len(records) != 1 {
			t.Errorf("%d records tell of one erasure", len(records))
		}
		return errors.Join(err, bad)
	})
	if err != nil {
		t.Fatal(err)
	}
}
