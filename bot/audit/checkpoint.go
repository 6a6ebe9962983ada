package audit

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"quarterdeck/bot"
)

// Checkpoint is a signed statement of what the log's head was at one time. Kept
// where the log's own database cannot be reached from, it finds out later
// changes of anything at or before Seq, a recomputed chain included.
type Checkpoint struct {
	V         int       // 1
	Log       string    // the log's own identifier; see Log.ID
	Seq       int64     // the last record it covers
	Hash      string    // of that record
	At        time.Time // when it was signed
	Key       string    // KeyID of the public key that verifies it
	Signature string    // base64url of the Ed25519 signature over everything before it
}

// checkpointVersion is the version of the text form.
const checkpointVersion = 1

const checkpointWord = "quarterdeck-checkpoint"

// Sign gives the checkpoint of a head.
func (k Key) Sign(log string, seq int64, hash string, at time.Time) Checkpoint {
	c := Checkpoint{V: checkpointVersion, Log: log, Seq: seq, Hash: hash, At: at.UTC().Truncate(time.Microsecond), Key: KeyID(k.Public())}
	c.Signature = noPadding.EncodeToString(ed25519.Sign(k.private, []byte(c.signed())))
	return c
}

// signed is the text that the signature covers.
func (c Checkpoint) signed() string {
	return fmt.Sprintf("%s v%d log=%s seq=%d hash=%s at=%s key=%s", checkpointWord, c.V, c.Log, c.Seq, c.Hash, c.At.UTC().Format(time.RFC3339Nano), c.Key)
}

// String gives the checkpoint on one line, which ParseCheckpoint reads back.
func (c Checkpoint) String() string { return c.signed() + " sig=" + c.Signature }

// SignedBy reports whether the signature is that of public's owner.
func (c Checkpoint) SignedBy(public ed25519.PublicKey) bool {
	sig, err := noPadding.DecodeString(c.Signature)
	return err == nil && len(public) == ed25519.PublicKeySize && ed25519.Verify(public, []byte(c.signed()), sig)
}

// ParseCheckpoint reads one checkpoint as String writes it; spaces around it,
// and quotes or backticks that a chat network or a person put there, are
// allowed. It does not check the signature.
func ParseCheckpoint(s string) (Checkpoint, error) {
	s = strings.Trim(s, around)
	words := strings.Fields(s)
	if len(words) == 0 || words[0] != checkpointWord {
		return Checkpoint{}, bot.Errorf(bot.Invalid, "this is no checkpoint; it starts with %q and is one line", checkpointWord)
	}
	if len(words) > 1 && words[1] != "v1" {
		return Checkpoint{}, bot.Errorf(bot.Invalid, "this checkpoint is of version %q; this program reads v1", bounded(words[1], 20))
	}
	c := Checkpoint{V: checkpointVersion}
	names := []string{"log", "seq", "hash", "at", "key", "sig"}
	if len(words) != 2+len(names) {
		return Checkpoint{}, bot.Errorf(bot.Invalid, "this checkpoint is incomplete; copy the whole line, from %q to the end of sig=", checkpointWord)
	}
	for i, name := range names {
		value, found := strings.CutPrefix(words[2+i], name+"=")
		if !found {
			return Checkpoint{}, bot.Errorf(bot.Invalid, "this checkpoint has %q where %s= should be", bounded(words[2+i], 40), name)
		}
		var err error
		switch name {
		case "log":
			c.Log = value
		case "seq":
			c.Seq, err = strconv.ParseInt(value, 10, 64)
		case "hash":
			c.Hash = value
			_, err = hex.DecodeString(value)
		case "at":
			c.At, err = time.Parse(time.RFC3339Nano, value)
		case "key":
			c.Key = value
		case "sig":
			c.Signature = value
			_, err = noPadding.DecodeString(value)
		}
		if err != nil {
			return Checkpoint{}, bot.Errorf(bot.Invalid, "this checkpoint's %s cannot be read: %q", name, bounded(value, 40))
		}
	}
	if c.String() != strings.Join(words, " ") {
		return Checkpoint{}, bot.Errorf(bot.Invalid, "this checkpoint is not in the form it was written in")
	}
	return c, nil
}

// around is what people and networks put around a checkpoint.
const around = " \t\r\n`\"'>"

// LooksLikeCheckpoint reports whether s was meant to be a checkpoint: it begins
// as one does, however it goes on.
func LooksLikeCheckpoint(s string) bool {
	word, _, _ := strings.Cut(strings.Trim(s, around), " ")
	return word == checkpointWord
}

// maxCheckpoint bounds the length of one line of a checkpoint file.
const maxCheckpoint = 4 << 10

// ReadCheckpoints reads a file of checkpoints, one a line; empty lines and
// lines that start with # are skipped. A last line without its end, which is
// what a crash while writing leaves, is skipped too unless it reads well.
func ReadCheckpoints(path string) ([]Checkpoint, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &bot.Error{Op: "audit.checkpoints", Kind: bot.NotFound, Say: fmt.Sprintf("there is no checkpoint file %s", path), Err: err}
	}
	if err != nil {
		return nil, &bot.Error{Op: "audit.checkpoints", Kind: bot.Invalid, Say: fmt.Sprintf("the checkpoint file %s cannot be read: %v", path, rootCause(err)), Err: err}
	}
	defer f.Close()
	var list []Checkpoint
	in := bufio.NewReaderSize(f, maxCheckpoint)
	for n := 1; ; n++ {
		line, err := in.ReadSlice('\n')
		last := errors.Is(err, io.EOF)
		if err != nil && !last {
			return nil, bot.Errorf(bot.Invalid, "%s:%d is no checkpoint: the line is too long", path, n)
		}
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' {
			c, err := ParseCheckpoint(string(line))
			switch {
			case err == nil:
				list = append(list, c)
			case !last:
				return nil, bot.Errorf(bot.Invalid, "%s:%d: %s", path, n, bot.Sentence(err, ""))
			}
		}
		if last {
			return list, nil
		}
	}
}

// appendCheckpoint adds c to the file at path, durably. What a crash left of an
// unfinished line is taken away first.
func appendCheckpoint(path string, c Checkpoint) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if closing := f.Close(); err == nil {
			err = closing
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if size := info.Size(); size > 0 {
		tail := make([]byte, min(size, maxCheckpoint))
		if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil {
			return err
		}
		if torn := len(tail) - 1 - bytes.LastIndexByte(tail, '\n'); torn > 0 {
			if err := f.Truncate(size - int64(torn)); err != nil {
				return err
			}
		}
	}
	if _, err := f.WriteString(c.String() + "\n"); err != nil {
		return err
	}
	return f.Sync()
}

// bounded gives s flattened to one line of at most n bytes.
func bounded(s string, n int) string {
	if strings.ContainsAny(s, "\n\t") {
		s = strings.Join(strings.Fields(s), " ")
	}
	if len(s) <= n {
		return s
	}
	at := n - len("…")
	for at > 0 && s[at]&0xC0 == 0x80 {
		at--
	}
	return s[:at] + "…"
}
