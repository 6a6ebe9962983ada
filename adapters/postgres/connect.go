package postgres

import (
	"context"
	"database/sql/driver"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"quarterdeck/bot"
)

// connector opens connections that were proven to keep what is committed.
type connector struct {
	config *pgx.ConnConfig
}

func (c connector) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	inner := stdlib.GetConnector(*c.config, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		ctx, cancel := context.WithTimeout(ctx, c.config.ConnectTimeout)
		defer cancel()
		err := prove(ctx, conn)
		if err != nil {
			conn.Close(ctx)
		}
		return err
	}))
	conn, err := inner.Connect(ctx)
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() != nil:
		return nil, ctx.Err() // the caller's own bound, not the server's fault
	}
	return nil, connectError(c.config, err)
}

// prove checks that the settings on which durability and the order of texts
// rest are in force, not only asked for.
func prove(ctx context.Context, conn *pgx.Conn) error {
	var commit, fsync, encoding string
	var standby bool
	err := conn.QueryRow(ctx, `SELECT current_setting('synchronous_commit'), current_setting('fsync'),
		current_setting('server_encoding'), pg_is_in_recovery()`).Scan(&commit, &fsync, &encoding, &standby)
	if err != nil {
		return err
	}
	at := where(conn.Config())
	refuse := func(format string, args ...any) error {
		return &bot.Error{Op: "postgres.open", Kind: bot.Unavailable, Say: "the database " + at + " " + fmt.Sprintf(format, args...)}
	}
	switch {
	case standby:
		return refuse("is a standby that can only be read; name the server that takes writes")
	case commit != "on" && commit != "remote_apply":
		return refuse("keeps synchronous_commit at %s instead of on, so a crash could lose records", commit)
	case fsync != "on":
		return refuse("keeps fsync at %s instead of on, so a power cut could lose records", fsync)
	case encoding != "UTF8":
		return refuse("has the encoding %s instead of UTF8; create it with ENCODING 'UTF8'", encoding)
	}
	return nil
}

// bounded is a network connection on which the other side may be silent for a
// limited time only: a server that is gone without a word, or stopped, ends
// nobody's patience but the connection.
type bounded struct {
	net.Conn
	limit time.Duration

	mu          sync.Mutex
	read, write time.Time // asked for by the user of the connection; zero for none
}

// until gives when an operation that begins now ends.
func (b *bounded) until(asked time.Time) time.Time {
	end := time.Now().Add(b.limit)
	if !asked.IsZero() && asked.Before(end) {
		return asked
	}
	return end
}

// Read implements net.Conn.
func (b *bounded) Read(p []byte) (int, error) {
	b.mu.Lock()
	err := b.Conn.SetReadDeadline(b.until(b.read))
	b.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return b.Conn.Read(p)
}

// Write implements net.Conn.
func (b *bounded) Write(p []byte) (int, error) {
	b.mu.Lock()
	err := b.Conn.SetWriteDeadline(b.until(b.write))
	b.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return b.Conn.Write(p)
}

// SetDeadline implements net.Conn.
func (b *bounded) SetDeadline(t time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read, b.write = t, t
	return b.Conn.SetDeadline(b.until(t))
}

// SetReadDeadline implements net.Conn.
func (b *bounded) SetReadDeadline(t time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read = t
	return b.Conn.SetReadDeadline(b.until(t))
}

// SetWriteDeadline implements net.Conn.
func (b *bounded) SetWriteDeadline(t time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.write = t
	return b.Conn.SetWriteDeadline(b.until(t))
}
