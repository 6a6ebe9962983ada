package config_test

import (
	"testing"
	"time"
)

func TestAuditCopy(t *testing.T) {
	c, err := load(t, good)
	if err != nil || c.Audit.Copy == nil || c.Audit.Copy.Provider != "scripts" || c.Audit.Copy.Retain != 400*24*time.Hour || c.Audit.Copy.Every != 15*time.Minute {
		t.Fatalf("got %+v (%v)", c.Audit.Copy, err)
	}
	var nothing struct{}
	if err := c.Audit.Copy.Raw.Decode(&nothing); err != nil {
		t.Errorf("the provider gets keys that are not its own: %v", err)
	}
	for _, r := range []struct{ from, to, want string }{
		{"\nprovider = 'scripts'\nretain", "\nretain", `config.toml:85: audit.copy names no provider; there is scripts alone`},
		{"\nprovider = 'scripts'\nretain", "\nprovider = \"script\"\nretain", `config.toml:86: audit.copy names the provider "script", which has no [provider.script]; did you mean "scripts"?`},
		{"\nprovider = 'scripts'\nretain", "\nprovider = 1\nretain", `config.toml:86: audit.copy.provider takes a text in quotes; it is a whole number`},
		{"retain = \"400d\"\nevery", "every", `config.toml:85: audit.copy does not say how long the copy is kept; say it: retain = "400d"`},
		{"retain = \"400d\"\nevery", "retain = \"7d\"\nevery", `config.toml:87: audit.copy.retain takes days from 30d to 3650d, such as "400d"; it is "7d"`},
		{"every = \"15m\"\n", "every = \"1s\"\n", `config.toml:88: audit.copy.every takes a time from 1m to 24h, such as "15m"; it is "1s"`},
	} {
		says(t, edited(t, r.from, r.to), r.want)
	}
}
