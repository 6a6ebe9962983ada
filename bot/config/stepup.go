package config

import "strings"

// auth reads where the key lies that second factors are kept under.
func (l *loader) auth() {
	at := l.root.at("auth", "totp_key")
	key, found := strings.CutPrefix(l.in.Auth.TOTPKey, "file:")
	switch {
	case !l.root.has("auth", "totp_key"):
		if l.root.has("auth") {
			l.failf(l.root.at("auth"), "", `[auth] needs totp_key = "file:PATH": the key that second factors are kept under; it is made at the first start`)
		}
	case l.in.Auth.TOTPKey == "": // said already
	case !found || key == "":
		// What is there is not repeated: it may be the key itself.
		l.failf(at, "", `auth.totp_key takes "file:PATH"`)
	default:
		l.out.Auth.TOTPKey = l.path(key)
	}
}

// stepUp refuses a rule that asks for codes where there can be none: nobody could
// ever meet it.
func (l *loader) stepUp(rule *node, asked bool) {
	if asked && !l.root.has("auth") {
		l.failf(rule.at("step_up"), `add [auth] with totp_key = "file:data/totp.key"`, "step_up asks for one-time codes, and there is no key to keep second factors under")
	}
}
