package deploy

import (
	"context"
	"fmt"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/release"
)

// guardLook bounds how long a plan waits to hear how the guard's metrics stand now.
const guardLook = 3 * time.Second

// guard gives what will watch over a deployment to t, as it is stated in the Spec,
// how it is shown with how its metrics stand now, and what to mind about it. What
// is not there, or is not good, cannot be gone back to by itself: then it is
// offered.
func (d planner) guard(ctx context.Context, t bot.Target, live provider.Artefact, marks map[string]release.Mark, look bool) (*provider.Guard, []bot.Field, []string) {
	configured := d.catalog.Guard(t)
	if configured == nil || !look {
		return nil, nil, nil
	}
	g := *configured
	var mind []string
	if g.OnBreach == provider.GoBack || g.OnSilence == provider.GoBack {
		why := ""
		_, bad := marks[live.ID]
		switch {
		case live.ID == "":
			why = "nothing is known to be live"
		case live.Mixed():
			why = "what is live is of several releases"
		case bad:
			why = live.Version + " is marked bad"
		}
		if why != "" {
			g.OnBreach, g.OnSilence = provider.Offer, provider.Offer
			mind = append(mind, "the guard cannot go back by itself, and offers the way back: "+why)
		}
	}
	fields := []bot.Field{{Name: "guard", Value: g.Words(live.Version)}}
	for _, j := range release.Judge(ctx, d.judge, t, g.Metrics, guardLook) {
		fields = append(fields, bot.Field{Name: j.Metric, Value: release.Stands(j)})
		switch j.Stand {
		case provider.Breached:
			mind = append(mind, j.Metric+" is over its threshold already, before the deployment")
		case provider.NoData, provider.Unread:
			mind = append(mind, fmt.Sprintf("%s cannot be measured now, so the guard may not see a breach", j.Metric))
		}
	}
	return &g, fields, mind
}
