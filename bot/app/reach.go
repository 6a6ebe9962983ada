//go:build !(failpoint && linux)

package app

// reach is where builds for crash tests stop the process; see reach_failpoint.go.
var reach func(point string)
