package audit

import (
	"slices"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// refuse does what the outbox does with the first card of a channel that the
// network refuses for good.
func (r *rig) refuse(m *Mirror, channel bot.ChannelID) bool {
	r.Helper()
	i := slices.IndexFunc(r.store.out, func(o store.Outgoing) bool { return o.Channel == channel })
	if i < 0 {
		return false
	}
	o := r.store.out[i]
	err := r.store.Update(r.Context(), func(tx store.Tx) error {
		if err := tx.Delivered(o.ID, o.Version); err != nil {
			return err
		}
		return m.Gap(tx, o, "the channel is archived; token=abc123")
	})
	if err != nil {
		r.Fatal(err)
	}
	return true
}

func TestGapIsRecordedAndMarked(t *testing.T) {
	r := newRig(t)
	other := bot.ChannelID("file:audit-channel.txt")
	m := newMirror(r, auditChannel, other)
	r.append(guest(1), guest(2), guest(3))
	r.mirror(m)
	r.take(other)
	r.refuse(m, auditChannel)
	r.refuse(m, auditChannel)
	r.mirror(m)

	cards, _ := r.take(auditChannel)
	if len(cards) != 2 || cards[0].Footer != "audit 3" {
		t.Fatalf("%+v", cards)
	}
	marker := cards[1]
	if marker.Title != "gap: audit 1-2 could not be shown here" || marker.Footer != "audit 4-5" || marker.Tone != bot.Bad ||
		marker.Text != "2 posts refused: the channel is archived; token=[redacted]. The log has what they told: quarterdeck audit export" {
		t.Errorf("marker %+v", marker)
	}
	list, err := r.log.Records(t.Context(), bot.RecordFilter{Kind: bot.FailedKind})
	if err != nil || len(list) != 2 || list[1].Detail["gap"] != string(auditChannel) || list[1].Detail["audit"] != "1" || list[1].Detail["cause"] != "the channel is archived; token=[redacted]" {
		t.Errorf("records %+v, %v", list, err)
	}
	cards, _ = r.take(other)
	if len(cards) != 2 || cards[0].Title != "posts to slack:C0AUDIT are missing: 1 (the channel is archived; token=[redacted])" || cards[0].Footer != "audit 4" {
		t.Errorf("the other channel was told %+v", cards)
	}
	if report := r.verify(VerifyOptions{}); !report.OK {
		t.Errorf("%+v", report)
	}

	r.clock.move(2 * gather)
	r.append(guest(1))
	r.mirror(m)
	r.refuse(m, auditChannel)
	cards, _ = r.take(auditChannel)
	if len(cards) != 1 || cards[0].Key == marker.Key || cards[0].Title != "gap: audit 6 could not be shown here" {
		t.Errorf("a later gap: %+v", cards)
	}
}

// When every channel refuses everything, markers included, the log does not
// grow by itself; when one works again, it is told what it missed.
func TestGapsDoNotFeedThemselves(t *testing.T) {
	r := newRig(t)
	other := bot.ChannelID("discord:9")
	m := newMirror(r, auditChannel, other)
	r.story()
	for range 20 {
		r.mirror(m)
		for r.refuse(m, auditChannel) || r.refuse(m, other) {
		}
		r.clock.move(gather)
	}
	grown := len(r.store.rows)
	for range 20 {
		r.mirror(m)
		for r.refuse(m, auditChannel) || r.refuse(m, other) {
		}
		r.clock.move(gather)
	}
	if len(r.store.rows) != grown || grown > 20 {
		t.Fatalf("the log grew from 8 to %d to %d records by itself", grown, len(r.store.rows))
	}
	r.append(guest(1))
	r.mirror(m)
	cards, _ := r.take(auditChannel)
	if len(cards) != 2 || !strings.HasPrefix(cards[0].Title, "gap: audit ") || !strings.HasPrefix(cards[1].Title, "denied: ") {
		t.Fatalf("%+v", cards)
	}
	var covered []int64
	for _, p := range parseFooter(footerWord + strings.TrimSuffix(strings.TrimPrefix(cards[0].Title, gapBegins), gapEnds)) {
		for s := p.From; s <= p.To; s++ {
			covered = append(covered, s)
		}
	}
	for s := range int64(8) {
		if !slices.Contains(covered, s+1) {
			t.Errorf("%q does not name %d", cards[0].Title, s+1)
		}
	}
}

func TestGapOfWhatIsNoMirroredPost(t *testing.T) {
	r := newRig(t)
	m := newMirror(r)
	r.append(guest(1))
	gap := func(o store.Outgoing) {
		t.Helper()
		o.Channel = auditChannel
		if err := r.store.Update(t.Context(), func(tx store.Tx) error { return m.Gap(tx, o, "refused") }); err != nil {
			t.Fatal(err)
		}
	}
	gap(store.Outgoing{Key: keyCheckpoint + "8", Card: []byte(`{}`)})
	if len(r.store.rows) != 1 || len(r.store.out) != 0 {
		t.Error("a refused checkpoint leaves no gap")
	}
	gap(store.Outgoing{Key: "audit/run/3", Card: []byte(`{"footer":"as of audit 1"}`)})
	gap(store.Outgoing{Card: []byte(`rubbish`)})
	cards, _ := r.take(auditChannel)
	if len(cards) != 1 || cards[0].Title != "gap: audit 1 could not be shown here" || cards[0].Footer != "audit 2-3" {
		t.Errorf("%+v", cards)
	}
	list, err := r.log.Records(t.Context(), bot.RecordFilter{})
	if err != nil || list[1].Detail["card"] != "audit/run/3" || list[0].Detail["cause"] != "refused; what it told of cannot be read" {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestSpans(t *testing.T) {
	var s spans
	for _, seq := range []int64{5, 1, 2, 9, 3, 5} {
		s = s.with(seq)
	}
	if s.String() != "1-3, 5, 9" || s.footer() != "audit 1-3, 5, 9" || parseFooter(s.footer()).String() != s.String() {
		t.Errorf("%v", s)
	}
	if got := s.atMost(2).String(); got != "1-5, 9" {
		t.Errorf("at most 2: %s", got)
	}
	if got := s.atMost(1).String(); got != "1-9" {
		t.Errorf("at most 1: %s", got)
	}
	for _, bad := range []string{"", "audit ", "audit x", "audit 3-1", "audit 1,2", "as of audit 3", "audit 1-x"} {
		if pairs, ok := Sequences(bad); ok {
			t.Errorf("%q gives %v", bad, pairs)
		}
	}
}
