package platform

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func openTestJournal(t *testing.T, path string) *journal {
	t.Helper()
	j, err := openJournal(path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.close() }) // some tests close it themselves
	return j
}

func write(t *testing.T, j *journal, entries ...Entry) {
	t.Helper()
	for _, e := range entries {
		if _, err := j.append(e); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheLogIsTheMemory(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), LogName)
	j := openTestJournal(t, path)
	entry := func(action, state, version string, count int) Entry {
		return Entry{Action: action, State: state, Op: action + version, Actor: "anna", Env: "prod", Version: version, Count: count}
	}
	write(t, j, entry(ActionCreate, StateFinished, "v1", 2), Entry{Action: ActionCreate, State: StateFinished, Env: "staging", Version: "v3", Count: 1})
	for _, c := range []struct {
		add                Entry
		live, previous, op string
		desired            int
		open               bool
	}{
		{entry(ActionDeploy, StateStarted, "v2", 0), "v1", "", "", 2, true},
		{entry(ActionDeploy, StateFinished, "v2", 0), "v2", "v1", "deployv2", 2, false},
		{entry(ActionDeploy, StateStarted, "v4", 0), "v2", "v1", "deployv2", 2, true},
		{entry(ActionDeploy, StateFailed, "v4", 0), "v2", "v1", "deployv2", 2, false},
		{entry(ActionDeploy, StateFinished, "v3", 0), "v3", "v2", "deployv3", 2, false},
		{entry(ActionScale, StateFinished, "v3", 4), "v3", "v2", "deployv3", 4, false},
		{entry(ActionRestart, StateFinished, "v3", 0), "v3", "v2", "deployv3", 4, false},
		{entry(ActionRollback, StateFinished, "v2", 0), "v2", "v1", "rollbackv2", 4, false},
		{entry(ActionRollback, StateAborted, "v1", 0), "v2", "v1", "rollbackv2", 4, false},
		{entry(ActionRollback, StateFinished, "v1", 0), "v1", "", "rollbackv1", 4, false},
		{entry(ActionRollback, StateFinished, "v3", 0), "v3", "v1", "rollbackv3", 4, false},
	} {
		write(t, j, c.add)
		if err := j.close(); err != nil {
			t.Fatal(err)
		}
		j = openTestJournal(t, path) // what counts is what is in the file
		s := j.standing("prod")
		if s.live != c.live || s.previous() != c.previous || s.op != c.op || s.desired != c.desired || (s.open != nil) != c.open {
			t.Fatalf("after %s %s of %s the log says %+v, want %+v", c.add.Action, c.add.State, c.add.Version, s, c)
		}
	}
	if s := j.standing("staging"); s.live != "v3" || s.desired != 1 {
		t.Errorf("staging is %+v", s)
	}
	if e, ok := j.find("deployv4"); !ok || e.State != StateFailed {
		t.Errorf("deployv4 is %+v", e)
	}
	if !j.lastLive("prod", "v4").IsZero() || j.lastLive("prod", "v2").IsZero() {
		t.Error("what was live is not known")
	}
}

func TestATornLineIsRemovedAndDamageIsNot(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), LogName)
	j := openTestJournal(t, path)
	write(t, j, Entry{Action: ActionCreate, State: StateFinished, Env: "prod", Version: "v1", Count: 1})
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(whole, `{"seq":2,"action":"deploy","sta`...), 0o600); err != nil {
		t.Fatal(err)
	}
	j = openTestJournal(t, path)
	write(t, j, Entry{Action: ActionScale, State: StateFinished, Env: "prod", Version: "v1", Count: 2})
	if s := j.standing("prod"); s.live != "v1" || s.desired != 2 || s.open != nil {
		t.Errorf("after a torn line the log says %+v", s)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(path); err != nil || strings.Count(string(data), "\n") != 2 || strings.Contains(string(data), `"sta{`) {
		t.Errorf("the log is %s (%v)", data, err)
	}
	if err := os.WriteFile(path, append([]byte("not an entry\n"), whole...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openJournal(path, time.Now); err == nil || !strings.Contains(err.Error(), "line 1 of ") {
		t.Errorf("a damaged log was opened: %v", err)
	}
}
