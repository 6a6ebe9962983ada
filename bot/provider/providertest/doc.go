// Package providertest keeps the providers honest: one conformance suite per
// port of package provider, and infrastructures to run it against.
//
// An Infrastructure is the far side alone, in memory. Deployers are attached to
// it and may be thrown away, as a crash does; what was done stays done. The
// friendly one knows idempotency tokens and answers at once; a hostile one has
// a Fault. Both pass the suite, so tests of engines and verbs may build on them.
package providertest
