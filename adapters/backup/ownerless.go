package backupprovider

import (
	"bufio"
	"io"
	"regexp"
	"strings"
)

// ownerless leaves out of a dump by pg_dump what pg_restore leaves out with
// --no-owner and --no-privileges: who owned things and who might do what, for
// those roles are not here. It also leaves out the restricted mode that the dump
// asks for by itself, because it is in ours already. Data and the bodies of
// functions stay as they are.
type ownerless struct {
	in   *bufio.Reader
	rest []byte // of the line that is being passed on

	data   bool   // inside of COPY ... FROM stdin
	quoted string // the dollar quote that is open
	whole  bool   // the next piece begins a line

	err error
}

func newOwnerless(in io.Reader) *ownerless {
	return &ownerless{in: bufio.NewReaderSize(in, 64<<10), whole: true}
}

var (
	ownLine     = regexp.MustCompile(`^(ALTER [A-Z ]+ .* OWNER TO ("[^"]+"|[A-Za-z0-9_$]+);|(GRANT|REVOKE) .*;|ALTER DEFAULT PRIVILEGES .*;|SET SESSION AUTHORIZATION .*;)\s*$`)
	copyLine    = regexp.MustCompile(`^COPY .* FROM stdin;\s*$`)
	restrict    = regexp.MustCompile(`^\\(un)?restrict [A-Za-z0-9]+\s*$`)
	dollarQuote = regexp.MustCompile(`\$[A-Za-z_]*\$`)
)

func (o *ownerless) Read(p []byte) (int, error) {
	for len(o.rest) == 0 {
		if o.err != nil {
			return 0, o.err
		}
		piece, err := o.in.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			o.err = err
		}
		if o.keeps(string(piece), err == nil || o.err != nil) {
			o.rest = append(o.rest[:0:0], piece...)
		}
	}
	n := copy(p, o.rest)
	o.rest = o.rest[n:]
	return n, nil
}

// keeps decides about one piece of the dump: a line, or part of a long one, which
// is never one of those that are left out.
func (o *ownerless) keeps(piece string, ends bool) bool {
	line := o.whole && ends
	o.whole = ends
	switch {
	case o.data:
		o.data = !(line && strings.TrimRight(piece, "\r\n") == `\.`)
		return true
	case o.quoted != "":
		o.quotes(piece)
		return true
	case line && restrict.MatchString(piece):
		return false // in ours it would be an error, and end nothing
	case line && copyLine.MatchString(piece):
		o.data = true
		return true
	case line && ownLine.MatchString(piece):
		return false
	}
	o.quotes(piece)
	return true
}

// quotes follows the dollar quotes in a piece.
func (o *ownerless) quotes(piece string) {
	if strings.HasPrefix(piece, "--") && o.quoted == "" {
		return
	}
	for _, q := range dollarQuote.FindAllString(piece, -1) {
		switch o.quoted {
		case "":
			o.quoted = q
		case q:
			o.quoted = ""
		}
	}
}
