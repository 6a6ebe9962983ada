package execprovider

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// ScaleTable is a target's scale table, without the keys that are the bot's own.
// Its commands are as those of a DeployTable.
type ScaleTable struct {
	Provider string   `toml:"provider"`
	Argv     []string `toml:"argv"`    // required; scales to OP_COUNT
	Current  []string `toml:"current"` // required; prints how much there is
	// Timeout bounds the whole operation; 15m by default.
	Timeout Duration `toml:"timeout"`
	// KillAfter is how long a command that was asked to end by TERM has before
	// it is killed; 10s by default.
	KillAfter Duration `toml:"kill_after"`
}

// actionScale is the OP_ACTION of a change of how much there is.
const actionScale = "scale"

// maxDimensions bounds what the program named by current may print.
const maxDimensions = 50

// BindScale checks a target's scale table and binds it. It starts nothing.
func (p *execProvider) BindScale(t bot.Target, raw provider.Raw) (provider.Scaler, error) {
	var table ScaleTable
	if err := raw.Decode(&table); err != nil {
		return nil, err
	}
	for _, c := range []struct {
		key  string
		argv []string
	}{{"argv", table.Argv}, {"current", table.Current}} {
		switch {
		case len(c.argv) == 0:
			return nil, bot.Errorf(bot.Invalid, "%s: the scale table of %s needs %s, an array such as [\"./platform\", \"scale\"]", raw.Where(), t, c.key)
		case c.argv[0] == "":
			return nil, bot.Errorf(bot.Invalid, "%s: %s of %s names no program", raw.Where(), c.key, t)
		case slices.ContainsFunc(c.argv, func(a string) bool { return strings.ContainsRune(a, 0) }):
			return nil, bot.Errorf(bot.Invalid, "%s: %s of %s holds a NUL character, which no argument can hold", raw.Where(), c.key, t)
		}
	}
	return &scaler{&deployer{execProvider: p, target: t,
		table: DeployTable{Argv: table.Argv, Current: table.Current, Timeout: table.Timeout, KillAfter: table.KillAfter}}}, nil
}

var (
	_ provider.ScaleBinder = (*execProvider)(nil)
	_ provider.Scaler      = (*scaler)(nil)
	_ provider.Inspected   = (*scaler)(nil)
	_ bot.Timed            = (*scaler)(nil)
)

// scaler is one target bound to the provider. An operation is driven as a
// deployment is; what it gets is said by its state.
type scaler struct {
	as *deployer
}

// reportedScale is what the program named by current prints: its dimensions, or
// the figures of a deployment's current, which are those of the replicas.
type reportedScale struct {
	Dimensions []reportedDimension `json:"dimensions"`
	Desired    *int64              `json:"desired"`
	Healthy    *int64              `json:"healthy"`
}

type reportedDimension struct {
	Name     string   `json:"name"`
	Unit     string   `json:"unit"`
	Value    string   `json:"value"`
	Actual   string   `json:"actual"`
	Min      int64    `json:"min"`
	Max      int64    `json:"max"`
	Choices  []string `json:"choices"`
	Control  string   `json:"control"`
	Disrupts string   `json:"disrupts"`
	OneWay   string   `json:"one_way"`
}

// Dimensions asks the program named by current. Errors are as for Current of a
// deployment.
func (s *scaler) Dimensions(ctx context.Context) ([]provider.Dimension, error) {
	var said reportedScale
	hide, err := s.as.ask(ctx, "scale", s.as.table.Current, &said)
	if err != nil {
		return nil, err
	}
	unreadable := func(format string, args ...any) error {
		return s.as.unreadable("scale", fmt.Errorf(format, args...))
	}
	if said.Dimensions == nil && said.Desired != nil {
		d := reportedDimension{Name: "replicas", Unit: "instances", Value: strconv.FormatInt(*said.Desired, 10)}
		if said.Healthy != nil {
			d.Actual = strconv.FormatInt(*said.Healthy, 10)
		}
		said.Dimensions = []reportedDimension{d}
	}
	if len(said.Dimensions) == 0 || len(said.Dimensions) > maxDimensions {
		return nil, unreadable("%d dimensions", len(said.Dimensions))
	}
	var all []provider.Dimension
	for _, r := range said.Dimensions {
		if err := names(append([]string{r.Name, r.Value, r.Actual}, r.Choices...)...); err != nil {
			return nil, unreadable("%v", err)
		}
		d := provider.Dimension{Name: r.Name, Unit: s.as.show(r.Unit, hide, maxName), Current: r.Value, Actual: r.Actual, Min: r.Min, Max: r.Max, Choices: r.Choices,
			Control: s.as.show(r.Control, hide, maxText), Disrupts: s.as.show(r.Disrupts, hide, maxText), OneWay: s.as.show(r.OneWay, hide, maxText)}
		twice := slices.ContainsFunc(all, func(o provider.Dimension) bool { return o.Name == d.Name })
		if d.Name == "" || twice || strings.ContainsAny(d.Name, " /\"'") {
			return nil, unreadable("%q is no name of a dimension", d.Name)
		}
		if _, err := d.Place(d.Current); err != nil {
			return nil, unreadable("%v", err)
		}
		if d.Actual == d.Current {
			d.Actual = ""
		}
		all = append(all, d)
	}
	return all, nil
}

// Begin prepares an operation. It does no I/O; a scaling of another target, and
// one to nothing, are Invalid.
func (s *scaler) Begin(body provider.Scaling, t bot.Task) (bot.Handle, error) {
	switch {
	case body.Target != s.as.target:
		return bot.Handle{}, bot.Errorf(bot.Invalid, "a scaling of %s was given to %s", body.Target, s.as.target)
	case t.Key == "":
		return bot.Handle{}, bot.Errorf(bot.Invalid, "a scaling of %s needs a key", body.Target)
	case body.Dimension == "" || body.To == "":
		return bot.Handle{}, bot.Errorf(bot.Invalid, "a scaling of %s needs a dimension and a value", body.Target)
	}
	return pack(bot.Handle{Key: t.Key, Target: body.Target}, state{Scaling: &body, Task: t, Host: s.as.host, Begun: s.as.clock.Now()})
}

// Advance is as that of a deployment.
func (s *scaler) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	return s.as.Advance(ctx, h)
}

// Cancel is as that of a deployment.
func (s *scaler) Cancel(ctx context.Context, h bot.Handle) (bot.Handle, error) {
	return s.as.Cancel(ctx, h)
}

// Timing is as that of a deployment.
func (s *scaler) Timing(t bot.Target) bot.Timing { return s.as.Timing(t) }

// Inspect implements provider.Inspected.
func (s *scaler) Inspect() []string { return s.as.Inspect() }
