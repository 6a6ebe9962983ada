package app_test

import (
	"archive/zip"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider/providertest"
)

// inFlight is the database and the audit key that the first schema's program left
// when it was killed in the middle of #2, while #1 waited and #3 was queued. It
// was made by TestWriteInFlight and is never made anew for that schema.
const inFlight = "testdata/schema-1.zip"

// TestWriteInFlight makes it, for a schema that has none yet: FIXTURE=FILE.
func TestWriteInFlight(t *testing.T) {
	out := os.Getenv("FIXTURE")
	if out == "" {
		return // it is made by hand, once for each schema
	}
	w := newWorld(t, friendly, providertest.NewFriendly)
	w.configure(standard + "[stop]\nwithin = \"1s\"\n")
	w.run()
	w.gets(w.Dev, "deploy shop v2 prod", bot.OutcomeWaiting)
	release := w.far.Hold()
	defer release()
	w.x.Say(t.Context(), w.Dev, "deploy shop v2 staging")
	w.until("#2 is under way", func() bool { return len(effects(w.far)) == 1 })
	w.x.Say(t.Context(), w.Dev, "deploy shop v3 staging")
	w.until("#3 is queued", func() bool { return len(w.runs()) == 3 })
	made := w.backup("made.db")
	f, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	for from, name := range map[string]string{made: "q.db", filepath.Join(w.dir, "audit.key"): "audit.key", filepath.Join(w.dir, "audit.key.pub"): "audit.key.pub"} {
		raw, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		entry, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		entry.Write(raw)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	f.Close()
}

// TestFirstSchema: a bot of today takes over what a bot of the first schema left
// when it was killed, with a run in flight.
func TestFirstSchema(t *testing.T) {
	t.Parallel()
	w := newWorld(t, friendly, providertest.NewFriendly)
	z, err := zip.OpenReader(inFlight)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for _, f := range z.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(w.dir, f.Name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	records := w.records()
	w.clock.forward(records[len(records)-1].At.Add(10 * time.Second).Sub(w.clock.Now()))
	w.run()
	w.until("#2 has ended", func() bool { return w.runs()[1].Settled() })
	// This platform is another one, which knows nothing of the operation.
	if got := w.runs(); got[0] != bot.Waiting || got[1] != bot.Unknown {
		t.Errorf("the runs are %v", got)
	}
	for range 3 { // its message numbers were given before: redeliveries run nothing
		if _, err := w.x.Say(t.Context(), w.Dev, "deploy shop v4 prod"); err != nil {
			t.Fatal(err)
		}
	}
	// The cards were shown on another network too, so the log is asked.
	w.x.Say(t.Context(), w.Dev, "confirm 1")
	w.until("#1 is confirmed", func() bool { return slices.Contains(w.kinds(len(records)), "confirmed deploy") })
	w.x.Say(t.Context(), w.SRE, "approve 1")
	w.until("#1 is done", func() bool { return w.runs()[0] == bot.Succeeded })
	if slices.Contains(effects(w.far), "shop/prod v4") || !slices.Contains(effects(w.far), "shop/prod v2") {
		t.Errorf("the platform did %q", effects(w.far))
	}
	w.verified()
}
