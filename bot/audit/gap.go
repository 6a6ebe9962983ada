package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// gap is what a channel was not told because it refused the posts.
type gap struct {
	Key     string    `json:"key"` // of the marker's card
	Version int64     `json:"version"`
	Since   time.Time `json:"since"`
	Missing spans     `json:"missing,omitempty"`
	Records spans     `json:"records,omitempty"` // that tell of the gap
	Posts   int64     `json:"posts"`             // refused
	Cause   string    `json:"cause"`
	Owed    bool      `json:"owed,omitempty"` // the marker itself was refused
}

// The marker's title, from which a refused marker is read back.
const (
	gapBegins = "gap: audit "
	gapEnds   = " could not be shown here"
)

// card gives the next version of the marker.
func (g *gap) card() bot.Card {
	g.Version++
	what := count(g.Posts, "post")
	c := bot.Card{Key: g.Key, Version: g.Version, Tone: bot.Bad, Title: "gap: " + what + gapEnds,
		Text: fmt.Sprintf("%s refused: %s. The log has what they told: quarterdeck audit export", what, g.Cause)}
	if len(g.Missing) > 0 {
		c.Title = gapBegins + g.Missing.String() + gapEnds
	}
	if len(g.Records) > 0 {
		c.Footer = g.Records.footer()
	}
	return c
}

// unshown gives the sequences that a refused post would have told of.
func unshown(o store.Outgoing) (spans, error) {
	var card bot.Card
	if err := json.Unmarshal(o.Card, &card); err != nil {
		return nil, fmt.Errorf("decode refused audit post: %w", err)
	}
	if list, marker := strings.CutPrefix(card.Title, gapBegins); marker && strings.HasPrefix(o.Key, keyMarker) {
		return parseFooter(footerWord + strings.TrimSuffix(list, gapEnds)), nil
	}
	return parseFooter(strings.TrimPrefix(card.Footer, rootFooter)), nil
}

// Gap is called in the transaction that gives up o, a post to an audit channel
// that its network refused for good; cause is a sentence. It appends a record
// of kind failed that names the channel and the sequences that are missing
// there, and enqueues a marker to the channel that names them too. Gaps within
// a minute share one marker. A marker that is refused in its turn makes no
// further record: it is owed, and comes again before the next posts.
func (m *Mirror) Gap(tx store.Tx, o store.Outgoing, cause string) error {
	if strings.HasPrefix(o.Key, keyCheckpoint) {
		return nil
	}
	c, rev, found, err := loadCursor(tx, o.Channel)
	if err != nil {
		return err
	}
	if !found {
		head, err := tx.Head()
		if err != nil {
			return err
		}
		c.Next = head.Seq + 1
	}
	missing, err := unshown(o)
	if err != nil {
		cause += "; what it told of cannot be read"
	}
	now := m.Clock.Now()
	cause = bounded(m.Log.Redact(clean(cause, maxDetail)), maxSaid)
	if strings.HasPrefix(o.Key, keyGap) {
		if c.Gap == nil {
			c.Gap = &gap{Key: keyMarker + string(o.Channel), Since: now}
		}
		c.Gap.Missing, c.Gap.Cause, c.Gap.Owed = c.Gap.Missing.join(missing).atMost(maxSpans), cause, true
		return c.save(tx, o.Channel, rev)
	}
	detail := map[string]string{detailGap: string(o.Channel), detailCause: cause}
	if len(missing) > 0 {
		detail[detailAudit] = missing.String()
	}
	if o.Key != "" {
		detail["card"] = o.Key
	}
	head, err := m.Log.Append(tx, bot.Record{Kind: bot.FailedKind, Channel: o.Channel, Error: bot.Unavailable, Detail: detail})
	if err != nil {
		return err
	}
	if g := c.Gap; g == nil || !g.Owed && !now.Before(g.Since.Add(gather)) {
		c.Gap = &gap{Key: fmt.Sprintf("%s%d", keyMarker, head.Seq), Since: now}
	}
	g := c.Gap
	g.Missing, g.Records, g.Cause = g.Missing.join(missing).atMost(maxSpans), g.Records.with(head.Seq).atMost(maxSpans), cause
	g.Posts++
	g.Owed = false
	if err := enqueue(tx, o.Channel, "", g.card(), now); err != nil {
		return err
	}
	return c.save(tx, o.Channel, rev)
}
