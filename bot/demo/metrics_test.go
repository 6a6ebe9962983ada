//go:build linux || darwin

package main

import (
	"image/png"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// What v3 does wrong is seen: in the table of all, and in the chart, beside the
// deployment that did it. Nothing of it is canned: the errors are counted by the
// processes, scraped by the monitor, and asked for in PromQL.
func TestErrorsAreSeen(t *testing.T) {
	s := begin(t)
	s.expect(`shop/prod +v1 `)
	s.typesUntil("metrics", `shop/prod +[\d.]+ req/s .*\b0 %`)
	s.types("deploy shop v3 prod", "confirm", "/as sre", "approve")
	s.expect(`deploy shop v3 to prod: done`)
	s.typesUntil("metrics shop prod --last 2m", `shop/prod, last 2m: errors is [\d.]+ %, and at most 2 % is allowed`)
	s.expect(`at most 2 %, breached`)
	s.expect(`▲ .*#1 deploy v3`)
	path := s.expect(`(\S+shop-prod-errors-[0-9a-f]+\.png)`)[1]
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	picture, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	if size := picture.Bounds().Size(); size.X < 1000 || size.Y < 400 {
		t.Errorf("the picture is %v", size)
	}
	s.expect(`you are`) // the end of what until read
	s.typesUntil("metrics", `shop/prod .* % ! `)
	s.types("metrics shop prod latenzy")
	s.expect(`did you mean "latency"\?`)
	s.end()
}

// typesUntil types a line until its answer matches.
func (s *session) typesUntil(line, pattern string) {
	s.t.Helper()
	for {
		s.types(line, "whoami")
		before := s.seen
		s.expect(`you are`)
		text := s.all()[before:s.seen]
		if matches(pattern, text) {
			s.seen = before
			s.expect(pattern)
			return
		}
		if !strings.Contains(text, "shop/prod") && !strings.Contains(text, "no page is open") {
			s.t.Fatalf("%s says %q", line, text)
		}
		time.Sleep(2 * time.Second) // the bot takes 60 commands a minute
	}
}

func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }
