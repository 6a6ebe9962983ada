package sqlstore

import (
	"context"

	"quarterdeck/bot"
)

// Copy implements store.Copier where Options.Copy does; elsewhere it says what
// to use instead.
func (s *Store) Copy(ctx context.Context, path string) (schema int64, err error) {
	if s.copy == nil {
		return 0, &bot.Error{Op: "store.copy", Kind: bot.Invalid,
			Say: "this database is backed up with its own tools: pg_dump --format=custom --file=OUT DATABASE, and pg_restore --clean while no bot runs"}
	}
	schema, err = s.copy(ctx, path)
	return schema, translate(&s.dialect, "store.copy", err)
}
