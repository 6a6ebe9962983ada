// Package commands is the whole command surface, one line each.
package commands

import (
	"slices"

	"quarterdeck/bot"
	"quarterdeck/bot/app"
	"quarterdeck/commands/action"
	"quarterdeck/commands/approve"
	"quarterdeck/commands/audit"
	"quarterdeck/commands/backup"
	"quarterdeck/commands/can"
	"quarterdeck/commands/cancel"
	"quarterdeck/commands/confirm"
	"quarterdeck/commands/deny"
	"quarterdeck/commands/deploy"
	"quarterdeck/commands/digest"
	"quarterdeck/commands/flag"
	"quarterdeck/commands/freeze"
	"quarterdeck/commands/halt"
	"quarterdeck/commands/help"
	"quarterdeck/commands/history"
	"quarterdeck/commands/lock"
	"quarterdeck/commands/logs"
	"quarterdeck/commands/metrics"
	"quarterdeck/commands/oncall"
	"quarterdeck/commands/page"
	"quarterdeck/commands/restart"
	"quarterdeck/commands/restoretest"
	"quarterdeck/commands/resume"
	"quarterdeck/commands/review"
	"quarterdeck/commands/rollback"
	"quarterdeck/commands/run"
	"quarterdeck/commands/runs"
	"quarterdeck/commands/scale"
	"quarterdeck/commands/status"
	"quarterdeck/commands/totp"
	"quarterdeck/commands/unlock"
	"quarterdeck/commands/whoami"
)

// All gives every command, in the order in which help shows them.
func All(n app.CommandNeeds) []bot.Command {
	return slices.Concat([]bot.Command{
		deploy.New(n.Catalog, n.Ledger, n.Runs, n.Board, n.Clock),
		rollback.New(n.Catalog, n.Ledger, n.Runs),
		restart.New(n.Catalog, n.Ledger),
		scale.New(n.Catalog, n.Runs),
		backup.New(n.Catalog, n.Backups, n.Zone),
		restoretest.New(n.Catalog, n.Backups, n.Clock),
		lock.New(n.Guard, n.Clock),
		unlock.New(n.Guard),
		halt.New(n.Guard),
		resume.New(n.Guard),
		status.New(n.Catalog, n.Ledger, n.Runs, n.Policy, n.Guard, n.Zone),
		history.New(n.Catalog, n.Runs, n.Policy, n.Log, n.Zone),
		logs.New(n.Catalog, n.Zone),
		metrics.New(metrics.Needs{Board: n.Board, Catalog: n.Catalog, Runs: n.Runs, Policy: n.Policy, Log: n.Log, Zone: n.Zone}),
		confirm.New(n.Runs),
		approve.New(n.Runs),
		deny.New(n.Runs),
		cancel.New(n.Runs),
		review.New(n.Runs),
		runs.New(n.Catalog, n.Runs, n.Policy, n.Zone),
		run.New(n.Runs, n.Log, n.Policy, n.Zone),
		audit.New(n.Log, n.Zone),
		digest.New(n.Digests),
		whoami.New(n.Guide),
		can.New(n.Guide),
		help.New(n.Guide),
	}, freeze.All(n.Guard, n.Catalog, n.Policy, n.Zone), flag.All(flag.Needs{Catalog: n.Catalog, Flags: n.Flags, Policy: n.Policy, Judge: n.Judge, Clock: n.Clock, Zone: n.Zone}), page.All(n.Pages, n.Policy, n.Zone), oncall.All(n.Pages, n.Zone), totp.All(n.Codes), action.All(n.Actions))
}
