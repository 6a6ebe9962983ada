// Package store holds the port to everything that survives a restart. Package
// store/storetest is the suite that every implementation passes.
package store

import (
	"context"
	"encoding/json"
	"time"

	"quarterdeck/bot"
)

// Store is a transactional store. Safe for concurrent use, also by several
// processes on the same database.
type Store interface {
	// Update runs f in one durable, serialised write transaction: when Update
	// returns nil, everything f wrote is on disk; when f or the commit fails,
	// nothing is, unless the Error wraps ErrUncertain. f must do no I/O of its own, may be run again after
	// another's failure, and must not keep tx. Several callers' f may share one
	// commit; when one fails, only what it wrote is undone.
	Update(ctx context.Context, f func(tx Tx) error) error
	// View runs f on a consistent snapshot.
	View(ctx context.Context, f func(r Reader) error) error
	Close() error
}

// Sealed is one record as stored: Body is the canonical JSON that was hashed,
// Hash is hex SHA-256 of Body, Text the erasable values beside it. The other
// fields are copies for searching.
type Sealed struct {
	Seq    int64
	At     time.Time
	Kind   bot.RecordKind
	Run    int64
	Target string
	Person string
	Body   []byte
	Hash   string
	// Latest is the greatest At of this record and all before it, as it is
	// searched by; set by the store.
	Latest time.Time
	Text   json.RawMessage // {"name":{"salt":"...","value":"..."}} or {"name":{"salt":"","erased":true}}
}

// Head is the end of the chain: the last record's sequence and hash. The zero
// Head is an empty log.
type Head struct {
	Seq  int64
	Hash string
}

// Inbound is one received message and what became of it.
type Inbound struct {
	ID       string // Message.ID
	Message  bot.Message
	State    InboxState
	Received time.Time
}

// InboxState says how far a received message got.
type InboxState string

// The closed set of inbox states.
const (
	InboxNew  InboxState = "new"  // durable, not yet acted on
	InboxDone InboxState = "done" // acted on, refused, or answered "not run"
)

// Outgoing is one card on its way to one place.
type Outgoing struct {
	ID      int64 // set by Enqueue, ascending
	Channel bot.ChannelID
	Thread  string        // the network's thread reference, when known
	Under   string        // the card key whose message is the thread's first, when Thread is not known
	To      bot.AccountID // private, for this account alone
	Key     string        // the card's key; "" for a card that is never edited
	Version int64
	Ordered bool // delivered strictly in order within its channel (the audit channel)
	Card    json.RawMessage
	Created time.Time
	NextAt  time.Time // not before
	Tries   int
}

// RunRow is one run as stored.
type RunRow struct {
	Number  int64
	Rev     int64 // counts writes; a write with a stale Rev is refused
	State   bot.RunState
	Target  string
	Person  string
	Slot    string // the slot it wants
	Holds   bool   // holds the slot; the store refuses a second holder
	Owner   string // who is calling the provider for it now, "" for nobody
	Lease   time.Time
	WakeAt  time.Time // when it next wants to be looked at; zero for never
	Body    json.RawMessage
	Created time.Time
}

// Shelf is a kind of stored values, other than records, that may repeat what
// people typed.
type Shelf string

// The closed set of shelves.
const (
	RunShelf      Shelf = "run"
	DocumentShelf Shelf = "document"
	InboxShelf    Shelf = "inbox"  // messages, also those that were acted on and not yet forgotten
	OutboxShelf   Shelf = "outbox" // cards that were not delivered yet
)

// Shelves gives them all.
func Shelves() []Shelf { return []Shelf{RunShelf, DocumentShelf, InboxShelf, OutboxShelf} }

// Body is one stored value and its place. ID is opaque but for two shelves: a
// run's is its number, a document's its kind and its ID with a line feed between.
type Body struct {
	Shelf Shelf
	ID    string
	Value []byte
}

// Purger is implemented by a Store whose files may still hold what was removed
// or replaced. Purge makes it unreadable there as far as the database can; it
// waits for a quiet moment for as long as ctx lasts, and says in its Error of
// kind Busy or Unavailable what kept it from doing so.
type Purger interface {
	Purge(ctx context.Context) error
}

// Reader reads a consistent snapshot.
type Reader interface {
	Head() (Head, error)
	// Record gives one record, or found false.
	Record(seq int64) (s Sealed, found bool, err error)
	// Records selects by filter, newest first.
	Records(f bot.RecordFilter) ([]Sealed, error)
	// RecordsFrom gives up to limit records with Seq >= seq, ascending.
	RecordsFrom(seq int64, limit int) ([]Sealed, error)

	Run(number int64) (r RunRow, found bool, err error)
	// Runs selects by filter, newest first.
	Runs(f bot.RunFilter) ([]RunRow, error)
	// RunsDue gives up to limit runs that are not settled, whose WakeAt has
	// come and whose lease, if any, has ended; longest waiting first.
	RunsDue(now time.Time, limit int) ([]RunRow, error)
	// SlotHolder gives the run that holds the slot.
	SlotHolder(slot string) (r RunRow, found bool, err error)
	// NextWake gives the earliest time at which RunsDue may give something.
	NextWake() (at time.Time, found bool, err error)

	Document(kind, id string) (d bot.Document, found bool, err error)
	// Documents gives up to limit documents of a kind whose ID starts with
	// prefix, by ascending ID; when last is set, the last ones by descending ID.
	Documents(kind, prefix string, limit int, last bool) ([]bot.Document, error)

	// Bodies gives up to limit values of a shelf whose ID comes after the given
	// one ("" for the first), ascending: so that every value can be looked at.
	Bodies(s Shelf, after string, limit int) ([]Body, error)

	// Unfinished gives up to limit messages in state InboxNew, oldest first.
	Unfinished(limit int) ([]Inbound, error)
	// OutgoingDue gives up to limit cards whose NextAt has come, by ID. Of
	// ordered cards only the first of each channel is given. Channels on which
	// somebody other than owner has a claim at now are left out, see Claim, and so
	// are those in except: however much waits for them, it hides nothing that is
	// due elsewhere.
	OutgoingDue(now time.Time, owner string, except []bot.ChannelID, limit int) ([]Outgoing, error)
	// NextOutgoing gives the earliest NextAt of what OutgoingDue could give,
	// whoever has claims.
	NextOutgoing() (at time.Time, found bool, err error)
}

// Tx is a write transaction; its reads see its writes. Methods give an Error
// of kind Conflict where a stated expectation does not hold.
type Tx interface {
	Reader
	// Append writes a record. Its Seq must be Head().Seq+1.
	Append(s Sealed) error
	// SetText replaces the erasable values beside a record.
	SetText(seq int64, text json.RawMessage) error
	// RemoveRecords removes the records up to through and gives how many there
	// were. The last record of the log stays, because the chain goes on from it:
	// where through is not before it, nothing is removed and it is a Conflict.
	RemoveRecords(through int64) (removed int64, err error)
	// Rewrite replaces b, as Bodies gave it, by value, whoever owns it: a run or
	// document gets a new Rev, so that who read it before writes in vain. What is
	// no longer as b says is a Conflict.
	Rewrite(b Body, value []byte) error

	// NextRun gives the next run number, starting at 1 and never reused.
	NextRun() (int64, error)
	// PutRun inserts a run with Rev 0, or replaces the one whose Rev matches,
	// and gives the new Rev. A second holder of a slot is a Conflict.
	PutRun(r RunRow) (rev int64, err error)

	// PutDocument writes d when the stored Rev equals d.Rev (0: not there
	// yet), and gives the new Rev; otherwise Conflict.
	PutDocument(d bot.Document) (rev int64, err error)
	// DeleteDocument removes the document; it is no error when it is not there.
	DeleteDocument(kind, id string) error

	// Receive stores a message in state InboxNew; fresh is false, and nothing
	// is written, when its ID was received before.
	Receive(m bot.Message) (fresh bool, err error)
	// Finish marks a message InboxDone; done is false when it already was,
	// which means that somebody else acted on it.
	Finish(id string) (done bool, err error)
	// Forget removes finished messages received before t.
	Forget(before time.Time) error

	// Enqueue adds a card and gives its ID. A pending card of the same
	// non-empty Key and Channel is replaced in place when its Version is
	// lower, and o is dropped when it is higher.
	Enqueue(o Outgoing) (int64, error)
	// Delivered removes an outgoing card, if it still has this Version.
	Delivered(id, version int64) error
	// Postpone sets when to try again and how often was tried.
	Postpone(id int64, next time.Time, tries int) error
}

// User is implemented by a provider that keeps what it has in the bot's own store.
// Use is called once, before the bot works by it.
type User interface{ Use(s Store) }

// Type is one row of the table of stores. Open is given what follows
// "SCHEME:" in the configured database.
type Type struct {
	Scheme string
	Open   func(ctx context.Context, dsn string) (Store, error)
	// OpenCopy opens what Copier wrote, to look at it without changing it; nil
	// where there are no such copies.
	OpenCopy func(ctx context.Context, path string) (Store, error)
	// Files gives the files of the database that dsn names, whether or not they
	// are there, the main one first; nil where it is not files.
	Files func(dsn string) ([]string, error)
}
