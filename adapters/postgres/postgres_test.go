package postgres

import (
	"testing"

	"quarterdeck/bot/store"
	"quarterdeck/bot/store/storetest"
)

func TestStore(t *testing.T) {
	serverURL(t)
	storetest.Exercise(t, func(t *testing.T) (store.Store, func() store.Store) {
		_, dsn := fresh(t)
		s := opened(t, dsn)
		return s, func() store.Store {
			if err := s.Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
			s = opened(t, dsn)
			return s
		}
	})
}
