package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/nearest"
)

type initCmd struct {
	What string            `arg:"" help:"Where to write it; or a chat network, such as slack, that is asked what there is." default:"config.toml"`
	File string            `arg:"" optional:"" help:"After a chat network: where to write it." default:"config.toml"`
	Me   string            `help:"After a chat network: who you are there, by the name to mention you or by id."`
	Set  map[string]string `help:"After a chat network: a key of its table, such as command=/run." placeholder:"KEY=VALUE" env:"QUARTERDECK_SET"`
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
permissions = ["deploy", "rollback", "restart", "scale", "scale.override", "backup.read", "restore-test", "status", "history", "logs", "metrics", "run.read", "release.override", "lock", "freeze", "freeze.override", "halt", "totp.reset", "page.*", "oncall", "oncall.override"]
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

// Run writes a first configuration and never overwrites one. With the name of a
// chat network it asks that what there is, and writes the ids of it.
func (i initCmd) Run(ctx context.Context) error {
	if !slices.ContainsFunc(tables().Chats, func(t bot.ChatType) bool { return t.Name == i.What }) {
		if i.Me != "" || i.File != "config.toml" {
			return bot.Errorf(bot.Invalid, "%s is no chat network that can be asked; expected such as: quarterdeck init slack config.toml", i.What)
		}
		if near := nearest.Of(i.What, chatNames()); near != "" && !strings.ContainsAny(i.What, "./") {
			return bot.Errorf(bot.Invalid, "there is no chat network %q; did you mean %q? A file of that name is ./%s", i.What, near, i.What)
		}
		i.File = i.What
		if err := i.write(starter); err != nil {
			return err
		}
		fmt.Printf("wrote %s; look it through, write the three programs that it names (the README has some to try), then: quarterdeck check && quarterdeck serve\n", i.File)
		return nil
	}
	if _, err := os.Lstat(i.File); err == nil { // before anybody is asked
		return bot.Errorf(bot.Invalid, "%s is there already; name another file", i.File)
	}
	text, summary, err := i.survey(ctx, i.What)
	if err != nil {
		return err
	}
	if err := i.write(text); err != nil {
		return err
	}
	fmt.Println(summary)
	fmt.Printf("wrote %s; look it through, then: quarterdeck check --live --config %s && quarterdeck serve --config %s\n", i.File, i.File, i.File)
	return nil
}

// write writes a new file, for its owner alone.
func (i initCmd) write(text string) error {
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
	_, err = f.WriteString(strings.ReplaceAll(text, "os:UID", fmt.Sprintf("os:%d", os.Getuid())))
	return errors.Join(err, f.Close())
}
