package provider

import (
	"context"
	"time"
)

// Vault keeps what must not change: objects are stored once, and nobody takes
// them away before their time. Safe for concurrent use. Errors are of kind
// Unavailable, Timeout or Busy where the other side does not answer, Denied where
// it refuses us, and NotFound where there is no such object or place.
type Vault interface {
	// Put stores an object that is kept until then. A name that is taken gives
	// Conflict, and what is there stays; an object is there whole or not at all.
	Put(ctx context.Context, name string, body []byte, until time.Time) error
	// Names gives the names that come after one in the order of their bytes, the
	// first ones where there are many; none when that was the last.
	Names(ctx context.Context, after string) ([]string, error)
	// Get gives an object of at most most bytes.
	Get(ctx context.Context, name string, most int64) ([]byte, error)
	// Place is the vault in words: "s3://audit-logs/quarterdeck/".
	Place() string
}

// VaultBinder is a Provider that can bind a Vault from a table of its own keys.
type VaultBinder interface {
	BindVault(raw Raw) (Vault, error)
}
