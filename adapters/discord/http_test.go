package discordchat

import (
	"crypto/ed25519"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"quarterdeck/adapters/discord/fakediscord"
	"quarterdeck/bot"
)

// newHTTPWorld is a world in which interactions are posted to the bot's listener.
func newHTTPWorld(t *testing.T, change ...func(*setting)) (*world, string) {
	t.Helper()
	w := newWorld(t, append([]func(*setting){func(s *setting) { s.config.Mode = modeHTTP }}, change...)...)
	routes := w.chat.Routes()
	if len(routes) != 1 || routes[0].On != bot.OnPublic || routes[0].Path != fakediscord.Path || !routes[0].On.Holds(routes[0].Path) {
		t.Fatalf("%+v", routes)
	}
	server := httptest.NewServer(http.MaxBytesHandler(routes[0].Handler, routes[0].MaxBody))
	t.Cleanup(func() {
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return w, server.URL
}

// The same comes in by signed HTTP as by the gateway, and its answer goes out.
func TestHTTP(t *testing.T) {
	w, base := newHTTPWorld(t)
	way := fakediscord.Way{HTTP: base}
	if status, said, err := w.Ping(w.ctx, way); err != nil || status != http.StatusOK || strings.TrimSpace(string(said)) != `{"type":1}` {
		t.Errorf("%d %s %v", status, said, err)
	}
	sent, err := w.Slash(w.ctx, way, dev, ops, "deploy", option("service", "shop"), option("version", "v2"))
	if err != nil || sent.Answer.Type != sayLater {
		t.Fatalf("%+v, %v", sent, err)
	}
	m := w.await(t, 1)[0]
	if m.Text != "deploy shop v2" || m.Account != "discord:"+dev || m.Standing != bot.Member {
		t.Errorf("%+v", m)
	}
	c := card(m, "deploying")
	c.Buttons = []bot.Button{{Label: "Stop", Line: "cancel 1", Token: "tok"}}
	ref := w.delivers(t, bot.Delivery{Channel: opsID, Card: c})
	if got := w.Messages(ops); len(got) != 1 || !strings.Contains(got[0].Content, "deploying") {
		t.Errorf("%+v", got)
	}
	if sent, err := w.Press(w.ctx, way, sre, w.shows(t, ref), "Stop"); err != nil || sent.Answer.Type != saySilent {
		t.Errorf("%+v, %v", sent, err)
	}
	if m := w.await(t, 2)[1]; m.Press != "tok" || m.On != ref {
		t.Errorf("%+v", m)
	}
	typed := fakediscord.Option{Name: "service", Type: 3, Value: "s", Focused: true}
	if values, sent, err := w.Complete(w.ctx, way, dev, ops, "deploy", typed); err != nil || len(values) != 25 {
		t.Errorf("%v %+v, %v", values, sent, err)
	}
	w.hub.set(func(h *hub) { h.panics = true })
	if sent, err := w.Slash(w.ctx, way, dev, ops, "whoami"); err != nil || sent.Status != http.StatusBadRequest {
		t.Errorf("%+v, %v", sent, err)
	}
}

// What Discord did not sign, or signed long ago, and what was sent before, does
// nothing.
func TestForgedAndReplayed(t *testing.T) {
	w, base := newHTTPWorld(t)
	_, other, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	// One that is right, kept to be sent again.
	var body []byte
	var header http.Header
	keep := fakediscord.Way{HTTP: base, Forge: func(r *http.Request) {
		copied, err := r.GetBody()
		if err == nil {
			body, err = io.ReadAll(copied)
		}
		if err != nil {
			t.Fatal(err)
		}
		header = r.Header.Clone()
	}}
	if sent, err := w.Slash(w.ctx, keep, dev, ops, "whoami"); err != nil || !sent.Acked {
		t.Fatalf("%+v, %v", sent, err)
	}
	changed := func(change func(r *http.Request)) fakediscord.Way { return fakediscord.Way{HTTP: base, Forge: change} }
	for name, way := range map[string]fakediscord.Way{
		"no signature":  changed(func(r *http.Request) { r.Header.Del("X-Signature-Ed25519") }),
		"no hex":        changed(func(r *http.Request) { r.Header.Set("X-Signature-Ed25519", "zz") }),
		"too short":     changed(func(r *http.Request) { r.Header.Set("X-Signature-Ed25519", "00ff") }),
		"no time":       changed(func(r *http.Request) { r.Header.Del("X-Signature-Timestamp") }),
		"another time":  changed(func(r *http.Request) { r.Header.Set("X-Signature-Timestamp", "1790000000") }),
		"no number":     changed(func(r *http.Request) { r.Header.Set("X-Signature-Timestamp", "now") }),
		"another's key": changed(func(r *http.Request) { resign(r, other) }),
		"another's body": changed(func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader(strings.Replace(string(body), dev, sre, 1)))
			r.ContentLength = int64(len(body))
		}),
		"signed long ago":  {HTTP: base, Age: 6 * time.Minute},
		"signed for later": {HTTP: base, Age: -6 * time.Minute},
	} {
		sent, err := w.Slash(w.ctx, way, dev, ops, "deploy", option("service", "shop"))
		if err != nil || sent.Status != http.StatusUnauthorized {
			t.Errorf("%s: %+v, %v", name, sent, err)
		}
	}
	if n := w.chat.Connection().Forged; n != 10 {
		t.Errorf("%d forged requests were counted", n)
	}
	// Sent again it is answered, and nothing comes of it.
	for range 3 {
		req, err := http.NewRequestWithContext(w.ctx, http.MethodPost, base+fakediscord.Path, strings.NewReader(string(body)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header.Clone()
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		said, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(said), "received before") {
			t.Errorf("%d %s %v", resp.StatusCode, said, err)
		}
		resp.Body.Close()
	}
	if sent, err := w.Slash(w.ctx, fakediscord.Way{HTTP: base, Age: 20 * time.Second}, dev, ops, "whoami"); err != nil || sent.Status != http.StatusOK || !strings.Contains(sent.Said, "too late") {
		t.Errorf("%+v, %v", sent, err)
	}
	if n := len(w.hub.messages()); n != 1 {
		t.Errorf("%d messages came in", n)
	}
	if status, said, err := w.Ping(w.ctx, changed(func(r *http.Request) { r.Header.Set("X-Signature-Ed25519", strings.Repeat("0", 128)) })); err != nil || status != http.StatusUnauthorized {
		t.Errorf("a forged ping: %d %s %v", status, said, err)
	}
}

// resign signs a request with another key.
func resign(r *http.Request, key ed25519.PrivateKey) {
	body, err := r.GetBody()
	if err != nil {
		panic(err)
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		panic(err)
	}
	r.Header.Set("X-Signature-Ed25519", hex.EncodeToString(ed25519.Sign(key, append([]byte(r.Header.Get("X-Signature-Timestamp")), raw...))))
}

// Before the bot runs, and for what is too large or no interaction, there is a
// plain answer.
func TestHTTPFaults(t *testing.T) {
	w, base := newHTTPWorld(t, func(s *setting) { s.idle = true })
	if status, _, err := w.Ping(w.ctx, fakediscord.Way{HTTP: base}); err != nil || status != http.StatusOK {
		t.Errorf("%d %v", status, err)
	}
	if sent, err := w.Slash(w.ctx, fakediscord.Way{HTTP: base}, dev, ops, "whoami"); err != nil || sent.Status != http.StatusServiceUnavailable {
		t.Errorf("%+v, %v", sent, err)
	}
	w, base = newHTTPWorld(t)
	large := fakediscord.Way{HTTP: base, Change: func(p map[string]any) { p["data"] = strings.Repeat("x", maxPayload) }}
	if sent, err := w.Slash(w.ctx, large, dev, ops, "whoami"); err != nil || sent.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("%d, %v", sent.Status, err)
	}
	odd := fakediscord.Way{HTTP: base, Change: func(p map[string]any) { p["application_id"] = "31337" }}
	if sent, err := w.Slash(w.ctx, odd, dev, ops, "whoami"); err != nil || sent.Status != http.StatusBadRequest {
		t.Errorf("%d, %v", sent.Status, err)
	}
}

// The configuration is checked without Discord, and says what is wrong with it.
func TestConfigFaults(t *testing.T) {
	good := Config{Guilds: []string{guild}}
	for name, c := range map[string]struct {
		change func(c *Config)
		want   string
	}{
		"no guilds":        {func(c *Config) { c.Guilds = nil }, "needs guilds"},
		"a name":           {func(c *Config) { c.Guilds = []string{"Acme"} }, `guild "Acme"`},
		"token":            {func(c *Config) { c.BotToken = "MTk4NjIyNDgzNDcxOTI1MjQ4" }, "bot_token"},
		"mode":             {func(c *Config) { c.Mode = "socket" }, `mode "socket"`},
		"key missing":      {func(c *Config) { c.Mode = modeHTTP }, "needs public_key"},
		"key":              {func(c *Config) { c.PublicKey = "abc" }, "public_key"},
		"short key":        {func(c *Config) { c.PublicKey = "abcd" }, "public_key"},
		"application":      {func(c *Config) { c.Application = "mine" }, `application "mine"`},
		"plain http":       {func(c *Config) { c.APIURL = "http://discord.example/api/v10/" }, "unencrypted"},
		"no address":       {func(c *Config) { c.APIURL = "discord" }, "api_url"},
		"token in address": {func(c *Config) { c.APIURL = "https://u:p@discord.com/api" }, "api_url"},
	} {
		config := good
		c.change(&config)
		_, err := open(bot.ChatOptions{Raw: settings{config}})
		if bot.KindOf(err) != bot.Invalid && err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "config.toml:9") {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(err.Error(), "MTk4") {
			t.Errorf("the token is told: %v", err)
		}
	}
	if _, err := open(bot.ChatOptions{Raw: settings{good}}); err != nil {
		t.Error(err)
	}
	if _, err := open(bot.ChatOptions{Raw: settings{}, Setup: true}); err != nil {
		t.Error(err)
	}
}
