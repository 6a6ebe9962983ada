//go:build race

package auth

// The race detector makes the comparison about eight times slower and has
// little to find in it; the full number runs without it.
const oracleSets = 40
