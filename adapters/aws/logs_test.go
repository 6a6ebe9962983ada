package awsprovider

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"quarterdeck/adapters/aws/fakeaws"
	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

func (w *world) logs(groups string) provider.LogSource {
	w.t.Helper()
	s, err := w.provider().(provider.LogBinder).BindLogs(prod, table(groups))
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func newLogs(t *testing.T) (*world, provider.LogSource, provider.LogQuery) {
	t.Helper()
	w := newWorld(t)
	now := w.clock.Now()
	for i, text := range []string{"order 1 stored", "panic: no \"cart\" | fields /etc", "order 2 stored", "PANIC again: no cart"} {
		w.Log(fakeaws.LogEvent{Group: "/ecs/web", Stream: "web/1", At: now.Add(time.Duration(i-10) * time.Minute), Message: text})
	}
	w.Log(fakeaws.LogEvent{Group: "/ecs/pay", At: now.Add(-time.Minute), Message: "panic elsewhere"})
	return w, w.logs(`groups = ["/ecs/web"]`), provider.LogQuery{From: now.Add(-time.Hour), To: now, Limit: 50}
}

// Lines of the target's own groups come oldest first, the newest where there are
// too many, and whatever is looked for is text: it cannot become a query.
func TestLogs(t *testing.T) {
	t.Parallel()
	_, source, all := newLogs(t)
	for _, c := range []struct {
		grep  string
		limit int
		from  time.Duration
		want  []string
	}{
		{"", 50, time.Hour, []string{"order 1 stored", `panic: no "cart" | fields /etc`, "order 2 stored", "PANIC again: no cart"}},
		{"", 2, time.Hour, []string{"order 2 stored", "PANIC again: no cart"}},
		{"", 50, 8 * time.Minute, []string{"order 2 stored", "PANIC again: no cart"}},
		{"panic", 50, time.Hour, []string{`panic: no "cart" | fields /etc`, "PANIC again: no cart"}},
		{`"cart" | fields /`, 50, time.Hour, []string{`panic: no "cart" | fields /etc`}},
		{`/ | fields @message | filter @message like /x`, 50, time.Hour, nil},
		{"order . stored", 50, time.Hour, nil},
		{"elsewhere", 50, time.Hour, nil},
	} {
		q := all
		q.Grep, q.Limit, q.From = c.grep, c.limit, q.To.Add(-c.from)
		found, err := source.Lines(context.Background(), q)
		var got []string
		for _, l := range found.Lines {
			got = append(got, l.Text)
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q gives %q (%v), want %q", c.grep, got, err, c.want)
		}
	}
}

// Whatever CloudWatch Logs does, there is a sentence, and no query goes on that
// nobody waits for.
func TestLogsInTrouble(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		arrange func(w *world)
		groups  string
		kind    bot.Kind
		want    string
	}{
		"unknown group": {nil, `groups = ["/ecs/webb"]`, bot.NotFound, "AWS knows no log group /ecs/webb in eu-central-1"},
		"denied": {func(w *world) {
			w.Inject(fakeaws.Fault{Op: "StartQuery", Status: 400, Code: "AccessDeniedException", Message: "User is not authorized to perform: logs:StartQuery on resource"})
		}, "", bot.Denied, "lacks the permission logs:StartQuery for log group /ecs/web"},
		"many at once": {func(w *world) {
			w.Inject(fakeaws.Fault{Op: "StartQuery", Status: 400, Code: "LimitExceededException", Message: "too many"})
		}, "", bot.Busy, "pause"},
		"fails":     {func(w *world) { w.QueriesEnd("Failed") }, "", bot.Unavailable, "could not carry the query out"},
		"timeout":   {func(w *world) { w.QueriesEnd("Timeout") }, "", bot.Unavailable, "ask for a shorter time"},
		"never":     {func(w *world) { w.QueriesEnd("Running") }, "", bot.Timeout, "no answer in time"},
		"new state": {func(w *world) { w.QueriesEnd("Paused") }, "", bot.Timeout, "no answer in time"},
		"throttled": {func(w *world) {
			w.Inject(fakeaws.Fault{Op: "GetQueryResults", Status: 400, Code: "ThrottlingException"})
		}, "", bot.Busy, "pause"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, source, q := newLogs(t)
			if c.groups != "" {
				source = w.logs(c.groups)
			}
			if c.arrange != nil {
				c.arrange(w)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
			defer cancel()
			found, err := source.Lines(ctx, q)
			if bot.KindOf(err) != c.kind || !strings.Contains(bot.Sentence(err, ""), c.want) || found.Lines != nil {
				t.Errorf("got %v, %q (%s), want %s: %q", found, bot.Sentence(err, ""), bot.KindOf(err), c.kind, c.want)
			}
			if w.Calls("StartQuery") > 0 && w.OpenQueries() > 0 && c.want != "could not carry the query out" && c.want != "ask for a shorter time" {
				t.Errorf("%d queries go on", w.OpenQueries())
			}
		})
	}
}

func TestLogStates(t *testing.T) {
	for _, s := range types.QueryStatus("").Values() {
		if _, known := queryStates[s]; !known {
			t.Errorf("the state %s has no row", s)
		}
	}
}

func TestBindLogs(t *testing.T) {
	p := newWorld(t).provider().(provider.LogBinder)
	for text, want := range map[string]string{
		`groups = []`:           "needs groups",
		`groups = ["a b"]`:      `"a b", which is no name of a log group`,
		`group = ["a"]`:         "config.toml:41",
		`groups = ["/ecs/web"]`: "",
		`groups = ["arn:aws:logs:eu-central-1:123456789012:log-group:/ecs/web"]`: "",
	} {
		_, err := p.BindLogs(prod, table(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
