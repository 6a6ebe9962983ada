package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"quarterdeck/bot/demo/platform"
)

// configuration is the demo's config.toml: the same rules a small team would
// write, on the demo's own platform. It is an ordinary configuration of the
// ordinary bot.
const configuration = `# Written by the demo; what you change counts from its next start with --data
[bot]
database = "sqlite:quarterdeck.db"
socket   = "quarterdeck.sock"
state    = "state"

[audit]
channels = ["file:audit-channel.txt"]
key      = "file:audit.key"

[auth]
totp_key = "file:totp.key"    # for codes, where a rule says step_up = true

[chat.terminal]
impersonate = true            # /as sre; only ever for a demo
[chat.file]
dir = "."

[[person]]
name = "dev"
accounts = ["terminal:dev"]
roles = ["developer"]
[[person]]
name = "sre"
accounts = ["terminal:sre"]
roles = ["sre", "developer"]
[[person]]
name = "guest"
accounts = ["terminal:guest"]
roles = ["visitor"]

[[grant]]
roles = ["developer"]
permissions = ["deploy", "rollback", "restart", "scale", "lock", "status", "history", "logs", "metrics", "run.read"]
targets = ["shop/*"]
[[grant]]
roles = ["developer"]
permissions = ["audit"]
[[grant]]
roles = ["sre"]
permissions = ["run.cancel", "release.override", "scale.override", "break-glass", "lock.steal", "freeze.override", "freeze", "halt", "totp.reset"]
targets = ["shop/*"]
[[grant]]
roles = ["visitor"]
permissions = ["status"]
targets = ["shop/staging"]
[[require]]
permissions = ["deploy", "restart", "scale"]
targets = ["*/prod"]
confirm = true
approvals = { count = 1, from = ["sre"] }

# What a team reads in the morning, posted once; now with: digest daily --dry-run
[[digest]]
name = "daily"
at = "0 9 * * mon-fri"
channel = "file:digests.txt"
[[grant]]
persons = ["digest:daily"]
permissions = ["digest", "history", "status", "run.read", "audit"]
targets = ["*/*"]
[[grant]]
roles = ["developer"]
permissions = ["digest"]

# A verb of the team's own, beside those that are built in.
[[action]]
name = "snapshot"
summary = "back the orders database up now"
run = { provider = "platform", argv = ["./platform", "backup"] }
arguments = [{ name = "target", type = "target", help = "whose database" }]
[[grant]]
roles = ["developer"]
permissions = ["action.snapshot"]
targets = ["shop/*"]

[environment.staging]
[environment.prod]

[observe]
every = "2s"

[provider.platform]
type = "exec"
dir = "platform"

[service.shop.staging]
deploy = { provider = "platform", argv = ["./platform", "deploy"], rollback = ["./platform", "rollback"], restart = ["./platform", "restart"], current = ["./platform", "current"], releases = ["./platform", "releases"], kill_after = "60s" }
scale = { provider = "platform", argv = ["./platform", "scale"], current = ["./platform", "current"], min = 1, max = 8, step = 4, kill_after = "60s" }
logs = { provider = "platform", argv = ["./platform", "logs"] }
[service.shop.prod]
deploy = { provider = "platform", argv = ["./platform", "deploy"], rollback = ["./platform", "rollback"], restart = ["./platform", "restart"], current = ["./platform", "current"], releases = ["./platform", "releases"], kill_after = "60s" }
scale = { provider = "platform", argv = ["./platform", "scale"], current = ["./platform", "current"], min = 1, max = 8, step = 4, kill_after = "60s" }
logs = { provider = "platform", argv = ["./platform", "logs"] }
`

// checkFolder refuses a folder that holds somebody else's files: the demo would
// put its own among them. Empty ones and those of an earlier demo are taken.
func checkFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Lstat(platform.CLIPath(filepath.Join(dir, "platform"))); err == nil {
		return nil
	}
	// One that was interrupted may have got no further than its configuration.
	if written, err := os.ReadFile(filepath.Join(dir, "config.toml")); err == nil && string(written) == configuration {
		return nil
	}
	return fmt.Errorf("%s is not empty and no earlier demo's folder (it holds %s); name a new folder, or one of an earlier demo", dir, entries[0].Name())
}

// writeConfiguration puts config.toml into dir unless one is there, and gives
// its path.
func writeConfiguration(dir string) (string, error) {
	path := filepath.Join(dir, "config.toml")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.WriteFile(path, []byte(configuration), 0o600); err != nil {
		return "", fmt.Errorf("write the demo's configuration: %w", err)
	}
	return path, nil
}
