//go:build !unix

package sqlite

// children are what the test binary does when it is started as a process of
// its own, by name.
func children() map[string]func(path, arg string) error {
	return map[string]func(path, arg string) error{"append": appendChild, "endless": endlessChild}
}
