package githubprovider

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// fixed is a token that somebody made: read anew for every request, so that one
// that was replaced is in use from then on.
type fixed struct{ secret bot.Secret }

func (f fixed) token(context.Context) (string, error) { return f.secret.Value() }

func (f fixed) refused(string) bool { return false }

// Lacks tries the secrets that the provider's table names, and asks GitHub
// nothing.
func (p *githubProvider) Lacks() []provider.Lack {
	var key string
	var err error
	switch a := p.client.auth.(type) {
	case fixed:
		key = "token"
		_, err = a.secret.Value()
	case *app:
		key = "private_key"
		_, err = a.proof()
	}
	if err == nil {
		return nil
	}
	return []provider.Lack{{Key: []string{key}, Why: bot.Sentence(err, "")}}
}

const (
	// appTime is how long the App's own proof holds; GitHub takes ten minutes at
	// most, counted from its own clock.
	appTime = 8 * time.Minute
	// appEarly is taken from the time of issue, for a clock that is ahead.
	appEarly = time.Minute
	// renewBefore is how long before its end an installation's token is replaced.
	renewBefore = 5 * time.Minute
	// skewTold is from how far apart the two clocks are worth telling of.
	skewTold = 30 * time.Second
)

// app is a GitHub App: it proves itself with its private key and gets a token
// for its installation, which holds for an hour. Safe for concurrent use.
type app struct {
	name         string
	id           string
	installation int64
	key          bot.Secret
	base         *url.URL
	clock        bot.Clock
	http         *http.Client

	mu    sync.Mutex
	value string
	until time.Time
}

func (a *app) token(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.value != "" && a.clock.Now().Before(a.until.Add(-renewBefore)) {
		return a.value, nil
	}
	value, until, err := a.fetch(ctx)
	if err != nil {
		return "", err
	}
	a.value, a.until = value, until
	return value, nil
}

func (a *app) refused(token string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.value == token {
		a.value = ""
	}
	return true
}

// fetch asks for a token of the installation.
func (a *app) fetch(ctx context.Context) (string, time.Time, error) {
	fail := func(kind bot.Kind, say string, cause error) (string, time.Time, error) {
		return "", time.Time{}, &bot.Error{Op: "github.token", Kind: kind, Say: say, Err: cause}
	}
	proof, err := a.proof()
	if err != nil {
		return "", time.Time{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base.JoinPath(fmt.Sprintf("app/installations/%d/access_tokens", a.installation)).String(), nil)
	if err != nil {
		return fail(bot.Internal, "", err)
	}
	req.Header.Set("Authorization", "Bearer "+proof)
	req.Header.Set("Accept", "application/vnd.github+json")
	resp, err := a.http.Do(req)
	switch {
	case ctx.Err() != nil:
		return fail(bot.Timeout, "GitHub gave no answer in time", ctx.Err())
	case err != nil:
		return fail(bot.Unavailable, "GitHub cannot be reached", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return fail(bot.Unavailable, "GitHub's answer broke off", err)
	}
	var got struct {
		Token     string    `json:"token"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	cause := fmt.Errorf("status %d", resp.StatusCode)
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		say := fmt.Sprintf("GitHub does not accept the App of provider %s: look at its app_id and private_key", a.name)
		if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
			if off := a.clock.Now().Sub(at); off.Abs() > skewTold {
				say += fmt.Sprintf(", and at the clock of this machine, which is %s off GitHub's", off.Abs().Round(time.Second))
			}
		}
		return fail(bot.Unavailable, say, cause)
	case resp.StatusCode == http.StatusNotFound:
		return fail(bot.Unavailable, fmt.Sprintf("GitHub knows no installation %d of the App of provider %s: look at its installation_id", a.installation, a.name), cause)
	case resp.StatusCode == http.StatusForbidden:
		return fail(bot.Unavailable, fmt.Sprintf("GitHub gives the App of provider %s no token; the installation may be suspended", a.name), cause)
	case resp.StatusCode != http.StatusCreated:
		return fail(bot.Unavailable, "GitHub is out of order", cause)
	}
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&got); err != nil || got.Token == "" {
		return fail(bot.Unavailable, "GitHub's answer makes no sense", errors.Join(err, errors.New("no token in it")))
	}
	return got.Token, got.ExpiresAt, nil
}

// proof is the JSON Web Token (RS256) that the App signs itself.
func (a *app) proof() (string, error) {
	text, err := a.key.Value()
	if err != nil {
		return "", err
	}
	key, err := parseKey(text)
	if err != nil {
		return "", &bot.Error{Op: "github.token", Kind: bot.Unavailable, Err: err,
			Say: fmt.Sprintf("the private_key of provider %s is no RSA key in PEM form, as GitHub gives it", a.name)}
	}
	now := a.clock.Now()
	claims, err := json.Marshal(map[string]any{"iat": now.Add(-appEarly).Unix(), "exp": now.Add(appTime).Unix(), "iss": a.id})
	if err != nil {
		return "", &bot.Error{Op: "github.token", Kind: bot.Internal, Err: err}
	}
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + b64(claims)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		return "", &bot.Error{Op: "github.token", Kind: bot.Internal, Err: errors.New("signing failed")}
	}
	return signed + "." + b64(signature), nil
}

// parseKey reads a private key in either of the forms that GitHub and openssl
// write. Its errors do not repeat it.
func parseKey(text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the PEM block holds no private key")
	}
	key, ok := any.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("the private key is not RSA")
	}
	return key, nil
}
