package digest

import (
	"context"
	"fmt"

	"quarterdeck/bot"
	"quarterdeck/bot/backup"
)

// restores tells of the restore tests of the window, and of those that are due:
// failed, or not passed for longer than is wanted.
func (s Sources) restores(ctx context.Context, w Window) (Block, error) {
	var bad, good []string
	for _, t := range s.Catalog.Targets() {
		if _, err := s.Catalog.RestoreTester(t); err != nil || !w.May(bot.MaySeeBackups, t) {
			continue
		}
		standing, err := s.Backups.Standing(ctx, t)
		if err != nil {
			return Block{}, err
		}
		if why := standing.Overdue(s.Catalog.Objectives(t), w.Now); why != "" {
			bad = append(bad, fmt.Sprintf("%s: %s", t, why))
		} else if r := standing.Last; r != nil && w.Within(r.At) {
			good = append(good, fmt.Sprintf("%s: passed (#%d), a backup of %s, restored in %s", t, r.Run, w.Zone.Minute(r.Created), backup.Age(r.RTO)))
		}
	}
	lines := append(bad, good...)
	if len(lines) > 1 {
		lines = append([]string{fmt.Sprintf("%d passed, %d to look at", len(good), len(bad))}, lines...)
	}
	return Block{Lines: lines}, nil
}
