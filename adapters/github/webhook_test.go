package githubprovider

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// TestWebhook: an event with GitHub's signature wakes the runs of the targets that
// are bound to its repository; nothing else wakes anything.
func TestWebhook(t *testing.T) {
	const hookSecret = "It's a Secret to Everybody"
	path := filepath.Join(t.TempDir(), "hook")
	if err := os.WriteFile(path, []byte(hookSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var woken []bot.Target
	var fails error
	open := func(more string) *githubProvider {
		p, err := Open(provider.Options{Name: "gh", Raw: table("owner = \"acme\"\ntoken = \"env:T\"\n" + more), Secrets: &bot.Secrets{},
			Wake: func(_ context.Context, targets []bot.Target) error { woken = append(woken, targets...); return fails }})
		if err != nil {
			t.Fatal(err)
		}
		return p.(*githubProvider)
	}
	if routes := open("").Routes(); routes != nil {
		t.Errorf("without a secret there are %v", routes)
	}
	p := open("webhook_secret = \"file:" + path + "\"\n")
	other := bot.Target{Service: "web", Environment: "prod"}
	for target, repo := range map[bot.Target]string{prod: "shop", other: "web"} {
		if _, err := p.BindDeploy(target, table("repo = \""+repo+"\"")); err != nil {
			t.Fatal(err)
		}
	}
	routes := p.Routes()
	if len(routes) != 1 || routes[0].Path != "/webhooks/gh" || routes[0].On != bot.OnPublic || !routes[0].On.Holds(routes[0].Path) || routes[0].MaxBody == 0 {
		t.Fatalf("the routes are %+v", routes)
	}
	sign := func(secret, body string) string {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(body))
		return "sha256=" + hex.EncodeToString(mac.Sum(nil))
	}
	// The example of https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
	if got := sign(hookSecret, "Hello, World!"); got != "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17" {
		t.Fatalf("this test signs otherwise than GitHub: %s", got)
	}
	const shop = `{"action":"completed","repository":{"full_name":"Acme/shop"}}`
	for _, c := range []struct {
		name, event, body, signature string
		want                         int
		wakes                        bool
	}{
		{"good", "workflow_run", shop, sign(hookSecret, shop), http.StatusNoContent, true},
		{"deployed by others", "deployment_status", shop, sign(hookSecret, shop), http.StatusNoContent, true},
		{"ping", "ping", shop, sign(hookSecret, shop), http.StatusNoContent, false},
		{"another repository", "workflow_run", strings.Replace(shop, "Acme/shop", "acme/shopping", 1), sign(hookSecret, strings.Replace(shop, "Acme/shop", "acme/shopping", 1)), http.StatusNoContent, false},
		{"no JSON", "workflow_run", "shop", sign(hookSecret, "shop"), http.StatusNoContent, false},
		{"unsigned", "workflow_run", shop, "", http.StatusUnauthorized, false},
		{"of another secret", "workflow_run", shop, sign("guess", shop), http.StatusUnauthorized, false},
		{"of another body", "workflow_run", shop + " ", sign(hookSecret, shop), http.StatusUnauthorized, false},
		{"cut", "workflow_run", shop, sign(hookSecret, shop)[:20], http.StatusUnauthorized, false},
		{"the old kind", "workflow_run", shop, "sha1=" + sign(hookSecret, shop)[7:], http.StatusUnauthorized, false},
	} {
		woken = nil
		req := httptest.NewRequest(http.MethodPost, "/webhooks/gh", bytes.NewReader([]byte(c.body)))
		req.Header.Set("X-GitHub-Event", c.event)
		if c.signature != "" {
			req.Header.Set("X-Hub-Signature-256", c.signature)
		}
		w := httptest.NewRecorder()
		routes[0].Handler.ServeHTTP(w, req)
		if w.Code != c.want || c.wakes != slices.Equal(woken, []bot.Target{prod}) || !c.wakes && len(woken) > 0 {
			t.Errorf("%s: answered %d %q, woke %v", c.name, w.Code, w.Body, woken)
		}
		if strings.Contains(w.Body.String(), hookSecret) {
			t.Errorf("%s: the answer holds the secret", c.name)
		}
	}
	// What cannot be taken now is delivered again by whoever looks at it at GitHub.
	fails = bot.Errorf(bot.Unavailable, "the store is gone")
	req := httptest.NewRequest(http.MethodPost, "/webhooks/gh", strings.NewReader(shop))
	req.Header.Set("X-GitHub-Event", "workflow_run")
	req.Header.Set("X-Hub-Signature-256", sign(hookSecret, shop))
	w := httptest.NewRecorder()
	if routes[0].Handler.ServeHTTP(w, req); w.Code != http.StatusServiceUnavailable {
		t.Errorf("where runs cannot be woken it answers %d", w.Code)
	}
	if signed("", []byte(shop), sign("", shop)) {
		t.Error("an empty secret signs")
	}
}
