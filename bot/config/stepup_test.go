package config_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestStepUpNeedsAKey: a rule that asks for codes where nobody can have one could
// never be met.
func TestStepUpNeedsAKey(t *testing.T) {
	without := strings.Replace(good, "[auth]\ntotp_key = \"file:data/totp.key\"\n", "", 1)
	_, err := load(t, without)
	want := `config.toml:82: step_up asks for one-time codes, and there is no key to keep second factors under; add [auth] with totp_key = "file:data/totp.key"`
	if err == nil || err.Error() != want {
		t.Errorf("says\n%v\nwant\n%s", err, want)
	}
	// Without the rule, nothing is missing.
	c, err := load(t, strings.Replace(without, "step_up = true", "step_up = false\nconfirm = true", 1))
	if err != nil || c.Auth.TOTPKey != "" {
		t.Errorf("without step-up: %v, key %q", err, c.Auth.TOTPKey)
	}
	c, err = load(t, good)
	if err != nil {
		t.Fatal(err)
	}
	if c.Auth.TOTPKey != filepath.Join(filepath.Dir(c.Path), "data/totp.key") || !c.Requires[1].StepUp || c.Requires[0].StepUp {
		t.Errorf("read as %+v, %+v", c.Auth, c.Requires)
	}
}
