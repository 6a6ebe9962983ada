package config

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"quarterdeck/bot"
)

// Due is when and where the clock asks for something: what a [[digest]] and a
// [[job]] have in common.
type Due struct {
	Where   string
	Name    string
	At      string // as it is written; what it means is the schedule's to say
	AtWhere string
	Channel bot.ChannelID
	Zone    *time.Location
	Late    time.Duration // how late it may be; 0: until it is due again
}

// Digest is one [[digest]].
type Digest struct {
	Due
	Sections      []string // nil: those of every day
	SectionsWhere []string // where each stands
	Lines         int
	Environments  []string // whose deployments the DORA metrics count; nil: the last ones
	Hosts         []string // HOST:PORT
}

// Job is one [[job]]: a line that the clock has run.
type Job struct {
	Due
	Run      string
	RunWhere string
}

// The bounds of a digest: fewer lines would tell nothing, and more nobody reads
// on a phone.
const (
	leastLines   = 3
	mostLines    = 60
	defaultLines = 10
	mostHosts    = 100
)

// clock checks what the clock asks for: [[digest]] and [[job]].
func (l *loader) clock() {
	for i, d := range l.in.Digest {
		n := l.root.at("digest").elem(i)
		out := Digest{Sections: d.Sections, Lines: defaultLines, Environments: d.Environments}
		out.Due = l.due(n, "digest", d.Name, d.At, d.Channel, d.Timezone, d.Late)
		if slices.ContainsFunc(l.out.Digests, func(o Digest) bool { return o.Name == d.Name }) && d.Name != "" {
			l.failf(n.at("name"), "give each a name of its own", "there are two digests named %q", d.Name)
		}
		for j, s := range d.Sections {
			at := n.at("sections").elem(j)
			out.SectionsWhere = append(out.SectionsWhere, at.where(l.file))
			if slices.Contains(d.Sections[:j], s) && s != "" {
				l.failf(at, "leave one", "digest %q has the section %q twice", d.Name, s)
			}
		}
		if d.Lines != nil {
			if out.Lines = *d.Lines; out.Lines < leastLines || out.Lines > mostLines {
				l.failf(n.at("lines"), fmt.Sprintf("it is %d", out.Lines), "digest.lines takes %d to %d lines", leastLines, mostLines)
			}
		}
		for j, name := range d.Environments {
			if name != "" && !slices.Contains(l.out.Environments, name) {
				l.failf(n.at("environments").elem(j), meant(name, l.out.Environments, thereAre), "there is no environment %q", name)
			}
		}
		if len(d.Hosts) > mostHosts {
			l.failf(n.at("hosts"), "spread them over several digests", "digest.hosts takes at most %d hosts", mostHosts)
		}
		for j, host := range d.Hosts {
			at := n.at("hosts").elem(j)
			address, ok := hostPort(host)
			if !ok && host != "" {
				l.failf(at, fmt.Sprintf("it is %q", host), `digest.hosts takes HOST or HOST:PORT, such as "shop.example.com"`)
			}
			out.Hosts = append(out.Hosts, address)
		}
		l.out.Digests = append(l.out.Digests, out)
	}
	for i, j := range l.in.Job {
		n := l.root.at("job").elem(i)
		out := Job{Run: j.Run, RunWhere: n.at("run").where(l.file)}
		out.Due = l.due(n, "job", j.Name, j.At, j.Channel, j.Timezone, j.Late)
		if slices.ContainsFunc(l.out.Jobs, func(o Job) bool { return o.Name == j.Name }) && j.Name != "" {
			l.failf(n.at("name"), "give each a name of its own", "there are two jobs named %q", j.Name)
		}
		if !n.has("run") {
			l.failf(n, `write the line, such as run = "restart shop staging"`, "job %q does not say what to run", j.Name)
		} else if strings.ContainsAny(j.Run, "\n\r") {
			l.failf(n.at("run"), "a command is one line", "run of job %q has several lines", j.Name)
		}
		l.out.Jobs = append(l.out.Jobs, out)
	}
}

func (l *loader) due(n *node, what, name, at, channel, zone, late string) Due {
	l.name(n.at("name"), "a "+what, name, n.has("name"))
	out := Due{Where: n.where(l.file), Name: name, At: at, AtWhere: n.at("at").where(l.file), Channel: bot.ChannelID(channel), Zone: l.out.Bot.Location}
	if !n.has("at") {
		l.failf(n, `say it: at = "0 9 * * mon-fri"`, "%s %q does not say when", what, name)
	}
	switch c := n.at("channel"); {
	case !n.has("channel"):
		l.failf(n, `name one: channel = "NETWORK:CHANNEL"`, "%s %q says nothing of where it is posted", what, name)
	case l.channel(c, "the channel", channel) && (out.Channel.Local() == "*" || out.Channel.Network() == "terminal"):
		l.failf(c, "name one that is always there", "%s %q cannot be posted to %q", what, name, channel)
	}
	if zone != "" {
		location, err := time.LoadLocation(zone)
		if err != nil || zone == "Local" {
			l.failf(n.at("timezone"), fmt.Sprintf("there is none called %q", zone), `%s.timezone takes a zone such as "Europe/Berlin"`, what)
		} else {
			out.Zone = location
		}
	}
	if late != "" {
		out.Late = l.duration(n.at("late"), late, "2h", 2*time.Minute, 7*24*time.Hour, "2m to 168h")
	}
	return out
}

// hostPort gives what to call for HOST or HOST:PORT; 443 where no port is named.
func hostPort(s string) (address string, ok bool) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = strings.Trim(s, "[]"), "443"
	}
	n, err := strconv.Atoi(port)
	ok = err == nil && n > 0 && n < 65536 && host != "" && !strings.ContainsAny(host, "/ @") && (net.ParseIP(host) != nil || !strings.Contains(host, ":"))
	return net.JoinHostPort(host, port), ok
}
