package backupprovider

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"crypto/sha256"

	"quarterdeck/bot"
)

// manifestSuffix follows the name of a backup in that of its manifest.
const manifestSuffix = ".manifest.json"

// maxManifest bounds what is read of a manifest: maxFiles entries and some.
const maxManifest = 64 << 20

// Manifest says what a backup held when it was made.
type Manifest struct {
	Version int                       `json:"version"`
	Backup  string                    `json:"backup"`
	Created time.Time                 `json:"created"` // when the backup was finished
	Members map[string]MemberManifest `json:"members"` // by name; "data" where there is one alone
}

// MemberManifest is what one member held.
type MemberManifest struct {
	Engine string         `json:"engine"`
	Files  []FileManifest `json:"files"` // by path
	// Tables is the number of rows by table; nil where it was not counted.
	Tables map[string]int64 `json:"tables,omitempty"`
}

// FileManifest is one file; its path is "." for a member that is one file.
type FileManifest struct {
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

func readManifest(root *os.Root, id string) (m Manifest, err error) {
	name := id + manifestSuffix
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return m, bot.Errorf(bot.NotFound, "nothing says what %s should hold: there is no %s; write one when the backup is made, with quarterdeck backup-manifest, or say without_manifest = true", id, name)
	}
	if err != nil {
		return m, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxManifest {
		return m, bot.Errorf(bot.Invalid, "%s is no file of a manifest's size", name)
	}
	f, err := root.Open(name)
	if err != nil {
		return m, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxManifest))
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return m, bot.Errorf(bot.Invalid, "%s is no manifest: it cannot be read as one", name)
	}
	if m.Version != 1 || m.Backup != id {
		return m, bot.Errorf(bot.Invalid, "%s is a manifest of version %d about %q, not of version 1 about %s", name, m.Version, clean(m.Backup, 80), id)
	}
	return m, nil
}

// held gives what a fetched member is held against.
func (m Manifest) held(name, engine string) (MemberManifest, error) {
	x, found := m.Members[name]
	if !found {
		return x, bot.Errorf(bot.Invalid, "the manifest says nothing of %s", name)
	}
	if x.Engine != engine {
		return x, bot.Errorf(bot.Invalid, "the manifest describes %s as %q, and it is configured as %s", name, clean(x.Engine, 20), engine)
	}
	return x, nil
}

// compare says how what was fetched differs from what was written down; nil for
// not at all. Both are sorted by path.
func compare(want, got []FileManifest) error {
	there := map[string]FileManifest{}
	for _, f := range got {
		there[f.Path] = f
	}
	for _, w := range want {
		name := "it"
		if w.Path != "." {
			name = clean(w.Path, 120)
		}
		g, found := there[w.Path]
		switch {
		case !found:
			return bot.Errorf(bot.Conflict, "%s is missing", name)
		case g.Bytes != w.Bytes:
			return bot.Errorf(bot.Conflict, "%s has %d bytes, and had %d when the backup was made", name, g.Bytes, w.Bytes)
		case g.SHA256 != w.SHA256:
			return bot.Errorf(bot.Conflict, "%s has as many bytes as when the backup was made, but not the same: its SHA-256 is %s and was %s", name, short(g.SHA256), short(w.SHA256))
		}
		delete(there, w.Path)
	}
	for _, g := range got {
		if _, more := there[g.Path]; more {
			return bot.Errorf(bot.Conflict, "%s was not there when the backup was made", clean(g.Path, 120))
		}
	}
	return nil
}

func short(sum string) string { return clean(sum[:min(len(sum), 8)], 8) + "…" }

// Describe implements provider.Describer: it writes the manifest of a backup that
// was just made, beside it. One that is there is not written over: it may be the
// only thing that knows what the backup held.
func (b *tester) Describe(ctx context.Context, id string) (string, error) {
	root, err := b.open()
	if err != nil {
		return "", err
	}
	defer root.Close()
	x, err := b.find(root, id)
	if err != nil {
		return "", err
	}
	if x.Described {
		return "", bot.Errorf(bot.Conflict, "%s has a manifest already; it says what the backup held when it was made, so it is not written anew", id)
	}
	m := Manifest{Version: 1, Backup: id, Created: x.Created, Members: map[string]MemberManifest{}}
	for _, one := range b.members {
		d, err := b.describe(ctx, root, id, &one)
		if err != nil {
			return "", err
		}
		m.Members[one.name] = d
	}
	return write(b.path, id, m)
}

func (b *tester) describe(ctx context.Context, root *os.Root, id string, m *member) (MemberManifest, error) {
	d := MemberManifest{Engine: m.Engine}
	at := path.Join(id, filepath.ToSlash(m.File))
	var err error
	if d.Files, err = sums(ctx, root, at); err != nil {
		return d, describing(id, err)
	}
	switch {
	case m.Engine == "sqlite":
		d.Tables, err = countSQLite(ctx, filepath.Join(b.path, at))
	case m.source != nil:
		d.Tables, err = b.countSource(ctx, m)
	}
	if err != nil {
		return d, describing(id, err)
	}
	return d, nil
}

func describing(id string, err error) error {
	var said *bot.Error
	if errors.As(err, &said) {
		return err
	}
	e := bot.Errorf(bot.Unavailable, "%s cannot be read, so nothing was written about it", id)
	e.Err = err
	return e
}

// sums gives every file at or below name with its size and checksum.
func sums(ctx context.Context, root *os.Root, name string) (all []FileManifest, err error) {
	err = walk(root, name, func(rel string, _ fs.FileInfo) error {
		f, err := root.Open(path.Join(name, rel))
		if err != nil {
			return err
		}
		defer f.Close()
		sum := sha256.New()
		n, err := io.Copy(sum, reader{ctx, f})
		if err != nil {
			return fmt.Errorf("read %s: %w", rel, err)
		}
		all = append(all, FileManifest{Path: rel, Bytes: n, SHA256: hex.EncodeToString(sum.Sum(nil))})
		return nil
	})
	slices.SortFunc(all, func(x, y FileManifest) int { return strings.Compare(x.Path, y.Path) })
	return all, err
}

// write puts the manifest beside the backup, whole or not at all.
func write(dir, id string, m Manifest) (name string, err error) {
	raw, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return "", err
	}
	name = filepath.Join(dir, id+manifestSuffix)
	f, err := os.CreateTemp(dir, "."+id+"-*.part")
	if err != nil {
		return "", describing(id, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(raw, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", describing(id, err)
	}
	if err := os.Link(f.Name(), name); errors.Is(err, fs.ErrExist) {
		return "", bot.Errorf(bot.Conflict, "%s has a manifest already", id)
	} else if err != nil {
		return "", describing(id, err)
	}
	return name, syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// reader reads until its context ends.
type reader struct {
	ctx  context.Context
	from io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(p)
}

// DescribeFile writes the manifest of a backup that is one SQLite database, which
// lies at path and will be called id in the folder dir: a job that gives a backup
// its name last has it described before anybody sees it.
func DescribeFile(ctx context.Context, path, dir, id string, created time.Time) error {
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer root.Close()
	d := MemberManifest{Engine: "sqlite"}
	if d.Files, err = sums(ctx, root, filepath.Base(path)); err != nil {
		return describing(id, err)
	}
	if d.Tables, err = countSQLite(ctx, path); err != nil {
		return describing(id, err)
	}
	_, err = write(dir, id, Manifest{Version: 1, Backup: id, Created: created, Members: map[string]MemberManifest{only: d}})
	return err
}

// ManifestName gives the name of the manifest of a backup.
func ManifestName(id string) string { return id + manifestSuffix }
