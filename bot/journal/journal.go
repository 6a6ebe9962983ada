// Package journal is the emergency journal: a small file, all of which is on
// disk from the start, that takes what must be noted before a way back is gone
// while the database cannot be written. It is no second log: what stands in it
// is merged into the log as soon as that can be written again.
//
// Entries start at a sector's beginning and never share one, so that a torn
// write harms no entry that was acknowledged. Each carries a checksum, and a
// mark that only the bot's key gives, so that nobody can slip one in; they are
// numbered, so that nobody can take one out of the middle unnoticed.
package journal

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Size is how large the file is. It never grows.
const Size = 4 << 20

// Reserve is what each use keeps free for those that matter more, in bytes: a
// flood of refusals must leave room for a way back, and one that began for the
// note of how it ended.
const (
	ReserveRefusal = Size / 2
	ReserveIntent  = 256 << 10
	ReserveStep    = 128 << 10
	ReserveOutcome = 0
)

const (
	sector   = 512
	maxEntry = 64 << 10
	// header is the magic, the checksum of all that follows it, generation,
	// number, and the lengths of mark and body.
	header = 4 + 4 + 8 + 8 + 2 + 4
)

var magic = [4]byte{'q', 'd', 'j', '1'}

// Entry is one note. ID names what it belongs to; entries of one ID are merged
// together.
type Entry struct {
	N    uint64          `json:"-"` // its number, from 1
	Kind string          `json:"kind"`
	ID   string          `json:"id"`
	Body json.RawMessage `json:"body,omitempty"`
}

// kindDone begins a generation: everything before it was merged.
const kindDone = "done"

// Journal is the open file. Safe for concurrent use; one process has it open.
type Journal struct {
	path string
	seal store.Seal

	mu   sync.Mutex
	f    *os.File
	gen  uint64
	next uint64 // number of the next entry
	end  int64  // where it goes
	fail error  // set once a write failed: what is on disk there is not known
}

// Found is what was in the file.
type Found struct {
	Entries []Entry // not merged yet, in order
	// Missing and Forged count entries that were taken away or spoilt, and
	// sectors that hold an entry which this bot did not write.
	Missing, Forged int
}

// Open opens the journal at path, or makes it, and gives what is in it. On
// return all of the file is on disk, so that a full disk cannot take it away.
// Its Errors have a sentence; another process that has it open is one of kind
// Busy.
func Open(path string, seal store.Seal) (*Journal, Found, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, Found{}, openError(path, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syncFlag, 0o600)
	if err != nil {
		return nil, Found{}, openError(path, err)
	}
	j := &Journal{path: path, seal: seal, f: f, gen: 1, next: 1}
	found, err := j.load()
	if err != nil {
		f.Close()
		return nil, Found{}, err
	}
	return j, found, nil
}

func (j *Journal) load() (Found, error) {
	info, err := j.f.Stat()
	switch {
	case err != nil:
		return Found{}, openError(j.path, err)
	case !info.Mode().IsRegular():
		return Found{}, &bot.Error{Op: "journal.open", Kind: bot.Invalid, Say: fmt.Sprintf("the emergency journal %s is not a file", j.path)}
	}
	if err := lock(j.f); err != nil {
		return Found{}, &bot.Error{Op: "journal.open", Kind: bot.Busy, Err: err, Say: fmt.Sprintf("the emergency journal %s is used by another process", j.path)}
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := j.f.Chmod(0o600); err != nil {
			return Found{}, openError(j.path, err)
		}
	}
	if info.Size() < Size {
		if err := j.allocate(info.Size()); err != nil {
			return Found{}, openError(j.path, err)
		}
	}
	raw := make([]byte, Size)
	if _, err := io.ReadFull(io.NewSectionReader(j.f, 0, Size), raw); err != nil {
		return Found{}, openError(j.path, err)
	}
	return j.scan(raw), nil
}

// allocate writes the file to its full size from the given one on. Zeros are
// written, and not only reserved: writing into a reserved block can need
// another one for the file system's own notes.
func (j *Journal) allocate(from int64) error {
	zeros := make([]byte, 64<<10)
	for at := from; at < Size; {
		n, err := j.f.WriteAt(zeros[:min(int64(len(zeros)), Size-at)], at)
		if err != nil {
			return err
		}
		at += int64(n)
	}
	if err := j.f.Sync(); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(j.path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// scan finds the entries of the newest generation, wherever they are.
func (j *Journal) scan(raw []byte) Found {
	var found Found
	type placed struct {
		Entry
		end int64
	}
	var newest []placed
	for at := 0; at < len(raw); {
		gen, e, size, state := j.parse(raw[at:])
		if state == forged {
			found.Forged++
		}
		if state != sound {
			at += sector
			continue
		}
		at += size
		if gen > j.gen {
			j.gen, newest = gen, nil
		}
		if gen == j.gen {
			newest = append(newest, placed{e, int64(at)})
		}
	}
	slices.SortStableFunc(newest, func(a, b placed) int { return int(int64(a.N) - int64(b.N)) })
	for _, e := range newest {
		if e.N < j.next {
			continue // a copy of one that was seen
		}
		found.Missing += int(e.N - j.next)
		j.next, j.end = e.N+1, max(j.end, e.end)
		if e.Kind != kindDone {
			found.Entries = append(found.Entries, e.Entry)
		}
	}
	return found
}

type state int

const (
	empty state = iota
	sound
	forged
)

// parse reads the entry at the beginning of raw, and how many bytes it takes.
func (j *Journal) parse(raw []byte) (gen uint64, e Entry, size int, s state) {
	if len(raw) < header || !bytes.Equal(raw[:4], magic[:]) {
		return 0, e, 0, empty
	}
	gen, e.N = binary.BigEndian.Uint64(raw[8:]), binary.BigEndian.Uint64(raw[16:])
	marked, length := int(binary.BigEndian.Uint16(raw[24:])), int(binary.BigEndian.Uint32(raw[26:]))
	if length > maxEntry || header+marked+length > len(raw) {
		return 0, e, 0, empty
	}
	all := raw[:header+marked+length]
	if crc32.ChecksumIEEE(all[8:]) != binary.BigEndian.Uint32(all[4:]) {
		return 0, e, 0, empty // torn
	}
	mark, body := string(all[header:header+marked]), all[header+marked:]
	if j.seal.Check(sealName(gen, e.N), body, mark) != nil || json.Unmarshal(body, &e) != nil {
		return 0, e, 0, forged
	}
	return gen, e, sectors(len(all)), sound
}

func sectors(n int) int { return (n + sector - 1) / sector * sector }

func sealName(gen, n uint64) string { return fmt.Sprintf("journal %d/%d", gen, n) }

// Write notes e; when it returns nil, e is on disk. It refuses, as Unavailable
// and with a sentence, what would leave less than reserve bytes free. After a
// write that failed nothing more is taken.
func (j *Journal) Write(e Entry, reserve int64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.write(e, reserve)
}

func (j *Journal) write(e Entry, reserve int64) error {
	if j.fail != nil {
		return j.fail
	}
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode an entry of the emergency journal: %w", err)
	}
	raw := make([]byte, header, header+64+len(body))
	mark := j.seal.Mark(sealName(j.gen, j.next), body)
	copy(raw, magic[:])
	binary.BigEndian.PutUint64(raw[8:], j.gen)
	binary.BigEndian.PutUint64(raw[16:], j.next)
	binary.BigEndian.PutUint16(raw[24:], uint16(len(mark)))
	binary.BigEndian.PutUint32(raw[26:], uint32(len(body)))
	raw = append(append(raw, mark...), body...)
	binary.BigEndian.PutUint32(raw[4:], crc32.ChecksumIEEE(raw[8:]))
	size := int64(sectors(len(raw)))
	if len(body) > maxEntry || j.end+size+reserve > Size {
		return &bot.Error{Op: "journal.write", Kind: bot.Unavailable, Say: "the emergency journal is full, so nothing can be noted; give the database room, and it is emptied into the log"}
	}
	raw = append(raw, make([]byte, size-int64(len(raw)))...)
	_, err = j.f.WriteAt(raw, j.end)
	if err == nil && syncFlag == 0 {
		err = j.f.Sync()
	}
	if err != nil {
		j.fail = &bot.Error{Op: "journal.write", Kind: bot.Unavailable, Say: "the emergency journal cannot be written either", Err: err}
		return j.fail
	}
	j.end += size
	j.next++
	return nil
}

// Empty says that everything in the journal was merged, and makes all its room
// free again.
func (j *Journal) Empty() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.next == 1 {
		return nil
	}
	j.gen, j.next, j.end = j.gen+1, 1, 0
	return j.write(Entry{Kind: kindDone}, 0)
}

// Close closes the file.
func (j *Journal) Close() error { return j.f.Close() }

func openError(path string, err error) error {
	what := "cannot be opened"
	switch {
	case errors.Is(err, os.ErrPermission):
		what = "may not be opened by this user"
	case strings.Contains(err.Error(), "no space"):
		what = "cannot be made, because its disk is full"
	}
	return &bot.Error{Op: "journal.open", Kind: bot.Unavailable, Say: fmt.Sprintf("the emergency journal %s %s", path, what), Err: err}
}
