//go:build linux || darwin

package main

import "testing"

// v3 in prod returns by itself when that was asked for: the guard counts its real
// errors, takes it back, and the log tells who asked for what.
func TestGuardTakesBack(t *testing.T) {
	s := begin(t)
	s.typesUntil("metrics", `shop/prod +[\d.]+ req/s .*\b0 %`)
	s.types("deploy shop v3 prod --auto-rollback")
	s.expect(`guard +errors for 2m; a breach goes back to v1 by itself`)
	s.types("confirm", "/as sre", "approve")
	s.expect(`#1 deploy shop v3 to prod: done`)
	s.typesUntil("status shop prod", `shop/prod +v1 `)
	s.types("run 2")
	s.expect(`#2 watch shop v3 in prod for 2m: failed`)
	s.expect(`errors is [\d.]+ %, and must be at most 2 %; #3\s+follows by\s+itself`)
	s.types("audit --target shop/prod")
	s.expect(`#3 rollback shop prod v1: requested: follows #2 by\s+itself`)
	s.types("deploy shop v3 prod")
	s.expect(`v3 is marked bad in shop/prod since run #3 by\s+dev,\s+by\s+itself`)
	s.end()
}
