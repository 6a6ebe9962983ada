package discordchat

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bwmarrin/discordgo"
	"pgregory.net/rapid"

	"quarterdeck/bot"
	"quarterdeck/bot/app"
	"quarterdeck/bot/bottest"
	"quarterdeck/bot/grammar"
	"quarterdeck/commands"
)

// names are what arguments may name in these tests.
type names struct{}

func (names) Services() []string           { return []string{"payments", "shop"} }
func (names) Environments(string) []string { return []string{"staging", "prod"} }
func (names) Persons() []string            { return []string{"dev-one", "sre"} }

// whole gives the grammar of the whole command surface, and more: verbs of every
// shape that a table may have.
func whole(t testing.TB) *grammar.Grammar {
	t.Helper()
	read := func(c bot.Command) bot.Command {
		c.Permission, c.Resolve, c.Read = bot.MayAskSelf, bot.AskSelf, noRead
		return c
	}
	all := append(commands.All(app.CommandNeeds{}),
		read(bot.Command{Name: "shape", Summary: "a verb that is the first word of others", Params: []bot.Param{{Name: "who", Type: bot.TypePerson, Help: "whom"}}}),
		read(bot.Command{Name: "shape on", Summary: "two words", Params: []bot.Param{{Name: "flag", Type: bot.TypeText, Help: "which"}}, Options: []bot.Param{
			{Name: "count", Type: bot.TypeCount, Help: "how many"}, {Name: "number", Type: bot.TypeNumber, Help: "how much"}, {Name: "kind", Type: bot.TypeChoice, Choices: []string{"a", "b"}, Help: "which sort"}}}),
		read(bot.Command{Name: "shape note add", Summary: "three words", Params: []bot.Param{{Name: "run", Type: bot.TypeRun, Help: "which"}, {Name: "line", Type: bot.TypeLine, Help: "what"}}}),
		read(bot.Command{Name: "shape on twice", Summary: "three words below two", Params: []bot.Param{{Name: "at", Type: bot.TypeEnvironment, Help: "where"}}}),
	)
	g, err := grammar.New(all, names{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestSurface gives Discord the whole command surface as it takes it: each verb has
// its place, each argument its option, and everything is within the limits.
func TestSurface(t *testing.T) {
	g := whole(t)
	s := surfaceOf(g.Verbs())
	if len(s.left) > 0 {
		t.Errorf("left out: %q", s.left)
	}
	placed := map[string]bool{}
	for path, v := range s.verbs {
		placed[v.Name] = true
		if strings.Count(path, " ") > 2 {
			t.Errorf("%s lies too deep", path)
		}
	}
	for _, v := range g.Verbs() {
		if !placed[v.Name] {
			t.Errorf("%q has no place", v.Name)
		}
	}
	conforms(t, "ApplicationCommandUpdateRequest", s.commands[0])
	for _, c := range s.commands {
		if c.Type == discordgo.MessageApplicationCommand {
			continue
		}
		conforms(t, "ApplicationCommandUpdateRequest", c)
		fits(t, c)
	}
	if last := s.commands[len(s.commands)-1]; last.Type != discordgo.MessageApplicationCommand || last.Description != "" || len(last.Options) > 0 {
		t.Errorf("the command on messages is %+v", last)
	}
	for path, want := range map[string]string{"shape shape": "shape", "shape on": "shape on", "shape note add": "shape note add", "shape on-twice": "shape on twice", "freeze add": "freeze add", "deploy": "deploy"} {
		if got := s.verbs[path].Name; got != want {
			t.Errorf("%q leads to %q, want %q", path, got, want)
		}
	}
	for _, v := range g.Verbs() {
		for _, p := range v.Arguments {
			if p.Type == bot.TypeCode {
				t.Errorf("%s shows a one-time code to everybody", v.Name)
			}
		}
	}
}

var discordName = regexp.MustCompile(`^[-_'\p{L}\p{N}]{1,32}$`)

// fits checks what the vendor's description lacks.
func fits(t *testing.T, c *discordgo.ApplicationCommand) {
	t.Helper()
	size := 0
	text := func(name, description string) {
		size += characters(name) + characters(description)
		if !discordName.MatchString(name) || strings.ToLower(name) != name || description == "" || characters(description) > 100 {
			t.Errorf("%s: %q, %q", c.Name, name, description)
		}
	}
	text(c.Name, c.Description)
	var walk func(depth int, options []*discordgo.ApplicationCommandOption)
	walk = func(depth int, options []*discordgo.ApplicationCommandOption) {
		if len(options) > 25 {
			t.Errorf("%s has %d options", c.Name, len(options))
		}
		optional, seen := false, map[string]bool{}
		for _, o := range options {
			text(o.Name, o.Description)
			if seen[o.Name] {
				t.Errorf("%s has %s twice", c.Name, o.Name)
			}
			seen[o.Name] = true
			if o.Required && optional {
				t.Errorf("%s needs %s after one that may be left out", c.Name, o.Name)
			}
			optional = optional || !o.Required
			if o.Autocomplete && len(o.Choices) > 0 || len(o.Choices) > 25 {
				t.Errorf("%s %s has choices and autocomplete, or too many", c.Name, o.Name)
			}
			for _, choice := range o.Choices {
				size += characters(choice.Name) + characters(fmt.Sprint(choice.Value))
			}
			below := o.Type == discordgo.ApplicationCommandOptionSubCommand || o.Type == discordgo.ApplicationCommandOptionSubCommandGroup
			if below && (depth > 1 || o.Type == discordgo.ApplicationCommandOptionSubCommandGroup && depth > 0) {
				t.Errorf("%s %s lies too deep", c.Name, o.Name)
			}
			walk(depth+1, o.Options)
		}
	}
	walk(0, c.Options)
	if size > 8000 {
		t.Errorf("%s takes %d characters", c.Name, size)
	}
}

// TestSurfaceTooLarge leaves out what Discord would refuse, because one such command
// keeps all others from being registered, and says which.
func TestSurfaceTooLarge(t *testing.T) {
	var many []bot.Verb
	for i := range 120 {
		many = append(many, bot.Verb{Name: fmt.Sprintf("verb-%d", i), Summary: "x"})
	}
	s := surfaceOf(many)
	if len(s.commands) != 101 || len(s.left) != 20 || s.verbs["verb-119"].Name != "" {
		t.Errorf("%d commands, %d left out", len(s.commands), len(s.left))
	}
	var wide, long bot.Verb
	wide = bot.Verb{Name: "wide", Summary: "x"}
	for i := range 26 {
		wide.Arguments = append(wide.Arguments, bot.Param{Name: fmt.Sprintf("p%d", i), Type: bot.TypeText, Help: "x"})
	}
	long = bot.Verb{Name: "long", Summary: "x"}
	for i := range 25 {
		p := bot.Param{Name: fmt.Sprintf("p%d", i), Type: bot.TypeChoice, Help: "x"}
		for n := range 25 {
			p.Choices = append(p.Choices, fmt.Sprintf("choice-%d", n))
		}
		long.Arguments = append(long.Arguments, p)
	}
	s = surfaceOf([]bot.Verb{wide, long, {Name: strings.Repeat("n", 33), Summary: "x"}, {Name: "good", Summary: strings.Repeat("s", 300)}})
	if len(s.commands) != 2 || len(s.left) != 3 {
		t.Errorf("%d commands; %q", len(s.commands), s.left)
	}
	fits(t, s.commands[0])
}

// TestDigest knows the surface again when Discord gives it back, and an other one
// for another.
func TestDigest(t *testing.T) {
	s := surfaceOf(whole(t).Verbs())
	raw, err := json.Marshal(s.commands)
	if err != nil {
		t.Fatal(err)
	}
	var back []map[string]any
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	for i, c := range back { // as Discord adds it
		c["id"], c["application_id"], c["version"], c["guild_id"] = fmt.Sprint(1000+i), "1", "7", "2"
		c["default_member_permissions"], c["nsfw"], c["name_localizations"] = nil, false, nil
		if c["type"] == float64(3) {
			delete(c, "options")
			c["description"] = ""
		}
	}
	slices.Reverse(back)
	raw, err = json.Marshal(back)
	if err != nil {
		t.Fatal(err)
	}
	var there []*discordgo.ApplicationCommand
	if err := json.Unmarshal(raw, &there); err != nil {
		t.Fatal(err)
	}
	if digest(there) != digest(s.commands) || s.drift(there) != "" {
		t.Errorf("what was registered is taken for something else: %s", s.drift(there))
	}
	for name, change := range map[string]func(c *discordgo.ApplicationCommand){
		"description": func(c *discordgo.ApplicationCommand) { c.Description += "." },
		"an option":   func(c *discordgo.ApplicationCommand) { c.Options = c.Options[1:] },
		"required":    func(c *discordgo.ApplicationCommand) { c.Options[0].Required = !c.Options[0].Required },
		"completion":  func(c *discordgo.ApplicationCommand) { c.Options[0].Autocomplete = !c.Options[0].Autocomplete },
		"name":        func(c *discordgo.ApplicationCommand) { c.Name = "other" },
	} {
		var other []*discordgo.ApplicationCommand
		if err := json.Unmarshal(raw, &other); err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(other, func(c *discordgo.ApplicationCommand) bool { return c.Name == "deploy" })
		change(other[i])
		if digest(other) == digest(s.commands) || !strings.Contains(s.drift(other), "deploy") {
			t.Errorf("a change of %s is not seen: %q", name, s.drift(other))
		}
	}
	if d := s.drift(there[1:]); !strings.Contains(d, "missing: ") {
		t.Errorf("%q", d)
	}
	if d := s.drift(append(there, &discordgo.ApplicationCommand{Name: "old"})); d != "not the bot's any more: old" {
		t.Errorf("%q", d)
	}
}

// interactionOf writes what Discord sends of a typed command.
func interactionOf(t fault, s surface, verb string, values map[string]string, focus string) commandData {
	t.Helper()
	path := ""
	for p, v := range s.verbs {
		if v.Name == verb {
			path = p
		}
	}
	words := strings.Fields(path)
	c := s.commands[slices.IndexFunc(s.commands, func(c *discordgo.ApplicationCommand) bool { return c.Name == words[0] })]
	options := c.Options
	for _, w := range words[1:] {
		options = options[slices.IndexFunc(options, func(o *discordgo.ApplicationCommandOption) bool { return o.Name == w })].Options
	}
	var given []map[string]any
	for _, o := range options {
		v, ok := values[o.Name]
		if !ok {
			if o.Required && focus == "" {
				t.Fatalf("%s: Discord would not send it without %s", verb, o.Name)
			}
			continue
		}
		sent := map[string]any{"name": o.Name, "type": o.Type, "value": v}
		switch o.Type {
		case discordgo.ApplicationCommandOptionInteger:
			sent["value"] = json.Number(v)
		case discordgo.ApplicationCommandOptionBoolean:
			sent["value"] = v == "true"
		}
		if o.Name == focus {
			sent["focused"], sent["value"] = true, v
		}
		given = append(given, sent)
	}
	for i := len(words) - 1; i > 0; i-- {
		kind := discordgo.ApplicationCommandOptionSubCommand
		if i < len(words)-1 {
			kind = discordgo.ApplicationCommandOptionSubCommandGroup
		}
		given = []map[string]any{{"name": words[i], "type": kind, "options": given}}
	}
	raw, err := json.Marshal(map[string]any{"id": "1", "name": words[0], "type": 1, "options": given})
	if err != nil {
		t.Fatalf("%v", err)
	}
	var d commandData
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatalf("%v", err)
	}
	return d
}

// TestTypedIsWhatIsTyped has every command asked for in both ways, with any values:
// what Discord's typed options make is the line, and the arguments, that a typed
// line makes.
func TestTypedIsWhatIsTyped(t *testing.T) {
	g := whole(t)
	s := surfaceOf(g.Verbs())
	seen := map[string]bool{}
	rapid.Check(t, func(t *rapid.T) {
		for _, v := range g.Verbs() {
			values := map[string]string{}
			for _, p := range v.Arguments {
				if p.Optional && rapid.IntRange(0, 2).Draw(t, "given") > 0 {
					continue
				}
				values[p.Name] = value(t, p)
			}
			if _, faults := g.Compose(v.Name, values); len(faults) > 0 {
				continue // such as an environment without its service
			}
			seen[v.Name] = true
			read, ok := s.read(interactionOf(t, s, v.Name, values, ""))
			if !ok || read.verb.Name != v.Name || !maps.Equal(read.values, values) {
				t.Fatalf("%s %v is read as %s %v", v.Name, values, read.verb.Name, read.values)
			}
			line := g.Typed(read.verb.Name, read.values)
			got, err := g.Parse(line)
			if err != nil || got.Line != line {
				t.Fatalf("%q: %q, %v", line, got.Line, err)
			}
			typed := typedBy(g, v.Name, values)
			want, err := g.Parse(typed)
			if err != nil {
				t.Fatalf("%q: %v", typed, err)
			}
			if got.Line != want.Line || !maps.Equal(got.Args, want.Args) || got.DryRun != want.DryRun || got.Reason != want.Reason || got.Override != want.Override || got.BreakGlass != want.BreakGlass {
				t.Fatalf("typed %q, chosen %q", want.Line, got.Line)
			}
		}
	})
	for _, v := range g.Verbs() {
		if !seen[v.Name] {
			t.Errorf("%s was never tried", v.Name)
		}
	}
}

// value makes a value that Discord would let somebody send.
func value(t *rapid.T, p bot.Param) string {
	free := rapid.StringOfN(rapid.SampledFrom([]rune("ab-\"\\ '=/#1é語")), 1, 12, -1).Filter(func(s string) bool { return strings.TrimSpace(s) == s && s != "" })
	switch p.Type {
	case bot.TypeService:
		if p.Name == "target" {
			return "shop/prod"
		}
		return rapid.SampledFrom(names{}.Services()).Draw(t, p.Name)
	case bot.TypeEnvironment:
		return rapid.SampledFrom(names{}.Environments("")).Draw(t, p.Name)
	case bot.TypePerson:
		return rapid.SampledFrom(names{}.Persons()).Draw(t, p.Name)
	case bot.TypeVersion:
		return rapid.SampledFrom([]string{"v2", "latest", "#12", "a1b2c3", "release/1.2"}).Draw(t, p.Name)
	case bot.TypeChoice:
		return rapid.SampledFrom(p.Choices).Draw(t, p.Name)
	case bot.TypeRun, bot.TypeCount:
		return fmt.Sprint(rapid.IntRange(1, 99).Draw(t, p.Name))
	case bot.TypeNumber:
		return fmt.Sprint(rapid.IntRange(-99, 99).Draw(t, p.Name))
	case bot.TypeDuration:
		return rapid.SampledFrom([]string{"30m", "2h", "90s", "1w"}).Draw(t, p.Name)
	case bot.TypeFlag:
		return "true"
	case bot.TypeLine:
		if p.Name == "verb" || p.Name == "command" {
			return "deploy shop v2 prod"
		}
	}
	return free.Draw(t, p.Name)
}

// typedBy writes the line as somebody types it: every value in quotation marks, the
// options first but for what takes the rest of the line.
func typedBy(g *grammar.Grammar, verb string, values map[string]string) string {
	c, _ := g.Lookup(verb)
	parts, rest := []string{verb}, ""
	quote := func(s string) string {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
	}
	for _, a := range grammar.Options(c) {
		v, given := values[a.Name]
		switch {
		case !given || !a.Option:
		case a.Type == bot.TypeFlag:
			parts = append(parts, "--"+a.Name)
		default:
			parts = append(parts, "--"+a.Name, quote(v))
		}
	}
	for _, p := range c.Params {
		if v, given := values[p.Name]; given && p.Type == bot.TypeLine {
			rest = v
		} else if given {
			parts = append(parts, quote(v))
		}
	}
	if rest != "" {
		parts = append(parts, rest)
	}
	return strings.Join(parts, " ")
}

// TestTypedValuesStayValues has values that look like options and other arguments:
// none becomes one, and what is wrong is said as of a typed line.
func TestTypedValuesStayValues(t *testing.T) {
	g := whole(t)
	s := surfaceOf(g.Verbs())
	for name, evil := range bottest.Injections() {
		evil = strings.ToValidUTF8(evil, "\uFFFD") // as all of JSON is
		for _, arg := range []string{evil, "--override=x " + evil, "v2 prod --break-glass \"" + evil, "-- " + evil} {
			values := map[string]string{"service": "shop", "version": arg, "environment": "prod", "reason": arg}
			read, _ := s.read(interactionOf(t, s, "deploy", values, ""))
			p, err := g.Parse(g.Typed(read.verb.Name, read.values))
			if err == nil && (p.Override != "" || p.BreakGlass != "" || p.DryRun || p.Args["environment"] != "prod" || p.Args["service"] != "shop") {
				t.Errorf("%s: read as %q", name, p.Line)
			}
			values["version"] = "v2"
			p, err = g.Parse(g.Typed("deploy", values))
			if err == nil && (p.Override != "" || p.BreakGlass != "" || p.Args["version"] != "v2") {
				t.Errorf("%s: read as %q", name, p.Line)
			}
		}
	}
	for want, values := range map[string]map[string]string{
		`there is no service "shopp"; did you mean "shop"?`: {"service": "shopp", "version": "v2", "environment": "prod"},
		`shop has no environment "prd"`:                     {"service": "shop", "version": "v2", "environment": "prd"},
	} {
		if _, err := g.Parse(g.Typed("deploy", values)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestFocus finds which argument is being typed, whatever its type.
func TestFocus(t *testing.T) {
	s := surfaceOf(whole(t).Verbs())
	read, ok := s.read(interactionOf(t, s, "deploy", map[string]string{"service": "sh", "environment": "prod"}, "service"))
	if !ok || read.argument.Name != "service" || read.typed != "sh" || !maps.Equal(read.values, map[string]string{"environment": "prod"}) {
		t.Errorf("%+v", read)
	}
	read, ok = s.read(interactionOf(t, s, "approve", map[string]string{"run": "#1"}, "run"))
	if !ok || read.argument.Type != bot.TypeRun || read.typed != "#1" {
		t.Errorf("%+v", read)
	}
	if _, ok := s.read(commandData{Name: "gone"}); ok {
		t.Error("a command that is gone is read")
	}
}

// TestOffered keeps choices within the limits, and leaves out what would become
// another value.
func TestOffered(t *testing.T) {
	var all []bot.Choice
	for i := range 40 {
		all = append(all, bot.Choice{Value: fmt.Sprintf("service-%d", i)})
	}
	if got := offered(all, bot.Param{Type: bot.TypeService}); len(got) != 25 {
		t.Errorf("%d choices", len(got))
	}
	got := offered([]bot.Choice{{Value: strings.Repeat("x", 101)}, {Value: "a\u202eb"}, {Value: "7", Label: strings.Repeat("𝕏", 200)}, {Value: "seven"}}, bot.Param{Type: bot.TypeRun})
	if len(got) != 1 || got[0].Value != int64(7) || characters(got[0].Name) > 100 {
		t.Errorf("%+v", got)
	}
	conforms(t, "InteractionApplicationCommandAutocompleteCallbackIntegerData", map[string]any{"choices": got})
	if got := offered(nil, bot.Param{}); got == nil {
		t.Error("no choices are no list")
	}
}

func noRead(context.Context, bot.Call) (bot.Reply, error) { return bot.Reply{}, nil }
