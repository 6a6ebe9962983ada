package githubprovider

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"quarterdeck/bot"
)

const (
	// maxEvent bounds one event. GitHub sends up to 25 MB, and what is that large is
	// a push of thousands of commits, of which nothing is needed.
	maxEvent = 2 << 20
	// wakeWithin bounds how long the runs of an event may take to be woken; GitHub
	// waits 10 seconds for its answer.
	wakeWithin = 5 * time.Second
)

// wakes are the events that may mean that a run is further on:
// https://docs.github.com/en/webhooks/webhook-events-and-payloads
var wakes = map[string]bool{"workflow_run": true, "workflow_job": true, "deployment": true, "deployment_status": true,
	"deployment_review": true, "deployment_protection_rule": true, "check_run": true, "check_suite": true, "status": true}

// Routes implements bot.Routed: where a webhook_secret is configured, GitHub may
// tell of events at /webhooks/NAME. They wake runs and never replace looking, so
// that one which is lost, forged by a repository's owner or sent twice does no more
// than have GitHub asked once too little or too often.
func (p *githubProvider) Routes() []bot.Route {
	if !p.hooked {
		return nil
	}
	return []bot.Route{{On: bot.OnPublic, Method: http.MethodPost, Path: "/webhooks/" + p.name, MaxBody: maxEvent, Handler: http.HandlerFunc(p.event)}}
}

// event takes what carries GitHub's signature over its raw body.
func (p *githubProvider) event(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "the event is too large", http.StatusRequestEntityTooLarge)
		return
	}
	secret, err := p.hook.Value()
	if err != nil {
		http.Error(w, "the webhook's secret cannot be read", http.StatusInternalServerError)
		return
	}
	if !signed(secret, body, r.Header.Get("X-Hub-Signature-256")) {
		http.Error(w, "the signature is not that of the configured secret", http.StatusUnauthorized)
		return
	}
	var e struct {
		Repository struct {
			FullName string `json:"full_name"`
		} `json:"repository"`
	}
	if !wakes[r.Header.Get("X-GitHub-Event")] || json.Unmarshal(body, &e) != nil {
		w.WriteHeader(http.StatusNoContent) // such as the ping of a new webhook
		return
	}
	var targets []bot.Target
	for _, d := range p.bound {
		if strings.EqualFold(d.slug(), e.Repository.FullName) {
			targets = append(targets, d.target)
		}
	}
	if len(targets) > 0 && p.wake != nil {
		ctx, cancel := context.WithTimeout(r.Context(), wakeWithin)
		defer cancel()
		if err := p.wake(ctx, targets); err != nil {
			http.Error(w, "the event cannot be taken now", http.StatusServiceUnavailable)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// signed reports whether header is "sha256=" and the body's HMAC by the secret. An
// empty secret signs nothing.
func signed(secret string, body []byte, header string) bool {
	given, ok := strings.CutPrefix(header, "sha256=")
	sum, err := hex.DecodeString(given)
	if !ok || err != nil || secret == "" {
		return false
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hmac.Equal(sum, mac.Sum(nil))
}
