package slackchat

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"
	"github.com/sourcegraph/conc"

	"quarterdeck/bot"
)

const (
	// homeEvery is how long somebody's Home stays as it is at least: opening it
	// again and again costs one look.
	homeEvery = 5 * time.Second
	// homeAfter is how long after a button of a Home was pressed it is drawn anew.
	homeAfter = 2 * time.Second
	// homesAtOnce bounds how many are drawn at once, maxHomes how many wait for it.
	homesAtOnce = 4
	maxHomes    = 1000
	homeWithin  = 20 * time.Second
	// maxHomeBlocks is Slack's limit for a Home, less one for what is left out.
	maxHomeBlocks = 99
)

// homes draws what people see when they open the bot in Slack. What was asked for
// is kept in memory alone: who opens it again sees it.
type homes struct {
	asked chan visit
	ended chan string

	mu      sync.Mutex
	directs map[string]string // the direct conversation by user
}

// visit is one Home to draw, not before at.
type visit struct {
	who incoming
	at  time.Time
}

func newHomes() *homes {
	return &homes{asked: make(chan visit, maxHomes), ended: make(chan string, homesAtOnce), directs: map[string]string{}}
}

// opened makes of an event what is to be drawn; the event names nobody's channel
// that anything is written to.
func (e inner) opened(p outer) (m incoming, ok bool) {
	m = incoming{id: "event/" + p.EventID, team: p.TeamID, enterprise: p.EnterpriseID, user: text(e.User), view: &viewing{what: viewHome}}
	return m, e.Tab == viewHome && m.user != ""
}

// ask has somebody's Home drawn in a while. With too many waiting it is left out.
func (h *homes) ask(who incoming, at time.Time) {
	select {
	case h.asked <- visit{who, at}:
	default:
	}
}

// run draws Homes until ctx ends: of one user one at a time, and with homeEvery
// between.
func (s *chat) runHomes(ctx context.Context) {
	var work conc.WaitGroup
	defer work.Wait()
	waiting, last, busy := map[string]visit{}, map[string]time.Time{}, map[string]bool{}
	timer := time.NewTimer(homeEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case v := <-s.homes.asked:
			if len(waiting) < maxHomes {
				waiting[v.who.user] = v // the newest payload is what Slack vouches for now
			}
		case user := <-s.homes.ended:
			delete(busy, user)
			last[user] = s.o.Clock.Now()
		case <-timer.C:
		}
		now := s.o.Clock.Now()
		for user, at := range last {
			if now.Sub(at).Abs() > homeEvery {
				delete(last, user)
			}
		}
		next := homeEvery
		for user, v := range waiting {
			due := v.at
			if earliest := last[user].Add(homeEvery); due.Before(earliest) {
				due = earliest
			}
			switch {
			case busy[user] || len(busy) >= homesAtOnce: // its end wakes this
			case due.After(now):
				next = min(next, due.Sub(now))
			default:
				delete(waiting, user)
				busy[user] = true
				work.Go(func() {
					s.drawHome(ctx, v.who)
					select {
					case s.homes.ended <- user:
					case <-ctx.Done():
					}
				})
			}
		}
		timer.Reset(next)
	}
}

// drawHome shows a user their Home.
func (s *chat) drawHome(ctx context.Context, p incoming) {
	defer func() {
		if caught := recover(); caught != nil {
			s.logger().Error("panic while drawing a home", "user", p.user, "panic", caught)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, homeWithin)
	defer cancel()
	m := s.message(ctx, p)
	cards := s.o.Home(ctx, m.Account, m.Standing)
	if len(cards) == 0 {
		return
	}
	api, err := s.client()
	if err != nil {
		return
	}
	v := slack.HomeTabViewRequest{Type: slack.VTHomeTab, CallbackID: viewHome, Blocks: slack.Blocks{BlockSet: s.homeBlocks(cards)}}
	if _, err := api.PublishViewContext(ctx, slack.PublishViewContextRequest{UserID: p.user, View: v}); err != nil && ctx.Err() == nil {
		s.logger().Warn("a home could not be shown", "user", p.user, "err", err)
	}
}

// homeBlocks draws cards one under the other, as many as fit.
func (s *chat) homeBlocks(cards []bot.Card) []slack.Block {
	var all []slack.Block
	left := maxTotal
	for i, c := range cards {
		blocks := render(untabled(c), atHome).blocks
		size := weight(blocks)
		if len(all)+len(blocks)+1 > maxHomeBlocks || size > left {
			return append(all, slack.NewContextBlock("", shown("there is more than fits here; ask with "+s.config.Command+" runs", maxFooter)))
		}
		if i > 0 {
			all = append(all, slack.NewDividerBlock())
		}
		all, left = append(all, blocks...), left-size
	}
	return all
}

// untabled writes a card's table as fields: Slack shows tables in messages alone.
func untabled(c bot.Card) bot.Card {
	if c.Table == nil {
		return c
	}
	c.Fields = slices.Clone(c.Fields)
	for _, row := range c.Table.Rows {
		var parts []string
		for i, cell := range row {
			if i > 0 && i < len(c.Table.Columns) && cell != "" && cell != "-" {
				parts = append(parts, strings.ToLower(c.Table.Columns[i])+" "+cell)
			}
		}
		if len(row) > 0 {
			c.Fields = append(c.Fields, bot.Field{Name: row[0], Value: strings.Join(parts, " · ")})
		}
	}
	c.Table = nil
	return c
}

// weight counts the characters of blocks' texts as Slack does.
func weight(blocks []slack.Block) int {
	raw, err := json.Marshal(blocks)
	if err != nil {
		return maxTotal + 1
	}
	var tree any
	if json.Unmarshal(raw, &tree) != nil {
		return maxTotal + 1
	}
	return weigh(tree)
}

func weigh(tree any) (n int) {
	switch t := tree.(type) {
	case []any:
		for _, v := range t {
			n += weigh(v)
		}
	case map[string]any:
		for name, v := range t {
			if said, ok := v.(string); ok && name == "text" {
				n += length(said)
			} else if !ok {
				n += weigh(v)
			}
		}
	}
	return n
}

// directWith gives the direct conversation with a user, where what is pressed in a
// Home is answered; the user's id where Slack does not say, which it takes for the
// same.
func (s *chat) directWith(ctx context.Context, user string) string {
	s.homes.mu.Lock()
	known := s.homes.directs[user]
	s.homes.mu.Unlock()
	if known != "" {
		return known
	}
	api, err := s.client()
	if err != nil {
		return user
	}
	ctx, cancel := context.WithTimeout(ctx, lookUp)
	defer cancel()
	c, _, _, err := api.OpenConversationContext(ctx, &slack.OpenConversationParameters{Users: []string{user}})
	if err != nil || c == nil || c.ID == "" {
		s.logger().Warn("Slack does not say which direct conversation is a user's", "user", user, "err", err)
		return user
	}
	s.homes.mu.Lock()
	defer s.homes.mu.Unlock()
	if len(s.homes.directs) >= maxPeople {
		clear(s.homes.directs)
	}
	s.homes.directs[user] = c.ID
	return c.ID
}
