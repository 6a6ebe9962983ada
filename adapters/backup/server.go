package backupprovider

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"quarterdeck/bot"
)

// address is where a database server is reached, and as whom.
type address struct {
	host, port, user, password, database string
	options                              url.Values
}

// addressOf reads the URL that a secret holds. Its errors never repeat it.
func addressOf(s *bot.Secret, schemes ...string) (a address, err error) {
	v, err := s.Value()
	if err != nil {
		return a, bot.Errorf(bot.Unavailable, "the address of the server is not known: %s", bot.Sentence(err, ""))
	}
	u, err := url.Parse(v)
	if err != nil || u.User == nil || u.Opaque != "" {
		return a, bot.Errorf(bot.Invalid, "the address of the server is no URL such as %s://USER:PASSWORD@127.0.0.1:PORT/DATABASE", schemes[0])
	}
	known := false
	for _, s := range schemes {
		known = known || u.Scheme == s
	}
	if !known {
		return a, bot.Errorf(bot.Invalid, "the address of the server does not begin with %s://", schemes[0])
	}
	a = address{host: u.Hostname(), port: u.Port(), user: u.User.Username(), database: strings.TrimPrefix(u.Path, "/"), options: u.Query()}
	a.password, _ = u.User.Password()
	if h := a.options.Get("host"); h != "" { // a folder of Unix sockets
		a.host = h
	}
	return a, nil
}

// local reports whether a is on this machine: a server somewhere else may be
// anybody's.
func (a address) local() bool {
	ip := net.ParseIP(a.host)
	return a.host == "" || a.host == "localhost" || filepath.IsAbs(a.host) || ip != nil && ip.IsLoopback()
}

// dumpKind is what a dump is made of.
type dumpKind int

const (
	dumpText   dumpKind = iota // statements
	dumpZipped                 // statements, gzip'ed
	dumpCustom                 // pg_dump -Fc
	dumpFolder                 // pg_dump -Fd
)

// kindOf looks at the beginning of a dump.
func kindOf(path string) (dumpKind, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return 0, err
	}
	if info.IsDir() {
		return dumpFolder, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	begin := make([]byte, 5)
	n, err := io.ReadFull(f, begin)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !isEOF(err) {
		return 0, err
	}
	switch begin = begin[:n]; {
	case string(begin) == "PGDMP":
		return dumpCustom, nil
	case n > 2 && begin[0] == 0x1f && begin[1] == 0x8b:
		return dumpZipped, nil
	}
	return dumpText, nil
}

// statements opens a dump of statements; close it when done.
func statements(path string, kind dumpKind) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil || kind == dumpText {
		return f, err
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, errors.Join(broken(err), f.Close())
	}
	return &unzipped{Reader: z, file: f}, nil
}

type unzipped struct {
	*gzip.Reader
	file *os.File
}

// Read gives a damaged archive as a sentence.
func (u *unzipped) Read(p []byte) (int, error) {
	n, err := u.Reader.Read(p)
	if err != nil && !isEOF(err) {
		err = broken(err)
	}
	return n, err
}

func (u *unzipped) Close() error { return u.file.Close() }

func broken(err error) error {
	e := bot.Errorf(bot.Conflict, "it cannot be unpacked: it is cut short or damaged")
	e.Err = err
	return e
}

// ends reports whether a dump of statements ends as whoever writes such dumps has
// it end, and gives its first lines.
func ends(ctx context.Context, path string, kind dumpKind, last *regexp.Regexp) (head []string, whole bool, err error) {
	in, err := statements(path, kind)
	if err != nil {
		return nil, false, err
	}
	defer in.Close()
	const headLines, tailLines = 60, 12
	var tail []string
	lines := bufio.NewReaderSize(reader{ctx, in}, 64<<10)
	for {
		line, err := lines.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		if len(line) > 0 && !long {
			text := strings.TrimRight(string(line), "\r\n")
			if len(head) < headLines {
				head = append(head, clean(text, maxSaid))
			}
			if tail = append(tail, text); len(tail) > tailLines {
				tail = tail[1:]
			}
		}
		if isEOF(err) {
			break
		}
		if err != nil && !long {
			return nil, false, err
		}
	}
	for _, line := range tail {
		whole = whole || last.MatchString(line)
	}
	return head, whole, nil
}

// version is what a program or a dump says of itself: 15.18, 10.11.14-MariaDB.
type version []int

var versionText = regexp.MustCompile(`([0-9]{1,4})\.([0-9]{1,4})`)

// versionOf finds the first version in a text; nil for none.
func versionOf(text string) version {
	m := versionText.FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	var v version
	for _, part := range m[1:] {
		n, err := strconv.Atoi(part)
		if err != nil {
			return nil
		}
		v = append(v, n)
	}
	return v
}

func (v version) String() string {
	var parts []string
	for _, n := range v {
		parts = append(parts, strconv.Itoa(n))
	}
	return strings.Join(parts, ".")
}

// token is a word that nobody can guess.
func token() string {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails, crypto/rand documents
	return hex.EncodeToString(raw[:])
}

// startWithin bounds how long a database server takes to answer first.
const startWithin = 2 * time.Minute

// answers waits until a server that was started answers.
func answers(ctx context.Context, server *running, ask func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-server.done:
			if err := server.ended(); err != nil {
				return err
			}
			return bot.Errorf(bot.Unavailable, "%s ended before it answered", server.name)
		case <-ctx.Done():
			return errors.Join(bot.Errorf(bot.Unavailable, "%s does not answer within %s", server.name, bot.Span(startWithin)), err)
		case <-tick.C:
		}
	}
}

// maxSocketPath is what the kernel allows for the path of a Unix socket, less its
// end.
const maxSocketPath = 100

// socketFolder makes the folder of a server's socket in the place.
func (pl *place) socketFolder() (string, error) {
	dir := pl.file("s")
	if len(dir)+len("/.s.PGSQL.5432") > maxSocketPath {
		return "", bot.Errorf(bot.Invalid, "the path of the scratch folder is too long for a database server's socket; give the provider a shorter one with scratch = \"FOLDER\"")
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return dir, nil
}
