// Package bottest holds what tests of a whole bot need: a clock that stands
// still, identifiers that count, two chat networks (one friendly, one that does
// to a bot everything that real networks do to it), and the conversations that
// every bot must hold the same way on either.
package bottest
