package bot

import (
	"context"
	"time"
)

// RecordKind is what happened.
type RecordKind string

// The closed set of record kinds, persisted in the log.
const (
	Requested      RecordKind = "requested"
	DeniedRecord   RecordKind = "denied"
	ConfirmedKind  RecordKind = "confirmed" // by the asker
	Approved       RecordKind = "approved"  // by another person
	Started        RecordKind = "started"
	Step           RecordKind = "step"
	SucceededKind  RecordKind = "succeeded"
	FailedKind     RecordKind = "failed"
	CancelledKind  RecordKind = "cancelled"
	ExpiredKind    RecordKind = "expired"
	UnknownKind    RecordKind = "unknown"
	OverriddenKind RecordKind = "overridden"
	ReviewedKind   RecordKind = "reviewed"
	ObservedKind   RecordKind = "observed"
	ConfiguredKind RecordKind = "configured"
)

// RecordVersion is the version of the record schema that new records are
// written in.
const RecordVersion = 1

// Record is one entry of the audit log. Its canonical form is its JSON with
// fields in this order; that text is stored as written and is what the hash
// chain covers. Text holds what people typed and programs printed: values that
// may have to be erased one day. They are not in the hashed text; Commit holds
// a salted SHA-256 of each instead.
type Record struct {
	V          int               `json:"v"`
	Seq        int64             `json:"seq"`
	At         time.Time         `json:"at"`
	Kind       RecordKind        `json:"kind"`
	Request    string            `json:"request,omitempty"`
	Run        int64             `json:"run,omitempty"`
	Account    AccountID         `json:"account,omitempty"`
	Standing   Standing          `json:"standing,omitempty"`
	Person     string            `json:"person,omitempty"`
	Channel    ChannelID         `json:"channel,omitempty"`
	Message    string            `json:"message,omitempty"`
	Verb       string            `json:"verb,omitempty"`
	Permission Permission        `json:"permission,omitempty"`
	Target     string            `json:"target,omitempty"`
	Resources  []Resource        `json:"resources,omitempty"`
	Read       bool              `json:"read,omitempty"` // nothing was to be changed
	Spec       string            `json:"spec,omitempty"` // digest
	Rule       string            `json:"rule,omitempty"`
	Error      Kind              `json:"error,omitempty"`
	Detail     map[string]string `json:"detail,omitempty"` // facts without personal data: from, to, state, key
	Commit     map[string]string `json:"commit,omitempty"` // name -> base64url SHA-256(salt, value)
	Prev       string            `json:"prev"`             // hash of the record before; "" for the first

	// Text is kept beside the hashed text: "line", "summary", "reason",
	// "result", ...
	Text map[string]string `json:"-"`
	// Erased names the Text values that were erased on purpose.
	Erased []string `json:"-"`
}

// Words gives what a record says under name that people may have typed: a
// "summary", "passed", "why" or "answer". They are in Text, so that they can be
// erased; records of the first versions hold them in Detail.
func (r Record) Words(name string) string {
	if s := r.Text[name]; s != "" {
		return s
	}
	return r.Detail[name]
}

// RecordFilter selects records; zero fields select all. Newest first.
type RecordFilter struct {
	Target string
	Person string
	Kind   RecordKind
	Run    int64
	Since  time.Time
	Limit  int // 0 means 20
}

// Log reads the audit log. Safe for concurrent use.
type Log interface {
	Records(ctx context.Context, f RecordFilter) ([]Record, error)
}

// ArchiveMark says where the archive of old records ends.
type ArchiveMark struct {
	Seq    int64     // the last record that was moved there; 0 for none
	Latest time.Time // the greatest time of those moved
}

// Archived is implemented by a Log whose old records may have been moved to an
// archive, where Records does not find them.
type Archived interface {
	Archived(ctx context.Context) (ArchiveMark, error)
}
