package digest

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/sourcegraph/conc/iter"
)

// The bounds of looking at certificates.
const (
	soon    = 30 * 24 * time.Hour // before its end a certificate is told of
	probers = 16                  // hosts at a time
	probe   = 4 * time.Second     // for one host; two rounds of all fit a section's time
)

// ends is when the certificates of a host end.
type ends struct {
	host string
	at   time.Time
	why  string // what kept it from being known, "" for nothing
}

// certificates tells which certificates end soon, of those that the configured
// hosts show. The host's own counts; those of authorities that come with it are
// often there for old clients alone, and over for everybody else.
func (s Sources) certificates(ctx context.Context, w Window) (Block, error) {
	if len(w.Hosts) == 0 {
		return Block{}, nil
	}
	each := iter.Mapper[string, ends]{MaxGoroutines: probers}
	all := each.Map(w.Hosts, func(host *string) ends { return s.look(ctx, *host) })
	slices.SortStableFunc(all, func(a, b ends) int {
		return cmp.Or(cmp.Compare(b.why, a.why), a.at.Compare(b.at))
	})
	var lines []string
	fine := 0
	for _, e := range all {
		name := strings.TrimSuffix(e.host, ":443")
		left := e.at.Sub(w.Now)
		switch {
		case e.why != "":
			lines = append(lines, fmt.Sprintf("%s: %s", name, e.why))
		case left <= 0:
			lines = append(lines, fmt.Sprintf("%s expired on %s", name, w.Zone.Day(e.at)))
		case left < soon:
			lines = append(lines, fmt.Sprintf("%s expires on %s, in %s", name, w.Zone.Day(e.at), days(left)))
		default:
			fine++
		}
	}
	if len(lines) > 0 && fine > 0 {
		lines = append(lines, fmt.Sprintf("%d others are good for 30 days or more", fine))
	}
	return Block{Lines: lines}, nil
}

func days(d time.Duration) string {
	n := int(d / (24 * time.Hour))
	switch n {
	case 0:
		return "less than a day"
	case 1:
		return "1 day"
	}
	return fmt.Sprintf("%d days", n)
}

func (s Sources) look(ctx context.Context, host string) ends {
	ctx, cancel := context.WithTimeout(ctx, probe)
	defer cancel()
	conn, err := s.dial(ctx, host)
	if err != nil {
		return ends{host: host, why: fault(ctx, err)}
	}
	defer conn.Close()
	chain := conn.ConnectionState().PeerCertificates
	if len(chain) == 0 {
		return ends{host: host, why: "it shows no certificate"}
	}
	at := chain[0].NotAfter
	if name, _, _ := net.SplitHostPort(host); chain[0].VerifyHostname(name) != nil {
		return ends{host: host, at: at, why: "its certificate is for another name"}
	}
	return ends{host: host, at: at}
}

// fault says why a host could not be looked at, without words of the network's.
func fault(ctx context.Context, err error) string {
	switch {
	case ctx.Err() != nil:
		return "no answer in time"
	case strings.Contains(err.Error(), "no such host"):
		return "there is no such host"
	case strings.Contains(err.Error(), "connection refused"):
		return "the connection was refused"
	}
	return "no certificate could be read"
}
