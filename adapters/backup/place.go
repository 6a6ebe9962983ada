package backupprovider

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// tagPrefix begins every tag, so that a person who meets one knows whose it is. It
// is short, and fit for the name of a database.
const tagPrefix = "qd_rt_"

var tagName = regexp.MustCompile(`^qd_rt_[0-9a-f]{24}$`)

// tagOf gives the tag of a run's key: nothing but that key gives it.
func tagOf(key string) string {
	sum := sha256.Sum256([]byte("quarterdeck restore test\x00" + key))
	return tagPrefix + hex.EncodeToString(sum[:12])
}

// intent is what TAG.json says: it is there before anything that it is about.
type intent struct {
	Key    string     `json:"key"`
	Target bot.Target `json:"target"`
	At     time.Time  `json:"at"`
	// Databases are those that may be made on a server that outlives the trial, by
	// engine.
	Databases map[string][]string `json:"databases,omitempty"`
}

// place is a scratch place whose lock is held.
type place struct {
	dir  string // of all places
	tag  string
	lock *os.File
}

func (p *place) folder() string          { return filepath.Join(p.dir, p.tag) }
func (p *place) intentFile() string      { return filepath.Join(p.dir, p.tag+".json") }
func (p *place) unwritten() string       { return filepath.Join(p.dir, p.tag+".new") }
func (p *place) file(name string) string { return filepath.Join(p.folder(), name) }
func lockFile(dir, tag string) string    { return filepath.Join(dir, tag+".lock") }
func (p *place) readIntent() (i intent, found bool, err error) {
	raw, err := os.ReadFile(p.intentFile())
	if errors.Is(err, fs.ErrNotExist) {
		return i, false, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &i)
	}
	if err == nil && tagOf(i.Key) != p.tag {
		err = fmt.Errorf("%s is about another key", p.intentFile())
	}
	return i, err == nil, err
}

// errInUse says that a process of the trial lives.
var errInUse = errors.New("a process of it lives")

// seize takes the lock of a place, or gives errInUse.
func seize(dir, tag string) (*place, error) {
	if !tagName.MatchString(tag) {
		return nil, fmt.Errorf("%q is no tag", tag)
	}
	name := lockFile(dir, tag)
	for range 10 {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		won, err := tryLock(f)
		if err == nil && !won {
			err = errInUse
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		// Whoever removed the place meanwhile removed the file that was locked.
		mine, errMine := f.Stat()
		now, errNow := os.Stat(name)
		if errMine == nil && errNow == nil && os.SameFile(mine, now) {
			return &place{dir, tag, f}, nil
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	return nil, errInUse
}

// prepare makes the place, whose leftovers were removed.
func (p *place) prepare(i intent) error {
	raw, err := json.Marshal(i)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(p.unwritten(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(raw, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := errors.Join(os.Rename(p.unwritten(), p.intentFile()), syncDir(p.dir)); err != nil {
		return err
	}
	return os.Mkdir(p.folder(), 0o700)
}

// release gives the lock up. What stays in the place is left.
func (p *place) release() error { return p.lock.Close() }

// remove removes everything of the place, looks that it is gone, and releases it.
func (b *backups) remove(ctx context.Context, p *place) (err error) {
	defer func() { err = errors.Join(err, p.release()) }()
	i, found, err := p.readIntent()
	if err != nil {
		return err
	}
	if found {
		for _, engine := range []string{"postgres", "mariadb"} {
			for _, name := range i.Databases[engine] {
				if err := b.drop(ctx, p, engine, name); err != nil {
					return err
				}
			}
		}
	}
	if err := removeTree(p.folder()); err != nil {
		return err
	}
	if _, err := os.Lstat(p.folder()); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("%s is still there", p.folder()), err)
	}
	// Its intent goes last but for the lock: as long as there is anything, it says so.
	if err := errors.Join(ignoreMissing(os.Remove(p.unwritten())), ignoreMissing(os.Remove(p.intentFile())), syncDir(p.dir)); err != nil {
		return err
	}
	return ignoreMissing(os.Remove(lockFile(p.dir, p.tag)))
}

// removeTree removes a folder of ours, also one whose folders a restore made
// unreadable.
func removeTree(dir string) error {
	if err := os.RemoveAll(dir); err == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(at, 0o700) // what does not help shows when it is removed
		}
		return nil
	})
	return os.RemoveAll(dir)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Sweep implements provider.RestoreTester.
func (b *tester) Sweep(ctx context.Context, keep func(key string) bool) (all []provider.Leftover, err error) {
	entries, err := os.ReadDir(b.scratch)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, stateError("the scratch folder of "+b.name+" cannot be read", err)
	}
	for _, e := range entries {
		tag, isIntent := tagged(e.Name())
		if !isIntent || !e.Type().IsRegular() {
			continue
		}
		if err := ctx.Err(); err != nil {
			return all, err
		}
		if left, ours := b.sweepOne(ctx, tag, keep); ours {
			all = append(all, left)
		}
	}
	return all, nil
}

// tagged gives the tag that a file is the intent of.
func tagged(name string) (tag string, isIntent bool) {
	const suffix = ".json"
	if len(name) <= len(suffix) || name[len(name)-len(suffix):] != suffix {
		return "", false
	}
	tag = name[:len(name)-len(suffix)]
	return tag, tagName.MatchString(tag)
}

func (b *tester) sweepOne(ctx context.Context, tag string, keep func(key string) bool) (left provider.Leftover, ours bool) {
	seen := &place{dir: b.scratch, tag: tag}
	i, found, err := seen.readIntent()
	if err != nil || !found || i.Target != b.target || keep(i.Key) {
		return left, false
	}
	left = provider.Leftover{Tag: tag, Text: fmt.Sprintf("%s, begun %s", i.Target, bot.Moment(i.At))}
	switch err := b.destroy(ctx, tag); {
	case errors.Is(err, errInUse):
		left.Err = bot.Errorf(bot.Busy, "a process that it started still runs")
	case err != nil:
		left.Err = removalError(err)
	}
	return left, true
}

// removal is one that goes on; a call that asks for it waits for as long as it may.
type removal struct {
	done chan struct{}
	err  error
}

// removeWithin bounds one removal.
const removeWithin = 30 * time.Minute

// destroy removes the place with a tag, whether there is one or not. It gives
// errInUse while a process of it lives, and Busy when ctx ends first.
func (b *backups) destroy(ctx context.Context, tag string) error {
	process.mu.Lock()
	r := process.removing[b.at(tag)]
	if r == nil {
		r = &removal{done: make(chan struct{})}
		process.removing[b.at(tag)] = r
		j := process.jobs[b.at(tag)]
		go func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeWithin)
			defer cancel()
			r.err = b.removeNow(ctx, tag, j)
			process.mu.Lock()
			delete(process.removing, b.at(tag))
			if process.jobs[b.at(tag)] == j {
				delete(process.jobs, b.at(tag))
			}
			process.mu.Unlock()
			close(r.done)
		}()
	}
	process.mu.Unlock()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return bot.Errorf(bot.Busy, "the restored copy is still being removed")
	}
}

func (b *backups) removeNow(ctx context.Context, tag string, j *job) error {
	if j != nil {
		j.cancel()
		select {
		case <-j.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if _, err := os.Lstat(b.scratch); errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was ever restored here
	}
	p, err := seize(b.scratch, tag)
	if err != nil {
		return err
	}
	return b.remove(ctx, p)
}

// Destroy implements provider.RestoreTester.
func (b *tester) Destroy(ctx context.Context, h bot.Handle) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := b.destroy(ctx, tagOf(h.Key))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errInUse):
		return bot.Errorf(bot.Busy, "the restored copy cannot be removed yet: a process that it started still runs")
	}
	return removalError(err)
}

func removalError(err error) error {
	var said *bot.Error
	if errors.As(err, &said) {
		return err
	}
	return stateError("the restored copy cannot be removed", err)
}

func stateError(say string, err error) error {
	e := bot.Errorf(bot.Unavailable, "%s", say)
	var why *fs.PathError
	if errors.As(err, &why) {
		e.Say += ": " + clean(why.Err.Error(), 100)
	}
	e.Err = err
	return e
}
