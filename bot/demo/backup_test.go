//go:build linux || darwin

package main

import "testing"

// The orders database of a service that goes on taking orders is backed up, and
// one of its backups is restored for real.
func TestRestoreTest(t *testing.T) {
	s := begin(t)
	s.types("restore-test shop/prod")
	s.expect(`#1 restore-test shop in prod: done`)
	s.expect(`content +passed: integrity and foreign keys checked; 1 table and \d+ rows? as`)
	s.expect(`removed +passed: nothing of it is left`)
	s.types("backup list shop prod")
	s.expect(`passed, #1`)
}
