// Package page is the pager that is built in: it takes alerts in, makes few
// pages of them, tells the people who are on call, and goes on to others until
// somebody answers.
//
// Everything it knows is in the store. A change of a page, its record, its
// timers, its card and whom it has to tell share one commit, so that a process
// killed between any two steps leaves nothing half told: timers are absolute
// times in the store, and whoever comes next finds what is overdue first.
package page

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// The document kinds.
const (
	kindPage     = "page"           // ID: the number, zero-padded
	kindOpen     = "page-open"      // ID: as kindPage; those that are not resolved
	kindCount    = "page-count"     // ID: what is counted; body: the last number
	kindDue      = "page-due"       // ID: WHEN, then what is due; see timer
	kindEvent    = "page-event"     // ID: PAGE/SEQ
	kindGroup    = "alert-group"    // ID: the digest of its key
	kindAlert    = "alert"          // ID: START FINGERPRINT
	kindCalm     = "alert-calm"     // ID: WHEN GROUP; what resolved itself in time
	kindNotice   = "page-notice"    // ID: PAGE/SEQ/WAY; what waits for a second way out
	kindOverride = "page-override"  // ID: the number
	kindSettled  = "page-journal"   // ID: the key of a change that only the journal holds
	kindWatchdog = "alert-watchdog" // ID: its source
)

// State is where a page stands.
type State string

// The closed set of states.
const (
	Triggered    State = "triggered"    // somebody must take it
	Acknowledged State = "acknowledged" // somebody has it
	Snoozed      State = "snoozed"      // it comes back by itself
	Resolved     State = "resolved"
)

// Page is what a person must take. It is stored as JSON; fields are only added.
type Page struct {
	Number   int64      `json:"number"`
	State    State      `json:"state"`
	Title    string     `json:"title"`
	Summary  string     `json:"summary,omitempty"`
	Severity string     `json:"severity,omitempty"`
	Target   bot.Target `json:"target,omitzero"`
	Storm    bool       `json:"storm,omitempty"` // gathers what came when much came at once
	Source   string     `json:"source"`          // "alertmanager", "watchdog", or the person who opened it
	Link     string     `json:"link,omitempty"`
	Runbook  string     `json:"runbook,omitempty"`
	Policy   string     `json:"policy"` // of escalation

	// Groups counts the alerts that fire, by group.
	Groups map[string]int `json:"groups,omitempty"`
	Alerts int            `json:"alerts,omitempty"` // how many there were

	Opened   time.Time `json:"opened"`
	Holder   string    `json:"holder,omitempty"` // who acknowledged it
	Acked    time.Time `json:"acked,omitzero"`
	Resolved time.Time `json:"resolved,omitzero"`
	By       string    `json:"by,omitempty"` // who resolved it

	// Level and Round say how far it was escalated; Asked who was told last.
	Level int      `json:"level"`
	Round int      `json:"round"`
	Asked []string `json:"asked,omitempty"`
	// Due is when it next does something by itself, and Timer the document that
	// says so; zero for never.
	Due   time.Time `json:"due,omitzero"`
	Timer string    `json:"timer,omitempty"`

	Changes []string          `json:"changes,omitempty"` // what changed at the target last, a line each
	Release string            `json:"release,omitempty"` // digest of the newest run that changed the release there
	Back    bool              `json:"back,omitempty"`    // the target can be rolled back
	Seen    int64             `json:"seen,omitempty"`    // the newest run of the target that was told of
	Grown   time.Time         `json:"grown,omitzero"`    // when it was last told that there are more alerts
	Key     string            `json:"key,omitempty"`     // of the operation that changed it last
	Events  int               `json:"events"`
	Version int64             `json:"version"` // of its card
	Places  []bot.ChannelID   `json:"places"`  // where the card is
	Tokens  map[string]string `json:"tokens,omitempty"`

	rev int64
}

// Firing gives how many alerts of the page fire.
func (p *Page) Firing() (n int) {
	for _, count := range p.Groups {
		n += count
	}
	return n
}

// Open reports whether the page still needs somebody.
func (p *Page) Open() bool { return p.State != Resolved }

// Name says which page it is: "page 12 (shop/prod): HighErrorRate".
func (p *Page) Name() string {
	s := fmt.Sprintf("page %d", p.Number)
	if p.Target != (bot.Target{}) {
		s += " (" + p.Target.String() + ")"
	}
	return s + ": " + p.Title
}

// Resources is what a right to act on the page is asked about: the page, and its
// target where it has one, so that grants and denies about a target hold for its
// pages.
func (p *Page) Resources() []bot.Resource {
	all := []bot.Resource{Resource(p.Number)}
	if p.Target != (bot.Target{}) {
		all = append(all, p.Target.Resource())
	}
	return all
}

// Resource gives "page:12".
func Resource(number int64) bot.Resource {
	return bot.Resource(bot.KindPage + ":" + strconv.FormatInt(number, 10))
}

// CardKey gives the key of a page's card.
func CardKey(number int64) string { return "page/" + strconv.FormatInt(number, 10) }

// Alert is one alert of a monitor. Its identity is Fingerprint and StartsAt.
type Alert struct {
	Fingerprint string            `json:"fingerprint"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	StartsAt    time.Time         `json:"starts_at"`
	EndsAt      time.Time         `json:"ends_at,omitzero"`
	Resolved    bool              `json:"resolved,omitempty"`
	Link        string            `json:"link,omitempty"`
	Group       string            `json:"group"`
	Received    time.Time         `json:"received"`
}

func (a Alert) id() string { return fmt.Sprintf("%010x %s", max(a.StartsAt.Unix(), 0), a.Fingerprint) }

// group is the alerts that a monitor sends together, while any of them fires.
type group struct {
	ID       string            `json:"id"`
	Key      string            `json:"key"`
	Source   string            `json:"source"`
	Target   bot.Target        `json:"target,omitzero"`
	Title    string            `json:"title"`
	Summary  string            `json:"summary,omitempty"`
	Severity string            `json:"severity,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Link     string            `json:"link,omitempty"`
	Runbook  string            `json:"runbook,omitempty"`
	Firing   int               `json:"firing"`
	Alerts   int               `json:"alerts"`
	First    time.Time         `json:"first"`
	Page     int64             `json:"page,omitempty"` // 0 while it may still resolve itself
	Timer    string            `json:"timer,omitempty"`

	rev int64
}

// EventKind is what happened to a page.
type EventKind string

// The closed set of events.
const (
	Opened      EventKind = "opened"
	Joined      EventKind = "joined" // more alerts
	Notified    EventKind = "notified"
	Escalated   EventKind = "escalated"
	Unanswered  EventKind = "unanswered"
	Acked       EventKind = "acknowledged"
	Retriggered EventKind = "triggered again"
	Postponed   EventKind = "snoozed"
	Ended       EventKind = "resolved"
	Noted       EventKind = "note"
	Updated     EventKind = "update"
	Changed     EventKind = "change" // a run at the target ended
	NotTold     EventKind = "not told"
)

// Event is one entry of a page's story.
type Event struct {
	Kind   EventKind `json:"kind"`
	At     time.Time `json:"at"`
	Person string    `json:"person,omitempty"` // "" for what came by itself
	Text   string    `json:"text"`
	Run    int64     `json:"run,omitempty"`
}

func pageID(number int64) string { return fmt.Sprintf("%012d", number) }

// timer gives the name of the document by which something is due at a time: those
// that are due first come first.
func timer(at time.Time, what string) string {
	return fmt.Sprintf("%016x %s", max(at.UnixMicro(), 0), what)
}

func timerOf(id string) (at time.Time, what string, ok bool) {
	when, what, ok := strings.Cut(id, " ")
	us, err := strconv.ParseInt(when, 16, 64)
	return time.UnixMicro(us).UTC(), what, ok && err == nil
}

// get reads a document into dst; found is false when there is none.
func get(r store.Reader, kind, id string, dst any) (rev int64, found bool, err error) {
	d, found, err := r.Document(kind, id)
	if err != nil || !found {
		return 0, false, err
	}
	if err := json.Unmarshal(d.Body, dst); err != nil {
		return 0, false, fmt.Errorf("decode %s %s: %w", kind, id, err)
	}
	return d.Rev, true, nil
}

// put writes a document over the revision that was read.
func put(tx store.Tx, kind, id string, rev int64, due time.Time, body any) (int64, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return 0, fmt.Errorf("encode %s %s: %w", kind, id, err)
	}
	return tx.PutDocument(bot.Document{Kind: kind, ID: id, Rev: rev, Due: due, Body: raw})
}

// set writes a document whatever it was.
func set(tx store.Tx, kind, id string, due time.Time, body any) error {
	d, _, err := tx.Document(kind, id)
	if err != nil {
		return err
	}
	_, err = put(tx, kind, id, d.Rev, due, body)
	return err
}

// next counts: 1, 2, ...
func next(tx store.Tx, what string) (n int64, err error) {
	rev, _, err := get(tx, kindCount, what, &n)
	if err != nil {
		return 0, err
	}
	n++
	_, err = put(tx, kindCount, what, rev, time.Time{}, n)
	return n, err
}

func readPage(r store.Reader, number int64) (*Page, error) {
	p := &Page{}
	rev, found, err := get(r, kindPage, pageID(number), p)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, bot.Errorf(bot.NotFound, "there is no page %d; page list shows those that are open", number)
	}
	p.rev = rev
	return p, nil
}

// maxOpen bounds how many open pages are looked through.
const maxOpen = 1000

// openPages gives the pages that are not resolved, oldest first.
func openPages(r store.Reader) ([]*Page, error) {
	docs, err := r.Documents(kindOpen, "", maxOpen, false)
	if err != nil {
		return nil, err
	}
	pages := make([]*Page, 0, len(docs))
	for _, d := range docs {
		n, err := strconv.ParseInt(d.ID, 10, 64)
		if err != nil {
			continue
		}
		p, err := readPage(r, n)
		if err != nil {
			return nil, err
		}
		pages = append(pages, p)
	}
	return pages, nil
}

// bounded keeps at most n of a list's texts, each cut to a line that fits a card.
func cut(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-3], "") + "..."
}

func addOnce[T comparable](list []T, more ...T) []T {
	for _, m := range more {
		if !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	return list
}
