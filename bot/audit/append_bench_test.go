package audit_test

import (
	"context"
	"path/filepath"
	"testing"

	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/store"
)

// BenchmarkAppendSQLite appends the whole record shape, durably, from 64
// callers at once.
func BenchmarkAppendSQLite(b *testing.B) {
	s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "quarterdeck.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	log := audit.New(audit.Config{Store: s, Clock: bot.SystemClock{}})
	rec := bot.Record{Kind: bot.Requested, Run: 12, Account: "slack:T1/U1", Standing: bot.Member, Person: "dev-one", Verb: "deploy", Target: "shop/prod",
		Text: map[string]string{"line": "deploy shop v2 prod", "reason": "fixes the cart"}, Detail: map[string]string{"summary": "deploy shop v2 to prod"}}
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			err := s.Update(context.Background(), func(tx store.Tx) error {
				_, err := log.Append(tx, rec)
				return err
			})
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}
