package audit

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Manifest is the first line of an archived segment: what follows it, and the
// signature of the key's owner. A segment is a file of two gzip members: this
// line, and one line for each record as Export writes them, so that zcat and a
// JSON reader are all that is needed to read it in ten years.
type Manifest struct {
	Version int       `json:"quarterdeck_archive"` // 1
	Log     string    `json:"log"`
	First   int64     `json:"first"`
	Last    int64     `json:"last"`
	Count   int64     `json:"count"`
	Before  string    `json:"before"`  // hash of the record before First; "" for the first of the log
	After   string    `json:"after"`   // hash of Last
	Latest  time.Time `json:"latest"`  // the greatest time of Last and all before it
	Since   time.Time `json:"since"`   // the greatest time of all before First
	Content string    `json:"content"` // hex SHA-256 of the record lines, uncompressed
	At      time.Time `json:"at"`      // when it was written
	Key     string    `json:"key"`
	// Signature is over the manifest's fields as text.
	Signature string `json:"signature"`
}

func (m Manifest) signed() string {
	at := func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
	return fmt.Sprintf("quarterdeck-segment v%d log=%s first=%d last=%d count=%d before=%s after=%s latest=%s since=%s content=%s at=%s key=%s",
		m.Version, m.Log, m.First, m.Last, m.Count, m.Before, m.After, at(m.Latest), at(m.Since), m.Content, at(m.At), m.Key)
}

const segmentSuffix = ".jsonl.gz"

// name is the segment's file, which sorts as the log goes.
func (m Manifest) name() string {
	return fmt.Sprintf("audit-%012d-%012d%s", m.First, m.Last, segmentSuffix)
}

// The bounds of one segment: it is made in memory, and taken out of the store in
// one transaction.
const (
	segmentRecords = 10_000
	segmentBytes   = 32 << 20
	maxSegmentFile = 256 << 20
)

// encodeSegment makes the file of the records, which follow m.Before. It fills
// in the rest of m.
func (k Key) encodeSegment(m Manifest, records []store.Sealed) (Manifest, []byte, error) {
	var lines bytes.Buffer
	out := bufio.NewWriter(&lines)
	for _, r := range records {
		if err := writeRecord(out, r); err != nil {
			return m, nil, err
		}
	}
	if err := out.Flush(); err != nil {
		return m, nil, err
	}
	return k.packSegment(m, records[0].Seq, records[len(records)-1], int64(len(records)), lines.Bytes())
}

func (k Key) packSegment(m Manifest, first int64, last store.Sealed, n int64, lines []byte) (Manifest, []byte, error) {
	sum := sha256.Sum256(lines)
	m.Version, m.First, m.Last, m.Count = 1, first, last.Seq, n
	m.After, m.Latest, m.Content, m.Key = last.Hash, last.Latest, hex.EncodeToString(sum[:]), KeyID(k.Public())
	m.Signature = k.signText(m.signed())
	head, err := encode(m)
	if err != nil {
		return m, nil, err
	}
	var file bytes.Buffer
	for _, member := range [][]byte{append(head, '\n'), lines} {
		z := gzip.NewWriter(&file)
		if _, err := z.Write(member); err != nil {
			return m, nil, err
		}
		if err := z.Close(); err != nil {
			return m, nil, err
		}
	}
	return m, file.Bytes(), nil
}

// writeDurably gives the file at path the content: whole or not at all, and
// there after a power cut.
func writeDurably(path string, content []byte) (err error) {
	folder := filepath.Dir(path)
	f, err := os.CreateTemp(folder, ".writing-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone when all went well
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return err
	}
	dir, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// segmentFile is one file of an archive and what its manifest says.
type segmentFile struct {
	path string
	Manifest
}

// readManifest reads the first line of a segment alone.
func readManifest(path string) (segmentFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return segmentFile{}, err
	}
	defer f.Close()
	m, err := manifestOf(f)
	return segmentFile{path: path, Manifest: m}, err
}

func manifestOf(file io.Reader) (m Manifest, err error) {
	z, err := gzip.NewReader(file)
	if err != nil {
		return m, err
	}
	line, err := bufio.NewReader(io.LimitReader(z, maxCheckpoint)).ReadBytes('\n')
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(line, &m); err != nil || m.Version != 1 || m.First < 1 || m.Last < m.First {
		return m, errors.New("it is no archived segment that this program can read")
	}
	return m, nil
}

// trusted gives "" or what is wrong with the manifest's signature.
func (s segmentFile) trusted(log string, public ed25519.PublicKey) (ProblemKind, string) {
	switch {
	case len(public) == 0:
		return Unread, fmt.Sprintf("%s cannot be checked without the public key", s.name())
	case s.Key != KeyID(public) || !signedText(public, s.signed(), s.Signature):
		return Forged, fmt.Sprintf("%s is forged: its signature is not that of the audit key", s.name())
	case s.Log != log:
		return Foreign, fmt.Sprintf("%s is of another log: it names log %s", s.name(), bounded(s.Log, 40))
	}
	return "", ""
}

// lines reads the record lines of the segment and calls f with each. It gives
// the digest of all, when f never failed.
func (s segmentFile) lines(f func(line []byte) error) (content string, err error) {
	file, err := os.Open(s.path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	z, err := gzip.NewReader(bufio.NewReader(io.LimitReader(file, maxSegmentFile)))
	if err != nil {
		return "", err
	}
	in := bufio.NewReaderSize(z, 64<<10)
	if _, err := in.ReadBytes('\n'); err != nil {
		return "", err
	}
	sum := sha256.New()
	scan := bufio.NewScanner(io.TeeReader(in, sum))
	scan.Buffer(make([]byte, 64<<10), maxExportLine)
	for scan.Scan() {
		if err := f(scan.Bytes()); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), scan.Err()
}

// decodeLine gives the record in a line of a segment or an export. Latest is
// not in it.
func decodeLine(line []byte) (store.Sealed, bool) {
	var r exportRecord
	if err := json.Unmarshal(line, &r); err != nil || r.Seq == 0 {
		return store.Sealed{}, false
	}
	s := store.Sealed{Seq: r.Seq, Hash: r.Hash, Body: bytes.Clone(r.Record), Text: bytes.Clone(r.Text)}
	if r.Raw != nil {
		s.Body, s.Text = r.Raw, r.RawText
	}
	// A line has no columns to search by; only the record itself counts.
	var b bot.Record
	if json.Unmarshal(s.Body, &b) == nil {
		s.At, s.Kind, s.Run, s.Target, s.Person = b.At, b.Kind, b.Run, b.Target, b.Person
	}
	return s, true
}

// segments lists the segments in a folder, by what their manifests say comes
// first. What is no segment, or cannot be read, is told to bad.
func segments(dir string, bad func(path string, err error)) ([]segmentFile, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, &bot.Error{Op: "audit.archive", Kind: bot.NotFound, Say: fmt.Sprintf("the archive %s cannot be read", dir), Err: err}
	}
	var list []segmentFile
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), segmentSuffix) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		s, err := readManifest(path)
		if err != nil {
			bad(path, err)
			continue
		}
		list = append(list, s)
	}
	sortSegments(list)
	return list, nil
}
