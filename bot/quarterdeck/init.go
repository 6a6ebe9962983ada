package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"quarterdeck/bot"
)

type initCmd struct {
	File string `arg:"" help:"Where to write it." default:"config.toml" type:"path"`
}

// starter is a first configuration that runs: the person at this shell, one
// service by exec, the audit channel in a file.
const starter = `# Quarterdeck. Every key is explained in config.example.toml.
[bot]
database = "sqlite:data/quarterdeck.db"
socket = "data/quarterdeck.sock"

[audit]
channels = ["file:audit-channel.txt"]
key = "file:data/audit.key"
[auth]
totp_key = "file:data/totp.key"

[chat.terminal]
[chat.file]
dir = "data"

[[person]]
name = "me"
accounts = ["os:UID"]
roles = ["developer"]

[[grant]]
roles = ["developer"]
permissions = ["deploy", "rollback", "restart", "scale", "scale.override", "status", "history", "run.read", "release.override", "lock", "freeze", "freeze.override", "halt", "totp.reset"]
targets = ["*/*"]
[[grant]]
roles = ["developer"]
permissions = ["audit"]
[[require]]
permissions = ["deploy", "restart", "scale"]
targets = ["*/*"]
confirm = true

[environment.staging]

[provider.scripts]
type = "exec"
dir = "."

# Your own programs, to be written; see the README for what they print.
[service.shop.staging]
deploy = { provider = "scripts", argv = ["./deploy.sh"], current = ["./current.sh"], releases = ["./releases.sh"] }
`

// Run writes a first configuration and never overwrites one.
func (i initCmd) Run() error {
	if err := os.MkdirAll(filepath.Dir(i.File), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(i.File, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return bot.Errorf(bot.Invalid, "%s is there already; name another file", i.File)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(strings.ReplaceAll(starter, "os:UID", fmt.Sprintf("os:%d", os.Getuid())))
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	fmt.Printf("wrote %s; look it through, write the three programs that it names, then: quarterdeck check && quarterdeck serve\n", i.File)
	return nil
}
