package main

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeFirstPrograms does what the README says to somebody who has nothing
// yet: the first configuration, the three programs as they are printed there, and
// the first lines in chat.
func TestReadmeFirstPrograms(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	dir := t.TempDir()
	raw, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, _ := strings.Cut(string(raw), "\n## Run it for your team\n")
	part, _, _ = strings.Cut(part, "\n### ")
	programs := regexp.MustCompile("(?ms)^```sh\n(#!/bin/sh\n# ([a-z]+\\.sh): .*?)^```$").FindAllStringSubmatch(part, -1)
	if len(programs) != 3 {
		t.Fatalf("the README shows %d programs", len(programs))
	}
	for _, p := range programs {
		if err := os.WriteFile(dir+"/"+p[2], []byte(p[1]), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	_, typed, found := strings.Cut(part, "Then, in chat: ")
	typed, _, ended := strings.Cut(typed, ".\n")
	if !found || !ended {
		t.Fatal("the README says nothing to type")
	}
	var lines []string
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(typed, -1) {
		lines = append(lines, m[1])
	}
	ctx, cancel := context.WithTimeout(t.Context(), crashPatience)
	defer cancel()
	does := func(input string, args ...string) string {
		t.Helper()
		c := exec.CommandContext(ctx, s.bin, args...)
		c.Dir, c.Stdin = dir, strings.NewReader(input)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("quarterdeck %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	does("", "init", "config.toml")
	if out := does("", "check", "--config", "config.toml"); strings.Contains(out, "warning") {
		t.Errorf("check warns of what the README gave:\n%s", out)
	}
	out := does(strings.Join(lines, "\n")+"\n", "chat", "--config", "config.toml")
	for _, says := range []string{"#1 deploy shop v2 to staging: done", "shop/staging  v2", "#2 roll back shop in staging to v1: done", "#2 rollback shop staging: requested"} {
		if !strings.Contains(out, says) {
			t.Errorf("it does not say %q:\n%s", says, out)
		}
	}
}
