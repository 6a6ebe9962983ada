//go:build !race

package auth

const oracleSets = 400
