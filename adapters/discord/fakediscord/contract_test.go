package fakediscord

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The vendor's description catches what Discord would let pass or refuse, and lets
// pass what is right.
func TestContract(t *testing.T) {
	dir := os.Getenv("CONTRACTS_DIR")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "contracts")
	}
	c, err := loadContract(filepath.Join(dir, "discord", "openapi.json"))
	if err != nil {
		if os.Getenv("CONTRACTS_REQUIRED") != "" {
			t.Fatal(err)
		}
		t.Skip("the contracts are not there")
	}
	const post, callback = "POST /channels/{channel_id}/messages", "POST /interactions/{interaction_id}/{interaction_token}/callback"
	for _, tc := range []struct{ method, body, wrong string }{
		{post, `{"content":"x","embeds":[],"components":[{"type":1,"components":[{"type":2,"style":4,"label":"Yes","custom_id":"a"}]}],"allowed_mentions":{"parse":[]},"nonce":"a","enforce_nonce":true,"attachments":[]}`, ""},
		{post, `{"content":"x","embeds":[{"description":"d","color":255,"footer":{"text":"f"}}]}`, ""},
		{post, `{"content":7}`, "content"},
		{post, `{"contents":"x"}`, "contents"},
		{post, `{"embeds":[{"descriptions":"d"}]}`, "descriptions"},
		{post, `{"components":[{"type":1,"components":[{"type":2,"style":99,"label":"Yes","custom_id":"a"}]}]}`, "components"},
		{post, `{"nonce":"` + strings.Repeat("a", 26) + `"}`, "nonce"},
		{callback, `{"type":5,"data":{"flags":64}}`, ""},
		{callback, `{"type":6}`, ""},
		{callback, `{"type":77}`, "type"},
		{callback, `{"type":8,"data":{"choices":[{"name":"a","value":"b"}]}}`, ""},
		{callback, `{"type":8,"data":{"choices":[{"nam":"a","value":"b"}]}}`, "nam"},
		{"POST /nowhere", `{}`, "not described"},
	} {
		value, err := generic(json.RawMessage(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(c.request(tc.method, ask{value: value}), "; ")
		if tc.wrong == "" && got != "" || !strings.Contains(got, tc.wrong) {
			t.Errorf("%s %s: %q, want %q", tc.method, tc.body, got, tc.wrong)
		}
	}
}
