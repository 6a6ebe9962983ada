package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"quarterdeck/bot"
)

// translate says in a sentence what PostgreSQL's code means
// (https://www.postgresql.org/docs/current/errcodes-appendix.html). What a
// person may be able to mend is Unavailable: the same request works afterwards.
func translate(err error) (bot.Kind, string) {
	if isLost(err) {
		return bot.Unavailable, "the connection to the database was lost; nothing was changed"
	}
	switch code := codeOf(err); code {
	case "55P03":
		return bot.Unavailable, "the database is locked by another process; nothing was changed"
	case "57014":
		return bot.Timeout, "the database did not answer in time; nothing was changed"
	case "40P01":
		return bot.Unavailable, "the database ended the change because another waited for it and it for the other; nothing was changed"
	case "40001":
		return bot.Unavailable, "somebody else changed the database at the same moment; nothing was changed"
	case "53100":
		return bot.Unavailable, "the disk that holds the database is full; nothing was changed"
	case "53200":
		return bot.Unavailable, "there is not enough memory for the database; nothing was changed"
	case "53300":
		return bot.Unavailable, "the database has too many connections"
	case "25006":
		return bot.Unavailable, "the database can only be read; nothing was changed"
	case "42501":
		return bot.Unavailable, "the database does not permit this user what the bot has to do; nothing was changed"
	case "42P01", "42703", "3F000":
		return bot.Unavailable, "the tables of the bot are missing in the database, or are not its own; nothing was changed"
	case "42P07":
		return bot.Unavailable, "the database holds tables of another program; give the bot a database or a schema of its own"
	case "28P01", "28000":
		return bot.Unavailable, "the database does not let this user in"
	case "3D000":
		return bot.Unavailable, "the database does not exist"
	case "58030", "58P01", "58P02":
		return bot.Unavailable, "the disk that holds the database reports an error; nothing was changed"
	case "22021", "22P05":
		return bot.Invalid, "a text holds characters that the database cannot keep; nothing was changed"
	case "":
		return bot.Internal, "the database failed"
	default:
		switch code[:2] {
		case "22", "54":
			return bot.Invalid, "the value is too large for the database"
		case "23":
			return bot.Conflict, "somebody else changed the same thing meanwhile"
		case "53":
			return bot.Unavailable, "the database has reached one of its limits; nothing was changed"
		case "XX":
			return bot.Unavailable, "the database reports damage or a fault of its own; nothing was changed"
		}
	}
	return bot.Internal, "the database failed"
}

// codeOf gives the server's code, "" where the server said none.
func codeOf(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) && len(e.Code) == 5 {
		return e.Code
	}
	return ""
}

// isLost reports whether an error means that the connection is gone. What the
// server did of the last statement that was sent on it is not known.
func isLost(err error) bool {
	switch code := codeOf(err); code {
	case "":
	case "57P01", "57P02", "57P03", "57P04", "57P05", "25P03", "25P04":
		return true
	default:
		return code[:2] == "08"
	}
	var network net.Error
	return errors.As(err, &network) || pgconn.Timeout(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, pgconn.ErrConnClosed) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone)
}

// connectError says why no connection was made, and to what. What pgx says of
// it names the user and the database; its error also carries the password, and
// so is not passed on.
func connectError(c *pgx.ConnConfig, err error) error {
	var known *bot.Error
	if errors.As(err, &known) {
		return known
	}
	cause := err.Error()
	if c.Password != "" {
		cause = strings.ReplaceAll(cause, c.Password, "[redacted]")
	}
	say := func(what string) error {
		return &bot.Error{Op: "postgres.connect", Kind: bot.Unavailable,
			Say: fmt.Sprintf("the database %s %s", where(c), what), Err: errors.New(cause)}
	}
	var lookup *net.DNSError
	switch code := codeOf(err); code {
	case "28P01", "28000":
		return say(fmt.Sprintf("does not let the user %q in; look at the password, PGPASSWORD or the password file, and at what the server allows", c.User))
	case "3D000":
		return say("does not exist; create it with CREATE DATABASE")
	case "42501":
		return say(fmt.Sprintf("does not permit the user %q to connect", c.User))
	case "53300":
		return say("has too many connections")
	case "57P03":
		return say("is starting or stopping; try again in a moment")
	case "":
	default:
		return say("refused the connection with the code " + code)
	}
	switch {
	case errors.As(err, &lookup):
		return say("cannot be found: its host has no address")
	case strings.Contains(cause, "SASL") || strings.Contains(cause, "authentication"):
		return say(fmt.Sprintf("does not let the user %q in; look at the password, PGPASSWORD or the password file, and at what the server allows", c.User))
	case strings.Contains(cause, "tls") || strings.Contains(cause, "TLS") || strings.Contains(cause, "x509"):
		return say("has no encrypted connection as the address asks for it; look at sslmode and the certificates")
	case errors.Is(err, syscall.ECONNREFUSED):
		return say("refused the connection; is its server running")
	case errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err):
		return say("did not answer in time")
	case isLost(err):
		return say("cannot be reached")
	}
	return say("could not be opened")
}

func openError(err error) error {
	var known *bot.Error
	if errors.As(err, &known) {
		return err
	}
	op := "postgres.open"
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &bot.Error{Op: op, Kind: bot.Timeout, Say: "the database was not opened in time", Err: err}
	case errors.Is(err, context.Canceled):
		return &bot.Error{Op: op, Kind: bot.Unavailable, Say: "opening the database was called off", Err: err}
	}
	kind, say := translate(err)
	return &bot.Error{Op: op, Kind: kind, Say: say, Err: err}
}
