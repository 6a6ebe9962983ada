package platform

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// InstallCLI puts the command line into the platform's folder, as a link named
// "platform" to the program exe, which must call Main where it was started
// under that name. It replaces an older link, and returns the link's path.
func InstallCLI(dir, exe string) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("install platform command: %w", err)
	}
	path := CLIPath(dir)
	fresh := path + ".new"
	if err := removeIfThere(fresh); err != nil {
		return "", fmt.Errorf("install platform command: %w", err)
	}
	if err := os.Symlink(exe, fresh); err != nil { // some systems reserve that for administrators
		if hard := os.Link(exe, fresh); hard != nil {
			return "", fmt.Errorf("install platform command: %w", errors.Join(err, hard))
		}
	}
	if err := os.Rename(fresh, path); err != nil {
		return "", fmt.Errorf("install platform command: %w", err)
	}
	return path, nil
}

// CLIPath gives the path of the link that InstallCLI makes.
func CLIPath(dir string) string {
	path := filepath.Join(dir, "platform")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	return path
}
