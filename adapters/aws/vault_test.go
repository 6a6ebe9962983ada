package awsprovider

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"quarterdeck/adapters/aws/fakeaws"
	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

func (w *world) vault(text string) provider.Vault {
	w.t.Helper()
	v, err := w.provider().(provider.VaultBinder).BindVault(table(text))
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// An object is stored once, locked, and listed in order over several pages.
func TestVault(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Bucket("audit-logs", true)
	v, ctx := w.vault("bucket = \"audit-logs\"\nprefix = \"qd/\"\nmode = \"governance\""), context.Background()
	until := w.clock.Now().Add(400 * 24 * time.Hour)
	var want []string
	for i := range 8 {
		name := fmt.Sprintf("audit-%03d", i)
		want = append(want, name)
		if err := v.Put(ctx, name, []byte("one"), until); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.Put(ctx, "audit-003", []byte("two"), until); bot.KindOf(err) != bot.Conflict {
		t.Errorf("a name that is taken gives %v", err)
	}
	var got []string
	for after := ""; ; {
		names, err := v.Names(ctx, after)
		if err != nil {
			t.Fatal(err)
		}
		if len(names) == 0 {
			break
		}
		got, after = append(got, names...), names[len(names)-1]
	}
	if !slices.Equal(got, want) {
		t.Errorf("names %q, want %q", got, want)
	}
	if body, err := v.Get(ctx, "audit-003", 10); err != nil || !bytes.Equal(body, []byte("one")) {
		t.Errorf("got %q (%v)", body, err)
	}
	if _, err := v.Get(ctx, "audit-003", 2); bot.KindOf(err) != bot.Invalid {
		t.Errorf("more than was asked for gives %v", err)
	}
	for key, o := range w.Objects("audit-logs") {
		if o.Mode != "GOVERNANCE" || !o.Until.Equal(until) || !strings.HasPrefix(key, "qd/") {
			t.Errorf("%s is locked as %s until %v", key, o.Mode, o.Until)
		}
	}
	if v.Place() != "s3://audit-logs/qd/" {
		t.Error(v.Place())
	}
}

func TestVaultInTrouble(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		bucket string
		fault  fakeaws.Fault
		kind   bot.Kind
		want   string
	}{
		"no bucket": {"other", fakeaws.Fault{Op: "none"}, bot.NotFound, "AWS knows no such bucket or object in s3://other/"},
		"no lock":   {"plain", fakeaws.Fault{Op: "none"}, bot.Invalid, "does it have Object Lock?"},
		"denied":    {"locked", fakeaws.Fault{Op: "PutObject", Status: 403, Code: "AccessDenied"}, bot.Denied, "lacks the permission s3:PutObject for bucket locked"},
		"at once":   {"locked", fakeaws.Fault{Op: "PutObject", Status: 409, Code: "ConditionalRequestConflict"}, bot.Busy, "somebody else writes"},
		"elsewhere": {"locked", fakeaws.Fault{Op: "PutObject", Status: 400, Code: "AuthorizationHeaderMalformed"}, bot.Invalid, "bucket locked is not in eu-central-1"},
		"throttled": {"locked", fakeaws.Fault{Op: "PutObject", Status: 503, Code: "SlowDown"}, bot.Busy, "pause"},
		"broken":    {"locked", fakeaws.Fault{Op: "PutObject", Status: 500, Code: "InternalError"}, bot.Unavailable, "out of order"},
		"cut":       {"locked", fakeaws.Fault{Op: "PutObject"}, bot.Unavailable, "cannot be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Bucket("locked", true)
			w.Bucket("plain", false)
			w.Inject(c.fault)
			err := w.vault(`bucket = "`+c.bucket+`"`).Put(context.Background(), "a", []byte("one"), w.clock.Now().Add(time.Hour))
			if bot.KindOf(err) != c.kind || !strings.Contains(bot.Sentence(err, ""), c.want) {
				t.Errorf("got %q (%s), want %s: %q", bot.Sentence(err, ""), bot.KindOf(err), c.kind, c.want)
			}
		})
	}
	w := newWorld(t)
	w.Bucket("locked", true)
	w.Inject(fakeaws.Fault{Op: "PutObject", Status: 500, Code: "InternalError", Acts: true, Times: 1})
	if err := w.vault(`bucket = "locked"`).Put(context.Background(), "a", []byte("one"), w.clock.Now().Add(time.Hour)); bot.KindOf(err) != bot.Conflict || len(w.Objects("locked")) != 1 {
		t.Errorf("a lost answer that is asked for again gives %v", err)
	}
}

func TestBindVault(t *testing.T) {
	p := newWorld(t).provider().(provider.VaultBinder)
	for text, want := range map[string]string{
		``:                                   "needs bucket",
		`bucket = "Audit"`:                   `it is "Audit"`,
		"bucket = \"audit\"\nprefix = \"a\"": `expected such as "quarterdeck/"`,
		"bucket = \"audit\"\nmode = \"x\"":   "expected compliance or governance",
		"bucket = \"audit\"\nlock = true":    "config.toml:41",
		"bucket = \"audit\"\nprefix = \"a/b-c/\"\nmode = \"compliance\"": "",
	} {
		_, err := p.BindVault(table(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
