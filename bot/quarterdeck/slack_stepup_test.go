//go:build linux || darwin

package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
)

// Somebody's approval needs a one-time code: the button asks for it in a form, and
// so does a line that is typed without one. The code is nowhere afterwards.
func TestSlackStepUp(t *testing.T) {
	t.Parallel()
	w := newWorkplace(t, false)
	raw, err := os.ReadFile(w.path("config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	w.kill9(w.bot)
	w.write("config.toml", strings.Replace(string(raw), `approvals = { count = 1, from = ["sre"] }`, "approvals = { count = 1, from = [\"sre\"] }\nstep_up = true", 1))
	w.starts()
	step := time.Now().Unix()/30 - 1
	secret := ""
	code := func() string {
		t.Helper()
		step++
		w.until("the next code comes", func() bool { return step <= time.Now().Unix()/30+1 })
		c, err := hotp.GenerateCodeCustom(secret, uint64(step), hotp.ValidateOpts{Digits: otp.DigitsSix})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	w.types("USRE", "totp enrol")
	shown := w.shows("COPS", "add this to your authenticator")
	found := regexp.MustCompile(`((?:[A-Z2-7]{4} ){7}[A-Z2-7]{4})`).FindString(plainText(shown.Blocks))
	if found == "" {
		t.Fatalf("no secret in %s", shown.Blocks)
	}
	if secret = strings.ReplaceAll(found, " ", ""); shown.For != "USRE" {
		t.Errorf("the secret is shown to %q", shown.For)
	}
	w.types("USRE", "totp confirm "+code())
	w.shows("COPS", "enrolled: your codes count from now on")

	approvesBy := func(run, version, press string) {
		t.Helper()
		w.types("UDEV", "deploy shop "+version+" prod")
		confirm := w.shows("COPS", run+" deploy shop "+version+" to prod: confirm?")
		if sent, err := w.fake.Click(w.ctx, w.way, "UDEV", confirm, "Confirm"); err != nil || !sent.Acked {
			t.Fatal(sent, err)
		}
		waits := w.shows("COPS", run+" deploy shop "+version+" to prod: waits for 1 approval")
		if press == "" {
			w.types("USRE", "approve "+strings.TrimPrefix(run, "#"))
		} else if sent, err := w.fake.Click(w.ctx, w.way, "USRE", waits, press); err != nil || !sent.Acked {
			t.Fatal(sent, err)
		}
		form := w.form("USRE")
		w.sends(form, map[string]string{"code/entry": code()})
		w.shows("COPS", run+" deploy shop "+version+" to prod: done", "approved by sre (totp)")
	}
	approvesBy("#1", "v2", "Approve")
	approvesBy("#2", "v3", "")
	w.ends()
}
