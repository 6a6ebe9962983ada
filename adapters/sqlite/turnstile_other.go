//go:build !unix

package sqlite

// turnstile does nothing on this operating system: busy processes wait for
// SQLite's lock alone.
type turnstile struct{}

func newTurnstile(string) (*turnstile, error) { return &turnstile{}, nil }

func (*turnstile) pass() (done func()) { return func() {} }

func (*turnstile) close() error { return nil }
