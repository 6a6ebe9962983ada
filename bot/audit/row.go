package audit

import (
	"strconv"
	"strings"
	"time"

	"quarterdeck/bot"
)

// Section is the part of a Book that a Row stands in.
type Section string

// The closed set of sections, in the order in which a Book is read.
const (
	SectionChange   Section = "change"   // a run: what was to be changed, by whom, with what outcome
	SectionDenial   Section = "denial"   // an attempt that was refused
	SectionOverride Section = "override" // a guard that somebody passed, with their words
	SectionReview   Section = "review"   // what was done first and has to be looked at after
	SectionObserved Section = "observed" // a change that was made without the bot
	SectionRule     Section = "rule"     // one rule or setting in force when the period began
	SectionSettings Section = "settings" // a change of people, rules or settings, and erasures
)

// Sections gives the sections in their order.
func Sections() []Section {
	return []Section{SectionChange, SectionDenial, SectionOverride, SectionReview, SectionObserved, SectionRule, SectionSettings}
}

// Row is one line of a Book. Which fields are filled depends on its section;
// what is not known, or was erased, is "" or says so.
type Row struct {
	Section Section `json:"section"`
	// At is when it was asked, refused, passed, noticed or changed.
	At      time.Time `json:"at"`
	Run     int64     `json:"run,omitempty"`
	Who     string    `json:"who,omitempty"`     // the person, or what the network vouches for
	Account string    `json:"account,omitempty"` // the stable id it was asked from
	Verb    string    `json:"verb,omitempty"`
	Target  string    `json:"target,omitempty"`
	What    string    `json:"what,omitempty"` // the summary, or the line as it was typed
	From    string    `json:"from,omitempty"` // what was there before, from the Spec that was approved
	To      string    `json:"to,omitempty"`
	// Confirmed and Approved name who said yes, from which account and when.
	Confirmed  string    `json:"confirmed,omitempty"`
	Approved   string    `json:"approved,omitempty"`
	Rule       string    `json:"rule,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	Override   string    `json:"override,omitempty"`
	BreakGlass string    `json:"break_glass,omitempty"`
	ApprovedAt time.Time `json:"approved_at,omitzero"` // the last approval
	Started    time.Time `json:"started,omitzero"`
	Ended      time.Time `json:"ended,omitzero"`
	State      string    `json:"state,omitempty"`
	Result     string    `json:"result,omitempty"`
	// Records are the sequences of the records that bear it out: "41-43, 45".
	Records string `json:"records,omitempty"`
}

// columns is the header of the CSV form; it is stable: columns are only ever
// added at the end.
func columns() []string {
	return []string{"section", "at", "run", "who", "account", "verb", "target", "what", "from", "to", "confirmed", "approved",
		"rule", "reason", "override", "break_glass", "approved_at", "started", "ended", "state", "result", "records"}
}

// cells gives the row in the order of columns.
func (r Row) cells() []string {
	run := ""
	if r.Run != 0 {
		run = strconv.FormatInt(r.Run, 10)
	}
	return []string{string(r.Section), instant(r.At), run, r.Who, r.Account, r.Verb, r.Target, r.What, r.From, r.To, r.Confirmed, r.Approved,
		r.Rule, r.Reason, r.Override, r.BreakGlass, instant(r.ApprovedAt), instant(r.Started), instant(r.Ended), r.State, r.Result, r.Records}
}

// instant writes a time in UTC to the second; "" for the zero time.
func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// erased stands where a value was erased on purpose.
const erasedMark = "[erased]"

// words gives a value that people typed, whole.
func words(r bot.Record, name string) string {
	for _, e := range r.Erased {
		if e == name {
			return erasedMark
		}
	}
	return strings.TrimSpace(r.Text[name])
}

// spoken is words for what records of the first versions hold in Detail.
func spoken(r bot.Record, name string) string {
	return orElse(words(r, name), strings.TrimSpace(r.Detail[name]))
}

// breakGlass gives the words with which somebody acted before anybody agreed;
// "" when a record does not tell of that.
func breakGlass(r bot.Record) string {
	if r.Kind != bot.OverriddenKind || r.Detail["break_glass"] == "" {
		return ""
	}
	return orElse(words(r, "override"), "without a word")
}
