// Package postgres keeps everything that survives a restart in a PostgreSQL
// database, for several replicas on several machines.
//
// Every writer of every process locks one row before it reads anything, so the
// audit log cannot fork. Connections keep prepared statements and, while the
// tables are brought up to date, a session's lock: a pooler in between must
// give each connection a server connection of its own.
package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
	"quarterdeck/bot/store/sqlstore"
)

// readers is how many Views of one process run at once.
const readers = 4

// Type gives this store's row in the table of stores.
func Type() store.Type { return store.Type{Scheme: "postgres", Open: Open} }

// Open opens the database that dsn names and brings its tables up to date; of
// several processes that do so at once one does each step. dsn is a connection
// URI of libpq without its "postgres:", such as "//bot@db.example.com/ops":
// what it leaves out is taken from libpq's environment variables and password
// file, and its search_path says which schema holds the tables. The Errors that
// Open gives have a sentence, and neither that nor the cause holds the
// password. ctx bounds the opening alone.
//
// The store reconnects by itself. Where a connection is lost while a change is
// being committed, the server is asked afterwards what became of it; only where
// it cannot be asked does Update say that it may or may not have been made. A
// machine whose clock is off is not let write.
func Open(ctx context.Context, dsn string) (store.Store, error) {
	return opener{limits: usual}.open(ctx, dsn)
}

// limits are the bounds of one connection. Zero is not a bound.
type limits struct {
	connect   time.Duration // for one host
	statement time.Duration
	lock      time.Duration // how long another's lock is waited for
	idle      time.Duration // in an open transaction, before the server ends it
}

// answer is how long the server may stay silent, beyond what it may take.
func (l limits) answer() time.Duration { return l.statement + 5*time.Second }

// A process that stops in the middle of a change holds up all others for no
// longer than idle, and so for less than they wait for the lock.
var usual = limits{connect: 5 * time.Second, statement: 15 * time.Second, lock: 10 * time.Second, idle: 5 * time.Second}

// forReading leaves a View's function more time between its questions: it
// holds up nobody.
func (l limits) forReading() limits { l.idle *= 4; return l }

// forMigrating leaves time for a large table to be rewritten.
func (l limits) forMigrating() limits {
	l.statement, l.lock, l.idle = 10*time.Minute, 10*time.Minute, 10*time.Minute
	return l
}

// opener holds what tests replace.
type opener struct {
	limits limits
	// onConn is called on every new network connection and gives the one to
	// use in its place; may be nil.
	onConn func(c net.Conn) net.Conn
	// tracer is told what connections do; may be nil.
	tracer pgx.QueryTracer
}

func (o opener) open(ctx context.Context, dsn string) (store.Store, error) {
	c, err := parse(dsn)
	if err != nil {
		return nil, err
	}
	migrating := o.pool(c, o.limits.forMigrating(), 2)
	err = migrate(ctx, migrating)
	migrating.Close()
	if err != nil {
		return nil, openError(err)
	}
	return sqlstore.New(sqlstore.Options{
		Write:   o.pool(c, o.limits, 1),
		Read:    o.pool(c, o.limits.forReading(), readers),
		Readers: readers,
		Dialect: dialect(o.limits),
		Purge:   func(ctx context.Context) error { return o.purge(ctx, c) },
	}), nil
}

func dialect(l limits) sqlstore.Dialect {
	return sqlstore.Dialect{
		Name:        "postgres",
		Placeholder: func(n int) string { return "$" + strconv.Itoa(n) },
		// Each statement after the lock sees what the holder before committed:
		// that is what READ COMMITTED means. Whether the transaction may write
		// is left to the server, whose owner may have closed it for writing.
		BeginWrite: []string{"BEGIN ISOLATION LEVEL READ COMMITTED", lockWriter},
		Began:      began,
		Committed: func(ctx context.Context, db *sql.DB, mark string) (bool, error) {
			return committed(ctx, db, mark, 2*l.connect)
		},
		Allowance: 2 * maxSkew,
		BeginRead: []string{"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"},
		Patience:  2 * l.statement,
		Translate: translate,
		Lost:      isLost,
	}
}

// parse reads what follows "postgres:" in the configuration. What is wrong with
// it is not repeated, because it may hold a password.
func parse(dsn string) (*pgx.ConnConfig, error) {
	wrong := &bot.Error{Op: "postgres.open", Kind: bot.Invalid,
		Say: "the database cannot be read as an address; write postgres://USER@HOST:PORT/NAME, and in a password everything but letters and digits as %XX"}
	if !strings.HasPrefix(dsn, "//") {
		return nil, wrong
	}
	c, err := pgx.ParseConfig("postgres:" + dsn)
	if err != nil {
		return nil, wrong
	}
	// A password that is not written with %XX runs over into these, which
	// sentences name.
	hosts := []string{c.Database, c.Host}
	for _, f := range c.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	if strings.Contains(strings.Join(hosts, " "), "@") {
		return nil, wrong
	}
	if c.Database == "" {
		c.Database = c.User // as libpq has it
	}
	return c, nil
}

// pool gives a source of connections with these bounds.
func (o opener) pool(c *pgx.ConnConfig, l limits, most int) *sql.DB {
	c = c.Copy()
	c.ConnectTimeout = l.connect
	c.Tracer = o.tracer
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "quarterdeck"
	}
	for name, d := range map[string]time.Duration{
		"statement_timeout": l.statement, "lock_timeout": l.lock, "idle_in_transaction_session_timeout": l.idle,
	} {
		c.RuntimeParams[name] = strconv.FormatInt(d.Milliseconds(), 10)
	}
	// Every statement goes by an index, one row after the other. A plan that is
	// made once, without knowing how few rows a limit asks for, would read all
	// records to join them with twenty.
	for _, way := range []string{"enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit"} {
		if c.RuntimeParams[way] == "" {
			c.RuntimeParams[way] = "off"
		}
	}
	if c.RuntimeParams["synchronous_commit"] == "" {
		c.RuntimeParams["synchronous_commit"] = "on"
	}
	dialer := &net.Dialer{Timeout: l.connect, KeepAlive: 15 * time.Second}
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if o.onConn != nil {
			conn = o.onConn(conn)
		}
		return &bounded{Conn: conn, limit: l.answer()}, nil
	}
	db := sql.OpenDB(connector{config: c})
	db.SetMaxOpenConns(most)
	db.SetMaxIdleConns(most)
	return db
}

// where names the database for a sentence.
func where(c *pgx.ConnConfig) string {
	host := net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))
	if strings.HasPrefix(c.Host, "/") {
		host = c.Host
	}
	return fmt.Sprintf("%q on %s", c.Database, host)
}
