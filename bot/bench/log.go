package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"quarterdeck/adapters/sqlite"
	"quarterdeck/auth"
	"quarterdeck/bot"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/store"
)

// decision measures one allowed decision among 5,000 grants.
func decision(s *suite) error {
	rules := auth.Rules{Roles: []string{"developer"}}
	for i := range 5000 {
		t := bot.Target{Service: fmt.Sprintf("service-%d", i), Environment: "prod"}
		rules.Targets = append(rules.Targets, t)
		rules.Grants = append(rules.Grants, auth.Grant{Where: "bench", Roles: []string{"developer"}, Permissions: []string{"deploy"},
			Targets: []string{t.String()}, Channels: []string{"slack:C1"}, Hours: []string{"00:00-24:00"}})
	}
	p, err := auth.New(rules)
	if err != nil {
		return err
	}
	r := bot.Request{Who: bot.Identity{Account: "slack:T/U", Standing: bot.Member, Person: "dev", Roles: []string{"developer"}}, Permission: bot.MayDeploy,
		Resources: []bot.Resource{rules.Targets[4321].Resource()}, Channel: "slack:C1", At: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	if d := p.Decide(r); !d.Allowed {
		return fmt.Errorf("the decision is not the one to measure: %s", d.Because)
	}
	n := s.scale(200_000)
	var us []float64
	for range rounds {
		began := time.Now()
		for range n {
			p.Decide(r)
		}
		us = append(us, float64(time.Since(began).Nanoseconds())/1000/float64(n))
	}
	s.absolute("decision at 5,000 grants", median(us), "us", "2 us", spread(us))
	return nil
}

// record is one of the shape and size that commands make.
func record(i int) bot.Record {
	return bot.Record{At: time.Date(2026, 11, 21, 12, 0, 0, i*1000, time.UTC), Kind: bot.SucceededKind, Request: fmt.Sprintf("request-%08d", i), Run: int64(i),
		Account: "slack:T0123/U0001", Standing: bot.Member, Person: fmt.Sprintf("person-%d", i%60), Channel: "slack:C0OPS", Message: fmt.Sprintf("slack:%d", i),
		Verb: "deploy", Permission: bot.MayDeploy, Target: fmt.Sprintf("service-%d/prod", i%40), Resources: []bot.Resource{"target:shop/prod"},
		Spec: "sha256:083ef206083ef206083ef206083ef206083ef206083ef206083ef206083ef206", Rule: "grant 1 (config.toml:41)",
		Text: map[string]string{"line": "deploy shop v2 prod", "result": "v2 is live in prod: 2 of 2 instances are healthy"}}
}

// appends measures the audit log, with the whole record shape, against a
// grouped raw file: the same bytes, the same callers.
func appends(s *suite) error {
	ctx := context.Background()
	st, err := sqlite.Open(ctx, filepath.Join(s.dir, "appends.db"))
	if err != nil {
		return err
	}
	defer st.Close()
	log := audit.New(audit.Config{Store: st, Clock: bot.SystemClock{}})
	raw, err := newRawLog(filepath.Join(s.dir, "appends.raw"))
	if err != nil {
		return err
	}
	defer raw.close()
	n := s.scale(10_000)
	var mine, bound []float64
	for round := range rounds {
		rate, _, err := load(64, n, func(i int) error {
			return st.Update(ctx, func(tx store.Tx) error { _, err := log.Append(tx, record(round*n+i)); return err })
		})
		if err != nil {
			return err
		}
		bytes, err := written(ctx, st, int64(round*n+1), n)
		if err != nil {
			return err
		}
		rawRate, _, err := load(64, n, func(i int) error { return raw.append(bytes[i]) })
		if err != nil {
			return err
		}
		mine, bound = append(mine, rate), append(bound, rawRate)
	}
	s.ratio("audit appends, 64 callers", "/s", mine, bound, 0.25, true)
	return nil
}

// head gives the end of the log.
func head(ctx context.Context, st store.Store) (h store.Head, err error) {
	err = st.View(ctx, func(r store.Reader) (err error) {
		h, err = r.Head()
		return err
	})
	return h, err
}

// written gives the bytes of the n records from a sequence on.
func written(ctx context.Context, st store.Store, from int64, n int) ([][]byte, error) {
	bytes := make([][]byte, 0, n)
	for len(bytes) < n {
		before := len(bytes)
		err := st.View(ctx, func(r store.Reader) error {
			sealed, err := r.RecordsFrom(from+int64(before), min(1000, n-before))
			for _, rec := range sealed {
				bytes = append(bytes, slices.Concat(rec.Body, []byte(rec.Hash), rec.Text, []byte("\n")))
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(bytes) == before {
			return nil, fmt.Errorf("the log has %d records from %d on, not %d", before, from, n)
		}
	}
	return bytes, nil
}

// fill writes n records in large transactions.
func fill(ctx context.Context, path string, n int) error {
	st, err := sqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	defer st.Close()
	log := audit.New(audit.Config{Store: st, Clock: bot.SystemClock{}})
	const each = 20_000
	for done := 0; done < n; done += each {
		err := st.Update(ctx, func(tx store.Tx) error {
			for i := done; i < min(done+each, n); i++ {
				if _, err := log.Append(tx, record(i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
