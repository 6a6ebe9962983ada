package prometheusprovider

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"quarterdeck/bot"
)

const (
	// maxBody bounds one answer: 200 lines of 11,000 points have 50 MiB, but no
	// chart has as many, and 16 MiB is 40 of them.
	maxBody = 16 << 20
	// maxCA bounds the file of certificates.
	maxCA = 1 << 20
	// maxSaid bounds what of a server's own words is shown.
	maxSaid = 300
)

// client is the way to one server. Safe for concurrent use.
type client struct {
	name      string // of the provider
	base      *url.URL
	user      string
	secret    *bot.Secret // a token, or the user's password; nil for none
	secretKey string      // "token" or "password"
	caFile    string
	timeout   time.Duration
	redact    func(string) string

	mu   sync.Mutex
	http *http.Client
}

// open gives the connections, which are made once the certificates can be read:
// they may come later than the configuration.
func (c *client) open() (*http.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.http != nil {
		return c.http, nil
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost, t.IdleConnTimeout = 8, 30*time.Second
	if c.caFile != "" {
		pool, err := certificates(c.caFile)
		if err != nil {
			return nil, &bot.Error{Op: "prometheus", Kind: bot.Unavailable, Err: err, Say: fmt.Sprintf("the ca_file of provider %s cannot be used", c.name)}
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	// A redirected POST loses its form, or brings the credentials elsewhere.
	c.http = &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c.http, nil
}

func certificates(path string) (*x509.CertPool, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxCA))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(raw) {
		return nil, errors.New("it holds no certificate in PEM")
	}
	return pool, nil
}

// answer is what the API answers with, also when it refuses.
type answer struct {
	Status    string          `json:"status"`
	Data      json.RawMessage `json:"data"`
	ErrorType string          `json:"errorType"`
	Error     string          `json:"error"`
	Warnings  []string        `json:"warnings"`
}

// ask posts a form and gives what the server answered. Errors are those of a
// provider.MetricSource.
func (c *client) ask(ctx context.Context, path string, form url.Values, query string) (answer, error) {
	// The server stops at the same time, and does not work on for nobody.
	form.Set("timeout", strconv.FormatInt(c.timeout.Milliseconds(), 10)+"ms") // its durations have no fractions
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	conn, err := c.open()
	if err != nil {
		return answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base.String()+path, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, c.failed(ctx, err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "quarterdeck")
	if c.secret != nil {
		value, err := c.secret.Value()
		if err != nil {
			return answer{}, err
		}
		if c.user != "" {
			req.SetBasicAuth(c.user, value)
		} else {
			req.Header.Set("Authorization", "Bearer "+value)
		}
	}
	resp, err := conn.Do(req)
	if err != nil {
		return answer{}, c.failed(ctx, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return answer{}, c.failed(ctx, err)
	}
	if len(raw) > maxBody {
		return answer{}, bot.Errorf(bot.Invalid, "the answer of %s to %q is larger than %d MiB; aggregate it, or ask for less time", c.name, query, maxBody>>20)
	}
	var a answer
	malformed := json.Unmarshal(raw, &a)
	if resp.StatusCode != http.StatusOK || a.Status == "error" {
		return answer{}, c.refused(resp.StatusCode, a, query)
	}
	if malformed != nil || a.Status != "success" {
		return answer{}, c.senseless(malformed)
	}
	return a, nil
}

// senseless is the error of an answer that is none of the API's.
func (c *client) senseless(err error) error {
	return &bot.Error{Op: "prometheus", Kind: bot.Unavailable, Err: err,
		Say: fmt.Sprintf("the answer of %s makes no sense; is its api_url that of a Prometheus?", c.name)}
}

// failed translates what went wrong on the way.
func (c *client) failed(ctx context.Context, err error) error {
	e := &bot.Error{Op: "prometheus", Kind: bot.Unavailable, Err: err, Say: c.name + " cannot be reached"}
	var network net.Error
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &authority), errors.As(err, &host), errors.As(err, &invalid):
		e.Say = fmt.Sprintf("the certificate of %s is not trusted: %s", c.name, c.said(errors.Unwrap(err).Error()))
	case errors.Is(ctx.Err(), context.Canceled):
		e.Kind, e.Say = bot.Timeout, fmt.Sprintf("%s had not answered when it was given up", c.name)
	case ctx.Err() != nil, errors.As(err, &network) && network.Timeout():
		e.Kind, e.Say = bot.Timeout, fmt.Sprintf("%s gives no answer in time", c.name)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		e.Say = c.name + " broke off in the middle of its answer"
	}
	return e
}

// refused translates an answer that says no, with the server's own sentence.
func (c *client) refused(status int, a answer, query string) error {
	said := c.said(a.Error)
	e := &bot.Error{Op: "prometheus", Kind: bot.Unavailable, Err: fmt.Errorf("status %d: %s: %s", status, a.ErrorType, said)}
	switch {
	case status == http.StatusUnauthorized:
		e.Kind, e.Say = bot.Denied, c.name+" does not accept the credentials of its provider table"
	case status == http.StatusForbidden:
		e.Kind, e.Say = bot.Denied, c.name+" denies to answer queries with the credentials of its provider table"
	case status >= 300 && status < 400:
		e.Say = c.name + " sends queries to another address, which is not followed; write that in its api_url"
	case a.ErrorType == "timeout", a.ErrorType == "canceled":
		e.Kind, e.Say = bot.Timeout, fmt.Sprintf("%s gave up the query %q: %s", c.name, query, said)
	case a.ErrorType == "bad_data", a.ErrorType == "execution":
		e.Kind, e.Say = bot.Invalid, fmt.Sprintf("%s refuses the query %q: %s", c.name, query, said)
	case said != "":
		e.Say = fmt.Sprintf("%s cannot answer: %s", c.name, said)
	case status == http.StatusNotFound:
		e.Say = fmt.Sprintf("%s has no query API there; is its api_url that of a Prometheus?", c.name)
	case status == http.StatusTooManyRequests:
		e.Say = c.name + " has too many queries to answer"
	default:
		e.Say = fmt.Sprintf("%s is out of order: it answers with the status %d", c.name, status)
	}
	return e
}

// said makes a server's own words fit for people: one line, bounded, and without
// what is secret.
func (c *client) said(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	text = c.redact(text)
	if runes := []rune(text); len(runes) > maxSaid {
		text = string(runes[:maxSaid]) + "..."
	}
	return text
}
