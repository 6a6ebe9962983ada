package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

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
permissions = ["deploy", "rollback", "restart", "scale", "backup.read", "restore-test", "lock", "status", "history", "logs", "metrics", "run.read", "page.*", "oncall"]
targets = ["shop/*"]
[[grant]]
roles = ["developer"]
permissions = ["flag.*"]      # the shop asks for new-checkout and loyalty-points
flags = ["*/*"]
[[grant]]
roles = ["developer"]
permissions = ["audit"]
[[grant]]
roles = ["sre"]
permissions = ["run.cancel", "release.override", "scale.override", "break-glass", "lock.steal", "freeze.override", "freeze", "halt", "totp.reset", "oncall.override"]
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

[listen]
flags = "FLAGS"               # where the shop reads its flags
internal = "ALERTS"           # where the monitor sends its alerts

# Whoever is on call is asked until somebody takes the page.
[pager]
channel = "file:pages.txt"
escalation = "default"
notify_delay = "2s"
[pager.alertmanager]
bearer = "file:alert-key"
[pager.schedule.primary]
[[pager.schedule.primary.rotation]]
persons = ["sre"]
start = "2026-11-02 09:00"
[[pager.policy.default.level]]
schedule = "primary"
wait = "2m"
[[pager.policy.default.level]]
persons = ["dev"]
wait = "2m"

[provider.embedded]
type = "flags"

[provider.platform]
type = "exec"
dir = "platform"

[provider.backups]
type = "backup"
reserve = "100MiB"

# The platform's monitor speaks Prometheus' query API.
[provider.monitor]
type = "prometheus"
api_url = "http://MONITOR"
timeout = "5s"
scrape_interval = "1s"

[panels.shop.orders]
expr = 'sum(rate(orders_total{service="{service}", env="{env}"}[{window}])) * 60'
unit = "orders/min"
level = "business"
[panels.shop.requests]
expr = 'sum(rate(http_requests_total{service="{service}", env="{env}"}[{window}]))'
unit = "req/s"
signal = "traffic"
[panels.shop.errors]
expr = '100 * (sum(rate(http_requests_total{service="{service}", env="{env}", code=~"5.."}[{window}])) or vector(0)) / sum(rate(http_requests_total{service="{service}", env="{env}"}[{window}]))'
unit = "%"
signal = "errors"
above = 2
over = "15s"
needs = { requests = 1 }
[panels.shop.p50]
expr = '1000 * histogram_quantile(0.5, sum by (le) (rate(http_request_duration_seconds_bucket{service="{service}", env="{env}"}[{window}])))'
unit = "ms"
panel = "latency"
[panels.shop.p95]
expr = '1000 * histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{service="{service}", env="{env}"}[{window}])))'
unit = "ms"
panel = "latency"
signal = "latency"
above = 500
over = "15s"
[panels.shop.instances]
expr = 'sum(up{service="{service}", env="{env}"})'
level = "technical"
below = 1
over = "15s"

[service.shop.staging]
metrics = { provider = "monitor", panels = "shop" }
deploy = { provider = "platform", argv = ["./platform", "deploy"], rollback = ["./platform", "rollback"], restart = ["./platform", "restart"], current = ["./platform", "current"], releases = ["./platform", "releases"], kill_after = "60s" }
scale = { provider = "platform", argv = ["./platform", "scale"], current = ["./platform", "current"], min = 1, max = 8, step = 4, kill_after = "60s" }
backup = { provider = "backups", path = "platform/backups/shop-staging", match = "orders-*.db", engine = "sqlite", rpo = "10m", rto = "2m", newest = "SELECT coalesce(max(placed_at), unixepoch() * 1000) FROM orders", queries = [{ name = "every order is of something", sql = "SELECT count(*) FROM orders WHERE quantity < 1", want = "0" }] }
logs = { provider = "platform", argv = ["./platform", "logs"] }
flags = { provider = "embedded", keys = ["file:flag-key-staging"] }
alerts = { match = { service = "shop", env = "staging" } }
[service.shop.prod]
metrics = { provider = "monitor", panels = "shop" }
guard = { metrics = ["errors"], bake = "2m", every = "5s" }
deploy = { provider = "platform", argv = ["./platform", "deploy"], rollback = ["./platform", "rollback"], restart = ["./platform", "restart"], current = ["./platform", "current"], releases = ["./platform", "releases"], kill_after = "60s" }
scale = { provider = "platform", argv = ["./platform", "scale"], current = ["./platform", "current"], min = 1, max = 8, step = 4, kill_after = "60s" }
backup = { provider = "backups", path = "platform/backups/shop-prod", match = "orders-*.db", engine = "sqlite", rpo = "10m", rto = "2m", newest = "SELECT coalesce(max(placed_at), unixepoch() * 1000) FROM orders", queries = [{ name = "every order is of something", sql = "SELECT count(*) FROM orders WHERE quantity < 1", want = "0" }] }
logs = { provider = "platform", argv = ["./platform", "logs"] }
flags = { provider = "embedded", keys = ["file:flag-key-prod"] }
alerts = { match = { service = "shop", env = "prod" } }
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
	if written, err := os.ReadFile(filepath.Join(dir, "config.toml")); err == nil && strings.HasPrefix(string(written), strings.SplitAfter(configuration, "\n")[0]) {
		return nil
	}
	return fmt.Errorf("%s is not empty and no earlier demo's folder (it holds %s); name a new folder, or one of an earlier demo", dir, entries[0].Name())
}

// monitorMark stands in the configuration where the monitor's address goes.
const monitorMark = "MONITOR"

// monitored finds the monitor's address in a configuration that is kept.
var monitored = regexp.MustCompile(`(?s)\[provider\.monitor\].*?\napi_url *= *"http://(127\.0\.0\.1:[0-9]+)"`)

// writeConfiguration puts config.toml into dir unless one is there, and gives its
// path, and what the monitor listens on: the address that the configuration has.
func writeConfiguration(ctx context.Context, dir string) (path string, monitor net.Listener, err error) {
	path = filepath.Join(dir, "config.toml")
	kept, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", nil, fmt.Errorf("read the demo's configuration: %w", err)
	}
	address := "127.0.0.1:0"
	if m := monitored.FindSubmatch(kept); m != nil {
		address = string(m[1])
	}
	var lc net.ListenConfig
	if monitor, err = lc.Listen(ctx, "tcp", address); err != nil {
		return "", nil, fmt.Errorf("the monitor cannot listen on %s, its address in %s; give it another there: %w", address, path, err)
	}
	if kept != nil {
		return path, monitor, nil
	}
	text := strings.Replace(configuration, monitorMark, monitor.Addr().String(), 1)
	flags, err := writeFlagFiles(dir)
	if err != nil {
		return "", nil, errors.Join(err, monitor.Close())
	}
	alerts, err := writeAlertFiles(dir)
	if err != nil {
		return "", nil, errors.Join(err, monitor.Close())
	}
	if err := os.WriteFile(path, []byte(strings.NewReplacer(`"FLAGS"`, strconv.Quote(flags), `"ALERTS"`, strconv.Quote(alerts)).Replace(text)), 0o600); err != nil {
		return "", nil, errors.Join(fmt.Errorf("write the demo's configuration: %w", err), monitor.Close())
	}
	return path, monitor, nil
}
