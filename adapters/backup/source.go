package backupprovider

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"

	"quarterdeck/bot"
)

// countSource counts the rows of the database that was dumped, where it lives: it
// only reads there, in read-only transactions. It goes on changing, which is what
// a tolerance is for.
func (b *tester) countSource(ctx context.Context, m *member) (map[string]int64, error) {
	p, err := b.errand()
	if err != nil {
		return nil, err
	}
	defer func() { _ = b.remove(context.WithoutCancel(ctx), p) }() // a sweep finds what is left
	switch m.Engine {
	case "postgres":
		a, err := addressOf(m.source, "postgres", "postgresql")
		if err != nil {
			return nil, err
		}
		return pgServer{a, b.settings.PostgresBin, p}.count(ctx, a.database)
	case "mariadb":
		a, err := addressOf(m.source, "mariadb", "mysql")
		if err != nil {
			return nil, err
		}
		return myServer{a, b.settings.MariaDBBin, p}.count(ctx, a.database)
	}
	return nil, fmt.Errorf("%s has no source", m.Engine)
}

// errand makes a place to run programs in that are no trial's.
func (b *tester) errand() (*place, error) {
	if err := os.MkdirAll(b.scratch, 0o700); err != nil {
		return nil, stateError("the scratch folder cannot be made", err)
	}
	key := "errand " + token()
	p, err := seize(b.scratch, tagOf(key))
	if err != nil {
		return nil, stateError("the scratch folder cannot be used", err)
	}
	return p, p.prepare(intent{Key: key, Target: b.target, At: b.clock.Now()})
}

// scratchDatabase is what every database of ours is called.
var scratchDatabase = regexp.MustCompile(`^qd_rt_[0-9a-f]{24}_[0-9]{1,3}$`)

// drop removes a scratch database of a server that outlives the trial, and looks
// that it is gone.
func (b *backups) drop(ctx context.Context, p *place, engine, name string) error {
	if !scratchDatabase.MatchString(name) || !strings.HasPrefix(name, p.tag+"_") {
		return fmt.Errorf("%q is no scratch database of %s", name, p.tag)
	}
	if engine == "postgres" {
		if b.postgres == nil {
			return bot.Errorf(bot.Unavailable, "the database %s is on a server that is not configured any more", name)
		}
		s, err := b.postgresServer(p)
		if err != nil {
			return err
		}
		if _, err := s.psql(ctx, pgMaintenance, fmt.Sprintf("DROP DATABASE IF EXISTS %q WITH (FORCE)", name), false); err != nil {
			return err
		}
		n, err := s.one(ctx, pgMaintenance, "SELECT count(*) FROM pg_database WHERE datname = '"+name+"'")
		return stillThere(name, n, err)
	}
	if b.mariadb == nil {
		return bot.Errorf(bot.Unavailable, "the database %s is on a server that is not configured any more", name)
	}
	s, err := b.mariadbServer(p)
	if err != nil {
		return err
	}
	rows, err := s.client(ctx, "", "DROP DATABASE IF EXISTS `"+name+"`; SELECT count(*) FROM information_schema.schemata WHERE schema_name = '"+name+"'")
	if err != nil {
		return err
	}
	n := ""
	if len(rows) > 0 {
		n = rows[len(rows)-1][0]
	}
	return stillThere(name, n, nil)
}

func stillThere(name, n string, err error) error {
	if err == nil && n != "0" {
		err = bot.Errorf(bot.Unavailable, "the database %s is still there", name)
	}
	return err
}
