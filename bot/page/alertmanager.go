package page

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"quarterdeck/bot"
)

// maxWebhook bounds one request of a monitor, in bytes: some ten thousand alerts.
const maxWebhook = 8 << 20

// webhook is what Alertmanager sends, version 4 of its webhook; see
// https://prometheus.io/docs/alerting/latest/configuration/#webhook_config. What
// else is in it, as newer ones add, is passed over.
type webhook struct {
	GroupKey          string            `json:"groupKey"`
	TruncatedAlerts   int64             `json:"truncatedAlerts"`
	Receiver          string            `json:"receiver"`
	GroupLabels       map[string]string `json:"groupLabels"`
	CommonLabels      map[string]string `json:"commonLabels"`
	CommonAnnotations map[string]string `json:"commonAnnotations"`
	ExternalURL       string            `json:"externalURL"`
	Alerts            []struct {
		Status       string            `json:"status"`
		Labels       map[string]string `json:"labels"`
		Annotations  map[string]string `json:"annotations"`
		StartsAt     time.Time         `json:"startsAt"`
		EndsAt       time.Time         `json:"endsAt"`
		GeneratorURL string            `json:"generatorURL"`
		Fingerprint  string            `json:"fingerprint"`
	} `json:"alerts"`
}

// Routes gives where alerts are taken in. The answer is 2xx only once they are
// durable; Alertmanager tries again after a 5xx, and drops what a 4xx refused.
func (k *Keeper) Routes() []bot.Route {
	return []bot.Route{{On: bot.OnInternal, Method: http.MethodPost, Path: "/webhooks/alertmanager", MaxBody: maxWebhook, Handler: http.HandlerFunc(k.alertmanager)}}
}

func (k *Keeper) alertmanager(w http.ResponseWriter, q *http.Request) {
	s, err := k.settings()
	if err != nil {
		http.Error(w, bot.Sentence(err, ""), http.StatusNotFound)
		return
	}
	if code, why := k.admits(s.Monitor, q); code != 0 {
		k.Logger.Warn("alerts were refused", "from", q.RemoteAddr, "why", why)
		if code == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Bearer realm="quarterdeck"`)
		}
		http.Error(w, why, code)
		return
	}
	raw, err := io.ReadAll(q.Body)
	if err != nil {
		http.Error(w, "the request is too large or was cut off", http.StatusRequestEntityTooLarge)
		return
	}
	n, err := decode(raw)
	if err != nil {
		k.Logger.Error("alerts came that cannot be read", "from", q.RemoteAddr, "err", err)
		http.Error(w, bot.Sentence(err, ""), http.StatusBadRequest)
		return
	}
	if err := k.Take(q.Context(), n); err != nil {
		k.Logger.Error("alerts could not be stored; the monitor sends them again", "err", err)
		http.Error(w, "not stored; please send it again", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// decode reads what Alertmanager sent.
func decode(raw []byte) (n Notification, err error) {
	var in webhook
	if err := json.Unmarshal(raw, &in); err != nil {
		return n, &bot.Error{Op: "page.alertmanager", Kind: bot.Invalid, Say: "this is no webhook of Alertmanager", Err: err}
	}
	if len(in.Alerts) == 0 {
		return n, bot.Errorf(bot.Invalid, "this is no webhook of Alertmanager: it has no alerts")
	}
	n = Notification{Source: "alertmanager", Key: in.GroupKey, Labels: in.CommonLabels, Notes: in.CommonAnnotations, Link: in.ExternalURL, Complete: in.TruncatedAlerts == 0}
	if n.Key == "" {
		n.Key = fmt.Sprintf("%s %v", in.Receiver, in.GroupLabels)
	}
	for _, a := range in.Alerts {
		n.Alerts = append(n.Alerts, Alert{Fingerprint: cut(a.Fingerprint, 64), Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.StartsAt.UTC(), EndsAt: a.EndsAt.UTC(),
			Resolved: strings.EqualFold(a.Status, "resolved"), Link: a.GeneratorURL})
	}
	return n, nil
}

// admits says why a request is refused, 0 where it is not. Who cannot be checked
// because the secret cannot be read is told to come again.
func (k *Keeper) admits(m Monitor, q *http.Request) (code int, why string) {
	switch {
	case m.Bearer.Set():
		want, err := m.Bearer.Value()
		if err != nil {
			return http.StatusServiceUnavailable, "the bot cannot read its secret now"
		}
		got, ok := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer ")
		if !ok || !same(got, want) {
			return http.StatusUnauthorized, "the bearer token is wrong or missing"
		}
	case m.User != "":
		want, err := m.Password.Value()
		if err != nil {
			return http.StatusServiceUnavailable, "the bot cannot read its secret now"
		}
		user, password, ok := q.BasicAuth()
		if !ok || !same(user, m.User) || !same(password, want) {
			return http.StatusUnauthorized, "the user or the password is wrong or missing"
		}
	default:
		host, _, err := net.SplitHostPort(q.RemoteAddr)
		if err != nil || !net.ParseIP(host).IsLoopback() {
			return http.StatusForbidden, "alerts are taken from this machine alone, unless [pager.alertmanager] has a bearer"
		}
	}
	return 0, ""
}

// same compares secrets in a time that tells nothing of them, nor of their length.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return hmac.Equal(x[:], y[:])
}
