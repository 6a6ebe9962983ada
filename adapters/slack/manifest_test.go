package slackchat

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/dlclark/regexp2"
	"github.com/santhosh-tekuri/jsonschema/v6"
	goyaml "go.yaml.in/yaml/v3"

	"quarterdeck/adapters/slack/fakeslack"
	"quarterdeck/bot"
)

// lookAhead gives the schema's patterns a machine that knows look-ahead.
type lookAhead struct{ *regexp2.Regexp }

func (l lookAhead) MatchString(s string) bool {
	ok, err := l.Regexp.MatchString(s)
	return err == nil && ok
}

func manifestSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	dir := contracts(t)
	if dir == "" {
		t.Skip("the contracts are not there")
	}
	c := jsonschema.NewCompiler()
	c.UseRegexpEngine(func(pattern string) (jsonschema.Regexp, error) {
		re, err := regexp2.Compile(pattern, regexp2.ECMAScript)
		return lookAhead{re}, err
	})
	schema, err := c.Compile(filepath.Join(dir, "manifest", "manifest.schema.2.0.0.json"))
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func setUp(t *testing.T, c Config) *chat {
	t.Helper()
	s, err := open(bot.ChatOptions{Raw: table{c}, Setup: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The manifest is one by Slack's own schema, both ways, and as YAML says the same.
func TestManifest(t *testing.T) {
	for at, want := range map[string]struct {
		command, events, interactivity string
		socket                         bool
	}{
		"":                            {socket: true},
		"https://ops.example.com/qd/": {"https://ops.example.com/qd/slack/commands", "https://ops.example.com/qd/slack/events", "https://ops.example.com/qd/slack/interactivity", false},
	} {
		m, err := setUp(t, Config{Command: "/run-it"}).Manifest(at)
		if err != nil {
			t.Fatal(err)
		}
		var told manifest
		if err := json.Unmarshal(m.JSON, &told); err != nil {
			t.Fatal(err)
		}
		command := told.Features.Commands[0]
		if command.Command != "/run-it" || !command.Escape || command.URL != want.command || told.Settings.Events.URL != want.events ||
			told.Settings.Interactivity.URL != want.interactivity || told.Settings.Socket != want.socket || told.Features.Shortcuts[0].Callback != "ask_quarterdeck" || len(m.Next) < 3 {
			t.Errorf("%q: %+v", at, told)
		}
		if at != "" {
			http, err := open(bot.ChatOptions{Raw: table{Config{Teams: []string{"T1"}, Mode: modeHTTP}}})
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range []string{command.URL, told.Settings.Events.URL, told.Settings.Interactivity.URL, told.Settings.Interactivity.Options} {
				if !slices.ContainsFunc(http.Routes(), func(r bot.Route) bool { return strings.TrimSuffix(at, "/")+r.Path == u }) {
					t.Errorf("%s is no route of the bot", u)
				}
			}
		}
		var fromYAML, fromJSON any
		if err := goyaml.Unmarshal([]byte(m.Text), &fromYAML); err != nil {
			t.Fatalf("%v in\n%s", err, m.Text)
		}
		if err := json.Unmarshal(m.JSON, &fromJSON); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(plainValues(fromYAML), plainValues(fromJSON)) {
			t.Errorf("the YAML says something else:\n%s", m.Text)
		}
		if err := manifestSchema(t).Validate(fromJSON); err != nil {
			t.Errorf("%q: %v", at, err)
		}
	}
	for _, at := range []string{"http://ops.example.com", "ops.example.com", "https://", "https://u:p@ops.example.com", "https://ops.example.com?x=1", "https://ops.example.com#x"} {
		if _, err := setUp(t, Config{}).Manifest(at); bot.KindOf(err) != bot.Invalid {
			t.Errorf("%q: %v", at, err)
		}
	}
}

// TestSchemaRefuses shows that the schema would find a fault.
func TestSchemaRefuses(t *testing.T) {
	m, err := setUp(t, Config{}).Manifest("")
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{`"/ops"`: `"ops"`, `"is_enabled": true`: `"is_enabled": "yes"`, `"bot_events"`: `"bot_event"`} {
		var d any
		if err := json.Unmarshal([]byte(strings.Replace(string(m.JSON), from, to, 1)), &d); err != nil {
			t.Fatal(err)
		}
		if manifestSchema(t).Validate(d) == nil {
			t.Errorf("the schema takes %s for %s", to, from)
		}
	}
}

// plainValues makes values of both decoders alike.
func plainValues(v any) any {
	switch v := v.(type) {
	case map[any]any:
		m := map[string]any{}
		for k, x := range v {
			m[k.(string)] = plainValues(x)
		}
		return m
	case map[string]any:
		m := map[string]any{}
		for k, x := range v {
			m[k] = plainValues(x)
		}
		return m
	case []any:
		list := []any{}
		for _, x := range v {
			list = append(list, plainValues(x))
		}
		return list
	case int:
		return float64(v)
	}
	return v
}

// calls are the functions of the library that call Slack, and what they call.
var calls = map[string][]string{
	"AuthTestContext": {"auth.test"}, "PostMessageContext": {"chat.postMessage"}, "PostEphemeralContext": {"chat.postEphemeral"}, "UpdateMessageContext": {"chat.update"},
	"GetUserInfoContext": {"users.info"}, "GetUserGroupMembersContext": {"usergroups.users.list"}, "GetUserGroupsContext": {"usergroups.list"},
	"GetConversationsContext": {"conversations.list"}, "GetConversationInfoContext": {"conversations.info"}, "OpenConversationContext": {"conversations.open"},
	"GetUsersPaginated": {"users.list"}, "StartSocketModeContext": {"apps.connections.open"}, "RunContext": {"apps.connections.open"},
	"OpenViewContext": {"views.open"}, "PublishViewContext": {"views.publish"},
	"UploadFileContext": {"files.getUploadURLExternal", "files.completeUploadExternal"},
}

// TestEveryCallIsNeeded holds the code against the list that the manifest is made
// of: whatever is called is there, with scopes that Slack takes for it, and
// nothing else is asked for.
func TestEveryCallIsNeeded(t *testing.T) {
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if on, ok := f.X.(*ast.Ident); !ok || on.Name != "api" && on.Name != "client" {
				return true
			}
			if f.Sel.Name == "AckCtx" { // on the socket
				return true
			}
			methods, known := calls[f.Sel.Name]
			if !known {
				t.Errorf("%s calls %s, and the manifest does not know what that needs", path, f.Sel.Name)
			}
			for _, m := range methods {
				found[m] = true
				if !slices.ContainsFunc(needs, func(n need) bool { return n.method == m }) {
					t.Errorf("%s calls %s, which the manifest leaves out", path, m)
				}
			}
			return true
		})
	}
	for _, n := range needs {
		if n.method != "" && !found[n.method] {
			t.Errorf("the manifest asks for %s to %s, and nothing calls that", n.method, n.why)
		}
	}
	names, _ := scopes()
	if got := fakeslack.Scopes(); !slices.Equal(names, got) {
		t.Errorf("scopes %q, and the fake gives %q for everything that the bot does", names, got)
	}
	for _, scope := range names {
		if strings.HasSuffix(scope, ":history") && scope != "im:history" {
			t.Errorf("the bot would read along: %s", scope)
		}
	}
	if dir := contracts(t); dir != "" {
		for _, n := range needs {
			if n.method == "" {
				continue
			}
			if _, err := os.Stat(filepath.Join(dir, "methods", n.method+".json")); err != nil {
				t.Errorf("Slack has no such method: %v", err)
			}
		}
	}
}

// TestEveryEventIsSubscribed: whatever event the code looks for is in the
// manifest, or it would never come.
func TestEveryEventIsSubscribed(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "receive.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		f, ok := n.(*ast.FuncDecl)
		if !ok || f.Name.Name != "event" {
			return true
		}
		ast.Inspect(f, func(n ast.Node) bool {
			c, ok := n.(*ast.CaseClause)
			if !ok {
				return true
			}
			for _, x := range c.List {
				if lit, ok := x.(*ast.BasicLit); ok {
					found++
					name := strings.Replace(strings.Trim(lit.Value, `"`), "message", "message.im", 1)
					if !slices.Contains(events(), name) {
						t.Errorf("the manifest does not subscribe to %s", name)
					}
				}
			}
			return true
		})
		return false
	})
	if found < 5 {
		t.Errorf("only %d events found: the test looks at the wrong thing", found)
	}
}
