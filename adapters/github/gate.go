package githubprovider

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"quarterdeck/bot"
)

// nobody is noted where GitHub does not say who may open a gate, so that it is
// asked once.
const nobody = "-"

// pending is one environment that a run waits for.
type pending struct {
	Environment struct {
		Name string `json:"name"`
	} `json:"environment"`
	WaitTimer int `json:"wait_timer"` // minutes
	Reviewers []struct {
		Type     string `json:"type"`
		Reviewer struct {
			Login string `json:"login"`
			Slug  string `json:"slug"`
		} `json:"reviewer"`
	} `json:"reviewers"`
}

// gate asks who may let the run go on, to tell people. The bot's own credentials
// never do, also where GitHub would let them: whoever asked for the deployment
// would then have approved it. Not to know is no harm.
func (d *deployer) gate(ctx context.Context, s *state) (bot.Progress, error) {
	s.AskGate, s.Gate = false, nobody
	p := bot.Progress{State: bot.OpWaitingExternal, Text: statuses["waiting"].text, Link: s.Link, Next: lookGate}
	api := d.client.api()
	req, err := api.NewRequest(http.MethodGet, fmt.Sprintf("repos/%s/%s/actions/runs/%d/pending_deployments", d.owner, d.table.Repo, s.Run), nil)
	if err != nil {
		return p, nil
	}
	var list []pending
	if _, err := api.Do(ctx, req, &list); err != nil {
		if ctx.Err() != nil {
			return bot.Progress{}, d.failed(callRun, err)
		}
		return p, nil
	}
	var gates []string
	for _, g := range list {
		var who []string
		for _, r := range g.Reviewers {
			switch {
			case r.Reviewer.Login != "":
				who = append(who, plain(r.Reviewer.Login, 40))
			case r.Reviewer.Slug != "":
				who = append(who, "team "+plain(r.Reviewer.Slug, 40))
			}
		}
		text := plain(g.Environment.Name, 60)
		if len(who) > 0 {
			text += " by " + some(slices.Compact(who), len(who))
		}
		if g.WaitTimer > 0 {
			text += fmt.Sprintf(" (%d min at least)", g.WaitTimer)
		}
		gates = append(gates, text)
	}
	if len(gates) > 0 {
		s.Gate = strings.Join(gates, "; ")
		p.Text += ": " + s.Gate
	}
	return p, nil
}
