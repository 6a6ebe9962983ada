package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// project gives the story of a rig in a projection, an object a line.
func (r *rig) project(f Format) []map[string]any {
	r.Helper()
	var out bytes.Buffer
	if err := Export(r.Context(), r.store, &out, f); err != nil {
		r.Fatal(err)
	}
	var list []map[string]any
	for line := range strings.Lines(out.String()) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			r.Fatalf("%s: %v", line, err)
		}
		list = append(list, o)
	}
	if len(list) != 8 {
		r.Fatalf("%d events of 8 records", len(list))
	}
	return list
}

// TestOCSF checks every event against what the class API Activity requires, and
// that numbers and their captions agree.
func TestOCSF(t *testing.T) {
	r := newRig(t)
	r.story()
	for i, e := range r.project(OCSF) {
		for _, required := range []string{"activity_id", "actor", "api", "category_uid", "class_uid", "metadata", "severity_id", "src_endpoint", "time", "type_uid"} {
			if e[required] == nil {
				t.Errorf("event %d has no %s", i, required)
			}
		}
		if e["class_uid"] != 6003.0 || e["category_uid"] != 6.0 || e["type_uid"] != 600300+e["activity_id"].(float64) {
			t.Errorf("event %d is of class %v, category %v, type %v", i, e["class_uid"], e["category_uid"], e["type_uid"])
		}
		meta := e["metadata"].(map[string]any)
		if meta["version"] != "1.6.0" || meta["sequence"] != float64(i+1) || meta["product"].(map[string]any)["vendor_name"] == nil || meta["uid"] != fmt.Sprintf("%s:%d", r.id, i+1) {
			t.Errorf("event %d has metadata %v", i, meta)
		}
		if e["time"] != float64(r.clock.Now().UnixMilli()) || e["api"].(map[string]any)["operation"] == "" {
			t.Errorf("event %d: %v %v", i, e["time"], e["api"])
		}
		for name, captions := range map[string]map[float64]string{
			"severity": {1: "Informational", 2: "Low", 3: "Medium", 4: "High"},
			"status":   {0: "Unknown", 1: "Success", 2: "Failure"},
		} {
			if want := captions[e[name+"_id"].(float64)]; want != "" && e[name] != want {
				t.Errorf("event %d: %s is %v %v", i, name, e[name+"_id"], e[name])
			}
		}
	}
	denied := r.project(OCSF)[3]
	user := denied["actor"].(map[string]any)["user"].(map[string]any)
	if user["uid"] != "slack:T1/U9" || denied["status"] != "Failure" || denied["status_detail"] != "guests never run anything" {
		t.Errorf("the denial is %v", denied)
	}
}

// TestCloudEvents checks what the specification asks of every event.
func TestCloudEvents(t *testing.T) {
	r := newRig(t)
	r.story()
	seen := map[any]bool{}
	for i, e := range r.project(CloudEvents) {
		for _, name := range []string{"id", "source", "specversion", "type", "time", "sequence"} {
			if s, ok := e[name].(string); !ok || s == "" {
				t.Errorf("event %d: %s is %v", i, name, e[name])
			}
		}
		for name := range e { // 3.1.1: lower-case letters and digits
			if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
				t.Errorf("%q is no name of an attribute", name)
			}
		}
		if _, err := time.Parse(time.RFC3339, e["time"].(string)); err != nil || e["specversion"] != "1.0" || seen[e["id"]] {
			t.Errorf("event %d is %v", i, e)
		}
		seen[e["id"]] = true
		sealed := r.store.rows[i]
		raw, err := json.Marshal(e["data"].(map[string]any)["record"])
		if err != nil || e["data"].(map[string]any)["hash"] != sealed.Hash || !bytes.Contains(raw, []byte(`"seq":`+fmt.Sprint(sealed.Seq))) {
			t.Errorf("event %d carries %s", i, raw)
		}
	}
}
