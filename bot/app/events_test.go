package app_test

import (
	"net/http"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/provider/providertest"
)

// told is a provider that is told of events.
type told struct {
	far
	wake func(targets []bot.Target) error
}

func (t told) Routes() []bot.Route {
	return []bot.Route{{On: bot.OnPublic, Method: http.MethodPost, Path: "/webhooks/far", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := t.wake([]bot.Target{staging}); err != nil {
			http.Error(w, bot.Sentence(err, ""), http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})}}
}

// TestProviderEvents: a provider's route is on the public listener, which must be
// there for it, and what it tells reaches the engine that works now.
func TestProviderEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t, friendly, providertest.NewFriendly)
	w.serve = true
	w.events = func(o provider.Options) provider.Provider {
		return told{far{w.far}, func(targets []bot.Target) error { return o.Wake(t.Context(), targets) }}
	}
	if _, err := w.assemble(); err == nil || !strings.Contains(bot.Sentence(err, ""), `[provider.far] is told of events by the public listener, which is not configured; set public in [listen]`) {
		t.Errorf("without a listener: %v", err)
	}
	w.configure(standard + "[listen]\npublic = \"127.0.0.1:0\"\n")
	w.run()
	post := func() int {
		t.Helper()
		resp, err := http.Post("http://"+w.app.Address(bot.OnPublic).String()+"/webhooks/far", "application/json", strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if code := post(); code != http.StatusNoContent {
		t.Errorf("an event is answered %d", code)
	}
	if _, _, err := w.app.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code := post(); code != http.StatusNoContent {
		t.Errorf("after a reload it is answered %d", code)
	}
	http.DefaultClient.CloseIdleConnections()
}
