package page

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/notify"
	"quarterdeck/bot/oncall"
	"quarterdeck/bot/run"
	"quarterdeck/bot/store"
)

// Recorder writes audit records inside a transaction and hides secrets.
type Recorder interface {
	Append(tx store.Tx, r bot.Record) (store.Head, error)
	Redact(s string) string
}

// Config is what a Keeper works with. All fields are needed except those that say
// otherwise.
type Config struct {
	Store    store.Store
	Recorder Recorder
	Clock    bot.Clock
	IDs      bot.IDs
	Logger   *slog.Logger
	Posted   func() // called after cards were enqueued
	// Settings gives what is configured now; nil where there is no pager.
	Settings func() *Settings
	// Known, when set, says what is known of a target now; it reads only.
	Known func(ctx context.Context, t bot.Target) (Known, error)
	// Direct, when set, gives the channel by which an account alone is written to.
	Direct func(a bot.AccountID) (bot.ChannelID, bool)
	// Deliver, when set, hands a card to its network at once, for when the store
	// cannot be written.
	Deliver func(ctx context.Context, d bot.Delivery) (ref string, err error)
	Zone    func() bot.Zone
	// Owner tells this start of this process from all others.
	Owner string
}

// Known is what a page's card tells of its target.
type Known struct {
	Changes []string // newest first, a line each
	Release string   // digest of the newest run that changed the release
	Newest  int64    // the newest run that has ended, 0 for none
	Ended   string   // what to say of it
}

// Keeper keeps pages and tells people of them. Safe for concurrent use.
type Keeper struct {
	Config
	wake chan struct{}

	mu    sync.Mutex
	open  map[int64]*Page       // as they were read last
	known map[bot.Target]Known  // as it was looked up last
	off   map[int64]*unrecorded // while the store cannot be written
	acks  map[int64]offLogAck   // noted in the emergency journal alone
	over  []oncall.Override     // as they were read last
	sends map[string]time.Time  // notices on their way from here

}

// New makes a Keeper; Run makes it work.
func New(c Config) *Keeper {
	if c.Zone == nil {
		c.Zone = func() bot.Zone { return bot.Zone{} }
	}
	if c.Posted == nil {
		c.Posted = func() {}
	}
	return &Keeper{Config: c, wake: make(chan struct{}, 1), open: map[int64]*Page{}, known: map[bot.Target]Known{}, off: map[int64]*unrecorded{},
		acks: map[int64]offLogAck{}, sends: map[string]time.Time{}}
}

// Wake makes the Keeper look for what is due now.
func (k *Keeper) Wake() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// errNoPager is what is said where no pager is configured.
func errNoPager() error {
	return bot.Errorf(bot.Invalid, "no pager is configured; add [pager] to the configuration")
}

func (k *Keeper) settings() (*Settings, error) {
	if k == nil || k.Settings == nil {
		return nil, errNoPager()
	}
	s := k.Settings()
	if s == nil {
		return nil, errNoPager()
	}
	return s, nil
}

// Get gives one page, or an Error of kind NotFound. Where the store cannot be read
// it gives the page as it was read last.
func (k *Keeper) Get(ctx context.Context, number int64) (p *Page, err error) {
	if _, err := k.settings(); err != nil {
		return nil, err
	}
	err = k.Store.View(ctx, func(r store.Reader) (err error) {
		p, err = readPage(r, number)
		return err
	})
	if kind := bot.KindOf(err); err != nil && kind != bot.NotFound {
		k.mu.Lock()
		defer k.mu.Unlock()
		if seen := k.open[number]; seen != nil {
			return seen, nil
		}
	}
	return p, err
}

// Open gives the pages that are not resolved, oldest first.
func (k *Keeper) Open(ctx context.Context) (pages []*Page, err error) {
	if _, err := k.settings(); err != nil {
		return nil, err
	}
	err = k.Store.View(ctx, func(r store.Reader) (err error) {
		pages, err = openPages(r)
		return err
	})
	if err != nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		for _, n := range slices.Sorted(maps.Keys(k.open)) {
			pages = append(pages, k.open[n])
		}
		if len(pages) > 0 {
			return pages, nil
		}
	}
	return pages, err
}

// Latest gives the newest pages, open or not, newest first.
func (k *Keeper) Latest(ctx context.Context, limit int) (pages []*Page, err error) {
	if _, err := k.settings(); err != nil {
		return nil, err
	}
	err = k.Store.View(ctx, func(r store.Reader) error {
		pages = nil
		docs, err := r.Documents(kindPage, "", limit, true)
		if err != nil {
			return err
		}
		for _, d := range docs {
			p := &Page{rev: d.Rev}
			if err := json.Unmarshal(d.Body, p); err != nil {
				return fmt.Errorf("decode page %s: %w", d.ID, err)
			}
			pages = append(pages, p)
		}
		return nil
	})
	return pages, err
}

// maxEvents bounds how much of one page's story is read.
const maxEvents = 500

// Events gives a page's story, oldest first.
func (k *Keeper) Events(ctx context.Context, number int64) (events []Event, err error) {
	err = k.Store.View(ctx, func(r store.Reader) error {
		events = nil
		docs, err := r.Documents(kindEvent, pageID(number)+"/", maxEvents, false)
		if err != nil {
			return err
		}
		for _, d := range docs {
			var e Event
			if err := json.Unmarshal(d.Body, &e); err != nil {
				return fmt.Errorf("decode event %s: %w", d.ID, err)
			}
			events = append(events, e)
		}
		return nil
	})
	return events, err
}

// Calmed counts the groups of alerts that resolved themselves before anybody was
// paged, since a time.
func (k *Keeper) Calmed(ctx context.Context, since time.Time) (n int, err error) {
	err = k.Store.View(ctx, func(r store.Reader) error {
		n = 0
		docs, err := r.Documents(kindCalm, "", 1000, true)
		for _, d := range docs {
			if at, _, ok := timerOf(d.ID); ok && at.After(since) {
				n++
			}
		}
		return err
	})
	return n, err
}

// Held gives the number of an open page on the target that the person has
// acknowledged, 0 for none.
func Held(r store.Reader, t bot.Target, person string) (int64, error) {
	pages, err := openPages(r)
	if err != nil || t == (bot.Target{}) || person == "" {
		return 0, err
	}
	for _, p := range pages {
		if p.Target == t && p.Holder == person {
			return p.Number, nil
		}
	}
	return 0, nil
}

// create opens a page within tx and asks the first level.
func (k *Keeper) create(tx store.Tx, s *Settings, p *Page, e Event) error {
	number, err := next(tx, "page")
	if err != nil {
		return err
	}
	p.Number, p.State, p.Opened, p.Places = number, Triggered, k.Clock.Now(), []bot.ChannelID{s.Channel}
	p.Title, p.Summary = cut(p.Title, 120), cut(p.Summary, 500)
	if one, ok := s.service(p.Target); ok {
		p.Back = one.Back
		if p.Runbook == "" {
			p.Runbook = one.Runbook
		}
		if p.Policy == "" {
			p.Policy = one.Escalation
		}
	}
	if p.Policy == "" {
		p.Policy = s.Escalation
	}
	k.fill(p)
	if err := k.ask(tx, s, p); err != nil {
		return err
	}
	e.Kind, e.Text = Opened, p.Name()
	asked := p.asked()
	if err := k.write(tx, s, p, e, nil); err != nil {
		return err
	}
	return k.write(tx, s, p, Event{Kind: Notified, Text: asked}, nil)
}

func (p *Page) asked() string {
	if len(p.Asked) == 0 {
		return "nobody could be asked; it goes to the wider channel"
	}
	return fmt.Sprintf("asked %s (level %d)", strings.Join(p.Asked, ", "), p.Level+1)
}

// fill puts what is known of the target into the page.
func (k *Keeper) fill(p *Page) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if known, ok := k.known[p.Target]; ok {
		p.Changes, p.Release = known.Changes, known.Release
		p.Seen = max(p.Seen, known.Newest)
	}
}

// write writes a changed page within tx: what happened to it, the record of that,
// its timer and its card. mention are accounts that are to be told of it at once;
// an event without a kind changes nothing but the card.
func (k *Keeper) write(tx store.Tx, s *Settings, p *Page, e Event, mention []bot.AccountID) error {
	now := k.Clock.Now()
	e.At = now
	e.Text = k.Recorder.Redact(e.Text)
	if e.Kind != "" {
		p.Events++
		if err := set(tx, kindEvent, fmt.Sprintf("%s/%06d", pageID(p.Number), p.Events), time.Time{}, e); err != nil {
			return err
		}
		rec := bot.Record{Kind: bot.Step, At: now, Run: e.Run, Person: e.Person, Verb: "page", Target: p.Target.String(), Resources: p.Resources(),
			Detail: map[string]string{"page": fmt.Sprint(p.Number), "event": string(e.Kind), "state": string(p.State)},
			Text:   map[string]string{"result": fmt.Sprintf("page %d: %s", p.Number, e.Text), "progress": fmt.Sprintf("page %d: %s", p.Number, e.Text)}}
		if _, err := k.Recorder.Append(tx, rec); err != nil {
			return err
		}
	}
	if err := k.retime(tx, p); err != nil {
		return err
	}
	if p.Open() {
		if err := set(tx, kindOpen, pageID(p.Number), time.Time{}, struct{}{}); err != nil {
			return err
		}
	} else if err := tx.DeleteDocument(kindOpen, pageID(p.Number)); err != nil {
		return err
	}
	if err := k.show(tx, s, p, mention); err != nil {
		return err
	}
	if e.Kind != "" && e.Kind != Opened {
		who := e.Person
		if who != "" {
			who += ": "
		}
		if err := k.post(tx, s.Channel, CardKey(p.Number), bot.Card{Text: who + e.Text}); err != nil {
			return err
		}
	}
	rev, err := put(tx, kindPage, pageID(p.Number), p.rev, p.Due, p)
	if err != nil {
		return err
	}
	p.rev = rev
	return nil
}

// retime brings the page's timer to its Due.
func (k *Keeper) retime(tx store.Tx, p *Page) error {
	want := ""
	if !p.Due.IsZero() && p.Open() {
		want = timer(p.Due, "page/"+pageID(p.Number))
	}
	if want == p.Timer {
		return nil
	}
	if p.Timer != "" {
		if err := tx.DeleteDocument(kindDue, p.Timer); err != nil {
			return err
		}
	}
	if p.Timer = want; want == "" {
		return nil
	}
	return set(tx, kindDue, want, p.Due, struct{}{})
}

// show enqueues the page's card in a new version wherever it is.
func (k *Keeper) show(tx store.Tx, s *Settings, p *Page, mention []bot.AccountID) error {
	p.Version++
	card := k.card(s, p)
	p.Tokens = maps.Clone(p.Tokens)
	if p.Tokens == nil {
		p.Tokens = map[string]string{}
	}
	if err := run.Offer(tx, k.IDs, k.Clock.Now(), run.Press{Key: card.Key, Places: p.Places, Card: p.Version}, p.Release, &card, p.Tokens); err != nil {
		return err
	}
	if p.Version == 1 {
		for _, name := range p.Asked {
			mention = addOnce(mention, s.Persons[name].Accounts...)
		}
	}
	card.Mention = mention
	for _, place := range p.Places {
		if err := k.enqueue(tx, place, "", card); err != nil {
			return err
		}
	}
	return nil
}

// post enqueues a card that is never edited; under is the key of the card in whose
// thread it goes.
func (k *Keeper) post(tx store.Tx, c bot.ChannelID, under string, card bot.Card) error {
	if c == "" {
		return nil
	}
	return k.enqueue(tx, c, under, card)
}

func (k *Keeper) enqueue(tx store.Tx, c bot.ChannelID, under string, card bot.Card) error {
	card = card.Each(k.Recorder.Redact)
	body, err := json.Marshal(card)
	if err != nil {
		return fmt.Errorf("encode card %s: %w", card.Key, err)
	}
	now := k.Clock.Now()
	_, err = tx.Enqueue(store.Outgoing{Channel: c, Under: under, Key: card.Key, Version: card.Version, Card: body, Created: now, NextAt: now})
	return err
}

// notice is one notice on its way by a second way out.
type notice struct {
	notify.Notice
	Way   string    `json:"way"`
	Since time.Time `json:"since"`
	Tries int       `json:"tries,omitempty"`
}
