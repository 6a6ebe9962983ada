package stepup

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"quarterdeck/bot"
)

// keyBytes is the length of the key: AES-256.
const keyBytes = 32

// maxKeyFile bounds how much of a key file is read.
const maxKeyFile = 1 << 10

// Key encrypts what is kept of people's authenticators. The zero Key encrypts
// nothing; see OpenKey.
type Key struct {
	secret []byte
}

// ID is a short name of the key that gives nothing of it away: 16 hexadecimal
// digits, and "" for the zero Key.
func (k Key) ID() string {
	if k.secret == nil {
		return ""
	}
	sum := sha256.Sum256(append([]byte("quarterdeck totp key id v1\x00"), k.secret...))
	return hex.EncodeToString(sum[:8])
}

// String names the key without giving it away.
func (k Key) String() string { return "key of second factors " + k.ID() }

// GoString keeps the key out of %#v too.
func (k Key) GoString() string { return k.String() }

// OpenKey reads the key from the file at path: 32 random bytes in base64. When
// there is none it makes one, with mode 0600, unless held says that something is
// kept under the one that is gone; that is an Error of kind NotFound, for
// a new key would hide that the old one was lost. A file that others may read is
// refused with an Error of kind Invalid.
func OpenKey(path string, held bool) (Key, error) {
	k, err := readKey(path)
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		return k, err
	case held:
		return Key{}, &bot.Error{Op: "stepup.key", Kind: bot.NotFound, Err: err,
			Say: fmt.Sprintf("the key of second factors %s is gone, and people are enrolled under it; put it back from a copy, or end their enrolments (totp reset PERSON) and restart the bot for a new one", path)}
	}
	if err := createKey(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return Key{}, &bot.Error{Op: "stepup.key", Kind: bot.Invalid, Say: fmt.Sprintf("the key of second factors %s cannot be made: %v", path, rootCause(err)), Err: err}
	}
	return readKey(path) // another process may have been first
}

// readKey gives an error that is fs.ErrNotExist where there is no file.
func readKey(path string) (Key, error) {
	unusable := func(err error) (Key, error) {
		return Key{}, &bot.Error{Op: "stepup.key", Kind: bot.Invalid, Say: fmt.Sprintf("the key of second factors %s cannot be read: %v", path, rootCause(err)), Err: err}
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Key{}, err
	}
	if err != nil {
		return unusable(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return unusable(err)
	}
	if !info.Mode().IsRegular() {
		return Key{}, bot.Errorf(bot.Invalid, "the key of second factors %s is not a file", path)
	}
	// Windows has no such bits and shows made-up ones.
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return Key{}, bot.Errorf(bot.Invalid, "the key of second factors %s can be read by others (mode %04o); make it yours alone: chmod 600 %s", path, mode, path)
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return unusable(err)
	}
	secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(raw)))
	if err != nil || len(secret) != keyBytes {
		return Key{}, bot.Errorf(bot.Invalid, "%s holds no key of second factors; put the right file back from a copy", path)
	}
	return Key{secret: secret}, nil
}

// createKey writes a fresh key to path, complete or not at all, and gives an
// error that is fs.ErrExist when a file is there already.
func createKey(path string) error {
	secret := make([]byte, keyBytes)
	if _, err := rand.Read(secret); err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".totp-key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(base64.StdEncoding.EncodeToString(secret) + "\n")
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	// A link, unlike a rename, does not replace the key another process made in
	// the meantime.
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// rootCause gives the system's own words of an error about a file, without the
// path, which the sentence has already.
func rootCause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		return link.Err
	}
	return err
}
