package ofrep_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/flag"
	"quarterdeck/bot/listen"
	"quarterdeck/bot/ofrep"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/store"
)

var (
	prod = bot.Target{Service: "shop", Environment: "prod"}
	cart = bot.Target{Service: "cart", Environment: "prod"}
)

const (
	prodKey = "prod-key-0123456789"
	cartKey = "cart-key-0123456789"
)

// world is a server with a flag of every kind.
type world struct {
	t     *testing.T
	store store.Store
	set   *flag.Set
	url   string
	doc   *openapi3.T // nil where the standard's description is not at hand
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	s, err := sqlite.Open(t.Context(), filepath.Join(dir, "q.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	var secrets bot.Secrets
	keys := map[bot.Target][]bot.Secret{}
	for target, key := range map[bot.Target]string{prod: prodKey, cart: cartKey, {Service: "weak", Environment: "prod"}: "short"} {
		path := filepath.Join(dir, target.Service)
		if err := os.WriteFile(path, []byte(key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		secret, err := secrets.Open("file:"+path, dir)
		if err != nil {
			t.Fatal(err)
		}
		keys[target] = []bot.Secret{secret}
	}
	logger := slog.New(slog.DiscardHandler)
	w := &world{t: t, store: s, set: &flag.Set{Store: s, Clock: bot.SystemClock{}, Logger: logger}, doc: contract(t)}
	server := &ofrep.Server{Flags: w.set, Keys: func() map[bot.Target][]bot.Secret { return keys }, Clock: bot.SystemClock{}, Logger: logger}
	mux := http.NewServeMux()
	for _, r := range server.Routes() {
		if !r.On.Holds(r.Path) {
			t.Errorf("%s does not belong on %s", r.Path, r.On)
		}
		mux.Handle(r.Method+" "+r.Path, http.MaxBytesHandler(r.Handler, max(r.MaxBody, 1)))
	}
	if _, err := listen.New(listen.Config{Routes: server.Routes(), IDs: bot.RandomIDs{}}); err != nil {
		t.Error(err)
	}
	h := httptest.NewServer(mux)
	t.Cleanup(h.Close)
	w.url = h.URL + "/ofrep/v1/"
	for _, f := range flags() {
		w.put(f)
	}
	return w
}

func made(t bot.Target, key string, kind provider.FlagType, off, on string) provider.Flag {
	return provider.Flag{Key: key, Target: t, Type: kind, On: true, Off: "off", Variant: "on", Percent: 100,
		Variants: []provider.FlagVariant{{Name: "off", Value: json.RawMessage(off)}, {Name: "on", Value: json.RawMessage(on)}}}
}

func flags() []provider.Flag {
	all := []provider.Flag{
		made(prod, "new-checkout", provider.BooleanFlag, "false", "true"), made(prod, "theme", provider.StringFlag, `"light"`, `"dark \"night\" é"`),
		made(prod, "limit", provider.NumberFlag, "10", "12.5"), made(prod, "count", provider.NumberFlag, "10", "12"), made(prod, "layout", provider.ObjectFlag, `{}`, `{"columns":[1,2],"wide":true}`),
		made(prod, "killed", provider.BooleanFlag, "false", "true"), made(prod, "some", provider.BooleanFlag, "false", "true"), made(prod, "germany", provider.BooleanFlag, "false", "true"),
		made(cart, "theirs", provider.BooleanFlag, "false", "true"),
	}
	all[5].On, all[6].Percent, all[7].Percent = false, int(flag.Bucket("some", "user-1", 100)), 0
	all[7].Rules = []provider.FlagRule{{If: provider.Condition{Attribute: "country", In: []string{"DE"}}, Variant: "on"}}
	return all
}

func (w *world) put(f provider.Flag) {
	w.t.Helper()
	err := w.store.Update(w.t.Context(), func(tx store.Tx) error {
		body, err := json.Marshal(f)
		if err != nil {
			return err
		}
		id := provider.FlagID(f.Target.Environment, f.Key)
		old, _, err := tx.Document(provider.FlagDocument, id)
		if err != nil {
			return err
		}
		_, err = tx.PutDocument(bot.Document{Kind: provider.FlagDocument, ID: id, Rev: old.Rev, Body: body})
		return err
	})
	if err == nil {
		err = w.set.Load(w.t.Context())
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// contract gives the standard's description, nil where it is not laid beside the
// project. Its evaluationSuccess is read as anyOf: as oneOf it rejects every value,
// because codeDefaultFlag matches everything.
func contract(t *testing.T) *openapi3.T {
	dir := os.Getenv("CONTRACTS_DIR")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "contracts")
	}
	raw, err := os.ReadFile(filepath.Join(dir, "ofrep", "openapi.yaml"))
	if err != nil {
		if os.Getenv("CONTRACTS_REQUIRED") != "" {
			t.Fatalf("the contracts are not there: %v", err)
		}
		return nil
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, part := range doc.Components.Schemas["evaluationSuccess"].Value.AllOf {
		if s := part.Value; len(s.OneOf) > 0 {
			s.AnyOf, s.OneOf = s.OneOf, nil
			read++
		}
	}
	if read != 1 {
		t.Fatalf("%d oneOf of evaluationSuccess were read as anyOf", read)
	}
	return doc
}

// answer is one reply, held against the standard's description.
type answer struct {
	status int
	etag   string
	body   map[string]any
}

func (w *world) ask(path, key, body string, header ...string) answer {
	w.t.Helper()
	q, err := http.NewRequestWithContext(w.t.Context(), "POST", w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/json")
	if key != "" {
		q.Header.Set("Authorization", "Bearer "+key)
	}
	for i := 0; i+1 < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, etag: resp.Header.Get("Etag")}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &a.body); err != nil {
			w.t.Fatalf("%s answers %q: %v", path, raw, err)
		}
	}
	w.hold(path, a)
	return a
}

// hold checks an answer against the standard's description.
func (w *world) hold(path string, a answer) {
	w.t.Helper()
	if w.doc == nil {
		return
	}
	template := "/ofrep/v1/evaluate/flags"
	if strings.HasPrefix(path, "evaluate/flags/") {
		template += "/{key}"
	}
	described := w.doc.Paths.Find(template).Post.Responses.Status(a.status)
	if described == nil {
		if a.status != http.StatusRequestEntityTooLarge {
			w.t.Errorf("%s answers %d, which the standard does not know", path, a.status)
		}
		return
	}
	content := described.Value.Content.Get("application/json")
	if content == nil {
		return
	}
	if err := content.Schema.Value.VisitJSON(a.body); err != nil {
		w.t.Errorf("%s answers %d %v: %v", path, a.status, a.body, err)
	}
}

func TestEveryType(t *testing.T) {
	w := newWorld(t)
	if w.doc == nil {
		t.Log("the standard's description is not at hand; nothing is held against it")
	}
	for key, want := range map[string]string{
		"new-checkout": `map[key:new-checkout reason:STATIC value:true variant:on]`,
		"theme":        `map[key:theme reason:STATIC value:dark "night" é variant:on]`,
		"limit":        `map[key:limit reason:STATIC value:12.5 variant:on]`,
		"count":        `map[key:count reason:STATIC value:12 variant:on]`,
		"layout":       `map[key:layout reason:STATIC value:map[columns:[1 2] wide:true] variant:on]`,
		"killed":       `map[key:killed reason:DISABLED value:false variant:off]`,
		"some":         `map[key:some reason:SPLIT value:false variant:off]`,
		"germany":      `map[key:germany reason:TARGETING_MATCH value:true variant:on]`,
	} {
		a := w.ask("evaluate/flags/"+key, prodKey, `{"context":{"targetingKey":"user-1","country":"DE"}}`)
		if got := fmt.Sprint(a.body); a.status != 200 || got != want {
			t.Errorf("%d %s\nwant %s", a.status, got, want)
		}
	}
	// Without a targeting key what needs none is answered, as the SDKs ask for it.
	if a := w.ask("evaluate/flags/new-checkout", prodKey, `{"context":{}}`); a.status != 200 || a.body["value"] != true {
		t.Errorf("%+v", a)
	}
}

func TestFailures(t *testing.T) {
	w := newWorld(t)
	for name, row := range map[string]struct {
		path, key, body string
		status          int
		code            string
	}{
		"no key":               {"evaluate/flags/new-checkout", "", `{"context":{}}`, 401, ""},
		"a wrong key":          {"evaluate/flags/new-checkout", "prod-key-012345678X", `{"context":{}}`, 401, ""},
		"a key that is short":  {"evaluate/flags/new-checkout", "short", `{"context":{}}`, 401, ""},
		"a huge key":           {"evaluate/flags/new-checkout", strings.Repeat("k", 2000), `{"context":{}}`, 401, ""},
		"bulk without a key":   {"evaluate/flags", "", `{"context":{}}`, 401, ""},
		"another's flag":       {"evaluate/flags/theirs", prodKey, `{"context":{}}`, 404, "FLAG_NOT_FOUND"},
		"no such flag":         {"evaluate/flags/nothing", prodKey, `{"context":{}}`, 404, "FLAG_NOT_FOUND"},
		"a strange name":       {"evaluate/flags/%22%3Cscript%3E", prodKey, `{"context":{}}`, 404, "FLAG_NOT_FOUND"},
		"no JSON":              {"evaluate/flags/new-checkout", prodKey, `{"context":`, 400, "PARSE_ERROR"},
		"no context":           {"evaluate/flags/new-checkout", prodKey, `{}`, 400, "INVALID_CONTEXT"},
		"a context of another": {"evaluate/flags/new-checkout", prodKey, `{"context":[1]}`, 400, "INVALID_CONTEXT"},
		"a key of another":     {"evaluate/flags/new-checkout", prodKey, `{"context":{"targetingKey":5}}`, 400, "INVALID_CONTEXT"},
		"percentage, no key":   {"evaluate/flags/some", prodKey, `{"context":{}}`, 400, "TARGETING_KEY_MISSING"},
		"bulk, no JSON":        {"evaluate/flags", prodKey, `x`, 400, "PARSE_ERROR"},
		"too large":            {"evaluate/flags/new-checkout", prodKey, `{"context":{"x":"` + strings.Repeat("x", 70<<10) + `"}}`, 413, "PARSE_ERROR"},
	} {
		a := w.ask(row.path, row.key, row.body)
		code, _ := a.body["errorCode"].(string)
		if a.status != row.status || code != row.code {
			t.Errorf("%s: %d %v, want %d %s", name, a.status, a.body, row.status, row.code)
		}
	}
	if a := w.ask("evaluate/flags/new-checkout", "", `{"context":{}}`, "X-API-Key", prodKey); a.status != 200 {
		t.Errorf("by X-API-Key: %+v", a)
	}
	if a := w.ask("evaluate/flags/theirs", cartKey, `{"context":{}}`); a.status != 200 {
		t.Errorf("its own service gets %+v", a)
	}
}

func TestBulk(t *testing.T) {
	w := newWorld(t)
	const body = `{"context":{"targetingKey":"user-1"}}`
	first := w.ask("evaluate/flags", prodKey, body)
	all, _ := first.body["flags"].([]any)
	if first.status != 200 || len(all) != 8 || first.etag == "" {
		t.Fatalf("%+v", first)
	}
	if again := w.ask("evaluate/flags", prodKey, body, "If-None-Match", first.etag); again.status != 304 || again.etag != first.etag {
		t.Errorf("the same asked again: %+v", again)
	}
	if other := w.ask("evaluate/flags", prodKey, `{"context":{"targetingKey":"user-2"}}`, "If-None-Match", first.etag); other.status != 200 || other.etag == first.etag {
		t.Errorf("another context: %d %s", other.status, other.etag)
	}
	if blank := w.ask("evaluate/flags", prodKey, ` { "context" : {"targetingKey":"user-1"} } `, "If-None-Match", first.etag); blank.status != 304 {
		t.Errorf("the same with other blanks: %d", blank.status)
	}
	f := flags()[0]
	f.On = false
	w.put(f)
	if changed := w.ask("evaluate/flags", prodKey, body, "If-None-Match", first.etag); changed.status != 200 || changed.etag == first.etag {
		t.Errorf("after a change: %d %s", changed.status, changed.etag)
	}
	keyless := w.ask("evaluate/flags", prodKey, `{"context":{}}`)
	if list := fmt.Sprint(keyless.body["flags"]); keyless.status != 200 || !strings.Contains(list, "TARGETING_KEY_MISSING") || !strings.Contains(list, "dark") {
		t.Errorf("without a targeting key: %v", keyless.body)
	}
	theirs := w.ask("evaluate/flags", cartKey, body)
	if list, _ := theirs.body["flags"].([]any); len(list) != 1 {
		t.Errorf("cart gets %v", theirs.body)
	}
}

// TestEvents: who listens hears of a change of their own flags, and nobody listens
// without a key.
func TestEvents(t *testing.T) {
	w := newWorld(t)
	a := w.ask("evaluate/flags", prodKey, `{"context":{}}`)
	streams, _ := a.body["eventStreams"].([]any)
	if len(streams) != 1 {
		t.Fatalf("%v", a.body)
	}
	at := streams[0].(map[string]any)["endpoint"].(map[string]any)["requestUri"].(string)
	if strings.Contains(at, prodKey) {
		t.Fatal("the key is in the address")
	}
	base := strings.TrimSuffix(w.url, "/ofrep/v1/")
	listenTo := func(at string) *http.Response {
		q, err := http.NewRequestWithContext(t.Context(), "GET", base+at, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	for _, bad := range []string{"/ofrep/v1/events", strings.Replace(at, "shop", "cart", 1), at[:len(at)-2] + "00"} {
		if resp := listenTo(bad); resp.StatusCode != 401 && bad != at {
			t.Errorf("%s is answered %d", bad, resp.StatusCode)
		}
	}
	resp := listenTo(at)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() && !strings.Contains(lines.Text(), "listening") {
	}
	theirs := flags()[8]
	theirs.On = false
	w.put(theirs) // which is not ours to hear of
	mine := flags()[0]
	mine.On = false
	w.put(mine)
	now, _ := w.set.Now()
	want := now.Of(prod).Digest
	for lines.Scan() {
		text, found := strings.CutPrefix(lines.Text(), "data: ")
		if !found {
			continue
		}
		var told struct{ Type, Etag string }
		if err := json.Unmarshal([]byte(text), &told); err != nil || told.Type != "refetchEvaluation" || told.Etag != want {
			t.Errorf("told %q (%v), want %s", text, err, want)
		}
		return
	}
	t.Errorf("the stream ended: %v", lines.Err())
}

// TestRotatedKey: a key that was changed counts within seconds, and the old one no
// more.
func TestRotatedKey(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	var secrets bot.Secrets
	write := func(key string) {
		if err := os.WriteFile(path, []byte(key), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("the-first-key-000000")
	secret, err := secrets.Open("file:"+path, dir)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	clock := clockAt{&now}
	server := &ofrep.Server{Flags: &flag.Set{Clock: clock}, Keys: func() map[bot.Target][]bot.Secret { return map[bot.Target][]bot.Secret{prod: {secret}} }, Clock: clock, Logger: slog.New(slog.DiscardHandler)}
	status := func(key string) int {
		q := httptest.NewRequest("POST", "/ofrep/v1/evaluate/flags", strings.NewReader(`{"context":{}}`))
		q.Header.Set("Authorization", "Bearer "+key)
		w := httptest.NewRecorder()
		server.Routes()[1].Handler.ServeHTTP(w, q)
		return w.Code
	}
	if got := status("the-first-key-000000"); got != 200 {
		t.Fatalf("the first key: %d", got)
	}
	write("the-other-key-000000")
	now = now.Add(6 * time.Second)
	if a, b := status("the-first-key-000000"), status("the-other-key-000000"); a != 401 || b != 200 {
		t.Errorf("after the change: the first %d, the other %d", a, b)
	}
}

type clockAt struct{ now *time.Time }

func (c clockAt) Now() time.Time { return *c.now }
