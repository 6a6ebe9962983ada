package flag

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/store"
)

// Set is all flags that the bot keeps, in memory. It follows the store, whichever
// process changed a flag there, and while the store cannot be read it stays as it
// was last seen: services go on. Reading it touches no database. Safe for
// concurrent use.
type Set struct {
	Store  store.Store
	Logger *slog.Logger
	Clock  bot.Clock

	now  atomic.Pointer[Snapshot]
	seq  int64         // how far in the log it was followed
	full time.Time     // when all was read last
	once sync.Once     // makes wake
	wake chan struct{} // looks at once

	mu      sync.Mutex
	changed chan struct{} // closed at the next change
}

// Snapshot is the flags of one moment. It is never changed.
type Snapshot struct {
	flags map[string]map[string]*provider.Flag // by environment and key

	mu sync.Mutex
	of map[bot.Target]*Served
}

// Served is the flags of one target. It must not be changed.
type Served struct {
	Flags []*provider.Flag // sorted by key
	// Digest tells this set of flags, by their revisions, from any other, in every
	// process alike.
	Digest string
}

const (
	followEvery = 250 * time.Millisecond
	fullEvery   = time.Minute // should a change ever be missed
	pageSize    = 1000
	recordsPage = 500
)

// Load reads all flags from the store; the Set is empty before.
func (s *Set) Load(ctx context.Context) error {
	next := &Snapshot{flags: map[string]map[string]*provider.Flag{}}
	var seq int64
	err := s.Store.View(ctx, func(r store.Reader) error {
		next.flags, seq = map[string]map[string]*provider.Flag{}, 0
		head, err := r.Head()
		if err != nil {
			return err
		}
		seq = head.Seq
		environments, err := r.Documents(provider.FlagDocument, "", pageSize, false)
		if err != nil {
			return err
		}
		if len(environments) < pageSize {
			return s.add(next, environments)
		}
		return s.pages(r, next)
	})
	if err != nil {
		return fmt.Errorf("read the flags: %w", err)
	}
	s.seq, s.full = seq, s.Clock.Now()
	if old := s.now.Load(); old == nil || !old.same(next) {
		s.swap(next)
	}
	return nil
}

// same reports whether the flags are of the same revisions.
func (n *Snapshot) same(other *Snapshot) bool {
	return maps.EqualFunc(n.flags, other.flags, func(a, b map[string]*provider.Flag) bool {
		return maps.EqualFunc(a, b, func(f, g *provider.Flag) bool { return f.Revision == g.Revision })
	})
}

// pages reads more flags than are read at once. Documents has no place to go on
// from, so that Bodies, which has, is asked.
func (s *Set) pages(r store.Reader, next *Snapshot) error {
	after := provider.FlagDocument + "\n"
	for {
		bodies, err := r.Bodies(store.DocumentShelf, after, pageSize)
		if err != nil || len(bodies) == 0 {
			return err
		}
		var docs []bot.Document
		for _, b := range bodies {
			kind, id, _ := strings.Cut(b.ID, "\n")
			if kind != provider.FlagDocument {
				return s.add(next, docs)
			}
			d, found, err := r.Document(kind, id)
			if err != nil {
				return err
			}
			if found {
				docs = append(docs, d)
			}
			after = b.ID
		}
		if err := s.add(next, docs); err != nil {
			return err
		}
	}
}

func (s *Set) add(next *Snapshot, docs []bot.Document) error {
	for _, d := range docs {
		if err := next.put(d); err != nil {
			return err
		}
	}
	return nil
}

// Decode gives the flag that a document keeps.
func Decode(d bot.Document) (provider.Flag, error) {
	var f provider.Flag
	if err := json.Unmarshal(d.Body, &f); err != nil {
		return f, fmt.Errorf("decode flag %s: %w", d.ID, err)
	}
	f.Revision = fmt.Sprint(d.Rev)
	return f, nil
}

func (n *Snapshot) put(d bot.Document) error {
	f, err := Decode(d)
	if err != nil {
		return err
	}
	environment, key, _ := strings.Cut(d.ID, "/")
	if f.Key != key || f.Target.Environment != environment {
		return fmt.Errorf("the flag at %s says it is %s in %s", d.ID, f.Key, f.Target.Environment)
	}
	if n.flags[environment] == nil {
		n.flags[environment] = map[string]*provider.Flag{}
	}
	delete(n.flags[environment], key)
	if !f.Archived {
		n.flags[environment][key] = &f
	}
	return nil
}

func (s *Set) swap(next *Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.Store(next)
	if s.changed != nil {
		close(s.changed)
	}
	s.changed = make(chan struct{})
}

// Now gives the flags as they are, and a channel that is closed once they are not
// any more.
func (s *Set) Now() (*Snapshot, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	if n := s.now.Load(); n != nil {
		return n, s.changed
	}
	return &Snapshot{}, s.changed
}

// Wake has the Set look at the store now.
func (s *Set) Wake() {
	s.init()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Set) init() { s.once.Do(func() { s.wake = make(chan struct{}, 1) }) }

// Run follows the store until ctx ends. Load comes first.
func (s *Set) Run(ctx context.Context) error {
	s.init()
	silent := false
	for {
		err := s.Follow(ctx)
		if err != nil && !silent && ctx.Err() == nil {
			s.Logger.Error("follow the flags; services get them as they were", "err", err)
		}
		silent = err != nil
		timer := time.NewTimer(followEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-s.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// Follow reads what changed since it was last called. Every change of a flag
// shares its commit with a record about it, so that the log says which flags to
// read again, and where nothing was recorded nothing is read.
func (s *Set) Follow(ctx context.Context) error {
	if s.Clock.Now().Sub(s.full) >= fullEvery {
		return s.Load(ctx)
	}
	touched := map[string]bool{}
	seq, all := s.seq, false
	var docs []bot.Document
	err := s.Store.View(ctx, func(r store.Reader) error {
		clear(touched)
		docs, seq, all = nil, s.seq, false
		head, err := r.Head()
		if err != nil {
			return err
		}
		if head.Seq < seq { // another database was put in its place
			all = true
			return nil
		}
		for seq < head.Seq {
			records, err := r.RecordsFrom(seq+1, recordsPage)
			if err != nil {
				return err
			}
			for _, sealed := range records {
				touches(sealed, touched)
				seq = sealed.Seq
			}
			if len(records) == 0 {
				break
			}
		}
		for _, id := range slices.Sorted(maps.Keys(touched)) {
			d, found, err := r.Document(provider.FlagDocument, id)
			if err != nil {
				return err
			}
			if found {
				docs = append(docs, d)
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case all:
		return s.Load(ctx)
	}
	old, _ := s.Now()
	docs = slices.DeleteFunc(docs, func(d bot.Document) bool { // as it is known
		environment, key, _ := strings.Cut(d.ID, "/")
		f := old.flags[environment][key]
		return f != nil && f.Revision == fmt.Sprint(d.Rev)
	})
	if len(docs) > 0 {
		next := &Snapshot{flags: maps.Clone(old.flags)}
		if next.flags == nil {
			next.flags = map[string]map[string]*provider.Flag{}
		}
		for environment, flags := range next.flags {
			next.flags[environment] = maps.Clone(flags)
		}
		if err := s.add(next, docs); err != nil {
			return err
		}
		s.swap(next)
	}
	s.seq = seq
	return nil
}

// touches notes which flags a record is about.
func touches(sealed store.Sealed, touched map[string]bool) {
	var rec struct {
		Resources []bot.Resource `json:"resources"`
	}
	if json.Unmarshal(sealed.Body, &rec) != nil {
		return // what cannot be read is the log's own trouble, and told of there
	}
	for _, r := range rec.Resources {
		if r.Kind() == bot.KindFlag {
			touched[r.Name()] = true
		}
	}
}

// Get gives a flag; it must not be changed.
func (n *Snapshot) Get(environment, key string) (f *provider.Flag, found bool) {
	f, found = n.flags[environment][key]
	return f, found
}

// Environments lists where there is a flag of this key, sorted.
func (n *Snapshot) Environments(key string) []string {
	var found []string
	for environment, flags := range n.flags {
		if flags[key] != nil {
			found = append(found, environment)
		}
	}
	slices.Sort(found)
	return found
}

// Of gives the flags of a target.
func (n *Snapshot) Of(t bot.Target) *Served {
	n.mu.Lock()
	defer n.mu.Unlock()
	if served := n.of[t]; served != nil {
		return served
	}
	served := &Served{}
	for _, f := range n.flags[t.Environment] {
		if f.Target == t {
			served.Flags = append(served.Flags, f)
		}
	}
	slices.SortFunc(served.Flags, func(a, b *provider.Flag) int { return strings.Compare(a.Key, b.Key) })
	sum := sha256.New()
	for _, f := range served.Flags {
		fmt.Fprintf(sum, "%s %s %d\n", f.Key, f.Revision, f.Changed.At.UnixMicro())
	}
	served.Digest = hex.EncodeToString(sum.Sum(nil)[:12])
	if n.of == nil {
		n.of = map[bot.Target]*Served{}
	}
	n.of[t] = served
	return served
}
