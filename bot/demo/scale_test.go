//go:build linux || darwin

package main

import "testing"

// Scaling starts real processes behind the service's address, and for a while
// means that they go by themselves.
func TestScaleForAWhile(t *testing.T) {
	s := begin(t)
	staging := s.expect(`shop/staging +v1 .*(http://127\.0\.0\.1:\d+)`)[1]
	s.served(staging, "v1")
	s.types("scale shop staging +2 --for 5s")
	s.expect(`#1 scale shop in staging to 3 instances for 5s: done`)
	s.types("targets")
	s.expect(`shop/staging +v1 +3`)
	s.expect(`#2 return shop in staging to 1 instance: done`)
	s.types("status")
	s.expect(`shop/staging +v1 +1/1`)
	s.served(staging, "v1")
	s.types("scale shop staging 9")
	s.expect(`replicas of shop/staging may be 1 to 8, not 9`)
}
