package status

import (
	"context"
	"fmt"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// capacityRow gives the row of a target that is scaled from here and not
// deployed to.
func capacityRow(ctx context.Context, s provider.Scaler, t bot.Target, now string) (cells []string, answered bool) {
	all, err := s.Dimensions(ctx)
	if err != nil {
		return []string{t.String(), "?", "?", "?", "no answer: " + bot.Sentence(err, "status")}, false
	}
	up := "-"
	if len(all) > 0 {
		up = amount(all[0])
	}
	return []string{t.String(), "-", up, "-", now}, true
}

// dimensions gives how much there is of one target, and who else sets it. What
// does not answer is said to, and is no zero.
func dimensions(ctx context.Context, c *provider.Catalog, t bot.Target) []bot.Field {
	scaler, err := c.Scaler(t)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	all, err := scaler.Dimensions(ctx)
	if err != nil {
		return []bot.Field{{Name: "capacity", Value: "no answer: " + bot.Sentence(err, "status")}}
	}
	var fields []bot.Field
	for i, d := range all {
		parts := []string{amount(d)}
		switch b, found := c.Bounds(t, d.Name, i == 0); {
		case !found:
			parts = append(parts, "not changed from here")
		case len(b.Choices) > 0:
			parts = append(parts, "may be "+strings.Join(b.Choices, " or "))
		case b.Max > 0:
			parts = append(parts, fmt.Sprintf("may be %d to %d", max(b.Min, d.Min, 1), b.Max))
		}
		if d.Control != "" {
			parts = append(parts, "also set by "+d.Control)
		}
		fields = append(fields, bot.Field{Name: d.Name, Value: strings.Join(parts, "; ")})
	}
	return fields
}

// amount gives what is wanted, and what there is where that is otherwise.
func amount(d provider.Dimension) string {
	if d.Actual == "" || d.Actual == d.Current {
		return d.Amount(d.Current)
	}
	return d.Amount(fmt.Sprintf("%s of %s", d.Actual, d.Current))
}
