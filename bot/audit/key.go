package audit

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"quarterdeck/bot"
)

// Key signs checkpoints.
type Key struct {
	private ed25519.PrivateKey
}

// Public gives the key that verifies what Key signed.
func (k Key) Public() ed25519.PublicKey { return k.private.Public().(ed25519.PublicKey) }

// Secret gives bytes that only a holder of Key knows, to derive other keys from.
func (k Key) Secret() []byte { return k.private.Seed() }

// KeyID gives the short name of a public key that checkpoints carry: 16
// hexadecimal digits.
func KeyID(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:8])
}

// String names the key without giving it away.
func (k Key) String() string { return "signing key " + KeyID(k.Public()) }

// GoString keeps the key out of %#v too.
func (k Key) GoString() string { return k.String() }

// maxKeyFile bounds how much of a key file is read.
const maxKeyFile = 16 << 10

// OpenKey reads the signing key from the PEM file at path (PKCS #8, Ed25519).
// When there is no such file it makes a key and writes it there with mode 0600,
// and its public half to path with ".pub" added, which is all that an auditor
// needs. A file that others may read is refused with an Error of kind Invalid.
func OpenKey(path string) (Key, error) {
	k, err := readKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if err := createKey(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return Key{}, &bot.Error{Op: "audit.key", Kind: bot.Invalid, Say: fmt.Sprintf("the audit key %s cannot be made: %v", path, rootCause(err)), Err: err}
	}
	return readKey(path) // another process may have been first
}

// LoadKey reads the signing key as OpenKey does, and makes none: one that is not
// there is an Error of kind NotFound.
func LoadKey(path string) (Key, error) {
	k, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Key{}, &bot.Error{Op: "audit.key", Kind: bot.NotFound, Say: fmt.Sprintf("there is no audit key %s; this is done where the bot runs, by who may read its key", path), Err: err}
	}
	return k, err
}

func readKey(path string) (Key, error) {
	block, err := readPEM(path, true)
	if err != nil {
		return Key{}, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	private, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return Key{}, bot.Errorf(bot.Invalid, "%s holds no Ed25519 private key in PKCS #8 form", path)
	}
	return Key{private: private}, nil
}

// ReadPublicKey reads a public key from path: the ".pub" file that OpenKey
// writes, or the signing key's own file.
func ReadPublicKey(path string) (ed25519.PublicKey, error) {
	block, err := readPEM(path, false)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &bot.Error{Op: "audit.key", Kind: bot.NotFound, Say: fmt.Sprintf("there is no key file %s", path), Err: err}
		}
		return nil, err
	}
	if block.Type == "PRIVATE KEY" {
		k, err := readKey(path)
		if err != nil {
			return nil, err
		}
		return k.Public(), nil
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	public, ok := parsed.(ed25519.PublicKey)
	if err != nil || !ok {
		return nil, bot.Errorf(bot.Invalid, "%s holds no Ed25519 public key", path)
	}
	return public, nil
}

// readPEM reads the one PEM block of a file. A file that is not there gives an
// error that is fs.ErrNotExist; all others are Errors.
func readPEM(path string, private bool) (*pem.Block, error) {
	// Looked at first: to open a pipe could wait for ever.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, bot.Errorf(bot.Invalid, "the audit key %s is not a file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return nil, &bot.Error{Op: "audit.key", Kind: bot.Invalid, Say: fmt.Sprintf("the audit key %s cannot be read: %v", path, rootCause(err)), Err: err}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, &bot.Error{Op: "audit.key", Kind: bot.Invalid, Say: fmt.Sprintf("the audit key %s cannot be read: %v", path, rootCause(err)), Err: err}
	}
	if !info.Mode().IsRegular() {
		return nil, bot.Errorf(bot.Invalid, "the audit key %s is not a file", path)
	}
	// Windows has no such bits and shows made-up ones.
	if mode := info.Mode().Perm(); private && mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, bot.Errorf(bot.Invalid, "the audit key %s can be read by others (mode %04o); make it yours alone: chmod 600 %s", path, mode, path)
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, &bot.Error{Op: "audit.key", Kind: bot.Invalid, Say: fmt.Sprintf("the audit key %s cannot be read: %v", path, rootCause(err)), Err: err}
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, bot.Errorf(bot.Invalid, "%s is no key file in PEM form", path)
	}
	return block, nil
}

// createKey writes a fresh key to path, complete or not at all, and gives an
// error that is fs.ErrExist when a file is there already.
func createKey(path string) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	open, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	draft, err := writeDraft(dir, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(draft)
	// A link, unlike a rename, does not replace the key another process made
	// in the meantime.
	if err := os.Link(draft, path); err != nil {
		return err
	}
	side, err := writeDraft(dir, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: open}), 0o644)
	if err != nil {
		return err
	}
	if err := os.Rename(side, path+".pub"); err != nil {
		os.Remove(side)
		return err
	}
	return syncDir(dir)
}

// writeDraft writes a new file in dir, durably, and gives its name.
func writeDraft(dir string, content []byte, mode fs.FileMode) (name string, err error) {
	f, err := os.CreateTemp(dir, ".audit-key-*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// syncDir makes the names in dir durable, where the system can.
func syncDir(dir string) error {
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
