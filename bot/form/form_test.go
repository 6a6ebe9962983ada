package form_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"quarterdeck/adapters/sqlite"
	"quarterdeck/bot"
	"quarterdeck/bot/audit"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/form"
	"quarterdeck/bot/grammar"
	"quarterdeck/bot/provider"
	"quarterdeck/bot/router"
	"quarterdeck/bot/store"
)

// rules let dev do everything on shop, visitor read shop/staging, and nobody
// anything on pay. Deployments to prod need a reason.
type rules struct{}

func (rules) Decide(r bot.Request) bot.Decision {
	for _, resource := range r.Resources {
		t, _ := bot.ParseTarget(resource.Name())
		switch {
		case t.Service != "shop", r.Who.Person == "visitor" && (t.Environment != "staging" || r.Permission != bot.MaySeeStatus):
			return bot.Decision{Because: "no grant"}
		case t.Environment == "prod" && r.Permission == bot.MayDeploy:
			return bot.Decision{Allowed: true, Needs: bot.Needs{Reason: true}}
		}
	}
	return bot.Decision{Allowed: true}
}

func (rules) MayApprove(bot.Request, bot.ApprovalRule) bot.Decision { return bot.Decision{} }

func (rules) Holds(who bot.Identity, p bot.Permission) bool {
	return who.Person == "dev" || who.Person == "visitor" && p == bot.MaySeeStatus
}

type people struct{}

func (people) Identify(_ context.Context, a bot.AccountID, standing bot.Standing) (bot.Identity, error) {
	_, person, _ := strings.Cut(string(a), ":")
	if person == "eve" {
		person = ""
	}
	return bot.Identity{Account: a, Standing: standing, Person: person}, nil
}

func (people) Recall(context.Context, bot.AccountID) (bot.Identity, error) {
	return bot.Identity{}, errors.New("nobody acts here")
}

// names are the words of a catalog.
type names struct{ *provider.Catalog }

func (names) Persons() []string { return []string{"dev", "visitor"} }

// deployer has releases, and nothing else that is asked for here.
type deployer struct {
	provider.Deployer
	mu    sync.Mutex
	asked int
	err   error
}

func (d *deployer) Releases(context.Context, int) ([]provider.Release, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	return []provider.Release{{Artefact: provider.Artefact{Version: "v2"}}, {Artefact: provider.Artefact{Version: "v1"}}}, d.err
}

// stepUp needs a factor for what holds a word.
type stepUp string

func (s stepUp) NeedsCode(_ context.Context, m bot.Message) (router.Wanted, bool) {
	return router.Wanted{Line: m.Text}, strings.Contains(m.Text+m.Press, string(s))
}

type world struct {
	t     *testing.T
	forms *form.Forms
	other *form.Forms // another replica
	clock *bottest.Clock
	store store.Store
	far   *deployer
}

func newWorld(t *testing.T, up form.StepUp) *world {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "q.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	w := &world{t: t, store: s, clock: bottest.NewClock(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)), far: &deployer{}}
	target := func(service, env string) bot.Target { return bot.Target{Service: service, Environment: env} }
	catalog := provider.NewCatalog([]string{"staging", "prod"}, map[bot.Target]provider.Bindings{
		target("shop", "staging"): {Deploy: w.far}, target("shop", "prod"): {Deploy: w.far}, target("pay", "prod"): {Deploy: w.far}})
	service, env := bot.Param{Name: "service", Type: bot.TypeService, Help: "what"}, bot.Param{Name: "environment", Type: bot.TypeEnvironment, Filler: "to", Help: "where"}
	resolve := func(p bot.Permission) func(bot.Call) (bot.Ask, error) {
		return func(c bot.Call) (bot.Ask, error) {
			return bot.Ask{Permission: p, Resources: []bot.Resource{c.Args.Target().Resource()}, Target: c.Args.Target()}, nil
		}
	}
	g, err := grammar.New([]bot.Command{
		{Name: "deploy", Summary: "bring a version to an environment", Permission: bot.MayDeploy, Params: []bot.Param{service, {Name: "version", Type: bot.TypeVersion, Help: "which"}, env},
			Options: []bot.Param{{Name: "steal", Type: bot.TypeFlag, Help: "take it"}, {Name: "speed", Type: bot.TypeChoice, Help: "how", Choices: []string{"slow", "fast"}}},
			Resolve: resolve(bot.MayDeploy), Plan: func(context.Context, bot.Call) (bot.Plan, error) { return bot.Plan{}, nil }},
		{Name: "look", Summary: "look at it", Permission: bot.MaySeeStatus, Params: []bot.Param{service, env},
			Options: []bot.Param{{Name: "flag", Type: bot.TypeText, Help: "which", Known: func(c bot.Call) []string {
				return []string{c.Args["environment"] + "-new-basket", c.Who.Person + "-old"}
			}}},
			Resolve: resolve(bot.MaySeeStatus), Read: func(context.Context, bot.Call) (bot.Reply, error) { return bot.Reply{}, nil }},
	}, names{catalog})
	if err != nil {
		t.Fatal(err)
	}
	make := func() *form.Forms {
		r := router.New(router.Config{Store: s, Recorder: audit.New(audit.Config{Store: s, Clock: w.clock, Redact: []*regexp.Regexp{regexp.MustCompile("hunter-[0-9]")}}), Policy: rules{}, Directory: people{}, Grammar: g,
			Words: func(bot.Identity) grammar.Words { return names{catalog} }, Clock: w.clock, IDs: bot.RandomIDs{}, Seal: store.NewSeal([]byte("secret")), Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
		return form.New(form.Config{Router: r, Catalog: catalog, StepUp: up})
	}
	w.forms, w.other = make(), make()
	return w
}

// says gives what somebody types, and where.
func says(who bot.AccountID, text string) bot.Message {
	return bot.Message{ID: "x:1", Account: who, Standing: bot.Member, Channel: "x:ops", Thread: "t1", Text: text}
}

func (w *world) form(m bot.Message) bot.Form {
	w.t.Helper()
	f, ok := w.forms.Form(w.t.Context(), m)
	if !ok {
		w.t.Fatalf("%+v needs no form", m)
	}
	return f
}

func entry(f bot.Form, who bot.AccountID, id string, values map[string]string) bot.Entry {
	return bot.Entry{Token: f.Token, Account: who, Standing: bot.Member, ID: id, Values: values}
}

func summary(f bot.Form) string {
	var all []string
	for _, in := range f.Inputs {
		s := in.Name + ":" + string(in.Kind)
		if in.Optional {
			s += "?"
		}
		if in.Value != "" {
			s += "=" + in.Value
		}
		all = append(all, s)
	}
	return strings.Join(all, " ")
}

func TestForm(t *testing.T) {
	w := newWorld(t, nil)
	for _, c := range []struct {
		who  bot.AccountID
		line string
		want string // the inputs, "" for no form
	}{
		{"x:dev", "deploy", "service:pick version:pick environment:pick speed:pick? dry-run:switch? reason:text?"},
		{"x:dev", "deploy shop/prod --steal", "service:pick=shop version:pick environment:pick=prod steal:switch?=true speed:pick? dry-run:switch? reason:text?"},
		{"x:dev", "deploy shpo --override why", "service:pick version:pick environment:pick speed:pick? dry-run:switch? reason:text? override:text?=why"},
		{"x:dev", "", "line:text"},
		{"x:dev", " \u00a0", "line:text"},
		{"x:visitor", "look", "service:pick environment:pick flag:text?"},
		{"x:visitor", "look shop prod", ""},
		{"x:visitor", "look pay", ""},
		{"x:visitor", "deploy", ""},
		{"x:dev", "look pay", ""},
		{"x:dev", "deploy shop v2 prod", ""},
		{"x:dev", "depoly", ""},
		{"x:dev", "deploy --loud", ""},
		{"x:eve", "deploy", ""},
		{"x:eve", "", ""},
	} {
		f, ok := w.forms.Form(t.Context(), says(c.who, c.line))
		if got := summary(f); got != c.want || ok != (c.want != "") {
			t.Errorf("%s types %q and is asked %q, want %q", c.who, c.line, got, c.want)
		}
	}
	if f := w.form(says("x:dev", "deploy shpo")); f.Text != `there is no service "shpo"; did you mean "shop"?` {
		t.Errorf("the form says %q", f.Text)
	}
	for what, change := range map[string]func(*bot.Message){
		"a guest": func(m *bot.Message) { m.Standing = bot.Guest }, "an edit": func(m *bot.Message) { m.Edited = true }, "a button": func(m *bot.Message) { m.Press = "p" },
	} {
		m := says("x:dev", "deploy")
		change(&m)
		if _, ok := w.forms.Form(t.Context(), m); ok {
			t.Errorf("%s opens a form", what)
		}
	}
	for range 40 {
		w.forms.Form(t.Context(), says("x:dev", "deploy"))
	}
	if _, ok := w.forms.Form(t.Context(), says("x:dev", "deploy")); ok {
		t.Error("somebody opens forms without end")
	}
	w.clock.Set(w.clock.Now().Add(time.Minute))
	w.form(says("x:dev", "deploy"))
}

func TestEntered(t *testing.T) {
	w := newWorld(t, nil)
	good := map[string]string{"service": "shop", "version": "v2", "environment": "staging"}
	with := func(name, value string) map[string]string {
		all := map[string]string{name: value}
		for n, v := range good {
			if n != name {
				all[n] = v
			}
		}
		return all
	}
	f := w.form(says("x:dev", "deploy"))
	for _, c := range []struct {
		values map[string]string
		faults string
	}{
		{with("version", ""), "version: the VERSION is missing"},
		{with("version", "v2 --break-glass"), "version: "},
		{with("reason", "two\nlines"), "reason: character 4 is a line break"},
		{with("environment", "pord"), `environment: shop has no environment "pord"; it has staging and prod; did you mean "prod"?`},
		{with("environment", "prod"), "reason: a reason is needed there"},
		{with("reason", strings.Repeat("x", 5000)), "reason: "},
	} {
		m, faults, err := w.forms.Entered(t.Context(), entry(f, "x:dev", "x:2", c.values))
		var got []string
		for name, fault := range faults {
			got = append(got, name+": "+fault)
		}
		if err != nil || m.ID != "" || len(got) != 1 || !strings.HasPrefix(got[0], c.faults) {
			t.Errorf("%v makes %+v, %q, %v; want %q", c.values, m, got, err, c.faults)
		}
	}
	// What was not asked for is not read: neither an option, nor an argument.
	values := with("break-glass", "now")
	values["override"], values["line"], values["reason"] = "x", "halt", `a" --override "b`
	for range 2 { // the same entries, delivered twice
		m, faults, err := w.other.Entered(t.Context(), entry(f, "x:dev", "x:3", values))
		want := bot.Message{ID: "x:3", Account: "x:dev", Standing: bot.Member, Channel: "x:ops", Thread: "t1", Text: `deploy shop v2 staging --reason "a\" --override \"b"`}
		if err != nil || len(faults) > 0 || m != want {
			t.Fatalf("the form makes %+v, %v, %v; want %+v", m, faults, err, want)
		}
	}
	if _, _, err := w.forms.Entered(t.Context(), entry(f, "x:dev", "x:4", values)); bot.KindOf(err) != bot.NotFound {
		t.Errorf("a form that was sent is taken again: %v", err)
	}
}

func TestFormIsItsOpeners(t *testing.T) {
	w := newWorld(t, nil)
	f := w.form(says("x:dev", ""))
	for range 3 {
		if _, _, err := w.forms.Entered(t.Context(), entry(f, "x:eve", "x:5", map[string]string{"line": "look shop prod"})); bot.KindOf(err) != bot.Denied {
			t.Errorf("another's form is taken: %v", err)
		}
	}
	var denied []bot.Record
	err := w.store.View(t.Context(), func(r store.Reader) error {
		all, err := r.Records(bot.RecordFilter{Limit: 10})
		for _, s := range all {
			denied = append(denied, bot.Record{Kind: s.Kind})
			if !strings.Contains(string(s.Body), "x:eve") {
				t.Errorf("the record says %s", s.Body)
			}
		}
		return err
	})
	if err != nil || len(denied) != 1 || denied[0].Kind != bot.DeniedRecord {
		t.Errorf("three tries on one form have the records %+v, %v", denied, err)
	}
	for _, token := range []string{"", "x", f.Token + "0", strings.Repeat("a", 1000)} {
		if _, _, err := w.forms.Entered(t.Context(), bot.Entry{Token: token, Account: "x:dev", Standing: bot.Member, ID: "x:6"}); bot.KindOf(err) != bot.NotFound {
			t.Errorf("the token %.20q: %v", token, err)
		}
	}
	if got := w.forms.Choices(t.Context(), entry(f, "x:eve", "", nil), "line", "", 9); got != nil {
		t.Errorf("another's form offers %q", got)
	}
	// Whoever opened it sends it, by whichever replica, within the hour.
	w.clock.Set(w.clock.Now().Add(59 * time.Minute))
	m, faults, err := w.other.Entered(t.Context(), entry(f, "x:dev", "x:7", map[string]string{"line": "look shop prod"}))
	if err != nil || len(faults) > 0 || m.Text != "look shop prod" {
		t.Errorf("%+v, %v, %v", m, faults, err)
	}
	// What somebody wrote into the database is no form.
	forged := w.form(says("x:dev", ""))
	err = w.store.Update(t.Context(), func(tx store.Tx) error {
		d, _, err := tx.Document(form.Kind, forged.Token)
		if err != nil {
			return err
		}
		d.Body = []byte(strings.Replace(string(d.Body), "x:ops", "x:own", 1))
		_, err = tx.PutDocument(d)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.forms.Entered(t.Context(), entry(forged, "x:dev", "x:8", map[string]string{"line": "look shop prod"})); bot.KindOf(err) != bot.NotFound {
		t.Errorf("a form that somebody changed in the database is taken: %v", err)
	}
	late := w.form(says("x:dev", ""))
	w.clock.Set(w.clock.Now().Add(time.Hour))
	if _, _, err := w.forms.Entered(t.Context(), entry(late, "x:dev", "x:8", map[string]string{"line": "look shop prod"})); bot.KindOf(err) != bot.NotFound {
		t.Errorf("a form of an hour ago is taken: %v", err)
	}
}

// Two replicas are sent the same form at once, by two taps that are not known to
// be one: one of them is taken.
func TestFormIsTakenOnce(t *testing.T) {
	w := newWorld(t, nil)
	f := w.form(says("x:dev", ""))
	var wait sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wait.Go(func() {
			forms := []*form.Forms{w.forms, w.other}[i%2]
			_, _, errs[i] = forms.Entered(t.Context(), entry(f, "x:dev", "x:tap"+string(rune('a'+i)), map[string]string{"line": "look shop prod"}))
		})
	}
	wait.Wait()
	taken := slices.DeleteFunc(errs, func(err error) bool { return bot.KindOf(err) == bot.NotFound })
	if len(taken) != 1 || taken[0] != nil {
		t.Errorf("%d of 8 were taken: %v", len(taken), taken)
	}
}

func TestChoices(t *testing.T) {
	w := newWorld(t, nil)
	deploy, look := w.form(says("x:dev", "deploy")), w.form(says("x:visitor", "look"))
	shop := map[string]string{"service": "shop"}
	for _, c := range []struct {
		form   bot.Form
		who    bot.AccountID
		input  string
		typed  string
		values map[string]string
		want   string
	}{
		{deploy, "x:dev", "service", "", nil, "shop"},
		{deploy, "x:dev", "service", "pay", nil, ""},
		{deploy, "x:dev", "environment", "", shop, "staging prod"},
		{deploy, "x:dev", "environment", "P", shop, "prod"},
		{deploy, "x:dev", "environment", "", map[string]string{"service": "pay"}, ""},
		{deploy, "x:dev", "version", "", shop, "v2 v1"},
		{deploy, "x:dev", "version", "2", shop, "2 v2"},
		{deploy, "x:dev", "version", "v1", shop, "v1"},
		{deploy, "x:dev", "version", "main", nil, "main"},
		{deploy, "x:dev", "speed", "", nil, "slow fast"},
		{deploy, "x:dev", "reason", "", nil, ""},
		{deploy, "x:dev", "break-glass", "", nil, ""},
		{deploy, "x:visitor", "service", "", nil, ""},
		{look, "x:visitor", "environment", "", shop, "staging"},
		{look, "x:visitor", "version", "", shop, ""},
	} {
		if got := strings.Join(w.forms.Choices(t.Context(), entry(c.form, c.who, "", c.values), c.input, c.typed, 10), " "); got != c.want {
			t.Errorf("%s is offered %q for %s %q with %v, want %q", c.who, got, c.input, c.typed, c.values, c.want)
		}
	}
	if w.far.asked != 1 {
		t.Errorf("the provider was asked %d times for what does not change by the letter", w.far.asked)
	}
	w.far.err = errors.New("down")
	w.clock.Set(w.clock.Now().Add(time.Minute))
	if got := w.forms.Choices(t.Context(), entry(deploy, "x:dev", "", shop), "version", "v7", 10); !slices.Equal(got, []string{"v7"}) {
		t.Errorf("with the provider down are offered %q", got)
	}
	if got := w.forms.Choices(t.Context(), entry(deploy, "x:dev", "", shop), "environment", "", 1); !slices.Equal(got, []string{"staging"}) {
		t.Errorf("of one are offered %q", got)
	}
}

func TestStepUp(t *testing.T) {
	w := newWorld(t, stepUp("now"))
	press := says("x:dev", "")
	press.Press, press.On = "now-token", "C1/1"
	for _, m := range []bot.Message{press, says("x:dev", "deploy shop v2 prod --break-glass now"), says("x:dev", `deploy shop v2 prod --break-glass "now, hunter-2"`)} {
		f := w.form(m)
		if summary(f) != "code:code" {
			t.Fatalf("%+v is asked %q", m, summary(f))
		}
		if _, faults, err := w.forms.Entered(t.Context(), entry(f, "x:dev", "x:9", nil)); faults["code"] == "" || err != nil {
			t.Errorf("no code makes %v, %v", faults, err)
		}
		got, _, err := w.forms.Entered(t.Context(), entry(f, "x:dev", "x:9", map[string]string{"code": " 123456 "}))
		want := m
		want.Text = strings.Replace(m.Text, "hunter-2", bot.Redacted, 1)
		want.ID, want.Code = "x:9", "123456"
		if err != nil || got != want {
			t.Errorf("the code makes %+v, %v; want %+v", got, err, want)
		}
	}
	// A line that breaks the glass may turn out to need one.
	f := w.form(says("x:dev", "deploy --break-glass later"))
	if !strings.HasSuffix(summary(f), "break-glass:text?=later code:code?") {
		t.Errorf("to break the glass is asked for with %q", summary(f))
	}
	got, faults, err := w.forms.Entered(t.Context(), entry(f, "x:dev", "x:10", map[string]string{"service": "shop", "version": "v2", "environment": "prod", "break-glass": "now", "code": "654321"}))
	if err != nil || got.Code != "654321" || got.Text != "deploy shop v2 prod --break-glass now" {
		t.Errorf("%+v, %v, %v", got, faults, err)
	}
	other := says("x:dev", "")
	other.Press = "other-token"
	if _, ok := w.forms.Form(t.Context(), other); ok {
		t.Error("a button that needs no factor opens a form")
	}
	err = w.store.View(t.Context(), func(r store.Reader) error {
		docs, err := r.Documents(form.Kind, "", 10, false)
		for _, d := range docs {
			if strings.Contains(string(d.Body), "123456") || strings.Contains(string(d.Body), "654321") || strings.Contains(string(d.Body), "hunter") {
				t.Errorf("the store holds a code: %s", d.Body)
			}
		}
		if len(docs) != 4 {
			t.Errorf("the store holds %d forms", len(docs))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// What expired is swept; what is open stays.
func TestSweep(t *testing.T) {
	w := newWorld(t, nil)
	w.form(says("x:dev", ""))
	w.clock.Set(w.clock.Now().Add(2 * time.Hour))
	open := w.form(says("x:dev", ""))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- form.Sweep(ctx, w.store, w.clock, slog.New(slog.DiscardHandler)) }()
	for left := 2; left != 1; {
		err := w.store.View(ctx, func(r store.Reader) error {
			docs, err := r.Documents(form.Kind, "", 10, false)
			left = len(docs)
			if left == 1 && docs[0].ID != open.Token {
				t.Errorf("%s was left", docs[0].ID)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
