//go:build linux || darwin

package main

import "testing"

func TestWords(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--", "deploy", "shop", "v1", "staging", "--reason", "ok\u00a0--dry-run"}, "deploy shop v1 staging --reason \"ok\u00a0--dry-run\""},
		{[]string{"--", "deploy", "shop", "v1", "staging", "--dry-run"}, "deploy shop v1 staging --dry-run"},
		{[]string{"--", `deploy shop v1 staging --reason "a b"`}, `deploy shop v1 staging --reason "a b"`},
		{[]string{"--"}, ""},
	} {
		if got := words(c.args); got != c.want {
			t.Errorf("%q\n got %s\nwant %s", c.args, got, c.want)
		}
	}
}
