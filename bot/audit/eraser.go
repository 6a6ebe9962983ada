package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// Eraser erases values that should never have been recorded, wherever they are
// kept. All fields are needed except Archive, Journal and Files.
type Eraser struct {
	Store store.Store
	Log   *Log
	Key   Key
	// Seal marks the rows of runs, which are marked anew; RunSeal names one.
	Seal    store.Seal
	RunSeal func(number int64) string
	// Channels are the audit channels, which cannot be reached from here.
	Channels []bot.ChannelID
	// Archive is the folder of archived segments; "" for none.
	Archive string
	// Journal is the emergency journal's file, which is looked at and left alone;
	// "" for none.
	Journal string
	// Files, when set, takes what replace takes out of texts out of what is kept on
	// this machine outside the database, and names the places; with dryRun it
	// changes nothing. It is called again with the same replace.
	Files func(ctx context.Context, replace func(string) string, dryRun bool) (places []string, err error)
}

// Erasure says what to erase: one value of one record, and whatever repeats it,
// or whatever a pattern matches.
type Erasure struct {
	Seq      int64
	Field    string
	Matching *regexp.Regexp // when set, Seq and Field say nothing
	// Here leaves alone what repeats the value elsewhere.
	Here   bool
	Reason string
	By     bot.Identity
	// DryRun looks and changes nothing.
	DryRun bool
}

// Erased says what was erased, or would be, and what has to be done by hand.
type Erased struct {
	Values  []string // of records: "record 12: line"
	Places  []string // that repeated them: "run #4", "document press x"
	ByHand  []string // sentences
	Records int64    // how many records tell of it
	Purged  bool     // the old bytes were taken out of the database's files
}

// hit is one value of one record that is to be erased.
type hit struct {
	rec   store.Sealed
	name  string
	value string
	in    string // the segment, when it is in the archive
}

// rewrite is a stored value that repeats what is erased, and what it becomes.
type rewrite struct {
	is store.Body
	to []byte
}

// maxHits bounds how much is erased at once: more is a pattern that matches too
// much.
const maxHits = 10_000

// Erase finds what e is about and erases it: the values of records are replaced
// by a mark, with a record of kind configured for each that says who and why
// and never what, and what repeats them loses the matching text. All of the
// database's part shares one commit. What it cannot reach is named in ByHand.
// A value that is not there is an Error of kind NotFound; one that belongs to a
// run that has not ended is a Conflict.
func (e *Eraser) Erase(ctx context.Context, what Erasure) (done Erased, err error) {
	const tries = 20
	for range tries { // a bot that serves writes meanwhile what is to be rewritten
		if done, err = e.try(ctx, what); !errors.Is(err, errRaced) {
			break
		}
	}
	return done, err
}

// errRaced says that something was written between look and erasure; nothing was
// changed then.
var errRaced = errors.New("it was written to meanwhile")

func (e *Eraser) try(ctx context.Context, what Erasure) (done Erased, err error) {
	replace, hits, err := e.find(ctx, what)
	if err != nil {
		return Erased{}, err
	}
	if replace != nil && replace(what.Reason) != what.Reason {
		return Erased{}, bot.Errorf(bot.Invalid, "the reason holds what is to be erased; the record of the erasure would keep it")
	}
	var bodies []rewrite
	var files []string
	if replace != nil && !what.Here {
		if bodies, err = e.bodies(ctx, replace, &done); err != nil {
			return Erased{}, err
		}
		if e.Files != nil {
			if files, err = e.Files(ctx, replace, true); err != nil {
				return Erased{}, err
			}
		}
	} else if !what.Here {
		done.ByHand = append(done.ByHand, "the value is too short to be told from chance elsewhere; only its record was looked at: find what repeats it with --matching")
	}
	if err := e.byHand(ctx, hits, replace, &done); err != nil {
		return Erased{}, err
	}
	if len(hits) == 0 && len(bodies) == 0 && len(files) == 0 {
		if len(done.ByHand) > 0 {
			return done, bot.Errorf(bot.NotFound, "nothing that can be erased matches")
		}
		return Erased{}, bot.Errorf(bot.NotFound, "nothing that is kept matches")
	}
	done.ByHand = append(done.ByHand, "copies that were made before keep it: exports, reports, backups of the database, the platform's own logs; what other machines that run this bot keep of their operations is erased by the same there")
	for _, h := range hits {
		if h.rec.Run != 0 {
			if err := e.ended(ctx, h.rec.Run); err != nil {
				return Erased{}, err
			}
		}
		s := fmt.Sprintf("record %d: %s", h.rec.Seq, h.name)
		if h.in != "" {
			s += " (archived)"
		}
		done.Values = append(done.Values, s)
	}
	for _, b := range bodies {
		done.Places = append(done.Places, placeName(b.is))
	}
	done.Places = append(done.Places, files...)
	if what.DryRun {
		return done, nil
	}
	done.Records = int64(len(hits))
	if len(bodies)+len(files) > 0 && len(hits) == 0 {
		done.Records = 1
	}
	err = e.apply(ctx, what, hits, bodies, len(bodies)+len(files))
	if bot.KindOf(err) == bot.Conflict {
		return Erased{}, &bot.Error{Op: "audit.erase", Kind: bot.Conflict, Err: errors.Join(errRaced, err),
			Say: "what is to be erased was written to again and again; nothing was erased, try again in a moment"}
	}
	if err != nil {
		return Erased{}, err
	}
	if len(files) > 0 {
		if _, err := e.Files(ctx, replace, false); err != nil {
			return done, err
		}
	}
	if e.Archive != "" {
		if err := e.segments(hits); err != nil {
			return done, err
		}
	}
	if p, ok := e.Store.(store.Purger); ok {
		if err := p.Purge(ctx); err != nil {
			return done, err
		}
		done.Purged = true
	}
	return done, nil
}

// find gives the values of records that are to be erased, and the function that
// takes them out of a text; nil when they cannot be looked for elsewhere.
func (e *Eraser) find(ctx context.Context, what Erasure) (replace func(string) string, hits []hit, err error) {
	if what.Matching != nil {
		if what.Matching.MatchString("") {
			return nil, nil, bot.Errorf(bot.Invalid, "the pattern matches the empty text, and so everything; write one that matches what is to be erased")
		}
		replace = func(s string) string { return what.Matching.ReplaceAllString(s, erasedMark) }
	} else {
		h, err := e.one(ctx, what.Seq, what.Field)
		if err != nil {
			return nil, nil, err
		}
		hits, replace = []hit{h}, literal(h.value)
		if replace == nil || what.Here {
			return replace, hits, nil
		}
	}
	seen := map[valueName]bool{}
	for _, h := range hits {
		seen[valueName{h.rec.Seq, h.name}] = true
	}
	look := func(rec store.Sealed, in string) error {
		values, err := decodeText(rec.Text)
		if err != nil {
			return nil // verify names it
		}
		for _, name := range sortedKeys(values) {
			v, n := values[name], valueName{rec.Seq, name}
			if !v.Erased && !seen[n] && replace(v.Value) != v.Value {
				seen[n] = true
				if hits = append(hits, hit{rec, name, v.Value, in}); len(hits) > maxHits {
					return bot.Errorf(bot.Invalid, "more than %d values match; write a pattern that matches less", maxHits)
				}
			}
		}
		return nil
	}
	if err := each(ctx, e.Store, 1, func(rec store.Sealed) error { return look(rec, "") }); err != nil {
		return nil, nil, err
	}
	return replace, hits, e.inArchive(look)
}

// inArchive calls f with every archived record and the segment it lies in.
func (e *Eraser) inArchive(f func(rec store.Sealed, in string) error) error {
	if e.Archive == "" {
		return nil
	}
	list, err := segments(e.Archive, func(string, error) {})
	if bot.KindOf(err) == bot.NotFound {
		return nil // nothing was archived yet
	}
	if err != nil {
		return err
	}
	for _, s := range list {
		var failed error
		_, err := s.lines(func(line []byte) error {
			if rec, ok := decodeLine(line); ok {
				failed = f(rec, s.path)
			}
			return failed
		})
		if failed != nil {
			return failed
		}
		if err != nil {
			return &bot.Error{Op: "audit.erase", Kind: bot.Unavailable, Say: fmt.Sprintf("%s cannot be read", s.path), Err: err}
		}
	}
	return nil
}

// one finds one value of one record.
func (e *Eraser) one(ctx context.Context, seq int64, name string) (h hit, err error) {
	var found bool
	err = e.Store.View(ctx, func(r store.Reader) (err error) {
		h.rec, found, err = r.Record(seq)
		return err
	})
	if err != nil {
		return hit{}, err
	}
	if !found {
		err := e.inArchive(func(rec store.Sealed, in string) error {
			if rec.Seq == seq {
				h.rec, h.in, found = rec, in, true
			}
			return nil
		})
		if err != nil {
			return hit{}, err
		}
	}
	if !found {
		return hit{}, bot.Errorf(bot.NotFound, "the log has no record %d", seq)
	}
	values, err := decodeText(h.rec.Text)
	if err != nil {
		return hit{}, fmt.Errorf("decode text of record %d: %w", seq, err)
	}
	v, err := erasable(values, seq, name)
	h.name, h.value = name, v.Value
	return h, err
}

// ended refuses to touch what a run that goes on may still need.
func (e *Eraser) ended(ctx context.Context, run int64) error {
	return e.Store.View(ctx, func(r store.Reader) error {
		row, found, err := r.Run(run)
		if err == nil && found && !row.State.Settled() {
			err = bot.Errorf(bot.Conflict, "run #%d, which holds it, is %s; erase it when the run has ended, or cancel it first", run, row.State)
		}
		return err
	})
}

// bodies gives what repeats the values outside the log, as it is to be.
func (e *Eraser) bodies(ctx context.Context, replace func(string) string, done *Erased) (list []rewrite, err error) {
	for _, shelf := range store.Shelves() {
		for after := ""; ; {
			var page []store.Body
			err := e.Store.View(ctx, func(r store.Reader) (err error) {
				page, err = r.Bodies(shelf, after, 200)
				return err
			})
			if err != nil {
				return nil, err
			}
			for _, b := range page {
				after = b.ID
				without, changed, err := e.without(ctx, b, replace, done)
				if err != nil {
					return nil, err
				}
				if changed {
					list = append(list, rewrite{b, without})
				}
			}
			if len(list) > maxHits {
				return nil, bot.Errorf(bot.Invalid, "more than %d places match; write a pattern that matches less", maxHits)
			}
			if len(page) == 0 {
				break
			}
		}
	}
	return list, nil
}

// without gives b without the matching text.
func (e *Eraser) without(ctx context.Context, b store.Body, replace func(string) string, done *Erased) (value []byte, changed bool, err error) {
	var left []string
	value, changed, left, err = rewriteStrings(b.Value, replace)
	if err != nil {
		return nil, false, err
	}
	if len(left) > 0 {
		slices.Sort(left)
		done.ByHand = append(done.ByHand, fmt.Sprintf("%s has it as %s, which is no text and stays as it is", placeName(b), strings.Join(slices.Compact(left), ", ")))
	}
	if !changed {
		return nil, false, nil
	}
	switch b.Shelf {
	case store.InboxShelf:
		return nil, false, bot.Errorf(bot.Conflict, "a message that holds it is being acted on just now; try again in a moment")
	case store.RunShelf:
		number, err := strconv.ParseInt(b.ID, 10, 64)
		if err != nil {
			return nil, false, err
		}
		if err := e.ended(ctx, number); err != nil {
			return nil, false, err
		}
		plain, err := e.Seal.Unwrap(e.RunSeal(number), b.Value)
		if err != nil {
			done.ByHand = append(done.ByHand, fmt.Sprintf("run #%d holds it, and was not written by this bot; it is left as it is", number))
			return nil, false, nil
		}
		if plain, _, _, err = rewriteStrings(plain, replace); err != nil {
			return nil, false, err
		}
		if value, err = e.Seal.Wrap(e.RunSeal(number), plain); err != nil {
			return nil, false, err
		}
	}
	return value, true, nil
}

func placeName(b store.Body) string {
	switch b.Shelf {
	case store.RunShelf:
		return "run #" + b.ID
	case store.OutboxShelf:
		return "a card that waits to be delivered"
	}
	return string(b.Shelf) + " " + strings.ReplaceAll(b.ID, "\n", " ")
}

// byHand names what cannot be reached from here.
func (e *Eraser) byHand(ctx context.Context, hits []hit, replace func(string) string, done *Erased) error {
	add := func(format string, args ...any) {
		if s := fmt.Sprintf(format, args...); !slices.Contains(done.ByHand, s) {
			done.ByHand = append(done.ByHand, s)
		}
	}
	return e.Store.View(ctx, func(r store.Reader) error {
		for _, h := range hits {
			var rec bot.Record
			if json.Unmarshal(h.rec.Body, &rec) != nil {
				continue
			}
			if rec.Channel != "" && (h.name == "line" || h.name == "reason" || h.name == "override") {
				add("it was typed in %s at %s; remove it there by hand", rec.Channel, stamp(rec.At))
			}
			for _, channel := range e.Channels {
				c, _, found, err := loadCursor(r, channel)
				if err != nil {
					return err
				}
				if found && c.Next > h.rec.Seq {
					add("record %d was posted to %s after %s; remove it there by hand", h.rec.Seq, channel, stamp(rec.At))
				}
			}
		}
		if replace == nil {
			return nil
		}
		if err := e.chained(ctx, replace, add); err != nil {
			return err
		}
		if e.Journal != "" {
			// It is read whole: its size is bounded.
			if raw, err := os.ReadFile(e.Journal); err == nil && replace(string(raw)) != string(raw) {
				add("the emergency journal, %s, holds it; it is made anew when it is removed while the bot is stopped and nothing waits in it", e.Journal)
			}
		}
		return nil
	})
}

// chained names the records whose chained part says what is erased, wherever
// that is: records of the first versions, and what programs called things.
func (e *Eraser) chained(ctx context.Context, replace func(string) string, add func(format string, args ...any)) error {
	var in spans
	look := func(rec store.Sealed) error {
		var r bot.Record
		if json.Unmarshal(rec.Body, &r) != nil {
			return nil
		}
		said := []string{r.Person, r.Message, r.Target, r.Rule}
		for _, v := range r.Detail {
			said = append(said, v)
		}
		if slices.ContainsFunc(said, func(s string) bool { return isText(s, []string{""}) && replace(s) != s }) {
			in = in.with(rec.Seq)
		}
		return nil
	}
	if err := each(ctx, e.Store, 1, look); err != nil {
		return err
	}
	if err := e.inArchive(func(rec store.Sealed, _ string) error { return look(rec) }); err != nil {
		return err
	}
	if len(in) > 0 {
		add("it is NOT gone from the chained part of records %s, which cannot be changed without breaking the chain", in)
	}
	return nil
}

// apply changes the database, in one commit.
func (e *Eraser) apply(ctx context.Context, what Erasure, hits []hit, bodies []rewrite, places int) error {
	return e.Store.Update(ctx, func(tx store.Tx) error {
		if len(hits) == 0 { // nobody changes anything here without a record
			rec := bot.Record{Kind: bot.ConfiguredKind, Account: what.By.Account, Standing: what.By.Standing, Person: what.By.Person,
				Detail: map[string]string{detailPlaces: strconv.Itoa(places)}, Text: map[string]string{"reason": what.Reason}}
			if _, err := e.Log.Append(tx, rec); err != nil {
				return err
			}
		}
		for _, h := range hits {
			if h.in != "" {
				if _, err := e.Log.Append(tx, erasure(h.rec.Seq, h.name, what.By, what.Reason)); err != nil {
					return err
				}
				continue
			}
			if _, err := e.Log.erase(tx, h.rec.Seq, h.name, what.By, what.Reason); err != nil {
				return err
			}
		}
		for _, b := range bodies {
			if err := tx.Rewrite(b.is, b.to); err != nil {
				return err
			}
		}
		return nil
	})
}

// segments takes the values out of the archived segments that hold them.
func (e *Eraser) segments(hits []hit) error {
	wanted := map[string]map[valueName]bool{}
	for _, h := range hits {
		if h.in == "" {
			continue
		}
		if wanted[h.in] == nil {
			wanted[h.in] = map[valueName]bool{}
		}
		wanted[h.in][valueName{h.rec.Seq, h.name}] = true
	}
	for path, names := range wanted {
		if err := e.segment(path, names); err != nil {
			return &bot.Error{Op: "audit.erase", Kind: bot.Unavailable, Say: fmt.Sprintf("%s still holds what was to be erased; erase it again", path), Err: err}
		}
	}
	return nil
}

func (e *Eraser) segment(path string, names map[valueName]bool) error {
	s, err := readManifest(path)
	if err != nil {
		return err
	}
	if kind, say := s.trusted(s.Log, e.Key.Public()); kind != "" {
		return bot.Errorf(bot.Conflict, "%s", say)
	}
	var records []store.Sealed
	content, err := s.lines(func(line []byte) error {
		rec, ok := decodeLine(line)
		if !ok {
			return bot.Errorf(bot.Conflict, "%s was edited", s.name())
		}
		values, err := decodeText(rec.Text)
		if err != nil {
			return err
		}
		changed := false
		for name := range values {
			if names[valueName{rec.Seq, name}] {
				values[name], changed = textValue{Erased: true}, true
			}
		}
		if changed {
			if rec.Text, err = encodeText(values); err != nil {
				return err
			}
		}
		records = append(records, rec)
		return nil
	})
	if err != nil {
		return err
	}
	if content != s.Content || len(records) == 0 {
		return bot.Errorf(bot.Conflict, "%s was edited: it does not hold what was signed", s.name())
	}
	latest := s.Latest
	records[len(records)-1].Latest = latest
	_, file, err := e.Key.encodeSegment(s.Manifest, records)
	if err != nil {
		return err
	}
	return writeDurably(path, file)
}
