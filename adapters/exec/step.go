package execprovider

import (
	"context"
	"slices"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// StepTable is the table of one program that is run for a deployment and tells
// nothing of its own: before and after in a deploy table, and rollback beside
// it. OP_ACTION is before, after or rollback.
type StepTable struct {
	Provider string   `toml:"provider"`
	Argv     []string `toml:"argv"` // required
	// Timeout bounds it; 15m by default.
	Timeout Duration `toml:"timeout"`
	// KillAfter is how long it has, once asked to end by TERM, before it is
	// killed; 10s by default.
	KillAfter Duration `toml:"kill_after"`
}

// BindStep checks the table of a step before or after and binds it. It starts
// nothing.
func (p *execProvider) BindStep(t bot.Target, raw provider.Raw) (provider.Step, error) {
	table, err := p.step(t, raw)
	if err != nil {
		return nil, err
	}
	return &single{&deployer{execProvider: p, target: t, step: table.Argv, table: DeployTable{Timeout: table.Timeout, KillAfter: table.KillAfter}}}, nil
}

// BindRollback checks a target's rollback table and binds it. It starts nothing.
func (p *execProvider) BindRollback(t bot.Target, raw provider.Raw) (provider.Roller, error) {
	table, err := p.step(t, raw)
	if err != nil {
		return nil, err
	}
	return &single{&deployer{execProvider: p, target: t, table: DeployTable{Rollback: table.Argv, Timeout: table.Timeout, KillAfter: table.KillAfter}}}, nil
}

func (p *execProvider) step(t bot.Target, raw provider.Raw) (StepTable, error) {
	var table StepTable
	if err := raw.Decode(&table); err != nil {
		return table, err
	}
	switch {
	case len(table.Argv) == 0 || table.Argv[0] == "":
		return table, bot.Errorf(bot.Invalid, "%s: this table of %s needs argv, an array such as [\"./platform\", \"migrate\"]", raw.Where(), t)
	case slices.ContainsFunc(table.Argv, func(a string) bool { return strings.ContainsRune(a, 0) }):
		return table, bot.Errorf(bot.Invalid, "%s: argv of %s holds a NUL character, which no argument can hold", raw.Where(), t)
	}
	return table, nil
}

// single is a deployer that has one program alone, and nothing that could tell
// what is live.
type single struct{ d *deployer }

var (
	_ provider.StepBinder     = (*execProvider)(nil)
	_ provider.RollbackBinder = (*execProvider)(nil)
	_ provider.Roller         = (*single)(nil)
	_ provider.Limited        = (*single)(nil)
	_ provider.Inspected      = (*single)(nil)
	_ bot.Timed               = (*single)(nil)
)

// Ways gives the only way back: the older release as a new deployment.
func (s *single) Ways() []provider.Way { return s.d.Ways() }

// Can implements provider.Limited.
func (s *single) Can(a provider.Action) error { return s.d.Can(a) }

// Inspect implements provider.Inspected.
func (s *single) Inspect() []string { return s.d.Inspect() }

// Timing implements bot.Timed.
func (s *single) Timing(t bot.Target) bot.Timing { return s.d.Timing(t) }

// Begin prepares an operation, without I/O.
func (s *single) Begin(body provider.Deployment, t bot.Task) (bot.Handle, error) {
	return s.d.Begin(body, t)
}

// Advance looks at the operation's folder and acts where nothing runs yet.
func (s *single) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	return s.d.Advance(ctx, h)
}

// Cancel asks for the end of the operation.
func (s *single) Cancel(ctx context.Context, h bot.Handle) (bot.Handle, error) {
	return s.d.Cancel(ctx, h)
}
