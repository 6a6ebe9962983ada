// Package notify tells people by ways other than chat, which may be what is
// down: mail, a webhook, a program of the team's own.
package notify

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"

	"quarterdeck/bot"
)

// Notice is what somebody is told. It may arrive twice: ID is the same then.
type Notice struct {
	ID     string `json:"id"`
	Page   int64  `json:"page"`
	Title  string `json:"title"`
	Text   string `json:"text"`
	Person string `json:"person,omitempty"` // "" for nobody in particular
	Email  string `json:"email,omitempty"`
	Target string `json:"target,omitempty"`
	Level  int    `json:"level"`
	Link   string `json:"link,omitempty"`
}

// Way is one way out. Send returns once the other side has taken the notice, and
// no later than ctx. Its errors are *bot.Error without secrets; those of kind
// Invalid say that this notice can never go that way. Safe for concurrent use.
type Way interface {
	Send(ctx context.Context, n Notice) error
}

// Table is one [pager.way.NAME] as it is written.
type Table struct {
	Type string `toml:"type"` // "smtp", "webhook" or "exec"

	Server   string   `toml:"server"` // smtp: HOST:PORT
	From     string   `toml:"from"`
	To       []string `toml:"to"` // beside the person's own address
	User     string   `toml:"user"`
	Password string   `toml:"password"`

	URL    string `toml:"url"` // webhook; the address may be the secret
	Bearer string `toml:"bearer"`

	Argv []string `toml:"argv"` // exec
}

// Open checks a table offline and makes the way. Its Error is of kind Invalid.
func Open(name string, t Table, dir string, secrets *bot.Secrets) (Way, error) {
	bad := func(format string, args ...any) (Way, error) {
		return nil, bot.Errorf(bot.Invalid, "way %q "+format, append([]any{name}, args...)...)
	}
	secret := func(ref string) (bot.Secret, error) {
		if ref == "" {
			return bot.Secret{}, nil
		}
		return secrets.Open(ref, dir)
	}
	switch t.Type {
	case "smtp":
		host, _, err := net.SplitHostPort(t.Server)
		if err != nil {
			return bad(`needs server = "HOST:PORT"`)
		}
		if !address(t.From) {
			return bad(`needs from = "ops@example.com"`)
		}
		for _, to := range t.To {
			if !address(to) {
				return bad("has the address %q, which is none", to)
			}
		}
		if (t.User == "") != (t.Password == "") {
			return bad("needs user and password together")
		}
		password, err := secret(t.Password)
		if err != nil {
			return bad("has a password that is none: %s", bot.Sentence(err, name))
		}
		return &mail{server: t.Server, host: host, from: t.From, to: t.To, user: t.User, password: password}, nil
	case "webhook":
		bearer, err := secret(t.Bearer)
		if err != nil {
			return bad("has a bearer that is none: %s", bot.Sentence(err, name))
		}
		w := &webhook{bearer: bearer, client: newClient()}
		if bot.IsSecret(t.URL) {
			if w.url, err = secrets.Open(t.URL, dir); err != nil {
				return bad("has an address that is none: %s", bot.Sentence(err, name))
			}
			return w, nil
		}
		if !mayBeTold(t.URL) {
			return bad(`needs url = "https://..." or a reference to it; http goes to this machine alone`)
		}
		w.plain = t.URL
		return w, nil
	case "exec":
		if len(t.Argv) == 0 || t.Argv[0] == "" {
			return bad(`needs argv = ["PROGRAM", ...]`)
		}
		argv := append([]string(nil), t.Argv...)
		if strings.ContainsRune(argv[0], filepath.Separator) && !filepath.IsAbs(argv[0]) {
			argv[0] = filepath.Join(dir, argv[0])
		}
		return &program{argv: argv, dir: dir}, nil
	case "":
		return bad(`needs a type: "smtp", "webhook" or "exec"`)
	}
	return bad(`has the unknown type %q; there are "smtp", "webhook" and "exec"`, t.Type)
}

func address(s string) bool {
	at := strings.LastIndexByte(s, '@')
	return at > 0 && at < len(s)-1 && !strings.ContainsAny(s, " \r\n<>,;")
}

// mayBeTold reports whether an address may be asked: what is told there is for
// nobody else's eyes.
func mayBeTold(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback())
}

func unavailable(op string, err error, format string, args ...any) error {
	return &bot.Error{Op: "notify." + op, Kind: bot.Unavailable, Say: fmt.Sprintf(format, args...), Err: err}
}
