package githubprovider

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"quarterdeck/adapters/github/fakegithub"
	"quarterdeck/bot"
)

// listed gives the values that GitHub's description has for a field.
func listed(t *testing.T, find func(*openapi3.T) *openapi3.Schema) []string {
	t.Helper()
	path := contract(t)
	if path == "" {
		t.Skip("GitHub's description is not at hand")
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, v := range find(doc).Enum {
		values = append(values, v.(string))
	}
	if len(values) == 0 {
		t.Fatal("the description lists no values")
	}
	return values
}

// TestEveryRunStateHasARow drives the tables by the values that GitHub itself
// lists, so that a new one without a row fails.
func TestEveryRunStateHasARow(t *testing.T) {
	for _, v := range listed(t, func(d *openapi3.T) *openapi3.Schema {
		return d.Components.Parameters["workflow-run-status"].Value.Schema.Value
	}) {
		_, isStatus := statuses[v]
		_, isConclusion := conclusions[v]
		if v != "completed" && isStatus == isConclusion {
			t.Errorf("%q stands in %v of the tables of states and conclusions", v, isStatus)
		}
	}
	for _, v := range listed(t, func(d *openapi3.T) *openapi3.Schema {
		return d.Components.Schemas["deployment-status"].Value.Properties["state"].Value
	}) {
		if _, known := deployments[v]; !known {
			t.Errorf("a deployment's state %q has no row", v)
		}
	}
	for _, v := range listed(t, func(d *openapi3.T) *openapi3.Schema {
		return d.Components.Schemas["check-run"].Value.Properties["conclusion"].Value
	}) {
		if _, known := conclusions[v]; !known {
			t.Errorf("a check's conclusion %q has no row", v)
		}
	}
}

// TestSuccessAloneIsSuccess holds every row against what it may mean.
func TestSuccessAloneIsSuccess(t *testing.T) {
	want := map[string]bot.OpState{
		"queued": bot.OpPending, "requested": bot.OpPending, "pending": bot.OpPending, "waiting": bot.OpWaitingExternal, "in_progress": bot.OpWorking,
		"success": bot.OpSucceeded, "failure": bot.OpFailed, "timed_out": bot.OpFailed, "startup_failure": bot.OpFailed, "cancelled": bot.OpCancelled,
		"skipped": bot.OpFailed, "neutral": bot.OpFailed, "action_required": bot.OpWaitingExternal, "stale": bot.OpUnknown,
	}
	for name, s := range want {
		got := ofRun(name, "")
		if _, ends := conclusions[name]; ends {
			got = ofRun("completed", name)
		}
		if got.state != s || got.text == "" {
			t.Errorf("%s is %+v, want %s", name, got, s)
		}
	}
	if n := len(statuses) + len(conclusions); n != len(want) {
		t.Errorf("%d rows, and %d are held against what they mean", n, len(want))
	}
	for _, strange := range [][2]string{{"completed", ""}, {"completed", "reconciled"}, {"evaluating", ""}, {"", ""}, {"evaluating", "success"}} {
		if got := ofRun(strange[0], strange[1]); got.state != bot.OpUnknown {
			t.Errorf("%q is %s, want unknown", strange, got.state)
		}
	}
	deployed := map[string]bot.OpState{
		"": bot.OpPending, "queued": bot.OpPending, "pending": bot.OpPending, "waiting": bot.OpWaitingExternal, "in_progress": bot.OpWorking,
		"success": bot.OpSucceeded, "failure": bot.OpFailed, "error": bot.OpFailed, "inactive": bot.OpSuperseded, "destroyed": bot.OpUnknown,
	}
	for name, s := range deployed {
		if got := ofDeployment(name); got.state != s {
			t.Errorf("a deployment that is %q is %s, want %s", name, got.state, s)
		}
	}
}

// TestConclusions has runs end in every way, through the whole adapter.
func TestConclusions(t *testing.T) {
	for conclusion, row := range conclusions {
		if !row.state.Settled() {
			continue
		}
		w := newWorld(t)
		w.Behave(w.sha["v2"], fakegithub.Outcome{Conclusion: conclusion})
		p := w.deploy("v2", "run-1-abc")
		if p.State != row.state {
			t.Errorf("%s ends as %s (%s), want %s", conclusion, p.State, p.Text, row.state)
		}
		live, err := w.attach().Current(t.Context())
		if isLive := live.Artefact.ID == w.sha["v2"]; err != nil || isLive != (conclusion == "success") {
			t.Errorf("after %s %s is live (%v)", conclusion, live.Artefact.Label(), err)
		}
		told := w.Statuses("run-1-abc")
		if slices.Contains(told, "success https://shop.example.com") != (conclusion == "success") {
			t.Errorf("after %s the deployment was told %q", conclusion, told)
		}
	}
}

// TestGate waits for the people at GitHub, shows where, and never opens it.
func TestGate(t *testing.T) {
	w := newWorld(t)
	w.Behave(w.sha["v2"], fakegithub.Outcome{Status: "waiting"})
	d := w.attach()
	h, p := w.run(d, w.begin(d, "v2", "run-1-abc"), func(p bot.Progress) bool { return p.State == bot.OpWaitingExternal })
	if p.State != bot.OpWaitingExternal || p.Link == "" {
		t.Fatalf("at the gate: %+v", p)
	}
	for range 5 {
		if h, p, _ = d.Advance(t.Context(), h); p.State != bot.OpWaitingExternal {
			t.Fatalf("at the gate: %+v", p)
		}
	}
	if want := "waits for the environment's approval at GitHub: prod by octoboss (30 min at least)"; p.Text != want || p.Next != lookGate {
		t.Errorf("the gate says %q, want %q", p.Text, want)
	}
	for _, r := range w.Requests() {
		if strings.HasPrefix(r, "POST ") && strings.HasSuffix(r, "/pending_deployments") {
			t.Error("the bot opened the gate itself")
		}
	}
	w.Behave(w.sha["v2"], fakegithub.Outcome{})
	if _, p = w.run(d, h, nil); p.State != bot.OpSucceeded {
		t.Errorf("after the gate: %+v", p)
	}
}

// TestStatesAreStored keeps the handle readable by the next version.
func TestStatesAreStored(t *testing.T) {
	w := newWorld(t)
	d := w.attach()
	h := w.begin(d, "v2", "run-1-abc")
	var s state
	if err := json.Unmarshal(h.State, &s); err != nil || s.Stage != creating || s.Deployment.To.ID != w.sha["v2"] {
		t.Errorf("the handle holds %s (%v)", h.State, err)
	}
}
