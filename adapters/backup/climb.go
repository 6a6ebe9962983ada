package backupprovider

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// subject is one member while it is tried. A method's Error has a sentence for
// people; the others are internal.
type subject interface {
	// engine looks whether what it is to be restored into is there, and new enough;
	// it names the programs.
	engine(ctx context.Context) (says string, tools []string, err error)
	// restore leaves it so that it can be asked.
	restore(ctx context.Context) (says string, err error)
	// tables counts the rows of every table; nil for what has none.
	tables(ctx context.Context) (map[string]int64, error)
	// verify has the engine check itself.
	verify(ctx context.Context) (says string, err error)
	// ask gives up to most rows of a query's answer, as texts.
	ask(ctx context.Context, sql string, most int) ([][]string, error)
	// close ends what was started.
	close()
}

// climb goes up the ladder, as far as it holds.
type climb struct {
	*job
	manifest *Manifest // nil where none is wanted
	root     *os.Root
	subjects []subject // as members
}

// expand is how many times the size of a backup its restore may take: the copy
// that is fetched, and what comes of it. A dump grows by its indexes.
var expand = map[string]int64{"sqlite": 2, "files": 1, "postgres": 6, "mariadb": 6}

// maxChecks bounds the lines kept of one rung, and maxRows those of one answer
// about files.
const (
	maxChecks = 50
	maxRows   = 200_000
)

// rung is one step of the ladder: what it does, in a word for people, and what it
// gives.
type rung struct {
	name  provider.RungName
	doing string
	do    func(ctx context.Context) (provider.Rung, error)
}

func (c *climb) climb(ctx context.Context) {
	root, err := c.open()
	if err != nil {
		c.reach(provider.RungSpace, "looking for room")
		c.settle(c.failed(ctx, err))
		return
	}
	c.root = root
	var began time.Time
	for _, r := range []rung{
		{provider.RungSpace, "looking for room", c.space},
		{provider.RungIntact, "fetching it and comparing checksums", func(ctx context.Context) (provider.Rung, error) {
			began = time.Now()
			c.note(func(f *provider.Findings) { f.Began, f.Scratch = c.clock.Now(), c.place.folder() })
			return c.intact(ctx)
		}},
		{provider.RungEngine, "looking at the engine", c.engine},
		{provider.RungRestored, "restoring", func(ctx context.Context) (provider.Rung, error) {
			r, err := c.restored(ctx)
			if err == nil {
				c.note(func(f *provider.Findings) { f.Ready = time.Since(began) })
			}
			return r, err
		}},
		{provider.RungContent, "counting", c.content},
		{provider.RungQueries, "asking", c.queries},
		{provider.RungAcross, "comparing the members", c.across},
	} {
		c.reach(r.name, r.doing)
		got, err := r.do(ctx)
		if err != nil {
			got = c.failed(ctx, err)
		}
		c.settle(got)
		if got.State == provider.RungFailed {
			return
		}
	}
}

func (c *climb) close() {
	for _, s := range c.subjects {
		s.close()
	}
	if c.root != nil {
		_ = c.root.Close() // it was only read
	}
}

// failed says for people why a rung does not hold.
func (c *climb) failed(ctx context.Context, err error) provider.Rung {
	text := "it could not be checked: internal error"
	var said *bot.Error
	var file *fs.PathError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		text = fmt.Sprintf("it was stopped after %s, the timeout of provider %s", bot.Span(time.Duration(c.settings.Timeout)), c.name)
	case ctx.Err() != nil:
		text = "it was stopped"
	case errors.As(err, &said) && said.Say != "":
		text = said.Say
	case errors.As(err, &file):
		text = fmt.Sprintf("%s: %s", clean(filepath.Base(file.Path), 120), clean(file.Err.Error(), 100))
	}
	r := provider.Rung{State: provider.RungFailed, Text: c.redact(clean(text, 2*maxSaid))}
	var with *checked
	if errors.As(err, &with) {
		r.Checks = with.checks
	}
	return r
}

// checked is a failure with the single checks that led to it.
type checked struct {
	error
	checks []string
}

func (c *checked) Unwrap() error { return c.error }

func passed(format string, args ...any) provider.Rung {
	return provider.Rung{State: provider.RungPassed, Text: fmt.Sprintf(format, args...)}
}

func notAsked(text string) provider.Rung {
	return provider.Rung{State: provider.RungNotAsked, Text: text}
}

// of names a member in a sentence, where there are several.
func (c *climb) of(m *member) string {
	if len(c.table.Members) == 0 {
		return ""
	}
	return m.name + ": "
}

// about puts a member's name in front of what went wrong with it.
func (c *climb) about(m *member, err error) error {
	var said *bot.Error
	if of := c.of(m); of != "" && errors.As(err, &said) {
		e := *said
		e.Say = of + e.Say
		return &e
	}
	return err
}

// from is where a member lies in the folder of the backups.
func (c *climb) from(m *member) string {
	return path.Join(c.trial.Backup.ID, filepath.ToSlash(m.File))
}

// fetched is where it is copied to.
func (c *climb) fetched(m *member) string { return c.place.file("fetched-" + m.name) }

func (c *climb) space(context.Context) (provider.Rung, error) {
	var need int64
	for i := range c.members {
		m := &c.members[i]
		err := walk(c.root, c.from(m), func(_ string, info fs.FileInfo) error {
			need += info.Size() * expand[m.Engine]
			return nil
		})
		if errors.Is(err, fs.ErrNotExist) {
			return provider.Rung{}, bot.Errorf(bot.NotFound, "%sthere is no %s in the backup", c.of(m), clean(c.from(m), 200))
		}
		if err != nil {
			return provider.Rung{}, c.about(m, err)
		}
	}
	free, err := freeBytes(c.place.folder())
	if err != nil {
		return provider.Rung{}, bot.Errorf(bot.Unavailable, "how much room there is cannot be told")
	}
	if reserve := int64(c.settings.Reserve); need > free-reserve {
		return provider.Rung{}, bot.Errorf(bot.Unavailable, "there is not enough room: it may take %s, and of the %s that are free in the scratch folder %s are to be left", bytesText(need), bytesText(free), bytesText(reserve))
	}
	return passed("it may take %s, %s are free", bytesText(need), bytesText(free)), nil
}

func (c *climb) intact(ctx context.Context) (provider.Rung, error) {
	if !c.table.WithoutManifest {
		m, err := readManifest(c.root, c.trial.Backup.ID)
		if err != nil {
			return provider.Rung{}, err
		}
		c.manifest = &m
	}
	all := sha256.New()
	var files int
	var size int64
	for i := range c.members {
		m := &c.members[i]
		got, err := c.fetch(ctx, m)
		if err != nil {
			return provider.Rung{}, c.about(m, err)
		}
		for _, f := range got {
			fmt.Fprintf(all, "%q %q %d %s\n", m.name, f.Path, f.Bytes, f.SHA256)
			files, size = files+1, size+f.Bytes
		}
		if c.manifest != nil {
			want, err := c.manifest.held(m.name, m.Engine)
			if err == nil {
				err = compare(want.Files, got)
			}
			if err != nil {
				return provider.Rung{}, c.about(m, err)
			}
		}
	}
	c.note(func(f *provider.Findings) { f.Source = "sha256:" + hex.EncodeToString(all.Sum(nil)) })
	if c.manifest == nil {
		return provider.Rung{State: provider.RungNotAsked, Text: fmt.Sprintf("fetched %s; there is no manifest to compare it with", bytesText(size))}, nil
	}
	return passed("%s in %s as when it was made, by SHA-256", bytesText(size), counted(int64(files), "file")), nil
}

// fetch copies a member into the scratch place, and gives what was copied: what is
// compared with the manifest is what is restored.
func (c *climb) fetch(ctx context.Context, m *member) (all []FileManifest, err error) {
	to := c.fetched(m)
	err = walk(c.root, c.from(m), func(rel string, info fs.FileInfo) error {
		dst := filepath.Join(to, filepath.FromSlash(rel))
		if rel == "." {
			dst = to
		}
		if err := os.MkdirAll(filepath.Dir(dst), 0o700); err != nil {
			return err
		}
		f, err := c.copyFile(ctx, path.Join(c.from(m), rel), dst)
		f.Path = rel
		all = append(all, f)
		return err
	})
	if err == nil && m.Engine == "files" {
		err = os.MkdirAll(to, 0o700) // also of one that is empty
		if errors.Is(err, fs.ErrExist) || isFile(to) {
			err = nil
		}
	}
	slices.SortFunc(all, func(x, y FileManifest) int { return strings.Compare(x.Path, y.Path) })
	return all, err
}

func isFile(name string) bool {
	info, err := os.Lstat(name)
	return err == nil && info.Mode().IsRegular()
}

func (c *climb) copyFile(ctx context.Context, from, to string) (f FileManifest, err error) {
	src, err := c.root.Open(from)
	if err != nil {
		return f, err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return f, err
	}
	sum := sha256.New()
	f.Bytes, err = io.Copy(io.MultiWriter(dst, sum), reader{ctx, src})
	f.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return f, errors.Join(err, dst.Close())
}

func (c *climb) engine(ctx context.Context) (provider.Rung, error) {
	var texts []string
	for i := range c.members {
		m := &c.members[i]
		s := c.subject(i)
		c.subjects = append(c.subjects, s)
		says, tools, err := s.engine(ctx)
		if err != nil {
			return provider.Rung{}, c.about(m, err)
		}
		c.note(func(f *provider.Findings) { f.Tools = append(f.Tools, tools...) })
		texts = append(texts, c.of(m)+says)
	}
	return passed("%s", strings.Join(texts, "; ")), nil
}

func (c *climb) subject(i int) subject {
	m := &c.members[i]
	switch m.Engine {
	case "sqlite":
		return &sqliteFile{path: c.fetched(m)}
	case "postgres":
		return &postgresDump{climb: c, member: m, index: i, name: fmt.Sprintf("%s_%d", c.place.tag, i)}
	case "mariadb":
		return &mariadbDump{climb: c, member: m, index: i, name: fmt.Sprintf("%s_%d", c.place.tag, i)}
	}
	return &fileTree{path: c.fetched(m)}
}

func (c *climb) restored(ctx context.Context) (provider.Rung, error) {
	var texts []string
	for i, s := range c.subjects {
		says, err := s.restore(ctx)
		if err != nil {
			return provider.Rung{}, c.about(&c.members[i], err)
		}
		texts = append(texts, c.of(&c.members[i])+says)
	}
	return passed("%s", strings.Join(texts, "; ")), nil
}

func (c *climb) content(ctx context.Context) (provider.Rung, error) {
	var texts, checks []string
	counts := false
	for i, s := range c.subjects {
		m := &c.members[i]
		says, err := s.verify(ctx)
		if err != nil {
			return provider.Rung{}, c.about(m, err)
		}
		texts = append(texts, c.of(m)+says)
		if m.Engine == "files" {
			continue
		}
		got, err := s.tables(ctx)
		if err != nil {
			return provider.Rung{}, c.about(m, err)
		}
		for _, name := range slices.Sorted(maps.Keys(got)) {
			if len(checks) < maxChecks {
				checks = append(checks, fmt.Sprintf("%s%s: %s", c.of(m), clean(name, 100), counted(got[name], "row")))
			}
		}
		if c.manifest == nil || c.manifest.Members[m.name].Tables == nil {
			texts = append(texts, counted(int64(len(got)), "table")+"; no row counts of backup time to compare with")
		} else {
			want := c.manifest.Members[m.name].Tables
			if err := compareCounts(want, got, m.Tolerance); err != nil {
				return provider.Rung{}, &checked{c.about(m, err), checks}
			}
			counts = true
			var rows int64
			for _, n := range got {
				rows += n
			}
			texts = append(texts, fmt.Sprintf("%s and %s as when it was made", counted(int64(len(got)), "table"), counted(rows, "row")))
		}
		for _, name := range m.NotEmpty {
			rows, found := got[name]
			if !found {
				err = bot.Errorf(bot.Conflict, "the table %s is missing", name)
			} else if rows == 0 {
				err = bot.Errorf(bot.Conflict, "the table %s is empty, and must not be", name)
			}
			if err != nil {
				return provider.Rung{}, &checked{c.about(m, err), checks}
			}
			counts = true
		}
	}
	r := passed("%s", strings.Join(texts, "; "))
	r.Checks = checks
	if !counts && slices.ContainsFunc(c.members, func(m member) bool { return m.Engine != "files" }) {
		r.State = provider.RungNotAsked // that there are tables is not that they hold what they should
	}
	return r, nil
}

// compareCounts says which table does not have the rows that it had.
func compareCounts(want, got map[string]int64, tolerance float64) error {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		had := want[name]
		has, found := got[name]
		if !found {
			return bot.Errorf(bot.Conflict, "the table %s is missing; it had %s when the backup was made", clean(name, 100), counted(had, "row"))
		}
		if off := float64(max(has-had, had-has)); off > float64(had)*tolerance {
			return bot.Errorf(bot.Conflict, "the table %s has %s, and had %d when the backup was made", clean(name, 100), counted(has, "row"), had)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, known := want[name]; !known {
			return bot.Errorf(bot.Conflict, "the table %s was not there when the backup was made", clean(name, 100))
		}
	}
	return nil
}

func (c *climb) queries(ctx context.Context) (provider.Rung, error) {
	var checks []string
	asked := 0
	var newest time.Time
	for i, s := range c.subjects {
		m := &c.members[i]
		for _, q := range m.Queries {
			asked++
			rows, err := s.ask(ctx, q.SQL, 1)
			if err != nil {
				return provider.Rung{}, &checked{c.about(m, asking(q.Name, err)), checks}
			}
			got := ""
			if len(rows) > 0 && len(rows[0]) > 0 {
				got = rows[0][0]
			}
			ok, err := wanted(q.Want, got)
			if err != nil {
				return provider.Rung{}, err
			}
			checks = appendCheck(checks, fmt.Sprintf("%s%s: %s, wanted %s", c.of(m), q.Name, clean(got, 80), q.Want))
			if !ok {
				return provider.Rung{}, &checked{c.about(m, bot.Errorf(bot.Conflict, "%q gives %q, not %s", q.Name, clean(got, 80), q.Want)), checks}
			}
		}
		if m.Newest == "" {
			continue
		}
		rows, err := s.ask(ctx, m.Newest, 1)
		if err != nil {
			return provider.Rung{}, &checked{c.about(m, asking("newest", err)), checks}
		}
		got := ""
		if len(rows) > 0 && len(rows[0]) > 0 {
			got = rows[0][0]
		}
		at, err := parseTime(got)
		if err != nil {
			return provider.Rung{}, &checked{c.about(m, bot.Errorf(bot.Conflict, "newest gives %q, which is no time", clean(got, 80))), checks}
		}
		if newest.IsZero() || at.Before(newest) { // of several, the one that is behind
			newest = at
		}
	}
	c.note(func(f *provider.Findings) { f.Newest = newest })
	if asked == 0 {
		return notAsked("no queries are configured"), nil
	}
	r := passed("%s answered as expected", counted(int64(asked), "query"))
	r.Checks = checks
	return r, nil
}

func asking(name string, err error) error {
	var said *bot.Error
	if errors.As(err, &said) {
		return bot.Errorf(said.Kind, "%q cannot be answered: %s", name, said.Say)
	}
	return err
}

func appendCheck(checks []string, line string) []string {
	if len(checks) < maxChecks {
		checks = append(checks, line)
	}
	return checks
}

// timeTexts are how databases write times; those without a zone are UTC.
var timeTexts = []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999Z07", "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02"}

// parseTime reads a time as a database gives it, or a number of seconds or
// milliseconds since 1970.
func parseTime(s string) (time.Time, error) {
	if n, err := strconv.ParseFloat(s, 64); err == nil && n > 0 && n < 1e14 {
		if n > 1e11 { // seconds would be in the year 5138
			n /= 1000
		}
		return time.UnixMicro(int64(n * 1e6)).UTC(), nil
	}
	for _, layout := range timeTexts {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time", s)
}

func (c *climb) across(ctx context.Context) (provider.Rung, error) {
	if len(c.table.Across) == 0 {
		return notAsked("no checks across members are configured"), nil
	}
	var checks []string
	for _, a := range c.table.Across {
		rows, err := c.subjectOf(a.Member).ask(ctx, a.SQL, maxRows+1)
		if err != nil {
			return provider.Rung{}, &checked{asking(a.Name, err), checks}
		}
		if len(rows) > maxRows {
			return provider.Rung{}, bot.Errorf(bot.Invalid, "%q names more than %d files", a.Name, maxRows)
		}
		tree, ok := c.subjectOf(a.Files).(*fileTree)
		if !ok {
			return provider.Rung{}, fmt.Errorf("%s is no file tree", a.Files)
		}
		if err := tree.agrees(rows, a.Exact); err != nil {
			var said *bot.Error
			if errors.As(err, &said) {
				err = bot.Errorf(said.Kind, "%s and %s disagree on %q: %s", a.Member, a.Files, a.Name, said.Say)
			}
			return provider.Rung{}, &checked{err, checks}
		}
		checks = appendCheck(checks, fmt.Sprintf("%s: %s", a.Name, counted(int64(len(rows)), "file")))
	}
	r := passed("the members agree")
	r.Checks = checks
	return r, nil
}

func (c *climb) subjectOf(name string) subject {
	i := slices.IndexFunc(c.members, func(m member) bool { return m.name == name })
	return c.subjects[i]
}

// counted gives a number with its noun: "1 row", "12 rows", "3 queries".
func counted(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, y := strings.CutSuffix(noun, "y"); y {
		noun = stem + "ie"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// bytesText gives a size as people say it.
func bytesText(n int64) string {
	for _, u := range []string{"TiB", "GiB", "MiB", "KiB"} {
		if unit := sizeUnits[u]; n >= unit || -n >= unit {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(unit), u)
		}
	}
	return counted(n, "byte")
}
