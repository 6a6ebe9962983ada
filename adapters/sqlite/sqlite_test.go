package sqlite

import (
	"context"
	"path/filepath"
	"testing"

	"quarterdeck/bot/store"
	"quarterdeck/bot/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Exercise(t, func(t *testing.T) (store.Store, func() store.Store) {
		path := filepath.Join(t.TempDir(), "quarterdeck.db")
		s := opened(t, path)
		return s, func() store.Store {
			if err := s.Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
			s = opened(t, path)
			return s
		}
	})
}

// opened opens a database that is closed when t ends.
func opened(t testing.TB, path string) store.Store {
	t.Helper()
	s, err := Open(context.Background(), path)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}
