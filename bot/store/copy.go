package store

import "context"

// Copier is implemented by a Store that can copy itself while it is used. Copy
// writes a consistent copy to path, a file that must not exist, for its owner
// alone, and returns when it is on disk; what was committed meanwhile is in it or
// not, in order. schema is the version of its tables.
type Copier interface {
	Copy(ctx context.Context, path string) (schema int64, err error)
}
