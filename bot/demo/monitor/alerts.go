package monitor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/prometheus/promql"
)

// Rule is one alerting rule, as Prometheus has them: while Expr gives anything for
// as long as For, there is an alert for each element, with its labels.
type Rule struct {
	Name        string
	Expr        string
	For         time.Duration
	Labels      map[string]string
	Annotations map[string]string
}

// Alerting evaluates rules and sends what fires in the form of Alertmanager's
// webhook, version 4.
//
// https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
type Alerting struct {
	API   *API
	Rules []Rule
	// URL takes the webhook, with Bearer.
	URL, Bearer string
	// Failed is told what could not be sent; it is sent again at the next look.
	Failed func(err error)
}

const (
	evaluateEvery = time.Second
	// calmFor is how long an alert must be away before it is resolved, so that one
	// quiet second ends nothing.
	calmFor = 5 * time.Second
	// repeatEvery is how often a firing alert is sent again.
	repeatEvery = time.Minute
	sendTimeout = 5 * time.Second
)

// alert is one element of a rule.
type alert struct {
	rule        Rule
	labels      map[string]string
	value       float64
	since, seen time.Time
	starts      time.Time // when it fired; zero before
	sent        time.Time
	resolved    bool
	told        bool // of being resolved
}

// Run evaluates until ctx ends.
func (a *Alerting) Run(ctx context.Context) error {
	ticker := time.NewTicker(evaluateEvery)
	defer ticker.Stop()
	alerts := map[string]*alert{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := errors.Join(a.evaluate(ctx, time.Now(), alerts), a.send(ctx, time.Now(), alerts)); err != nil && ctx.Err() == nil && a.Failed != nil {
			a.Failed(err)
		}
	}
}

// evaluate brings the alerts to how things are now.
func (a *Alerting) evaluate(ctx context.Context, now time.Time, alerts map[string]*alert) error {
	for _, r := range a.Rules {
		query, err := a.API.engine.NewInstantQuery(ctx, a.API.samples, nil, r.Expr, now)
		if err != nil {
			return fmt.Errorf("rule %s: %w", r.Name, err)
		}
		result := query.Exec(ctx)
		vector, err := result.Vector()
		if err != nil {
			query.Close()
			return fmt.Errorf("rule %s: %w", r.Name, err)
		}
		for _, sample := range vector {
			a.active(r, sample, now, alerts)
		}
		query.Close()
	}
	for key, one := range alerts {
		if one.seen.Equal(now) {
			if one.starts.IsZero() && now.Sub(one.since) >= one.rule.For {
				one.starts = now
			}
			continue
		}
		switch {
		case one.starts.IsZero() || one.told:
			delete(alerts, key)
		case now.Sub(one.seen) >= calmFor:
			one.resolved = true
		}
	}
	return nil
}

func (a *Alerting) active(r Rule, sample promql.Sample, now time.Time, alerts map[string]*alert) {
	labels := maps.Clone(r.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, texts(sample.Metric))
	labels["alertname"] = r.Name
	key := fingerprint(labels)
	one := alerts[key]
	if one == nil || one.resolved {
		one = &alert{rule: r, labels: labels, since: now}
		alerts[key] = one
	}
	one.value, one.seen = sample.F, now
}

// fingerprint tells one set of labels from another.
func fingerprint(labels map[string]string) string {
	sum := fnv.New64a()
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		fmt.Fprintf(sum, "%q=%q,", name, labels[name])
	}
	return fmt.Sprintf("%016x", sum.Sum64())
}

// send sends what is news, each alert as a group of its own.
func (a *Alerting) send(ctx context.Context, now time.Time, alerts map[string]*alert) error {
	var failed []error
	for key, one := range alerts {
		switch {
		case one.starts.IsZero(), one.resolved && one.told, !one.resolved && now.Sub(one.sent) < repeatEvery:
			continue
		}
		if err := a.post(ctx, message(key, one)); err != nil {
			failed = append(failed, err)
			continue
		}
		one.sent, one.told = now, one.resolved
	}
	return errors.Join(failed...)
}

func message(key string, one *alert) map[string]any {
	status, ends := "firing", time.Time{}
	if one.resolved {
		status, ends = "resolved", one.seen
	}
	annotations := map[string]string{}
	for name, text := range one.rule.Annotations {
		annotations[name] = fmt.Sprintf(text, one.value)
	}
	return map[string]any{
		"version": "4", "groupKey": "{}:{fingerprint=\"" + key + "\"}", "status": status, "receiver": "quarterdeck",
		"groupLabels": one.labels, "commonLabels": one.labels, "commonAnnotations": annotations,
		"alerts": []any{map[string]any{"status": status, "labels": one.labels, "annotations": annotations,
			"startsAt": one.starts.UTC(), "endsAt": ends.UTC(), "fingerprint": key}},
	}
}

func (a *Alerting) post(ctx context.Context, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.URL, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+a.Bearer)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the bot answers an alert with %s", resp.Status)
	}
	return nil
}
