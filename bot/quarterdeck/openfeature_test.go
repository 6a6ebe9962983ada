//go:build linux || darwin

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
)

// flagReaders gives the commands of the scripts by which services read flags.
func flagReaders() map[string]command {
	return map[string]command{"flag-key": flagKey, "openfeature": openFeature}
}

// openFeatureDir is where the SDK is installed, "" for nowhere.
func openFeatureDir() string { return os.Getenv("QUARTERDECK_OPENFEATURE") }

// flag-key NAME KEY writes a key that a service shows.
func flagKey(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: flag-key NAME KEY")
	}
	path := ts.MkAbs(filepath.Join("keys", args[0]))
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o700))
	ts.Check(os.WriteFile(path, []byte(args[1]+"\n"), 0o600))
}

// openfeature KEY evaluates the script's flags by the OpenFeature SDK.
func openFeature(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: openfeature KEY")
	}
	url := ""
	for _, m := range listening.FindAllStringSubmatch(ts.ReadFile("bot.log"), -1) {
		if m[1]+m[3] == "flags" {
			url = "http://" + m[2] + m[4]
		}
	}
	if url == "" {
		ts.Fatalf("the bot does not answer for flags")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "check.mjs", url, args[0])
	cmd.Dir = openFeatureDir()
	out, err := cmd.CombinedOutput()
	_, _ = ts.Stdout().Write(out)
	if (err == nil) == neg {
		ts.Fatalf("the SDK says (%v):\n%s", err, out)
	}
}
