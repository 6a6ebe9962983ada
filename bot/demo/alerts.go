package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"quarterdeck/bot/demo/monitor"
)

const (
	alertKeyFile     = "alert-key"
	alertAddressFile = "alerts-address"
)

// writeAlertFiles makes the key that the monitor shows, and chooses where the bot
// takes alerts; it gives that address.
func writeAlertFiles(dir string) (address string, err error) {
	var key [24]byte
	rand.Read(key[:]) // never fails, crypto/rand documents
	if err := os.WriteFile(filepath.Join(dir, alertKeyFile), []byte(hex.EncodeToString(key[:])+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write the key of the alerts: %w", err)
	}
	return freeAddress(filepath.Join(dir, alertAddressFile))
}

// rules is what the monitor alerts on: little traffic shows no fault.
var rules = []monitor.Rule{{
	Name: "OrdersFail",
	Expr: `(100 * sum by (service, env) (rate(http_requests_total{code=~"5.."}[10s])) / sum by (service, env) (rate(http_requests_total[10s]))) > 5
		and sum by (service, env) (rate(http_requests_total[10s])) > 10`,
	For:         5 * time.Second,
	Labels:      map[string]string{"severity": "critical"},
	Annotations: map[string]string{"summary": "%.0f %% of the requests fail"},
}}

// alerting sends what the monitor sees to the bot. A folder of an earlier demo has
// no place for alerts, and there are no rules then.
func alerting(dir string, api *monitor.API) (*monitor.Alerting, error) {
	address, err := os.ReadFile(filepath.Join(dir, alertAddressFile))
	if errors.Is(err, fs.ErrNotExist) {
		return &monitor.Alerting{API: api}, nil
	}
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(filepath.Join(dir, alertKeyFile))
	if err != nil {
		return nil, err
	}
	// What cannot be sent while the bot restarts is sent again at the next look.
	return &monitor.Alerting{API: api, Rules: rules, URL: "http://" + strings.TrimSpace(string(address)) + "/webhooks/alertmanager", Bearer: strings.TrimSpace(string(key))}, nil
}
