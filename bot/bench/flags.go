package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/flag"
	"quarterdeck/bot/listen"
	"quarterdeck/bot/ofrep"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/store"
)

// manyFlags is how many flags there are.
const manyFlags = 10_000

// flagKey is what the callers show.
const flagKey = "bench-flag-key-0123456789"

var flagsOf = bot.Target{Service: "shop", Environment: "prod"}

// flags measures one evaluation, and the answers of the flags listener against a
// bare net/http handler that reads the same bytes and answers the same.
func flags(s *suite) (err error) {
	set, heap, err := filledSet(filepath.Join(s.dir, "flags.db"))
	if err != nil {
		return err
	}
	s.absolute("10,000 flags in memory", float64(heap)/(1<<20), "MB heap", "", 0)

	now, _ := set.Now()
	var each []float64
	for range rounds {
		n := s.scale(1_000_000)
		c := flag.Context{flag.TargetingKey: "user-1", "country": "FR"}
		began := time.Now()
		for i := range n {
			f, _ := now.Get("prod", flagNames[i%manyFlags])
			flag.Evaluate(f, c)
		}
		each = append(each, float64(time.Since(began).Nanoseconds())/1000/float64(n))
	}
	s.absolute("one evaluation among 10,000 flags", median(each), "µs", "aim 2", spread(each))

	keyFile := filepath.Join(s.dir, "flag.key")
	if err := os.WriteFile(keyFile, []byte(flagKey), 0o600); err != nil {
		return err
	}
	secret, err := new(bot.Secrets).Open("file:"+keyFile, s.dir)
	if err != nil {
		return err
	}
	server := &ofrep.Server{Flags: set, Keys: func() map[bot.Target][]bot.Secret { return map[bot.Target][]bot.Secret{flagsOf: {secret}} },
		Clock: bot.SystemClock{}, Logger: slog.New(slog.DiscardHandler)}
	l, err := listen.New(listen.Config{Addresses: map[bot.Listener]string{bot.OnFlags: "127.0.0.1:0"}, Routes: server.Routes(), IDs: bot.RandomIDs{}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := l.Open(ctx); err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- l.Run(ctx) }()
	ours := "http://" + l.Address(bot.OnFlags).String()

	bare, raw, err := bareHandler(ours)
	if err != nil {
		return err
	}
	defer bare.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, MaxConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	at64 := func(base string) (float64, error) {
		rate, _, err := load(64, s.scale(20_000), func(i int) error { return askFlag(client, base, i) })
		return rate, err
	}
	var values, bounds []float64
	for range rounds {
		bound, err := at64(raw)
		if err != nil {
			return err
		}
		value, err := at64(ours)
		if err != nil {
			return err
		}
		values, bounds = append(values, value), append(bounds, bound)
	}
	s.ratio("OFREP evaluations, 64 connections, 10,000 flags / bare net/http handler", "req/s", values, bounds, 0.7, true)
	cancel()
	return <-served
}

var flagNames = func() (names [manyFlags]string) {
	for i := range names {
		names[i] = fmt.Sprintf("flag-%05d", i)
	}
	return names
}()

// filledSet gives a Set with all flags, and what it takes of memory.
func filledSet(path string) (*flag.Set, uint64, error) {
	db, err := sqlite.Open(context.Background(), path)
	if err != nil {
		return nil, 0, err
	}
	defer db.Close()
	err = db.Update(context.Background(), func(tx store.Tx) error {
		for _, name := range flagNames {
			f := provider.Flag{Key: name, Target: flagsOf, Type: provider.BooleanFlag, On: true, Off: "off", Variant: "on", Percent: 25,
				Rules:    []provider.FlagRule{{If: provider.Condition{Attribute: "country", In: []string{"DE", "AT", "CH"}}, Variant: "on"}},
				Variants: []provider.FlagVariant{{Name: "off", Value: json.RawMessage("false")}, {Name: "on", Value: json.RawMessage("true")}}}
			body, err := json.Marshal(f)
			if err != nil {
				return err
			}
			if _, err := tx.PutDocument(bot.Document{Kind: provider.FlagDocument, ID: provider.FlagID("prod", name), Body: body}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	set := &flag.Set{Store: db, Clock: bot.SystemClock{}, Logger: slog.New(slog.DiscardHandler)}
	if err := set.Load(context.Background()); err != nil {
		return nil, 0, err
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	return set, max(after.HeapAlloc, before.HeapAlloc) - before.HeapAlloc, nil
}

const question = `{"context":{"targetingKey":"user-12345","country":"FR","plan":"free"}}`

// askFlag asks for one flag.
func askFlag(client *http.Client, base string, i int) error {
	q, err := http.NewRequest("POST", base+"/ofrep/v1/evaluate/flags/"+flagNames[i%manyFlags], bytes.NewReader([]byte(question)))
	if err != nil {
		return err
	}
	q.Header.Set("Authorization", "Bearer "+flagKey)
	q.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %d", resp.StatusCode)
	}
	return nil
}

// bareHandler serves what ours answers, without looking at what is asked.
func bareHandler(ours string) (s *http.Server, at string, err error) {
	q, err := http.NewRequest("POST", ours+"/ofrep/v1/evaluate/flags/"+flagNames[0], bytes.NewReader([]byte(question)))
	if err != nil {
		return nil, "", err
	}
	q.Header.Set("Authorization", "Bearer "+flagKey)
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, "", err
	}
	open, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	s = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body) // who asked may be gone
		w.Header()["Content-Type"] = []string{"application/json"}
		_, _ = w.Write(answer)
	})}
	go func() { _ = s.Serve(open) }() // ends with Close
	return s, "http://" + open.Addr().String(), nil
}
