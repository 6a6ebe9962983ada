package shop

import "time"

// schemaVersion is the schema that v1 to v3 create and use.
const schemaVersion = 3

// The duplicate check of v3 reads the orders of duplicateWindow and gives up
// above duplicateLimit of them. At 5 requests a second an environment stays
// below it, at 40 it is always above, with however many instances, because the
// database is shared.
const (
	duplicateWindow = 10 * time.Second
	duplicateLimit  = 100
	duplicateSample = 3 // every third order is looked at
)

// release says how one release of the shop differs from the others.
type release struct {
	version        string
	schema         int    // the database schema it needs
	migration      string // what brings the database there, if the release does not do it itself
	duplicateCheck bool
	headline       string
}

// findRelease returns the release of that name.
func findRelease(version string) (release, bool) {
	switch version {
	case "v1":
		return release{version: version, schema: schemaVersion, headline: "Coffee, tea and cups."}, true
	case "v2":
		return release{version: version, schema: schemaVersion, headline: "Coffee, tea and cups, now with free delivery."}, true
	case "v3":
		return release{version: version, schema: schemaVersion, duplicateCheck: true, headline: "Coffee, tea and cups. No order is taken twice."}, true
	case "v4":
		return release{version: version, schema: schemaVersion + 1, migration: "0004_add_currency", headline: "Coffee, tea and cups, in your currency."}, true
	}
	return release{}, false
}
