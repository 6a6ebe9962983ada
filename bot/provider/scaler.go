package provider

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"quarterdeck/bot"
)

// Dimension is one thing that a Scaler can change: replicas, class, storage,
// limits. Its values are texts: whole numbers, or one of Choices.
type Dimension struct {
	Name string // one word: "replicas"
	Unit string // of a number: "instances", "GiB"; "" where the name says it
	// Current is what is wanted now, and Actual what there is, "" for the same.
	Current string
	Actual  string
	// Min and Max bound a number, both included, as the back-end does; Max 0
	// for a back-end that does not say.
	Min, Max int64
	Choices  []string // of what is no number, smallest first
	// Control names who else sets it, such as an autoscaler; "" for nobody.
	Control string
	// Disrupts says what changing it interrupts; "" for nothing.
	Disrupts string
	// OneWay says why it cannot be set back; "" when it can.
	OneWay string
}

// Numeric reports whether the values are numbers.
func (d Dimension) Numeric() bool { return len(d.Choices) == 0 }

// Amount gives a value with its unit: "4 instances".
func (d Dimension) Amount(value string) string {
	switch {
	case d.Unit == "":
		return value
	case value == "1":
		return value + " " + strings.TrimSuffix(d.Unit, "s")
	}
	return value + " " + d.Unit
}

// Place gives a value as a number that can be compared and counted from: itself,
// or its place among the choices.
func (d Dimension) Place(value string) (int64, error) {
	if d.Numeric() {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < 0 || strconv.FormatInt(n, 10) != value {
			return 0, bot.Errorf(bot.Invalid, "%q is no value of %s; it takes a whole number", value, d.Name)
		}
		return n, nil
	}
	i := slices.Index(d.Choices, value)
	if i < 0 {
		return 0, bot.Errorf(bot.Invalid, "%q is no value of %s; there are: %s", value, d.Name, strings.Join(d.Choices, ", "))
	}
	return int64(i), nil
}

// Bounds is what a team allows one dimension of a target, in its configuration.
type Bounds struct {
	Min, Max int64    // of a number, both included; zero apart
	Step     int64    // the largest step at once without an override; 0 for any
	Zero     bool     // whether all of it may be taken away
	Choices  []string // of what is no number; nil for all that there are
}

// Allow gives nil for a value of d that is inside, and otherwise an Error of
// kind Invalid that says what is allowed.
func (b Bounds) Allow(t bot.Target, d Dimension, value string) error {
	n, err := d.Place(value)
	if err != nil {
		return err
	}
	if !d.Numeric() {
		if b.Choices != nil && !slices.Contains(b.Choices, value) {
			return bot.Errorf(bot.Invalid, "%s of %s may be %s, not %s", d.Name, t, strings.Join(b.Choices, " or "), value)
		}
		return nil
	}
	least, most := max(b.Min, d.Min, 1), b.Max
	if d.Max > 0 {
		most = min(most, d.Max)
	}
	if n == 0 {
		if !b.Zero {
			return bot.Errorf(bot.Invalid, "%s of %s may not go to zero; its configuration does not say zero = true, so it may be %d to %d", d.Name, t, least, most)
		}
		return nil
	}
	if n < least || n > most {
		return bot.Errorf(bot.Invalid, "%s of %s may be %d to %d, not %d", d.Name, t, least, most, n)
	}
	return nil
}

// Large says why going from one value of d to another is more than the largest
// step; "" when it is not.
func (b Bounds) Large(t bot.Target, d Dimension, from, to string) string {
	f, errFrom := d.Place(from)
	n, errTo := d.Place(to)
	if b.Step == 0 || errFrom != nil || errTo != nil {
		return ""
	}
	step := max(n-f, f-n)
	if step <= b.Step {
		return ""
	}
	return fmt.Sprintf("%s to %s is a step of %d, and the largest for %s of %s is %d", from, to, step, d.Name, t, b.Step)
}

// Scaling is the body of what a Scaler executes: absolute values. From is what
// was wanted when it was planned.
type Scaling struct {
	Target    bot.Target `json:"target"`
	Dimension string     `json:"dimension"`
	From      string     `json:"from"`
	To        string     `json:"to"`
}

// Scaler changes how much there is of one target. Safe for concurrent use.
// Dimensions gives everything that it can change as it stands now, the one that
// is meant when none is named first; it gives Unavailable or Timeout when the
// other side does not answer and never guesses. The operation is as that of a
// Deployer: Begin for another target is Invalid, and whatever Advance is asked
// after an interruption, the far side is asked to change once.
type Scaler interface {
	Dimensions(ctx context.Context) ([]Dimension, error)
	bot.Operation[Scaling]
}

// ScaleBinder is a Provider that can bind a Scaler to a target from the
// target's scale table, without the keys that are the bot's own: min, max, step,
// zero and dimension.
type ScaleBinder interface {
	BindScale(t bot.Target, raw Raw) (Scaler, error)
}

// Scaler gives the Scaler of a target, or an Error of kind NotFound.
func (c *Catalog) Scaler(t bot.Target) (Scaler, error) {
	b, ok := c.bindings[t]
	if !ok {
		return nil, bot.Errorf(bot.NotFound, "there is no target %s", t)
	}
	if b.Scale == nil {
		return nil, bot.Errorf(bot.NotFound, "%s cannot be scaled: it has no scale table; give [service.%s.%s] one, as config.example.toml shows", t, t.Service, t.Environment)
	}
	return b.Scale, nil
}

// Bounds gives what the configuration allows a dimension of a target; first says
// that it is the Scaler's first, whose bounds may stand without a name. found is
// false for one that has none: nobody changes it through the bot.
func (c *Catalog) Bounds(t bot.Target, dimension string, first bool) (b Bounds, found bool) {
	all := c.bindings[t].Bounds
	if b, found = all[dimension]; !found && first {
		b, found = all[""]
	}
	return b, found
}
