//go:build linux || darwin

package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"quarterdeck/bot/flag"
)

// A flag that is turned on changes what the service answers at once, one that
// breaks orders is killed, and the bot goes on with a ramp after it was killed.
func TestFlags(t *testing.T) {
	s := begin(t)
	prod := s.expect(`shop/prod +v1 .*(http://127\.0\.0\.1:\d+)`)[1]
	page := func() string { return s.body(prod + "/") }
	if got := page(); !strings.Contains(got, "three pages") {
		t.Fatalf("before there is a flag the shop answers %q", got)
	}
	s.types("flag create new-checkout")
	s.expect(`#1 make the flag new-checkout of shop: done`)
	s.types("flag on new-checkout prod")
	s.expect(`#2 flag on new-checkout in prod: done`)
	s.until("the shop checks out on one page", func() bool { return strings.Contains(page(), "one page") })
	s.types("flag kill new-checkout")
	s.expect(`#3 kill new-checkout everywhere: done`)
	s.until("the shop checks out as before", func() bool { return strings.Contains(page(), "three pages") })
	s.types("flag ramp new-checkout prod 10% 100% every 6s")
	s.expect(`new-checkout in prod: off -> 10%`)
	s.types("crash")
	s.expect(`the bot`)
	if part := flag.Bucket("new-checkout", "passer-by", 100); part < 10 {
		t.Fatal("the visitor is among the first, so this shows nothing")
	}
	s.until("the ramp goes on to everybody", func() bool { return strings.Contains(page(), "one page") })
}

// body gives what an address answers, "" for nothing.
func (s *session) body(url string) string {
	client := http.Client{Timeout: 10 * time.Second}
	r, err := client.Get(url)
	if err != nil {
		return ""
	}
	defer r.Body.Close()
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return ""
	}
	return string(body)
}

// until waits for a condition.
func (s *session) until(what string, holds func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if holds() {
			return
		}
	}
	s.t.Fatalf("never so: %s; the demo said:\n%s", what, s.all())
}
