package config_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/config"
)

// The kinds of fault that depend on what a key means.
const (
	missing   = "missing"   // the key is not there
	malformed = "malformed" // of the right type, and no such value
	dangling  = "dangling"  // it names what is nowhere
)

// row is one fault in one key and the whole sentence that it gets. An edit
// beginning with "=" replaces the value, "" takes the line away.
type row struct {
	key  string
	kind string
	edit string
	want string
}

var rows = []row{
	{"observe.every", malformed, `= "often"`, `config.toml:78: observe.every takes a time from 1s to 1h, such as "1m"; it is "often"`},
	{"observe.every", malformed, `= "100ms"`, `config.toml:78: observe.every takes a time from 1s to 1h, such as "1m"; it is "100ms"`},
	{"observe.timeout", malformed, `= "5m"`, `config.toml:79: observe.timeout takes a time from 1s to 1m, such as "10s"; it is "5m"`},
	{"bot.database", missing, ``, `config.toml:1: [bot] needs database = "sqlite:PATH"`},
	{"bot.database", malformed, `= "here"`, `config.toml:2: bot.database takes "sqlite:PATH"; it is "here"`},
	{"bot.database", malformed, `= "sqlite:"`, `config.toml:2: bot.database takes "sqlite:PATH"; it is "sqlite:"`},
	{"bot.database", dangling, `= "mysql:x"`, `config.toml:2: bot.database names the unknown store "mysql"; it takes "sqlite:PATH", "postgres://USER@HOST/NAME", or "env:NAME" or "file:PATH" where such an address is`},
	{"bot.database", malformed, `= "postgres:ops"`, `config.toml:2: bot.database takes "postgres://USER@HOST/NAME"`},
	{"bot.database", malformed, `= "postgres://bot:hunter2@db/ops"`, `config.toml:2: bot.database holds a password; write env:NAME or file:PATH in place of the address, set PGPASSWORD, or add ?passfile=PATH`},
	{"bot.database", malformed, `= "postgres://bot:hun/t?er2@db/ops"`, `config.toml:2: bot.database holds a password; write env:NAME or file:PATH in place of the address, set PGPASSWORD, or add ?passfile=PATH`},
	{"bot.database", malformed, `= "postgresql://db/ops?user=bot&pass%77ord=hunter2"`, `config.toml:2: bot.database holds a password; write env:NAME or file:PATH in place of the address, set PGPASSWORD, or add ?passfile=PATH`},
	{"bot.socket", malformed, `= "data/q.db"`, `config.toml:3: bot.socket and bot.database are the same path; give each a path of its own`},
	{"bot.state", malformed, `= "./data/q.sock"`, `config.toml:4: bot.state and bot.socket are the same path; give each a path of its own`},
	{"bot.journal", malformed, `= "data/q.db"`, `config.toml:10: bot.journal and bot.database are the same path; give each a path of its own`},
	{"bot.timezone", malformed, `= "Local"`, `config.toml:5: bot.timezone takes a zone such as "Europe/Berlin"; there is none called "Local"`},
	{"bot.timezone", dangling, `= "Berlin"`, `config.toml:5: bot.timezone takes a zone such as "Europe/Berlin"; there is none called "Berlin"`},
	{"bot.confirm_expires", malformed, `= "soon"`, `config.toml:6: bot.confirm_expires takes a time from 10s to 1h, such as "2m"; it is "soon"`},
	{"bot.confirm_expires", malformed, `= "1s"`, `config.toml:6: bot.confirm_expires takes a time from 10s to 1h, such as "2m"; it is "1s"`},
	{"bot.approval_expires", malformed, `= "9999h"`, `config.toml:7: bot.approval_expires takes a time from 10s to 24h, such as "30m"; it is "9999h"`},
	{"bot.rate", malformed, `= 0`, `config.toml:8: bot.rate takes 1 to 100000 commands a minute; it is 0`},
	{"bot.rate", malformed, `= -3`, `config.toml:8: bot.rate takes 1 to 100000 commands a minute; it is -3`},
	{"bot.rate", malformed, `= 99999999999999999999`, `config.toml:8: this is not TOML: `},
	{"stop.within", malformed, `= "0s"`, `config.toml:73: stop.within takes a time from 1s to 5m, such as "20s"; it is "0s"`},
	{"listen.public", malformed, `= "8080"`, `config.toml:66: listen.public takes HOST:PORT, such as "127.0.0.1:8081"; it is "8080"`},
	{"listen.public", malformed, `= ":8080"`, `config.toml:66: listen.public takes HOST:PORT, such as "127.0.0.1:8081"; it is ":8080"; to be reached from everywhere, write "0.0.0.0:8080"`},
	{"listen.public", malformed, `= "127.0.0.1:http"`, `config.toml:66: listen.public takes HOST:PORT, such as "127.0.0.1:8081"; "http" is no port`},
	{"listen.public", dangling, `= "bot.example.com:8080"`, `config.toml:66: listen.public takes HOST:PORT, such as "127.0.0.1:8081"; "bot.example.com" is no IP address`},
	{"listen.internal", malformed, `= "127.0.0.1:8080"`, `config.toml:67: listen.internal and listen.public are the same address; give each a port of its own`},
	{"listen.internal", dangling, `= "monitor:8081"`, `config.toml:67: listen.internal takes HOST:PORT, such as "127.0.0.1:8081"; "monitor" is no IP address`},
	{"listen.flags", malformed, `= "127.0.0.1:70000"`, `config.toml:68: listen.flags takes HOST:PORT, such as "127.0.0.1:8081"; "70000" is no port`},
	{"listen.flags", dangling, `= "flags:8082"`, `config.toml:68: listen.flags takes HOST:PORT, such as "127.0.0.1:8081"; "flags" is no IP address`},
	{"log.format", malformed, `= "xml"`, `config.toml:70: log.format takes "text" or "json"; it is "xml"`},
	{"log.level", malformed, `= "loud"`, `config.toml:71: log.level takes "debug", "info", "warn" or "error"; it is "loud"`},
	{"heartbeat.url", missing, ``, `config.toml:74: [heartbeat] needs url = "env:NAME": the address that is told that the bot works`},
	{"heartbeat.url", malformed, `= "http://example.com/hunter2"`, `config.toml:75: heartbeat.url takes "env:NAME", "file:PATH" or an address that begins with https://`},
	{"heartbeat.url", malformed, `= "env:HEART BEAT"`, `config.toml:75: heartbeat.url takes "env:NAME", "file:PATH" or an address that begins with https://`},
	{"heartbeat.every", malformed, `= "1s"`, `config.toml:76: heartbeat.every takes a time from 10s to 1h, such as "1m"; it is "1s"`},

	{"freeze.environments", missing, ``, `config.toml:61: freeze 1 is about no environments; name them: environments = ["prod"]`},
	{"freeze.environments", dangling, `= ["prd"]`, `config.toml:62: there is no environment "prd"; did you mean "prod"?`},
	{"freeze.every", missing, ``, `config.toml:61: freeze 1 does not say when; say it: every = "fri 16:00 - mon 08:00"`},
	{"audit.channels", missing, ``, `config.toml:11: [audit] needs channels = ["NETWORK:CHANNEL"]: every action is written back there`},
	{"audit.channels", malformed, `= ["audit"]`, `config.toml:12: the audit channel "audit" is not a channel; write NETWORK:CHANNEL, such as "file:audit.txt"`},
	{"audit.channels", malformed, `= ["file:"]`, `config.toml:12: the audit channel "file:" is not a channel; write NETWORK:CHANNEL, such as "file:audit.txt"`},
	{"audit.channels", malformed, `= ["file:a", "file:a"]`, `config.toml:12: the audit channel "file:a" is named twice; leave one`},
	{"audit.channels", malformed, `= ["file:*"]`, `config.toml:12: the audit channel "file:*" is not one channel; name one`},
	{"audit.channels", dangling, `= ["slack:C1"]`, `config.toml:12: the audit channel "slack:C1" is on the network "slack", which has no [chat.slack]; there are file, terminal`},
	{"audit.channels", dangling, `= ["fiel:a"]`, `config.toml:12: the audit channel "fiel:a" is on the network "fiel", which has no [chat.fiel]; did you mean "file"?`},
	{"audit.key", missing, ``, `config.toml:11: [audit] needs key = "file:PATH": the key that signs checkpoints; it is made at the first start`},
	{"audit.key", malformed, `= "hunter2"`, `config.toml:13: audit.key takes "file:PATH"`},
	{"audit.checkpoints", malformed, `= "data/audit.key"`, `config.toml:14: audit.checkpoints and audit.key are the same path; give each a path of its own`},
	{"audit.redact", malformed, `= ["("]`, `config.toml:15: audit.redact holds "(", which is not a regular expression that matches something`},
	{"audit.redact", malformed, `= [".*"]`, `config.toml:15: audit.redact holds ".*", which is not a regular expression that matches something`},

	{"audit.retain", malformed, `= "a year"`, `config.toml:16: audit.retain takes days from 30d to 3650d, such as "400d"; it is "a year"`},
	{"audit.retain", malformed, `= "7d"`, `config.toml:16: audit.retain takes days from 30d to 3650d, such as "400d"; it is "7d"`},
	{"audit.retain", malformed, `= "400"`, `config.toml:16: audit.retain takes days from 30d to 3650d, such as "400d"; it is "400"`},
	{"audit.archive", missing, ``, `config.toml:16: audit.retain needs a folder to move old records to; add archive = "PATH"`},
	{"audit.archive", malformed, `= "data/marks.txt"`, `config.toml:17: audit.archive and audit.checkpoints are the same path; give each a path of its own`},

	{"auth.totp_key", missing, ``, `config.toml:83: [auth] needs totp_key = "file:PATH": the key that second factors are kept under; it is made at the first start`},
	{"auth.totp_key", malformed, `= "hunter2"`, `config.toml:84: auth.totp_key takes "file:PATH"`},
	{"auth.totp_key", malformed, `= "file:data/audit.key"`, `config.toml:84: auth.totp_key and audit.key are the same path; give each a path of its own`},

	{"person.name", missing, ``, `config.toml:22: a person needs a name`},
	{"person.name", malformed, `= "dev one"`, `config.toml:23: the name of a person takes letters, digits, dots, dashes and underscores, a letter or digit first, at most 64; it is "dev one"`},
	{"person.accounts", malformed, `= ["dev"]`, `config.toml:24: "dev" of dev-one is not an account; write NETWORK:ID, such as "os:1000"`},
	{"person.accounts", malformed, `= ["os:dev"]`, `config.toml:24: dev-one has the account "os:dev", but the operating system knows people by number; write "os:" and the number that this prints: id -u dev`},
	{"person.accounts", dangling, `= ["discord:42"]`, `config.toml:24: dev-one has the account "discord:42", but there is no [chat.discord]; there are file, os, terminal`},
	{"person.accounts", dangling, `= ["terminl:dev"]`, `config.toml:24: dev-one has the account "terminl:dev", but there is no [chat.terminl]; did you mean "terminal"?`},
	{"role.name", missing, ``, `config.toml:28: a role needs a name`},
	{"role.name", malformed, `= "-sre"`, `config.toml:29: the name of a role takes letters, digits, dots, dashes and underscores, a letter or digit first, at most 64; it is "-sre"`},

	{"grant.channels", malformed, `= ["ops"]`, `config.toml:36: the channel "ops" is not a channel; write NETWORK:CHANNEL, such as "file:audit.txt"`},
	{"grant.channels", dangling, `= ["slack:C1"]`, `config.toml:36: the channel "slack:C1" is on the network "slack", which has no [chat.slack]; there are file, terminal`},
	{"grant.channels", malformed, `= ["terminal:ops"]`, `config.toml:36: the channel "terminal:ops" is no session's`},
	{"deny.channels", malformed, `= ["terminal:ops"]`, `config.toml:43: the channel "terminal:ops" is no session's`},
	{"deny.channels", malformed, `= ["ops"]`, `config.toml:43: the channel "ops" is not a channel; write NETWORK:CHANNEL, such as "file:audit.txt"`},
	{"deny.channels", dangling, `= ["slack:C1"]`, `config.toml:43: the channel "slack:C1" is on the network "slack", which has no [chat.slack]; there are file, terminal`},
}

// none says why a key cannot have a kind of fault that this package sees.
var none = map[string]map[string]string{
	"bot.socket":           {missing: "quarterdeck.sock", dangling: "a path"},
	"bot.socket_group":     {missing: "the owner alone", malformed: "the system's", dangling: "the system's, at the start"},
	"bot.state":            {missing: "state beside the database", dangling: "a path, made on demand"},
	"bot.journal":          {missing: "beside a SQLite database, none with PostgreSQL", dangling: "a path, made on demand"},
	"bot.timezone":         {missing: "UTC"},
	"bot.confirm_expires":  {missing: "2m", dangling: "no name"},
	"bot.approval_expires": {missing: "30m", dangling: "no name"},
	"bot.rate":             {missing: "60", dangling: "no name"},
	"stop.within":          {missing: "20s", dangling: "no name"},
	"listen.public":        {missing: "off"},
	"listen.internal":      {missing: "off"},
	"listen.flags":         {missing: "off"},
	"log.format":           {missing: "text", dangling: "no name"},
	"log.level":            {missing: "info", dangling: "no name"},
	"heartbeat.url":        {dangling: "the environment, at the start"},
	"heartbeat.every":      {missing: "1m", dangling: "no name"},
	"audit.key":            {dangling: "a path, made on demand"},
	"audit.checkpoints":    {missing: "beside the key", dangling: "a path, made on demand"},
	"audit.retain":         {missing: "for ever", dangling: "no name"},
	"audit.archive":        {dangling: "a folder, made on demand"},
	"audit.redact":         {missing: "nothing beyond well-known secrets", dangling: "no name"},
	"person.name":          {dangling: "it declares"},
	"person.accounts":      {missing: directory},
	"person.roles":         {missing: "somebody without roles", malformed: directory, dangling: "it declares"},
	"person.email":         {missing: "not needed", malformed: directory, dangling: "no name"},
	"person.github":        {missing: "not needed", malformed: directory, dangling: "no name"},
	"role.name":            {dangling: "it declares"},
	"role.groups":          {missing: directory, malformed: directory, dangling: directory},
	"grant.roles":          {missing: policy, malformed: policy, dangling: policy},
	"grant.persons":        {missing: policy, malformed: policy, dangling: policy},
	"grant.permissions":    {missing: policy, malformed: policy, dangling: policy},
	"grant.targets":        {missing: policy, malformed: policy, dangling: policy},
	"grant.flags":          {missing: policy, malformed: policy, dangling: "flags come and go"},
	"deny.flags":           {missing: "all", malformed: policy, dangling: "flags come and go"},
	"require.flags":        {missing: "all", malformed: policy, dangling: "flags come and go"},
	"grant.channels":       {missing: "everywhere"},
	"grant.hours":          {missing: "always", malformed: policy, dangling: "no name"},
	"deny.roles":           {missing: "everybody", malformed: policy, dangling: policy},
	"deny.persons":         {missing: "everybody", malformed: policy, dangling: policy},
	"deny.permissions":     {missing: policy, malformed: policy, dangling: policy},
	"deny.targets":         {missing: "all", malformed: policy, dangling: policy},
	"deny.channels":        {missing: "everywhere"},
	"deny.hours":           {missing: "always", malformed: policy, dangling: "no name"},
	"deny.reason":          {missing: "not needed", malformed: "any text", dangling: "no name"},
	"require.permissions":  {missing: policy, malformed: policy, dangling: policy},
	"require.targets":      {missing: "all", malformed: policy, dangling: policy},
	"require.confirm":      {missing: policy, malformed: "true or false", dangling: "no name"},
	"require.reason":       {missing: policy, malformed: "true or false", dangling: "no name"},
	"require.ticket":       {missing: policy, malformed: policy, dangling: "no name"},
	"require.step_up":      {missing: policy, malformed: "true or false", dangling: "no name"},
	"auth.totp_key":        {dangling: "a path, made on demand"},

	"observe.every":   {missing: "1m", dangling: "no name"},
	"observe.timeout": {missing: "10s", dangling: "no name"},

	"freeze.environments": {malformed: "names alone"},
	"freeze.every":        {malformed: "the guard's", dangling: "no name"},
	"freeze.reason":       {missing: "not needed", malformed: "any text", dangling: "no name"},

	"require.approvals.count": {missing: policy, malformed: policy, dangling: "no name"},
	"require.approvals.from":  {missing: "holders of run.approve", malformed: policy, dangling: policy},
}

// Who checks what this package cannot see; their own tests enumerate it.
const (
	policy    = "the policy's"
	directory = "the directory's"
)

// TestEveryKeyEveryMeaningfulFault tries every row, and fails when a key has
// neither a row nor a reason for a kind of fault.
func TestEveryKeyEveryMeaningfulFault(t *testing.T) {
	at := map[string]key{}
	for _, k := range values(t) {
		at[k.path] = k
		for _, kind := range []string{missing, malformed, dangling} {
			tried := false
			for _, r := range rows {
				tried = tried || r.key == k.path && r.kind == kind
			}
			if excused := none[k.path][kind] != ""; tried == excused {
				t.Errorf("%s, %s: want either a row or a reason why there is none", k.path, kind)
			}
		}
	}
	for _, r := range rows {
		t.Run(r.key+"/"+r.kind+"/"+r.edit, func(t *testing.T) {
			k, found := at[r.key]
			if !found {
				t.Fatal("there is no such key")
			}
			edit := r.edit
			if edit != "" {
				edit = k.name + " " + edit
			}
			says(t, onLine(k.line, func(string) string { return edit }), r.want)
		})
	}
	for path := range none {
		if _, found := at[path]; !found {
			t.Errorf("a reason is given for %s, which is no key", path)
		}
	}
}

// says loads text and wants exactly one fault: want, or what begins with it.
func says(t *testing.T, text, want string) {
	t.Helper()
	_, err := load(t, text)
	if bot.KindOf(err) != bot.Invalid {
		t.Fatalf("error is %v, want kind invalid", err)
	}
	if say := err.Error(); say != want && !(strings.HasSuffix(want, ": ") && strings.HasPrefix(say, want)) {
		t.Errorf("says\n%s\nwant\n%s", say, want)
	}
	checkWords(t, err.Error())
}

// TestTables tries the tables whose names are the user's own.
func TestTables(t *testing.T) {
	for _, r := range []struct{ table, from, to, want string }{
		{"bot", "[bot]\n", "[bot\n", `config.toml:1: this is not TOML: `},
		{"bot", "[bot]\n", "[bot] # \x01\n", `config.toml:1: this is not TOML: `},
		{"bot", "[audit]\n", "[bot]\n[audit]\n", `config.toml:11: bot stands here a second time; leave one`},
		{"audit", "[audit]\n", "[[audit]]\n", `config.toml:11: audit takes a table of channels, key, checkpoints, redact, retain, archive, copy; it is a list` + "\n" +
			`config.toml:11: [audit] needs channels = ["NETWORK:CHANNEL"]: every action is written back there` + "\n" +
			`config.toml:11: [audit] needs key = "file:PATH": the key that signs checkpoints; it is made at the first start`},
		{"listen", "[listen]\npublic", "[listen]\npubic", `config.toml:66: unknown key "pubic" in [listen]; did you mean "public"?`},
		{"log", "[log]\n", "[[log]]\n", `config.toml:69: log takes a table of format, level; it is a list`},
		{"stop", "[stop]\n", "[stp]\n", `config.toml:72: unknown key "stp"; did you mean "stop"?`},
		{"heartbeat", "[heartbeat]\n", "[[heartbeat]]\n", `config.toml:74: heartbeat takes a table of url, every; it is a list`},
		{"chat", "[chat.file]\n", "[chat.slac]\n[chat.file]\n", `config.toml:20: there is no chat network "slac"; did you mean "slack"?`},
		{"chat", "[chat.file]\n", "[chat.irc]\n[chat.file]\n", `config.toml:20: there is no chat network "irc"; there are discord, file, slack, terminal`},
		{"chat", "impersonate = false\n", "impersonate = true\n[chat.slack]\n", `config.toml:19: impersonate = true makes everybody at this machine anybody, so it is refused beside [chat.slack]; take one of them away`},
		{"person", "[[person]]\n", "[person]\n", `config.toml:22: person takes tables, each under its own [[person]]; it is a table`},
		{"role", "[[role]]\n", "[[rule]]\n", `config.toml:28: unknown key "rule"; did you mean "role"?`},
		{"grant", `permissions = ["deploy"]`, `permision = ["deploy"]`, `config.toml:34: unknown key "permision" in [[grant]]; did you mean "permissions"?`},
		{"deny", `reason = "not`, `because = "not`, `config.toml:45: unknown key "because" in [[deny]]; it knows channels, flags, hours, permissions, persons, reason, roles, targets`},
		{"require.approvals", "[require.approvals]\ncount = 1\nfrom = [\"sre\"]\n", "approvals = { count = 1, form = [\"sre\"] }\n", `config.toml:52: unknown key "form" in require.approvals; did you mean "from"?`},
		{"require.approvals", "[require.approvals]\ncount = 1\nfrom = [\"sre\"]\n", "approvals = { count = \"one\", from = [\"sre\"] }\n", `config.toml:52: require.approvals.count takes a whole number; it is a text`},
		{"require.approvals", "[require.approvals]\ncount = 1\nfrom = [\"sre\"]\n", "approvals = 1\n", `config.toml:52: require.approvals takes a table of count, from; it is a whole number`},
		{"environment", "[environment.prod]\n", "[environment.prod]\nafter = \"staging\"\n", `config.toml:56: there is no environment "staging"; there is prod alone`},
		{"environment", "[environment.prod]\n", "[environment.prod]\nafter = \"prod\"\n", `config.toml:56: prod comes after itself; take one of them away`},
		{"environment", "[environment.prod]\n", "[environment.prod]\nafter = \"lab\"\n[environment.lab]\nafter = \"prod\"\n", `config.toml:58: lab comes after itself; take one of them away`},
		{"environment", "[environment.prod]\n", "[environment.prod]\naftr = \"staging\"\n", `config.toml:56: unknown key "aftr" in [environment.prod]; did you mean "after"?`},
		{"environment", "[environment.prod]\n", "[environment.prod]\nafter = 3\n", `config.toml:56: environment.prod.after takes a text in quotes; it is a whole number`},
		{"environment", "[environment.prod]\n", "[environment.prd]\n", `config.toml:59: shop/prod is in the environment "prod", which has no [environment.prod]; did you mean "prd"?` + "\n" + `config.toml:62: there is no environment "prod"; did you mean "prd"?` + "\n" + `config.toml:111: there is no environment "prod"; did you mean "prd"?`},
		{"freeze", "[[freeze]]\n", "[freeze]\n", `config.toml:61: freeze takes tables, each under its own [[freeze]]; it is a table`},
		{"environment", "[environment.prod]\n", "[environment.prod]\n[environment.\"a b\"]\n", `config.toml:56: the name of an environment takes `},
		{"provider", "type = \"exec\"\n", "type = \"exex\"\n", `config.toml:57: provider "scripts" has the unknown type "exex"; did you mean "exec"?`},
		{"provider", "type = \"exec\"\n", "type = 7\n", `config.toml:57: provider.scripts.type takes a text in quotes; it is a whole number`},
		{"provider", "type = \"exec\"\n", "", `config.toml:56: provider "scripts" has no type; there are aws, backup, exec, flags, github, prometheus`},
		{"service", "deploy = {", "deploi = {", `config.toml:60: unknown key "deploi" in [service.shop.prod]; did you mean "deploy"?`},
		{"service", `provider = "scripts"`, `provider = "script"`, `config.toml:60: deploy of shop/prod names the provider "script", which has no [provider.script]; did you mean "scripts"?`},
		{"service", `provider = "scripts"`, `provider = ["scripts"]`, `config.toml:60: service.shop.prod.deploy.provider takes a text in quotes; it is a list`},
		{"service", `provider = "scripts", `, ``, `config.toml:60: deploy of shop/prod names no provider; there is scripts alone`},
		{"service", `deploy = { provider = "scripts", argv = ["./deploy"] }`, `deploy = "scripts"`, `config.toml:60: service.shop.prod.deploy takes a table, such as { provider = "NAME" }; it is a text`},
		{"service", `deploy = { provider = "scripts", argv = ["./deploy"] }`, ``, `config.toml:59: shop/prod is bound to nothing; bind it with deploy or scale or backup or metrics or logs or flags or alerts`},
		{"service", "[service.shop.prod]\n", "[service.\"sh/op\".prod]\n", `config.toml:59: the name of a service takes letters`},
	} {
		t.Run(r.table+"/"+r.to, func(t *testing.T) {
			text := edited(t, r.from, r.to)
			if strings.HasSuffix(r.want, " takes ") || strings.HasSuffix(r.want, " letters") {
				_, err := load(t, text)
				if err == nil || !strings.HasPrefix(err.Error(), r.want) {
					t.Errorf("says %v, want what begins with %q", err, r.want)
				}
				return
			}
			says(t, text, r.want)
		})
	}
}

// TestEveryTableIsTried fails when a table is added that no test above knows.
func TestEveryTableIsTried(t *testing.T) {
	tried := map[string]bool{"bot": true, "audit": true, "auth": true, "chat": true, "person": true, "role": true, "grant": true, "deny": true,
		"require": true, "require.approvals": true, "environment": true, "provider": true, "service": true, "freeze": true,
		"listen": true, "log": true, "stop": true, "heartbeat": true, "observe": true, "include": true, "template": true, "person.disabled": true,
		"panels": true, "action": true, "action.run": true, "action.arguments": true, "audit.copy": true, "digest": true, "job": true, "pager": true}
	is := map[string]bool{}
	for _, k := range values(t) {
		is[k.path] = true
	}
	walk(config.FileType, "", func(path string, _ reflect.Type) {
		if !is[path] && !tried[path] {
			t.Errorf("no test puts a fault into the table %s", path)
		}
	})
}

func TestNothingDeclared(t *testing.T) {
	says(t, "", strings.Join([]string{
		`config.toml: [bot] needs database = "sqlite:PATH"`,
		`config.toml: [audit] needs channels = ["NETWORK:CHANNEL"]: every action is written back there`,
		`config.toml: [audit] needs key = "file:PATH": the key that signs checkpoints; it is made at the first start`,
		`config.toml: nobody is declared; add a [[person]] with a name and accounts`,
	}, "\n"))
}

// TestAllFaultsAtOnce wants every fault of every kind in one go, in the order
// of the file.
func TestAllFaultsAtOnce(t *testing.T) {
	text := good
	for _, edit := range [][2]string{
		{`rate = 60`, `rate = "many"`}, {`timezone = "Europe/Berlin"`, `timezone = "Nowhere"`}, {`impersonate`, `impersonat`},
		{`["os:1000"]`, "[\n  \"os:1000\",\n  \"irc:x\",\n]"}, {`permissions = ["deploy"]`, `permisions = ["deploy"]`},
		{`confirm = true`, `confirm = "yes"`}, {`type = "exec"`, `type = "nope"`},
	} {
		if strings.Count(text, edit[0]) != 1 {
			t.Fatalf("%q does not stand once", edit[0])
		}
		text = strings.Replace(text, edit[0], edit[1], 1)
	}
	_, err := load(t, text)
	var all config.Errors
	if !errors.As(err, &all) {
		t.Fatalf("error is %v, want Errors", err)
	}
	var got []string
	for _, f := range all {
		got = append(got, fmt.Sprintf("%d:%d %s", f.Line, f.Column, f.What))
	}
	want := []string{
		`5:1 bot.timezone takes a zone such as "Europe/Berlin"`,
		`8:1 bot.rate takes a whole number`,
		`26:3 dev-one has the account "irc:x", but there is no [chat.irc]`,
		`37:1 unknown key "permisions" in [[grant]]`,
		`52:1 require.confirm takes true or false`,
		`60:1 provider "scripts" has the unknown type "nope"`,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	var one *bot.Error
	if !errors.As(err, &one) || one.Kind != bot.Invalid || strings.Count(one.Say, "\n") != len(want)-1 {
		t.Errorf("as one error it is %+v", one)
	}
}
