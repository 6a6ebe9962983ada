//go:build linux || darwin

package main

import (
	"bytes"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/rogpeppe/go-internal/testscript"
)

// authenticators is the key of the script's people's phones.
type authenticators struct{}

// authenticator is what a person's phone keeps, and the newest time step of which
// the script had a code.
type authenticator struct {
	secret string
	last   int64
}

func phones(ts *testscript.TestScript) map[string]*authenticator {
	all := ts.Value(worlds{}).(map[any]any)
	if all[authenticators{}] == nil {
		all[authenticators{}] = map[string]*authenticator{}
	}
	return all[authenticators{}].(map[string]*authenticator)
}

var otpauth = regexp.MustCompile(`otpauth://totp/Quarterdeck:[a-z-]+\?[^ ]*secret=([A-Z2-7]{32})`)

// keepSecret puts the secret that the last line showed into a person's phone.
func keepSecret(ts *testscript.TestScript, _ bool, args []string) {
	found := otpauth.FindStringSubmatch(ts.ReadFile("stdout"))
	if len(args) != 1 || found == nil {
		ts.Fatalf("usage: keep-secret PERSON, after a line that showed one")
	}
	phones(ts)[args[0]] = &authenticator{secret: found[1]}
}

// oneTimeCode sets an environment variable to a code of a person that the script
// did not have yet, waiting for its time where need be.
func oneTimeCode(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 || phones(ts)[args[1]] == nil {
		ts.Fatalf("usage: code VARIABLE PERSON, whose secret was kept")
	}
	phone := phones(ts)[args[1]]
	eventually(ts, "the next code comes", func() bool { return phone.last+1 <= time.Now().Unix()/30+1 })
	phone.last = max(phone.last+1, time.Now().Unix()/30)
	code, err := hotp.GenerateCodeCustom(phone.secret, uint64(phone.last), hotp.ValidateOpts{Digits: otp.DigitsSix})
	ts.Check(err)
	ts.Setenv(args[0], code)
}

// wrongCode sets an environment variable to what is no code of a person's now or
// soon.
func wrongCode(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 || phones(ts)[args[1]] == nil {
		ts.Fatalf("usage: wrong-code VARIABLE PERSON, whose secret was kept")
	}
	near := map[string]bool{}
	for d := int64(-3); d <= 20; d++ {
		code, err := hotp.GenerateCodeCustom(phones(ts)[args[1]].secret, uint64(time.Now().Unix()/30+d), hotp.ValidateOpts{Digits: otp.DigitsSix})
		ts.Check(err)
		near[code] = true
	}
	for n := 100000; ; n++ {
		if code := fmt.Sprint(n); !near[code] {
			ts.Setenv(args[0], code)
			return
		}
	}
}

// keptNowhere looks for every secret that was shown in every file of the script's
// world: the database with its journals, logs, channels, the emergency journal.
func keptNowhere(ts *testscript.TestScript, _ bool, args []string) {
	files := 0
	err := filepath.WalkDir(ts.MkAbs("."), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		for who, phone := range phones(ts) {
			bytesOf, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(phone.secret)
			if err != nil {
				return err
			}
			grouped := phone.secret[:4] + " " + phone.secret[4:8]
			for _, form := range [][]byte{[]byte(phone.secret), []byte(grouped), bytesOf, []byte(hex.EncodeToString(bytesOf)), []byte("otpauth:")} {
				if bytes.Contains(raw, form) {
					ts.Fatalf("%s holds the secret of %s", path, who)
				}
			}
		}
		return nil
	})
	ts.Check(err)
	if files < 5 || len(phones(ts)) == 0 {
		ts.Fatalf("%d files and %d secrets are looked at", files, len(phones(ts)))
	}
}
