package digest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sourcegraph/conc"
)

// presents serves a certificate for a name until a time, and gives its address.
func presents(t *testing.T, name string, until time.Time) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: until.AddDate(-1, 0, 0), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	var wg conc.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				_ = c.(*tls.Conn).Handshake() // the other side may be gone
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String()
}

// TestCertificates looks at hosts whose certificates are good, nearly over, over
// and another's, and at hosts that do not answer as they should.
func TestCertificates(t *testing.T) {
	w := window(t, 20)
	day := 24 * time.Hour
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	at := map[string]string{
		"good.example:443":    presents(t, "good.example", w.Now.Add(90*day)),
		"private.example:443": presents(t, "private.example", w.Now.Add(31*day)),
		"soon.example:443":    presents(t, "soon.example", w.Now.Add(5*day+time.Hour)),
		"over.example:8443":   presents(t, "over.example", w.Now.Add(-2*day)),
		"other.example:443":   presents(t, "else.example", w.Now.Add(90*day)),
		"mute.example:443":    mute.Addr().String(),
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := Sources{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if at[address] == "" {
			return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
		}
		if address == "mute.example:443" {
			cancel() // its time is over before it says anything
			return nil, context.DeadlineExceeded
		}
		return (&net.Dialer{}).DialContext(ctx, network, at[address])
	}}
	w.Hosts = []string{"good.example:443", "private.example:443", "soon.example:443", "over.example:8443", "other.example:443", "gone.example:443"}
	got, err := s.certificates(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"gone.example: there is no such host", "other.example: its certificate is for another name",
		"over.example:8443 expired on 2026-11-21", "soon.example expires on 2026-11-28, in 5 days", "2 others are good for 30 days or more"}
	if !slices.Equal(got.Lines, want) {
		t.Errorf("it tells %q\nwant %q", got.Lines, want)
	}
	w.Hosts = []string{"mute.example:443"}
	if got, err := s.certificates(ctx, w); err != nil || !slices.Equal(got.Lines, []string{"mute.example: no answer in time"}) {
		t.Errorf("of a mute host it tells %q, %v", got.Lines, err)
	}
	w.Hosts = []string{"good.example:443"}
	if got, err := s.certificates(t.Context(), w); err != nil || len(got.Lines) != 0 {
		t.Errorf("of good ones alone it tells %q, %v", got.Lines, err)
	}
	// The real network's way, where nobody listens.
	mute.Close()
	w.Hosts = []string{mute.Addr().String()}
	if got, err := (Sources{}).certificates(t.Context(), w); err != nil || !strings.HasSuffix(strings.Join(got.Lines, ""), ": the connection was refused") {
		t.Errorf("where nobody listens it tells %q, %v", got.Lines, err)
	}
}
