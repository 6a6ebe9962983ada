package backupprovider

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"quarterdeck/bot"
)

// postgresDump is a dump of PostgreSQL, restored into a database of its own.
type postgresDump struct {
	*climb
	*member
	index  int    // of the member
	name   string // of the database
	kind   dumpKind
	server *running // that was started for it; nil for one that there is
	to     pgServer // where the database is
}

// pgServer is a server and who asks it. Everything is done by its own client
// programs: what restores a dump at night is what is tested here.
type pgServer struct {
	address
	bin   string
	place *place
}

// env is the environment of the client programs: none of their files of this
// machine's user is read, so that only what is configured counts.
func (s pgServer) env(database string, readOnly bool) []string {
	env := []string{"PGHOST=" + s.host, "PGUSER=" + s.user, "PGDATABASE=" + database, "PGPASSWORD=" + s.password,
		"PGPASSFILE=/dev/null", "PGSERVICEFILE=/dev/null", "PGSYSCONFDIR=/nonexistent", "PGCONNECT_TIMEOUT=10", "PGAPPNAME=quarterdeck restore test"}
	if s.port != "" {
		env = append(env, "PGPORT="+s.port)
	}
	for option, name := range map[string]string{"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT"} {
		if v := s.options.Get(option); v != "" {
			env = append(env, name+"="+v)
		}
	}
	if readOnly {
		env = append(env, fmt.Sprintf("PGOPTIONS=-c default_transaction_read_only=on -c statement_timeout=%d", askWithin.Milliseconds()))
	}
	return env
}

// psql runs statements that are ours or the configuration's.
func (s pgServer) psql(ctx context.Context, database, sql string, readOnly bool) ([][]string, error) {
	path, err := find(s.bin, "psql")
	if err != nil {
		return nil, err
	}
	out, err := s.place.run(ctx, program{name: "psql", path: path, dir: s.place.dir, env: s.env(database, readOnly), stdin: strings.NewReader(sql + "\n;\n"),
		args: []string{"--no-psqlrc", "--quiet", "--no-password", "--csv", "--tuples-only", "--set=ON_ERROR_STOP=1", "--file=-"}})
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(bytes.NewReader(out))
	r.FieldsPerRecord = -1
	rows, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read what psql gave: %w", err)
	}
	return rows, nil
}

// one gives the only value of an answer.
func (s pgServer) one(ctx context.Context, database, sql string) (string, error) {
	rows, err := s.psql(ctx, database, sql, true)
	if err != nil {
		return "", err
	}
	if len(rows) != 1 || len(rows[0]) == 0 {
		return "", fmt.Errorf("%d rows where one was expected", len(rows))
	}
	return rows[0][0], nil
}

// pgMaintenance is the database that every server has.
const pgMaintenance = "postgres"

// postgresServer gives the configured server.
func (b *backups) postgresServer(p *place) (pgServer, error) {
	a, err := addressOf(b.postgres, "postgres", "postgresql")
	if err != nil {
		return pgServer{}, err
	}
	if !a.local() {
		return pgServer{}, bot.Errorf(bot.Denied, "the server for restore tests is not on this machine; a dump is restored into a server of this machine alone")
	}
	return pgServer{a, b.settings.PostgresBin, p}, nil
}

var (
	pgDumped = regexp.MustCompile(`Dumped from database version:? ([0-9.]+)`)
	pgEnd    = regexp.MustCompile(`^-- PostgreSQL database dump complete`)
)

func (d *postgresDump) engine(ctx context.Context) (string, []string, error) {
	var tools []string
	bin := d.settings.PostgresBin
	names := []string{"psql"}
	var err error
	path := d.fetched(d.member)
	if d.kind, err = kindOf(path); err != nil {
		return "", nil, err
	}
	if d.kind == dumpCustom || d.kind == dumpFolder {
		names = append(names, "pg_restore")
	}
	if d.postgres == nil {
		names = append(names, "initdb", "postgres")
		if os.Geteuid() == 0 {
			return "", nil, bot.Errorf(bot.Unavailable, `a PostgreSQL server cannot be started by root; run the bot as a user of its own, or name a server with postgres = "env:NAME"`)
		}
	}
	paths := map[string]string{}
	for _, name := range names {
		if paths[name], err = find(bin, name); err != nil {
			return "", nil, err
		}
		out, err := d.place.run(ctx, program{name: name, path: paths[name], args: []string{"--version"}})
		if err != nil {
			return "", nil, err
		}
		tools = append(tools, clean(string(out), 80))
	}
	var major version
	if d.postgres != nil {
		if d.to, err = d.postgresServer(d.place); err != nil {
			return "", tools, err
		}
		if major, err = d.trusted(ctx); err != nil {
			return "", tools, err
		}
	} else {
		major = versionOf(tools[len(tools)-1])
	}
	head, err := d.head(ctx, path, paths["pg_restore"])
	if err != nil {
		return "", tools, err
	}
	m := pgDumped.FindStringSubmatch(head)
	if m == nil {
		return "", tools, bot.Errorf(bot.Conflict, "it is no dump of PostgreSQL: it does not say what it was dumped from")
	}
	from := versionOf(m[1] + ".0")
	if len(major) == 0 || len(from) == 0 {
		return "", tools, bot.Errorf(bot.Conflict, "its version, or the server's, cannot be told")
	}
	if from[0] > major[0] {
		return "", tools, bot.Errorf(bot.Conflict, "it was dumped from PostgreSQL %s, which is newer than the server's %s; restore tests need one of that version", clean(m[1], 20), major)
	}
	return fmt.Sprintf("PostgreSQL %s, dumped from %s", major, clean(m[1], 20)), tools, nil
}

// trusted looks whether the configured server may be restored into: as a role that
// could do no harm to anything else, because a dump can hold any statement.
func (d *postgresDump) trusted(ctx context.Context) (version, error) {
	rows, err := d.to.psql(ctx, pgMaintenance, `SELECT r.rolsuper OR r.rolreplication OR r.rolcreaterole, r.rolcreatedb, current_setting('server_version_num'),
		coalesce((SELECT min(datname::text) FROM pg_database d WHERE d.datdba = r.oid AND datname !~ '^qd_rt_[0-9a-f]{24}_[0-9]+$'), '')
		FROM pg_roles r WHERE r.rolname = current_user`, true)
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 || len(rows[0]) != 4 {
		return nil, fmt.Errorf("psql gave %d rows about the role", len(rows))
	}
	row := rows[0]
	n, err := strconv.Atoi(row[2])
	switch {
	case err != nil:
		return nil, err
	case row[0] != "f":
		return nil, bot.Errorf(bot.Denied, "the role %s may do more than restore: it is a superuser, may replicate or may make roles; give restore tests a role that only has CREATEDB", clean(d.to.user, 60))
	case row[1] != "t":
		return nil, bot.Errorf(bot.Denied, "the role %s may not make databases; give it CREATEDB", clean(d.to.user, 60))
	case row[3] != "":
		return nil, bot.Errorf(bot.Denied, "the role %s owns the database %s; give restore tests a role that owns nothing", clean(d.to.user, 60), clean(row[3], 60))
	}
	return version{n / 10000, n % 10000}, nil
}

// head gives what the dump says of itself. A dump of statements that was cut
// short shows here.
func (d *postgresDump) head(ctx context.Context, path, restore string) (string, error) {
	if d.kind == dumpCustom || d.kind == dumpFolder {
		out, err := d.place.run(ctx, program{name: "pg_restore", path: restore, args: []string{"--list", path}})
		var said *bot.Error
		if errors.As(err, &said) && strings.Contains(said.Say, "unsupported version") {
			return "", bot.Errorf(bot.Conflict, "it was written by a newer pg_dump than this pg_restore can read; restore tests need the programs of that version")
		}
		return string(out), err
	}
	head, whole, err := ends(ctx, path, d.kind, pgEnd)
	if err != nil {
		return "", err
	}
	if !whole {
		return "", bot.Errorf(bot.Conflict, "it does not end as pg_dump ends a dump: it was cut short")
	}
	return strings.Join(head, "\n"), nil
}

func (d *postgresDump) restore(ctx context.Context) (string, error) {
	if d.postgres == nil {
		if err := d.startServer(ctx); err != nil {
			return "", err
		}
	} else if _, err := d.to.psql(ctx, pgMaintenance, fmt.Sprintf("CREATE DATABASE %q TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'", d.name), false); err != nil {
		return "", err
	}
	path := d.fetched(d.member)
	var err error
	if d.kind == dumpCustom || d.kind == dumpFolder {
		var restore string
		if restore, err = find(d.settings.PostgresBin, "pg_restore"); err != nil {
			return "", err
		}
		_, err = d.place.run(ctx, program{name: "pg_restore", path: restore, env: d.to.env(d.name, false),
			args: []string{"--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges", "--no-password", "--dbname=" + d.name, path}})
	} else {
		err = d.feed(ctx, path)
	}
	if err != nil {
		return "", err
	}
	more, err := d.to.psql(ctx, pgMaintenance, `SELECT datname FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE r.rolname = current_user AND datname !~ '^qd_rt_[0-9a-f]{24}_[0-9]+$'`, true)
	if err != nil {
		return "", err
	}
	if len(more) > 0 {
		return "", bot.Errorf(bot.Conflict, "the dump made a database %s of its own, which a person must look at", clean(more[0][0], 60))
	}
	return "PostgreSQL restored it without an error", nil
}

// feed has psql run a dump of statements, all or nothing, in its restricted mode:
// a dump that calls programs or goes to another database is refused.
func (d *postgresDump) feed(ctx context.Context, path string) error {
	psql, err := find(d.settings.PostgresBin, "psql")
	if err != nil {
		return err
	}
	in, err := statements(path, d.kind)
	if err != nil {
		return err
	}
	defer in.Close()
	restricted := strings.NewReader("\\restrict " + token() + "\n")
	_, err = d.place.run(ctx, program{name: "psql", path: psql, env: d.to.env(d.name, false), stdin: io.MultiReader(restricted, newOwnerless(reader{ctx, in})),
		args: []string{"--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--single-transaction", "--output=/dev/null", "--file=-"}})
	return err
}

// startServer starts a server in the place, with a role that is no superuser.
func (d *postgresDump) startServer(ctx context.Context) error {
	sockets, err := d.place.socketFolder()
	if err != nil {
		return err
	}
	bin := d.settings.PostgresBin
	initdb, err := find(bin, "initdb")
	if err != nil {
		return err
	}
	postgres, err := find(bin, "postgres")
	if err != nil {
		return err
	}
	data := d.place.file("postgres-" + d.member.name)
	if _, err := d.place.run(ctx, program{name: "initdb", path: initdb,
		args: []string{"--pgdata=" + data, "--username=qd_owner", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"}}); err != nil {
		return err
	}
	// Each member has a server of its own, told apart by the number in its socket's
	// name; nothing listens on a network.
	port := strconv.Itoa(5432 + d.index)
	if d.server, err = d.place.begin(program{name: "postgres", path: postgres, end: syscall.SIGQUIT,
		args: []string{"-D", data, "-c", "listen_addresses=", "-c", "unix_socket_directories=" + sockets, "-c", "port=" + port,
			"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=20", "-c", "autovacuum=off"}}); err != nil {
		return err
	}
	owner := pgServer{address{host: sockets, port: port, user: "qd_owner"}, bin, d.place}
	if err := answers(ctx, d.server, func(ctx context.Context) error {
		_, err := owner.one(ctx, pgMaintenance, "SELECT 1")
		return err
	}); err != nil {
		return err
	}
	d.to = owner
	d.to.user = "qd_restore"
	if _, err := owner.psql(ctx, pgMaintenance, "CREATE ROLE qd_restore LOGIN", false); err != nil {
		return err
	}
	_, err = owner.psql(ctx, pgMaintenance, fmt.Sprintf("CREATE DATABASE %q OWNER qd_restore TEMPLATE template0", d.name), false)
	return err
}

func (d *postgresDump) verify(ctx context.Context) (string, error) {
	n, err := d.to.one(ctx, d.name, "SELECT (SELECT count(*) FROM pg_index WHERE NOT indisvalid) + (SELECT count(*) FROM pg_constraint WHERE NOT convalidated AND contype = 'f')")
	if err != nil {
		return "", err
	}
	if n != "0" {
		return "", bot.Errorf(bot.Conflict, "%s of its indexes and foreign keys do not hold", clean(n, 20))
	}
	return "indexes and foreign keys hold", nil
}

func (d *postgresDump) tables(ctx context.Context) (map[string]int64, error) {
	return d.to.count(ctx, d.name)
}

// count counts the rows of every table, by its name as people write it.
func (s pgServer) count(ctx context.Context, database string) (map[string]int64, error) {
	rows, err := s.psql(ctx, database, fmt.Sprintf(`SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1 LIMIT %d`, maxTables+1), true)
	if err != nil {
		return nil, err
	}
	if len(rows) > maxTables {
		return nil, bot.Errorf(bot.Invalid, "it has more than %d tables", maxTables)
	}
	counts := make(map[string]int64, len(rows))
	var query strings.Builder
	for i, row := range rows {
		if i > 0 {
			query.WriteString(" UNION ALL ")
		}
		fmt.Fprintf(&query, "SELECT %d, count(*) FROM %s", i, row[0])
	}
	if query.Len() == 0 {
		return counts, nil
	}
	got, err := s.psql(ctx, database, query.String(), true)
	if err != nil {
		return nil, err
	}
	for _, row := range got {
		if len(row) != 2 {
			return nil, fmt.Errorf("psql gave %d cells for a count", len(row))
		}
		i, errI := strconv.Atoi(row[0])
		n, errN := strconv.ParseInt(row[1], 10, 64)
		if errI != nil || errN != nil || i < 0 || i >= len(rows) {
			return nil, errors.New("psql gave a count that is none")
		}
		counts[strings.TrimPrefix(rows[i][0], "public.")] = n
	}
	if len(counts) != len(rows) {
		return nil, errors.New("psql did not count every table")
	}
	return counts, nil
}

func (d *postgresDump) ask(ctx context.Context, sql string, most int) ([][]string, error) {
	rows, err := d.to.psql(ctx, d.name, sql, true)
	return rows[:min(len(rows), most)], err
}

func (d *postgresDump) close() {
	if d.server != nil {
		d.server.stop()
	}
}
