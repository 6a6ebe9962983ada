package audit

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"quarterdeck/bot"
)

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "audit.key")
	k, err := OpenKey(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenKey(path)
	if err != nil || !again.Public().Equal(k.Public()) {
		t.Fatalf("opened again: %v", err)
	}
	for name, want := range map[string]fs.FileMode{path: 0o600, path + ".pub": 0o644, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v, want %v", name, info.Mode(), err, want)
		}
	}
	for _, name := range []string{path, path + ".pub"} {
		if public, err := ReadPublicKey(name); err != nil || !public.Equal(k.Public()) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
	if k.GoString() != k.String() || !strings.HasPrefix(k.String(), "signing key ") {
		t.Errorf("printed as %#v", k)
	}
}

func TestKeyFileRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.key")
	if _, err := OpenKey(path); err != nil {
		t.Fatal(err)
	}
	write := func(name, content string, mode fs.FileMode) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p, mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	pub, err := os.ReadFile(path + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	secret, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, say string }{
		{write("open.key", string(secret), 0o640), "can be read by others (mode 0640); make it yours alone: chmod 600 "},
		{write("world.key", string(secret), 0o604), "can be read by others (mode 0604)"},
		{write("text.key", "hello", 0o600), "is no key file in PEM form"},
		{write("empty.key", "", 0o600), "is no key file in PEM form"},
		{write("pub.key", string(pub), 0o600), "holds no Ed25519 private key"},
		{dir, "is not a file"},
		{filepath.Join(path, "below"), "cannot be read"},
	} {
		_, err := OpenKey(c.path)
		if bot.KindOf(err) != bot.Invalid || !strings.Contains(bot.Sentence(err, ""), c.say) {
			t.Errorf("%s: got %v, want %q", filepath.Base(c.path), err, c.say)
		}
	}
	if _, err := ReadPublicKey(filepath.Join(dir, "none")); bot.KindOf(err) != bot.NotFound {
		t.Errorf("no file: %v", err)
	}
	if _, err := ReadPublicKey(write("bad.pub", "hello", 0o644)); bot.KindOf(err) != bot.Invalid {
		t.Errorf("bad file: %v", err)
	}
}

func TestKeyFileMadeOnceByMany(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.key")
	keys := make([]Key, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			k, err := OpenKey(path)
			if err != nil {
				t.Error(err)
				return
			}
			keys[i] = k
		})
	}
	wg.Wait()
	for _, k := range keys {
		if !t.Failed() && !k.Public().Equal(keys[0].Public()) {
			t.Fatal("two keys were made")
		}
	}
}

func TestCheckpointText(t *testing.T) {
	r := newRig(t)
	r.story()
	cp := r.sign()
	line := cp.String()
	if !strings.HasPrefix(line, "quarterdeck-checkpoint v1 log=id1 seq=8 hash=") || strings.Contains(line, "\n") {
		t.Errorf("written as %q", line)
	}
	for _, pasted := range []string{line, " " + line + "\n", "`" + line + "`", "> " + line, strings.ReplaceAll(line, " ", "  ")} {
		got, err := ParseCheckpoint(pasted)
		if err != nil || got != cp || !got.SignedBy(r.key.Public()) {
			t.Errorf("%q: %+v, %v", pasted, got, err)
		}
	}
	words := strings.Fields(line)
	for _, c := range []struct{ in, say string }{
		{"", "this is no checkpoint"}, {"hello", "this is no checkpoint"},
		{strings.Replace(line, " v1 ", " v2 ", 1), `of version "v2"; this program reads v1`},
		{strings.Join(words[:5], " "), "is incomplete; copy the whole line"},
		{strings.Replace(line, " seq=", " sequence=", 1), `has "sequence=8" where seq= should be`},
		{strings.Replace(line, "seq=8", "seq=eight", 1), `this checkpoint's seq cannot be read: "eight"`},
		{strings.Replace(line, "seq=8", "seq=08", 1), "not in the form it was written in"},
		{strings.Replace(line, "hash=", "hash=g", 1), "this checkpoint's hash cannot be read"},
		{strings.Replace(line, "at=2026", "at=x", 1), "this checkpoint's at cannot be read"},
		{strings.Replace(line, "sig=", "sig=!", 1), "this checkpoint's sig cannot be read"},
	} {
		if _, err := ParseCheckpoint(c.in); bot.KindOf(err) != bot.Invalid || !strings.Contains(bot.Sentence(err, ""), c.say) {
			t.Errorf("%q: got %v, want %q", c.in, err, c.say)
		}
	}
}

// No changed character of a checkpoint passes for signed.
func TestCheckpointChanged(t *testing.T) {
	r := newRig(t)
	r.story()
	line := r.sign().String()
	rapid.Check(t, func(q *rapid.T) {
		b := []byte(line)
		b[rapid.IntRange(0, len(b)-1).Draw(q, "at")] ^= byte(rapid.IntRange(1, 127).Draw(q, "xor"))
		cp, err := ParseCheckpoint(string(b))
		if err == nil && cp.SignedBy(r.key.Public()) && cp.String() != line {
			q.Fatalf("%q passes", b)
		}
	})
}

func TestCheckpointFile(t *testing.T) {
	r := newRig(t)
	r.story()
	dir := t.TempDir()
	path := filepath.Join(dir, "checkpoints")
	if _, err := ReadCheckpoints(path); !errors.Is(err, fs.ErrNotExist) || bot.KindOf(err) != bot.NotFound {
		t.Errorf("no file: %v", err)
	}
	first := r.sign()
	if err := os.WriteFile(path, []byte("# kept by hand\n\n"+first.String()+"\n"+first.String()[:40]), 0o600); err != nil {
		t.Fatal(err)
	}
	if list, err := ReadCheckpoints(path); err != nil || len(list) != 1 {
		t.Fatalf("with a torn end: %v, %v", list, err)
	}
	r.clock.move(time.Hour)
	second := r.sign()
	if err := appendCheckpoint(path, second); err != nil {
		t.Fatal(err)
	}
	list, err := ReadCheckpoints(path)
	if err != nil || len(list) != 2 || list[0] != first || list[1] != second {
		t.Fatalf("got %v, %v", list, err)
	}
	if report := r.verify(VerifyOptions{Files: []string{path}}); !report.OK || len(report.Checkpoints) != 2 {
		t.Errorf("%+v", report)
	}
	if report := r.verify(VerifyOptions{Kept: path}); !report.OK || len(report.Checkpoints) != 2 {
		t.Errorf("the kept file: %+v", report)
	}
	if report := r.verify(VerifyOptions{Kept: path + "x"}); report.OK || report.Problems[0].Kind != Unread || !strings.Contains(report.Problems[0].Say, "is gone") {
		t.Errorf("without the kept file: %+v", report)
	}
	if _, err := Verify(t.Context(), r.store, VerifyOptions{Files: []string{path + "x"}}); bot.KindOf(err) != bot.NotFound {
		t.Errorf("missing file: %v", err)
	}
	for name, content := range map[string]string{"garbled": "quarterdeck-checkpoint v1 log=\n", "long": strings.Repeat("x", 2*maxCheckpoint) + "\n"} {
		bad := filepath.Join(dir, name)
		if err := os.WriteFile(bad, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		report := r.verify(VerifyOptions{Files: []string{bad}})
		if report.OK || report.Problems[0].Kind != Unread {
			t.Errorf("%s: %+v", name, report)
		}
		has(t, report.Problems[0].Say, name+":1")
	}
}

func newCheckpointer(r *rig, path string, logs *logger) *Checkpointer {
	return &Checkpointer{Store: r.store, Log: r.log, Key: r.key, Clock: r.clock, IDs: &names{}, File: path,
		Channels: []bot.ChannelID{"slack:C0AUDIT"}, Every: 10, Interval: 30 * time.Minute, Logger: logTo(logs)}
}

func TestCheckpointWhenDue(t *testing.T) {
	r := newRig(t)
	logs := &logger{}
	c := newCheckpointer(r, filepath.Join(t.TempDir(), "x", "checkpoints"), logs)
	written := func() int {
		list, err := ReadCheckpoints(c.File)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		return len(list)
	}
	step := func(what string, now bool, want int) {
		t.Helper()
		c.try(t.Context(), now)
		if got := written(); got != want {
			t.Errorf("%s: %d checkpoints, want %d", what, got, want)
		}
	}
	step("empty log at start", true, 0)
	if _, err := c.Write(t.Context()); bot.KindOf(err) != bot.Conflict {
		t.Errorf("signed an empty log: %v", err)
	}
	r.story()
	step("at start", true, 1)
	step("nothing new", true, 1)
	r.append(bot.Record{Kind: bot.ObservedKind})
	step("too little, too early", false, 1)
	r.clock.move(30 * time.Minute)
	step("after the interval", false, 2)
	r.clock.move(time.Hour)
	step("after the interval with nothing new", false, 2)
	for range 10 {
		r.append(bot.Record{Kind: bot.ObservedKind})
	}
	step("enough records", false, 3)
	c = newCheckpointer(r, c.File, logs) // a restart
	step("restarted with nothing new", true, 3)
	r.append(bot.Record{Kind: bot.ObservedKind})
	step("at shutdown", true, 4)

	var seqs []string
	for _, o := range r.store.out {
		if !o.Ordered || o.Channel != "slack:C0AUDIT" {
			t.Errorf("enqueued %+v", o)
		}
		card := decoded(t, o)
		seqs = append(seqs, card.Title)
		if cp, err := ParseCheckpoint(card.Text); err != nil || !cp.SignedBy(r.key.Public()) {
			t.Errorf("posted %q: %v", card.Text, err)
		}
	}
	if len(seqs) != 4 || !strings.HasPrefix(seqs[0], "checkpoint: 8 records up to 8, hash ") {
		t.Errorf("posted %q", seqs)
	}
	if report := r.verify(VerifyOptions{Files: []string{c.File}}); !report.OK || len(report.Checkpoints) != 4 {
		t.Errorf("%+v", report)
	}
	if logs.String() != "" {
		t.Errorf("logged %s", logs)
	}
	c.File = t.TempDir() // a folder is no file
	r.append(bot.Record{Kind: bot.ObservedKind})
	c.try(t.Context(), true)
	has(t, logs.String(), "write checkpoint")
}

// A bot that is stopped leaves a checkpoint of its last record.
func TestCheckpointerRun(t *testing.T) {
	r := newRig(t)
	r.story()
	c := newCheckpointer(r, filepath.Join(t.TempDir(), "checkpoints"), &logger{})
	posted := make(chan struct{}, 10)
	c.Posted = func() { posted <- struct{}{} }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	<-posted // the one at the start
	head := r.append(bot.Record{Kind: bot.ObservedKind})
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	list, err := ReadCheckpoints(c.File)
	if err != nil || len(list) != 2 || list[1].Seq != head.Seq || list[1].Hash != head.Hash {
		t.Fatalf("got %v, %v", list, err)
	}
}
