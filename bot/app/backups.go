package app

import (
	"path/filepath"

	"quarterdeck/bot/backup"
	"quarterdeck/bot/config"
	"quarterdeck/bot/provider"
)

// backup binds what restores a service's backups, and says what is wanted of them.
func (b *binder) backup(s config.Service, into *provider.Bindings) {
	if s.Backup == nil {
		return
	}
	into.Objectives = provider.Objectives{RPO: s.Backup.RPO, RTO: s.Backup.RTO, Every: s.Backup.Every}
	into.Backup = bound(b, &s.Backup.Binding, "restore backups", func(p provider.BackupBinder, raw provider.Raw) (provider.RestoreTester, error) {
		return p.BindBackup(b.target, raw)
	})
}

// evidenceFolder is where the evidence of restore tests lies, below the state
// folder.
const evidenceFolder = "restore-test-evidence"

// backups gives the ledger of restore tests.
func (a *App) backups(g *ground) *backup.Ledger {
	return backup.NewLedger(g.store, filepath.Join(a.Config.Bot.State, evidenceFolder), g.log.Redact)
}
