package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/config"
	"quarterdeck/bot/journal"
	"quarterdeck/bot/run"
	"quarterdeck/bot/store"
)

// Backup writes a consistent copy of the configured database to out while the bot
// may be serving, and a signed description of it beside. The audit key is not in
// it.
func Backup(ctx context.Context, c *config.Config, t Tables, o Options, out string) (audit.Backup, error) {
	o = o.complete()
	key, err := audit.LoadKey(c.Audit.Key)
	if err != nil {
		return audit.Backup{}, err
	}
	if _, err := os.Lstat(audit.ManifestOf(out)); err == nil {
		return audit.Backup{}, bot.Errorf(bot.Conflict, "%s is there already, and is not written over", audit.ManifestOf(out))
	}
	s, err := OpenStore(ctx, c, t)
	if err != nil {
		return audit.Backup{}, err
	}
	defer s.Close()
	copier, ok := s.(store.Copier)
	if !ok {
		return audit.Backup{}, bot.Errorf(bot.Invalid, "this store cannot be copied; use its own tools")
	}
	schema, err := copier.Copy(ctx, out)
	if err != nil {
		return audit.Backup{}, err
	}
	made, err := openCopy(ctx, c, t, out)
	if err != nil {
		return audit.Backup{}, err
	}
	defer made.Close()
	return audit.WriteBackup(ctx, out, made, key, audit.Backup{Schema: schema, At: o.Clock.Now(), Version: o.Version})
}

func storeType(c *config.Config, t Tables) (store.Type, string) {
	scheme, dsn, _ := strings.Cut(c.Bot.Database, ":")
	for _, s := range t.Stores {
		if s.Scheme == scheme {
			return s, dsn
		}
	}
	return store.Type{}, dsn
}

func openCopy(ctx context.Context, c *config.Config, t Tables, path string) (store.Store, error) {
	s, _ := storeType(c, t)
	if s.OpenCopy == nil {
		return nil, bot.Errorf(bot.Invalid, "this database is restored with its own tools: pg_restore --clean, while no bot runs")
	}
	return s.OpenCopy(ctx, path)
}

// kindRestored is the kind of the document that db restore leaves for the next
// start.
const kindRestored = "restored"

// restored is that document.
type restored struct {
	From   string        `json:"from"`
	Made   time.Time     `json:"made"` // when the backup was made
	At     time.Time     `json:"at"`   // and when it was put back
	Seq    int64         `json:"seq"`
	Who    bot.AccountID `json:"who"`
	Person string        `json:"person,omitempty"`
}

// Restored is what Restore did.
type Restored struct {
	Backup audit.Backup
	Kept   string // the replaced database; "" when there was none
}

// Restore puts the backup at file in the place of the configured database, after
// it was held against its description and its chain was verified. It refuses
// while a bot serves, and keeps what it replaces. The next start notices.
func Restore(ctx context.Context, c *config.Config, t Tables, o Options, file string) (Restored, error) {
	o = o.complete()
	key, err := audit.LoadKey(c.Audit.Key)
	if err != nil {
		return Restored{}, err
	}
	kind, dsn := storeType(c, t)
	if kind.Files == nil {
		_, err := openCopy(ctx, c, t, file)
		return Restored{}, err
	}
	done, err := alone(c, store.NewSeal(key.Secret()))
	if err != nil {
		return Restored{}, err
	}
	defer done()
	b, err := audit.CheckBackup(file, key.Public())
	if err != nil {
		return Restored{}, err
	}
	if err := intact(ctx, c, t, file, b, key); err != nil {
		return Restored{}, err
	}
	paths, err := kind.Files(dsn)
	if err != nil {
		return Restored{}, err
	}
	out := Restored{Backup: b}
	if out.Kept, err = replace(paths, file, o.Clock.Now()); err != nil {
		return Restored{}, err
	}
	s, err := OpenStore(ctx, c, t)
	if err != nil {
		return out, err
	}
	defer s.Close()
	who := self(c)
	body, err := json.Marshal(restored{From: filepath.Base(file), Made: b.At, At: o.Clock.Now(), Seq: b.Seq, Who: who.Account, Person: who.Person})
	if err != nil {
		return out, err
	}
	return out, s.Update(ctx, func(tx store.Tx) error {
		old, _, err := tx.Document(kindRestored, "now")
		if err == nil {
			_, err = tx.PutDocument(bot.Document{Kind: kindRestored, ID: "now", Rev: old.Rev, Body: body})
		}
		return err
	})
}

// alone refuses while a bot uses the database, and keeps one from starting with
// its journal until done is called.
func alone(c *config.Config, seal store.Seal) (done func(), err error) {
	serves := bot.Errorf(bot.Busy, "the bot is serving; stop it first, then restore, then start it")
	if conn, err := net.DialTimeout("unix", c.Bot.Socket, time.Second); err == nil {
		conn.Close()
		return nil, serves
	}
	if c.Bot.Journal == "" {
		return func() {}, nil
	}
	j, _, err := journal.Open(c.Bot.Journal, seal)
	switch {
	case bot.KindOf(err) == bot.Busy:
		return nil, serves
	case err != nil:
		return nil, err
	}
	return func() { j.Close() }, nil
}

// intact verifies the chain in the copy, up to the head that its description
// names.
func intact(ctx context.Context, c *config.Config, t Tables, file string, b audit.Backup, key audit.Key) error {
	s, err := openCopy(ctx, c, t, file)
	if err != nil {
		return err
	}
	defer s.Close()
	report, err := audit.Verify(ctx, s, audit.VerifyOptions{PublicKey: key.Public()})
	switch {
	case err != nil:
		return err
	case !report.OK:
		return bot.Errorf(bot.Invalid, "%s is not put back: %s", file, report.Summary())
	case report.To != b.Seq || report.To > 0 && report.Hash != b.Hash:
		return bot.Errorf(bot.Invalid, "%s is not put back: its log ends at record %d, its description says %d", file, report.To, b.Seq)
	}
	return nil
}

// replace puts a copy of file in the place of the first of paths, which are the
// database's files, and keeps them under other names.
func replace(paths []string, file string, now time.Time) (kept string, err error) {
	fail := func(say string, err error) error {
		return &bot.Error{Op: "app.restore", Kind: bot.Unavailable, Say: say, Err: err}
	}
	fresh := paths[0] + ".restoring"
	if err := os.MkdirAll(filepath.Dir(fresh), 0o700); err != nil {
		return "", fail("the database's folder cannot be made", err)
	}
	if err := copyFile(file, fresh); err != nil {
		os.Remove(fresh)
		return "", fail("the backup cannot be copied beside the database; nothing was changed", err)
	}
	suffix := ".replaced-" + now.UTC().Format("20060102T150405Z")
	// The main file goes last: as long as it is there, a restore that was cut
	// off is an ordinary database, or one whose log was moved aside with it.
	for i := len(paths) - 1; i >= 0; i-- {
		aside := paths[0] + suffix + strings.TrimPrefix(paths[i], paths[0])
		switch err := os.Rename(paths[i], aside); {
		case err == nil && i == 0:
			kept = aside
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return "", fail("the replaced database cannot be moved aside", err)
		}
	}
	if err := os.Rename(fresh, paths[0]); err != nil {
		return kept, fail("the backup cannot be put in place; it is at "+fresh, err)
	}
	dir, err := os.Open(filepath.Dir(fresh))
	if err != nil {
		return kept, fail("the database's folder cannot be synced", err)
	}
	return kept, errors.Join(dir.Sync(), dir.Close())
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err = io.Copy(out, in); err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// noticeRestored finds out whether the database was put back to an earlier state
// since the bot last ran on it: db restore says so, or the checkpoint file, which
// lies outside, knows of later records. Then nothing that was under way is taken
// up blindly, and the log says what cannot be known.
func (a *App) noticeRestored(ctx context.Context, s store.Store, log *audit.Log, engine *run.Engine, key audit.Key) error {
	last, behind, err := audit.Behind(ctx, s, a.Config.Audit.Checkpoints, key.Public())
	if err != nil {
		return err
	}
	var told string
	err = s.Update(ctx, func(tx store.Tx) error {
		told = ""
		head, err := tx.Head()
		if err != nil {
			return err
		}
		doc, marked, err := tx.Document(kindRestored, "now")
		if err != nil {
			return err
		}
		seen, known, err := tx.Document(kindRestored, "seen")
		if err != nil {
			return err
		}
		if behind && known && string(seen.Body) == fmt.Sprintf("%q", last.Signature) {
			behind = false // the same was noticed at an earlier start
		}
		if !marked && !behind {
			return nil
		}
		var m restored
		if marked {
			if err := json.Unmarshal(doc.Body, &m); err != nil {
				return fmt.Errorf("decode what db restore left: %w", err)
			}
		}
		why := "the database was put back to an earlier state"
		detail := map[string]string{"restored": "true", "head": fmt.Sprint(head.Seq)}
		if marked {
			why = "the database was restored from a backup of " + m.Made.In(a.Config.Bot.Location).Format("2006-01-02 15:04 MST")
			detail["backup"], detail["made"], detail["put_back"] = m.From, m.Made.Format(time.RFC3339), m.At.Format(time.RFC3339)
		}
		lost := "what was recorded after that is not in it"
		if behind {
			detail["checkpoint"], detail["checkpoint_at"] = fmt.Sprint(last.Seq), last.At.Format(time.RFC3339)
			lost = fmt.Sprintf("it ends at record %d, and a checkpoint of %s knows record %d, so records are lost and numbers are given again", head.Seq,
				last.At.In(a.Config.Bot.Location).Format("2006-01-02 15:04 MST"), last.Seq)
		}
		unknown, dropped, err := engine.Abandon(tx, why)
		if err != nil {
			return err
		}
		finished, err := finishInbox(tx)
		if err != nil {
			return err
		}
		told = why + "; " + lost + "; not known are: runs, approvals, locks, freezes, halts and bad releases since then, and what is at the providers"
		if len(unknown) > 0 {
			told += fmt.Sprintf("; unknown is what became of %s", numbers(unknown))
		}
		if len(dropped) > 0 {
			told += fmt.Sprintf("; to be asked for again: %s", numbers(dropped))
		}
		detail["unknown"], detail["dropped"], detail["messages"] = fmt.Sprint(len(unknown)), fmt.Sprint(len(dropped)), fmt.Sprint(finished)
		rec := bot.Record{Kind: bot.ConfiguredKind, Account: m.Who, Person: m.Person, Resources: []bot.Resource{bot.TheBot}, Detail: detail,
			Text: map[string]string{"notice": told}}
		if _, err := log.Append(tx, rec); err != nil {
			return err
		}
		if behind {
			body, err := json.Marshal(last.Signature)
			if err != nil {
				return err
			}
			if _, err := tx.PutDocument(bot.Document{Kind: kindRestored, ID: "seen", Rev: seen.Rev, Body: body}); err != nil {
				return err
			}
		}
		return tx.DeleteDocument(kindRestored, "now")
	})
	if err != nil {
		return fmt.Errorf("look whether the database was restored: %w", err)
	}
	if told != "" {
		a.options.Logger.Error(told)
	}
	return nil
}

// finishInbox marks as acted on what was received before the backup was made:
// whether it was acted on since is not known, and nothing is run twice.
func finishInbox(tx store.Tx) (n int, err error) {
	for {
		left, err := tx.Unfinished(500)
		if err != nil || len(left) == 0 {
			return n, err
		}
		for _, in := range left {
			if _, err := tx.Finish(in.ID); err != nil {
				return n, err
			}
			n++
		}
	}
}

// numbers lists runs, the first few of many.
func numbers(list []int64) string {
	const most = 10
	var parts []string
	for _, n := range list[:min(len(list), most)] {
		parts = append(parts, fmt.Sprintf("#%d", n))
	}
	s := strings.Join(parts, ", ")
	if len(list) > most {
		s += fmt.Sprintf(" and %d more", len(list)-most)
	}
	return s
}
