package app_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/provider/providertest"
)

// mayLock is the standard configuration in which dev may also lock.
func mayLock(t *testing.T) string {
	return edited(t, edit{`["deploy", "rollback", "restart",`, `["deploy", "rollback", "restart", "lock",`})
}

// put replaces the configuration in one step, as an editor does, by way of a
// file of its own for each side that does.
func (w *world) put(side int, text string) error {
	beside := fmt.Sprintf("%s.%d", w.path, side)
	if err := os.WriteFile(beside, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(beside, w.path)
}

// TestReloadWhilePeopleAct reloads again and again, from two sides at once,
// between rules that let dev lock and rules that do not, while dev goes on
// locking. What was begun was begun under the rules that stand last in the log
// before it, and every message is answered once.
func TestReloadWhilePeopleAct(t *testing.T) {
	t.Parallel()
	w := start(t, friendly, providertest.NewFriendly)
	rules := []string{mayLock(t), standard}
	var people, operators sync.WaitGroup
	done := make(chan struct{})
	for side := range 2 {
		operators.Go(func() {
			for i := side; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				if err := w.put(side, rules[i%2]); err != nil {
					t.Error(err)
					return
				}
				if _, _, err := w.app.Reload(t.Context()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	const each, persons = 40, 3
	var mu sync.Mutex
	said, all := 0, map[bot.Outcome]int{}
	// What they are told depends on how the reloads fall between their lines: they
	// go on until they have met with both rules.
	enough := func(i int) bool {
		mu.Lock()
		defer mu.Unlock()
		return i >= each && all[bot.OutcomeOK] > 0 && all[bot.OutcomeDenied] > 0 || i >= 50*each
	}
	for p := range persons {
		people.Go(func() {
			for i := 0; !enough(i); i++ {
				line, err := w.x.Say(t.Context(), "x:dev", fmt.Sprintf("lock shop staging --reason \"%d of %d\"", i, p))
				if err != nil {
					t.Error(err)
					return
				}
				post, err := w.x.Wait(t.Context(), "the answer", func(p bottest.Post) bool { return bottest.Answers(p, line.ID) && p.Card.Outcome != "" })
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				said++
				all[post.Card.Outcome]++
				mu.Unlock()
			}
		})
	}
	people.Wait()
	close(done)
	operators.Wait()
	if all[bot.OutcomeOK] == 0 || all[bot.OutcomeDenied] == 0 || all[bot.OutcomeOK]+all[bot.OutcomeDenied] != said {
		t.Errorf("answered %v; want %d in all, some allowed and some denied", all, said)
	}
	may, switched, begun := false, 0, 0
	for _, r := range w.records() {
		switch {
		case r.Kind == bot.ConfiguredKind:
			switched++
			for line := range strings.Lines(r.Text["difference"]) {
				if strings.Contains(line, "history, lock,") {
					may = line[0] == '+'
				}
			}
		case r.Kind == bot.Started:
			begun++
			if !may {
				t.Errorf("record %d: %s began after the rules that forbid it were recorded", r.Seq, r.Words("summary"))
			}
		}
	}
	if switched < 4 || begun != all[bot.OutcomeOK] {
		t.Errorf("%d switches and %d begun; want several and %d", switched, begun, all[bot.OutcomeOK])
	}
}

// TestReloadKeepsTheOld on every fault: nothing of the new is taken, the
// sentence names file and line, it is on record, and the next reload that is in
// order is taken.
func TestReloadKeepsTheOld(t *testing.T) {
	t.Parallel()
	w := start(t, friendly, providertest.NewFriendly)
	other := mayLock(t)
	for name, c := range map[string]struct {
		from, to, want string
	}{
		"not TOML":       {"[bot]", "[bot", "config.toml:1: this is not TOML"},
		"unknown key":    {"rate = 100000", "rat = 1", `config.toml:4: unknown key "rat" in [bot]; did you mean "rate"?`},
		"a rule":         {`permissions = ["audit"]`, `permissions = ["audti"]`, "config.toml:32: grant 2: there is no permission \"audti\""},
		"a provider":     {`type = "far"`, `type = "broken"`, "config.toml:43: the moon is in the way"},
		"database":       {"sqlite:q.db", "sqlite:p.db", "config.toml:2: [bot] database needs a restart; restart the bot, or put back what it was to reload the rest"},
		"socket":         {"q.sock", "p.sock", "config.toml:3: [bot] socket needs a restart"},
		"state":          {"rate = 100000", "rate = 5\nstate = \"elsewhere\"", "config.toml:5: [bot] state needs a restart"},
		"group":          {"rate = 100000", "rate = 5\nsocket_group = \"ops\"", "config.toml:5: [bot] socket_group needs a restart"},
		"journal":        {"rate = 100000", "rate = 5\njournal = \"else.where\"", "config.toml:5: [bot] journal needs a restart"},
		"channel":        {`["x:audit"]`, `["x:other"]`, "config.toml:6: [audit] channels needs a restart"},
		"key":            {"file:audit.key", "file:other.key", "config.toml:7: [audit] key needs a restart"},
		"second factors": {"[chat.y]\n", "[chat.y]\n[auth]\ntotp_key = \"file:totp.key\"\n", "config.toml:"},
		"redaction":      {"house-[0-9]+", "house-[0-9]", "config.toml:8: [audit] redact needs a restart"},
		"a chat less":    {"[chat.y]\n", "", "config.toml:"},
	} {
		if n := strings.Count(other, c.from); n != 1 {
			t.Fatalf("%s: %q stands %d times", name, c.from, n)
		}
		w.configure(strings.Replace(other, c.from, c.to, 1))
		before := len(w.recordsOf(standard))
		_, _, err := w.app.Reload(t.Context())
		if bot.KindOf(err) != bot.Invalid || !strings.HasPrefix(bot.Sentence(err, ""), c.want) {
			t.Errorf("%s: error is %v, want %s", name, err, c.want)
			continue
		}
		w.gets("x:dev", "lock shop staging", bot.OutcomeDenied)
		added := w.recordsOf(standard)[before:]
		if len(added) == 0 || added[0].Kind != bot.ConfiguredKind || added[0].Error != bot.Invalid || !strings.Contains(added[0].Text["result"], c.want) {
			t.Errorf("%s: recorded %+v", name, added)
		}
		w.wait("the post about "+name, func(p bottest.Post) bool {
			return p.Channel == "x:audit" && strings.Contains(shown(p.Card), "the old configuration stays") && strings.Contains(shown(p.Card), c.want)
		})
	}
	w.configure(other)
	if changes, _, err := w.app.Reload(t.Context()); err != nil || changes != 2 {
		t.Fatalf("reloaded with %d changes: %v", changes, err)
	}
	w.gets("x:dev", "lock shop staging", bot.OutcomeOK)
	if changes, _, err := w.app.Reload(t.Context()); err != nil || changes != 0 {
		t.Fatalf("reloaded what is as it was with %d changes: %v", changes, err)
	}
}

// recordsOf is records with a configuration that is in order for as long as the
// database is opened.
func (w *world) recordsOf(text string) []bot.Record {
	w.t.Helper()
	kept, err := os.ReadFile(w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	w.configure(text)
	all := w.records()
	w.configure(string(kept))
	return all
}

// TestReloadTakesTargetsAway while a deployment to one is under way: it goes on
// to its end by what it was begun with. What is asked from then on knows no such
// target, and knows a new one.
func TestReloadTakesTargetsAway(t *testing.T) {
	t.Parallel()
	w := start(t, friendly, providertest.NewFriendly)
	release := w.far.Hold()
	said, err := w.x.Say(t.Context(), "x:dev", "deploy shop v2 staging")
	if err != nil {
		t.Fatal(err)
	}
	w.until("the deployment to begin", func() bool { return len(effects(w.far)) == 1 })
	w.configure(edited(t, edit{"[service.shop.staging]", "[service.shop.lab]"}, edit{"[environment.staging]", "[environment.lab]"}))
	if _, _, err := w.app.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.gets("x:dev", "deploy shop v2 staging", bot.OutcomeInvalid)
	release()
	w.wait("the deployment to end", func(p bottest.Post) bool {
		return bottest.Answers(p, said.ID) && p.Card.Outcome == bot.OutcomeOK
	})
	w.gets("x:dev", "status shop lab", bot.OutcomeOK)
}
