package audit

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Backup says what a copy of the database is, signed, so that one that was
// exchanged, changed or cut is told from the one that was made.
type Backup struct {
	V         int       `json:"v"` // 1
	Log       string    `json:"log"`
	Seq       int64     `json:"seq"`  // the last record in it
	Hash      string    `json:"hash"` // of that record
	Schema    int64     `json:"schema"`
	Size      int64     `json:"size"`
	SHA256    string    `json:"sha256"`
	At        time.Time `json:"at"`
	Version   string    `json:"version"` // of the program that made it
	Key       string    `json:"key"`
	Signature string    `json:"signature"`
}

func (b Backup) signed() string {
	return fmt.Sprintf("quarterdeck-backup v%d log=%s seq=%d hash=%s schema=%d size=%d sha256=%s at=%s key=%s", b.V, b.Log, b.Seq, b.Hash,
		b.Schema, b.Size, b.SHA256, b.At.UTC().Format(time.RFC3339Nano), b.Key)
}

// ManifestOf gives the path of the Backup that lies beside a copy.
func ManifestOf(path string) string { return path + ".json" }

// WriteBackup describes the copy at path, which s shows, and writes that beside
// it, for its owner alone.
func WriteBackup(ctx context.Context, path string, s store.Store, key Key, b Backup) (Backup, error) {
	var err error
	if b.Log, err = readID(ctx, s); err != nil {
		return b, err
	}
	head, err := headOf(ctx, s)
	if err != nil {
		return b, err
	}
	b.V, b.Seq, b.Hash, b.Key, b.At = 1, head.Seq, head.Hash, KeyID(key.Public()), b.At.UTC()
	if b.Size, b.SHA256, err = sumFile(path); err != nil {
		return b, err
	}
	b.Signature = key.signText(b.signed())
	body, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return b, err
	}
	f, err := os.OpenFile(ManifestOf(path), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return b, backupError(ManifestOf(path), err)
	}
	defer f.Close()
	if _, err := f.Write(append(body, '\n')); err != nil {
		return b, backupError(ManifestOf(path), err)
	}
	return b, f.Sync()
}

// CheckBackup reads what lies beside the copy at path and holds the file against
// it. Its Errors say what is wrong.
func CheckBackup(path string, public ed25519.PublicKey) (Backup, error) {
	var b Backup
	raw, err := os.ReadFile(ManifestOf(path))
	if err != nil {
		return b, backupError(ManifestOf(path), err)
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		return b, &bot.Error{Op: "audit.backup", Kind: bot.Invalid, Say: ManifestOf(path) + " is no description of a backup", Err: err}
	}
	switch {
	case b.V != 1:
		return b, bot.Errorf(bot.Invalid, "%s is of version %d; this program reads 1", ManifestOf(path), b.V)
	case !signedText(public, b.signed(), b.Signature):
		return b, bot.Errorf(bot.Invalid, "%s was not signed with this audit key; restore the key that the backup was made with, or the backup of this bot", ManifestOf(path))
	}
	size, sum, err := sumFile(path)
	switch {
	case err != nil:
		return b, err
	case size != b.Size || sum != b.SHA256:
		return b, bot.Errorf(bot.Invalid, "%s is not the file that was made: it has %d bytes and sha256 %s, not %d and %s", path, size, short(sum), b.Size, short(b.SHA256))
	}
	return b, nil
}

func sumFile(path string) (size int64, sum string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, "", backupError(path, err)
	}
	defer f.Close()
	h := sha256.New()
	if size, err = io.Copy(h, f); err != nil {
		return 0, "", backupError(path, err)
	}
	return size, hex.EncodeToString(h.Sum(nil)), nil
}

func backupError(path string, err error) error {
	kind, say := bot.Unavailable, path+" cannot be read or written"
	switch {
	case os.IsNotExist(err):
		kind, say = bot.NotFound, path+" does not exist"
	case os.IsExist(err):
		kind, say = bot.Conflict, path+" is there already, and is not written over"
	}
	return &bot.Error{Op: "audit.backup", Kind: kind, Say: say, Err: err}
}

// Behind says how far the log stays behind the last checkpoint of the file that
// the bot keeps: the database was put back to an earlier state, or its end was cut
// off. found is false where it does not; a file that is not there, or holds no
// checkpoint of this log and key, shows nothing.
func Behind(ctx context.Context, s store.Store, file string, public ed25519.PublicKey) (last Checkpoint, found bool, err error) {
	list, err := ReadCheckpoints(file)
	if err != nil || len(list) == 0 {
		return last, false, nil // verify reports a file that cannot be read
	}
	last = list[len(list)-1]
	id, err := readID(ctx, s)
	if err != nil || last.Log != id && id != "" || !last.SignedBy(public) {
		return last, false, err
	}
	err = s.View(ctx, func(r store.Reader) error {
		head, err := r.Head()
		if err != nil {
			return err
		}
		if head.Seq < last.Seq {
			found = true
			return nil
		}
		rec, there, err := r.Record(last.Seq) // not there: it was moved to the archive
		found = there && rec.Hash != last.Hash
		return err
	})
	return last, found, err
}
