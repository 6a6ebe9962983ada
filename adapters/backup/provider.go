package backupprovider

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// Type is the row of the table of providers.
func Type() provider.Type { return provider.Type{Name: "backup", Open: Open} }

// Duration is a positive duration, written like 90s or 15m.
type Duration time.Duration

// UnmarshalText reads a positive duration.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v <= 0 {
		return bot.Errorf(bot.Invalid, "%q is not a positive duration; write it like 90s or 15m", string(text))
	}
	*d = Duration(v)
	return nil
}

// Size is a number of bytes, written like 500MiB.
type Size int64

var sizeText = regexp.MustCompile(`^([0-9]{1,7})(KiB|MiB|GiB|TiB)$`)

var sizeUnits = map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) error {
	m := sizeText.FindStringSubmatch(string(text))
	if m == nil {
		return bot.Errorf(bot.Invalid, "%q is not a size; write it like 500MiB or 2GiB", string(text))
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil || n > 1<<62/sizeUnits[m[2]] {
		return bot.Errorf(bot.Invalid, "%q is not a size; write it like 500MiB or 2GiB", string(text))
	}
	*s = Size(n * sizeUnits[m[2]])
	return nil
}

// Settings is the [provider.NAME] table. Everything is optional.
type Settings struct {
	Type string `toml:"type"`
	// Scratch is the folder that backups are restored in, for this provider alone;
	// a folder in the bot's state by default. It needs a short path where a
	// database server is started in it: a socket's path has at most 100 bytes.
	Scratch string `toml:"scratch"`
	// Reserve is how much room a restore must leave there; 1GiB by default.
	Reserve Size `toml:"reserve"`
	// Timeout bounds one trial, its checks included; 2h by default.
	Timeout Duration `toml:"timeout"`
	// Postgres and MariaDB name a secret, "env:NAME" or "file:PATH", that is the
	// URL of a server of this machine to restore dumps into, as a role that owns
	// nothing else. Without them a server is started for every trial.
	Postgres string `toml:"postgres"`
	MariaDB  string `toml:"mariadb"`
	// PostgresBin and MariaDBBin are the folders of their programs; PATH by
	// default.
	PostgresBin string `toml:"postgres_bin"`
	MariaDBBin  string `toml:"mariadb_bin"`
}

// BackupTable is a target's backup table, without the keys that are the bot's.
type BackupTable struct {
	Provider string `toml:"provider"`
	// Path is the folder that the backups lie in, one file or folder each.
	Path string `toml:"path"`
	// Match is what the names of backups look like: "orders-*.db"; "*" by default.
	Match string `toml:"match"`
	// WithoutManifest accepts backups that nobody described when they were made.
	WithoutManifest bool `toml:"without_manifest"`
	// Members are what a backup that is a folder holds, by name. Without them the
	// backup is the only member, which the keys below describe.
	Members map[string]MemberTable `toml:"members"`
	// Across are questions to one member of a set about another.
	Across []AcrossTable `toml:"across"`

	Engine    string       `toml:"engine"`
	NotEmpty  []string     `toml:"not_empty"`
	Newest    string       `toml:"newest"`
	Queries   []QueryTable `toml:"queries"`
	Tolerance float64      `toml:"tolerance"`
	Source    string       `toml:"source"`
}

// MemberTable is one member of a set.
type MemberTable struct {
	// Engine is what it is: sqlite, files, postgres or mariadb.
	Engine string `toml:"engine"`
	// File is its path inside of the backup's folder.
	File string `toml:"file"`
	// NotEmpty are tables that must have rows.
	NotEmpty []string `toml:"not_empty"`
	// Newest is a query that gives the time of the newest data: the measured RPO.
	Newest string `toml:"newest"`
	// Queries are the application's own questions.
	Queries []QueryTable `toml:"queries"`
	// Tolerance is by how much a table's row count may differ from what was
	// written down, as a part of one: 0.01; 0 by default.
	Tolerance float64 `toml:"tolerance"`
	// Source names a secret that is the URL of the database that was dumped, to
	// count its rows when a backup is described. A dump cannot be counted itself.
	Source string `toml:"source"`
}

// QueryTable is one question with its answer.
type QueryTable struct {
	Name string `toml:"name"`
	SQL  string `toml:"sql"`
	// Want is the first value of the first row: "0", ">0", ">=100".
	Want string `toml:"want"`
}

// AcrossTable asks a database which files there must be.
type AcrossTable struct {
	Name   string `toml:"name"`
	Member string `toml:"member"` // the database
	SQL    string `toml:"sql"`    // gives paths of files, one a row; with a second value, their sizes
	Files  string `toml:"files"`  // the member that holds them
	Exact  bool   `toml:"exact"`  // no other files may be there
}

const (
	defaultReserve = 1 << 30
	defaultTimeout = 2 * time.Hour
	// only is the name of the member of a backup that is no set.
	only = "data"
	// most bounds lists of the configuration.
	most = 100
)

// engines are the kinds of members.
var engines = []string{"files", "mariadb", "postgres", "sqlite"}

// backups is one [provider.NAME] of type backup.
type backups struct {
	name     string
	scratch  string
	settings Settings
	clock    bot.Clock
	redact   func(string) string
	secrets  *bot.Secrets
	postgres *bot.Secret
	mariadb  *bot.Secret
	// reached is told of every rung that a trial comes to, in tests.
	reached func(provider.RungName)
}

// registry knows the trials and removals of this process by the path of their
// place. A reload of the configuration opens providers anew while trials go on, so
// it belongs to the process and not to one of them.
type registry struct {
	mu       sync.Mutex
	jobs     map[string]*job
	removing map[string]*removal
}

var process = &registry{jobs: map[string]*job{}, removing: map[string]*removal{}}

func (b *backups) at(tag string) string { return filepath.Join(b.scratch, tag) }

// Open checks a [provider.NAME] table. It creates and starts nothing; errors are
// of kind Invalid and say where.
func Open(o provider.Options) (provider.Provider, error) {
	if !supported {
		return nil, bot.Errorf(bot.Invalid, "%s: providers of type backup work on Linux and macOS only", o.Raw.Where())
	}
	p := &backups{name: o.Name, clock: o.Clock, redact: o.Redact, secrets: o.Secrets,
		reached: func(provider.RungName) {}}
	if err := o.Raw.Decode(&p.settings); err != nil {
		return nil, err
	}
	if p.clock == nil {
		p.clock = bot.SystemClock{}
	}
	if p.redact == nil {
		p.redact = func(text string) string { return text }
	}
	if p.secrets == nil {
		p.secrets = &bot.Secrets{}
	}
	s := &p.settings
	if s.Reserve == 0 {
		s.Reserve = defaultReserve
	}
	if s.Timeout == 0 {
		s.Timeout = Duration(defaultTimeout)
	}
	for _, c := range []struct {
		key, ref string
		into     **bot.Secret
	}{{"postgres", s.Postgres, &p.postgres}, {"mariadb", s.MariaDB, &p.mariadb}} {
		if c.ref == "" {
			continue
		}
		secret, err := p.secrets.Open(c.ref, o.Raw.Dir())
		if err != nil {
			return nil, bot.Errorf(bot.Invalid, "%s: %s of provider %s: %s", o.Raw.Where(), c.key, o.Name, bot.Sentence(err, ""))
		}
		*c.into = &secret
	}
	var err error
	if s.Scratch != "" {
		p.scratch, err = absolute(o.Raw.Dir(), s.Scratch)
	} else if o.State != "" {
		p.scratch, err = absolute(o.Raw.Dir(), filepath.Join(o.State, "restore-tests", o.Name))
	} else {
		return nil, bot.Errorf(bot.Invalid, "%s: provider %s has no state folder; give it scratch = \"FOLDER\"", o.Raw.Where(), o.Name)
	}
	for _, bin := range []*string{&s.PostgresBin, &s.MariaDBBin} {
		if *bin != "" && err == nil {
			*bin, err = absolute(o.Raw.Dir(), *bin)
		}
	}
	if err != nil {
		return nil, bot.Errorf(bot.Invalid, "%s: a folder of provider %s cannot be told", o.Raw.Where(), o.Name)
	}
	return p, nil
}

func absolute(base, path string) (string, error) {
	if filepath.IsAbs(path) {
		return filepath.Clean(path), nil
	}
	return filepath.Abs(filepath.Join(base, path))
}

// Name gives the NAME of [provider.NAME].
func (p *backups) Name() string { return p.name }

// Lacks implements provider.Lacking.
func (p *backups) Lacks() (all []provider.Lack) {
	for _, c := range []struct {
		key    string
		secret *bot.Secret
	}{{"postgres", p.postgres}, {"mariadb", p.mariadb}} {
		if c.secret == nil {
			continue
		}
		if _, err := c.secret.Value(); err != nil {
			all = append(all, provider.Lack{Key: []string{c.key}, Why: bot.Sentence(err, "")})
		}
	}
	return all
}

var (
	_ provider.BackupBinder  = (*backups)(nil)
	_ provider.Lacking       = (*backups)(nil)
	_ provider.RestoreTester = (*tester)(nil)
	_ provider.Describer     = (*tester)(nil)
	_ provider.Inspected     = (*tester)(nil)
	_ bot.Timed              = (*tester)(nil)
)

// tester is one target bound to the provider.
type tester struct {
	*backups
	target  bot.Target
	table   BackupTable
	path    string
	members []member // sorted by name
}

// member is one member of a backup.
type member struct {
	MemberTable
	name   string
	source *bot.Secret
}

var memberName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,30}$`)

// BindBackup checks a target's backup table and binds it. It reads nothing.
func (p *backups) BindBackup(t bot.Target, raw provider.Raw) (provider.RestoreTester, error) {
	b := &tester{backups: p, target: t}
	if err := raw.Decode(&b.table); err != nil {
		return nil, err
	}
	fail := func(format string, args ...any) error {
		return bot.Errorf(bot.Invalid, "%s: backup of %s "+format, append([]any{raw.Where(), t}, args...)...)
	}
	c := &b.table
	if c.Path == "" {
		return nil, fail(`names no folder; add path = "backups/%s"`, t.Service)
	}
	var err error
	if b.path, err = absolute(raw.Dir(), c.Path); err != nil {
		return nil, fail("has a path that cannot be told")
	}
	if c.Match == "" {
		c.Match = "*"
	}
	if _, err := filepath.Match(c.Match, ""); err != nil || strings.ContainsRune(c.Match, filepath.Separator) {
		return nil, fail("has match = %q; it takes what a name looks like, such as \"orders-*.db\"", c.Match)
	}
	tables := c.Members
	single := MemberTable{Engine: c.Engine, NotEmpty: c.NotEmpty, Newest: c.Newest, Queries: c.Queries, Tolerance: c.Tolerance, Source: c.Source}
	if len(tables) == 0 {
		tables = map[string]MemberTable{only: single}
	} else if single.Engine != "" || single.Newest != "" || single.Source != "" || single.Tolerance != 0 || single.NotEmpty != nil || single.Queries != nil {
		return nil, fail("has members, so engine, not_empty, newest, queries, tolerance and source belong to each of them")
	}
	if len(tables) > most || len(c.Across) > most {
		return nil, fail("has more than %d members or checks across them", most)
	}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		m := member{MemberTable: tables[name], name: name}
		if err := b.check(&m, raw.Dir(), len(c.Members) > 0); err != nil {
			return nil, fail("%s", bot.Sentence(err, ""))
		}
		b.members = append(b.members, m)
	}
	for _, a := range c.Across {
		db, files := b.member(a.Member), b.member(a.Files)
		switch {
		case a.Name == "" || a.SQL == "":
			return nil, fail("has a check across members without a name or sql")
		case db == nil || db.Engine == "files":
			return nil, fail("asks %q in %q, which is no member that is a database", a.Name, a.Member)
		case files == nil || files.Engine != "files":
			return nil, fail("looks for %q in %q, which is no member with the engine files", a.Name, a.Files)
		}
	}
	return b, nil
}

func (b *tester) member(name string) *member {
	for i := range b.members {
		if b.members[i].name == name {
			return &b.members[i]
		}
	}
	return nil
}

// check checks one member's table.
func (b *tester) check(m *member, dir string, set bool) error {
	of := ""
	if set {
		of = " of member " + m.name
		if !memberName.MatchString(m.name) {
			return bot.Errorf(bot.Invalid, "has a member %q; a name takes small letters, digits and dashes", m.name)
		}
		if !filepath.IsLocal(m.File) || filepath.Clean(m.File) != m.File || m.File == "." {
			return bot.Errorf(bot.Invalid, "has file = %q%s; it takes a path inside of the backup's folder", m.File, of)
		}
	}
	if !slices.Contains(engines, m.Engine) {
		return bot.Errorf(bot.Invalid, "has engine = %q%s; there are: %s", m.Engine, of, strings.Join(engines, ", "))
	}
	if m.Engine == "files" && (m.Newest != "" || m.Queries != nil || m.NotEmpty != nil || m.Source != "" || m.Tolerance != 0) {
		return bot.Errorf(bot.Invalid, "asks files%s what only a database can answer; leave not_empty, newest, queries, tolerance and source out", of)
	}
	if m.Tolerance < 0 || m.Tolerance >= 1 {
		return bot.Errorf(bot.Invalid, "has tolerance = %v%s; it takes 0 to 0.99", m.Tolerance, of)
	}
	if len(m.Queries) > most || len(m.NotEmpty) > most {
		return bot.Errorf(bot.Invalid, "has more than %d queries or tables%s", most, of)
	}
	for _, q := range m.Queries {
		if q.Name == "" || q.SQL == "" || q.Want == "" {
			return bot.Errorf(bot.Invalid, "has a query%s without name, sql or want", of)
		}
		if _, err := wanted(q.Want, "0"); err != nil {
			return bot.Errorf(bot.Invalid, "wants %q of %q%s; it takes a value, or a comparison with a number such as \">0\"", q.Want, q.Name, of)
		}
	}
	if m.Source != "" {
		if m.Engine == "sqlite" {
			return bot.Errorf(bot.Invalid, "has a source%s, which SQLite does not need: the copy is counted itself", of)
		}
		secret, err := b.secrets.Open(m.Source, dir)
		if err != nil {
			return bot.Errorf(bot.Invalid, "has a source%s that is no reference: %s", of, bot.Sentence(err, ""))
		}
		m.source = &secret
	}
	return nil
}

// wanted compares what a query gave with what it should give. Its error says that
// want is no comparison.
func wanted(want, got string) (bool, error) {
	for _, op := range []string{">=", "<=", ">", "<"} {
		text, found := strings.CutPrefix(want, op)
		if !found {
			continue
		}
		limit, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil {
			return false, err
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(got), 64)
		if err != nil {
			return false, nil
		}
		switch op {
		case ">=":
			return value >= limit, nil
		case "<=":
			return value <= limit, nil
		case ">":
			return value > limit, nil
		}
		return value < limit, nil
	}
	return want == got, nil
}

// Inspect implements provider.Inspected.
func (b *tester) Inspect() (all []string) {
	root, err := b.open()
	if err != nil {
		return []string{fmt.Sprintf("path: %s cannot be read", b.path)}
	}
	_ = root.Close() // it was only looked whether it opens
	return nil
}

// Timing implements bot.Timed. A call only looks at what a trial of this process
// does, so nothing of it settles later.
func (b *tester) Timing(bot.Target) bot.Timing {
	return bot.Timing{Call: 15 * time.Second, Settle: time.Second}
}
