package digest

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/backup"
	"quarterdeck/bot/guard"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/release"
	"quarterdeck/bot/store"
)

// Sources is what the sections read. None is needed to list the sections.
type Sources struct {
	Catalog *provider.Catalog
	Runs    bot.Runs
	Log     bot.Log
	Ledger  *release.Ledger
	Guard   *guard.Keeper
	Backups *backup.Ledger
	Store   store.Store
	Zone    bot.Zone
	// Verify checks the audit log; see audit.Verify.
	Verify func(ctx context.Context) (audit.Report, error)
	// Unused gives, in a sentence each, the rights that none of these uses needed.
	Unused func(ctx context.Context, uses []Use) ([]string, error)
	// Means gives the permission that a verb takes, "" for none.
	Means func(verb string) bot.Permission
	// Dial opens a connection to "HOST:PORT" for the certificates; nil for the
	// system's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// More are sections of parts of the bot that bring their own.
	More []Section
}

// All gives the table of sections, one line each. Parts of the bot that are
// assembled elsewhere add theirs by Sources.More.
func (s Sources) All() []Section {
	return append([]Section{
		{Name: "changes", Help: "what changed, and how it ended", Permission: bot.MaySeeHistory, Gather: s.changes},
		{Name: "stuck", Help: "runs that wait, go on for long, or ended unknown", Permission: bot.MaySeeRuns, Gather: s.stuck},
		{Name: "reviews", Help: "break-glass that nobody reviewed", Permission: bot.MaySeeRuns, Gather: s.reviews},
		{Name: "holds", Help: "halts, locks and freezes, also those ahead", Permission: bot.MaySeeStatus, Gather: s.holds},
		{Name: "restores", Help: "restore tests, and those that are due", Permission: bot.MaySeeBackups, Gather: s.restores},
		{Name: "certificates", Help: "certificates of hosts that expire soon", Permission: bot.MayDigest, Gather: s.certificates},
		{Name: "log", Help: "whether the audit log is intact", Permission: bot.MayReadAudit, Gather: s.verified, Within: 20 * time.Second},
		{Name: "dora", Help: "the five DORA metrics of each service", Permission: bot.MaySeeHistory, Gather: s.dora},
		{Name: "unused", Help: "rights that nobody used", Permission: bot.MayReadAudit, Gather: s.unused, Within: 20 * time.Second},
	}, s.More...)
}

// dial opens a TLS connection to look at the other side's certificates.
func (s Sources) dial(ctx context.Context, address string) (*tls.Conn, error) {
	open := s.Dial
	if open == nil {
		open = (&net.Dialer{}).DialContext
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	plain, err := open(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	// What is read is when the certificates end, also of those that nobody here
	// trusts, such as a private authority's; nothing is sent.
	conn := tls.Client(plain, &tls.Config{ServerName: host, InsecureSkipVerify: true})
	if err := conn.HandshakeContext(ctx); err != nil {
		plain.Close()
		return nil, err
	}
	return conn, nil
}
