package discordchat

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/bwmarrin/discordgo"

	"quarterdeck/bot"
)

// Discord's limits of commands (docs.discord.com/developers/interactions/
// application-commands).
const (
	maxCommands    = 100 // of a guild, besides those on messages
	maxOptions     = 25  // of a command, and choices of an option
	maxDescribed   = 100 // characters of a description
	maxChoice      = 100 // characters of a choice's name and of its value
	maxCommandSize = 8000
	// maxWhole is the largest number that an argument may be; the grammar's own.
	maxWhole = 1_000_000_000
)

// askCommand is the name of the command on messages.
const askCommand = "Ask Quarterdeck"

var commandName = regexp.MustCompile(`^[-_a-z0-9]{1,32}$`)

// surface is the command surface as Discord has it.
type surface struct {
	commands []*discordgo.ApplicationCommand
	verbs    map[string]bot.Verb // by the names that lead to each: "flag on"
	// left says in a sentence each which verbs Discord has no place for. They can
	// be written in a message to the bot.
	left []string
}

// surfaceOf makes the command surface: a command for each verb by its first word,
// with those of several words below it, an option for each argument, and the
// command on messages. Whoever may run which is not Discord's to decide: commands
// are shown to all in the guild, and refused by the bot.
func surfaceOf(verbs []bot.Verb) surface {
	s := surface{verbs: map[string]bot.Verb{}}
	var heads []string
	under := map[string][]bot.Verb{}
	for _, v := range verbs {
		head, _, _ := strings.Cut(v.Name, " ")
		if under[head] == nil {
			heads = append(heads, head)
		}
		under[head] = append(under[head], v)
	}
	leave := func(name, why string) {
		s.left = append(s.left, fmt.Sprintf("%s is no slash command: %s; it can be written in a message to the bot", name, why))
	}
	for _, head := range heads {
		c := &discordgo.ApplicationCommand{Type: discordgo.ChatApplicationCommand, Name: head}
		paths := map[string]bot.Verb{}
		if all := under[head]; len(all) == 1 && all[0].Name == head {
			c.Description, c.Options = described(all[0].Summary), optionsOf(all[0])
			paths[head] = all[0]
		} else {
			c.Description = described(together(all))
			below(c, all, paths)
		}
		switch why := s.unfit(c); {
		case why != "":
			leave(head, why)
		default:
			s.commands = append(s.commands, c)
			for path, v := range paths {
				s.verbs[path] = v
			}
		}
	}
	s.commands = append(s.commands, &discordgo.ApplicationCommand{Type: discordgo.MessageApplicationCommand, Name: askCommand})
	return s
}

// below puts verbs of several words below the command of their first: a
// sub-command each, or in a group where they have three words. Of a verb that is
// that first word alone, which Discord cannot run beside others, the sub-command
// has the same name.
func below(c *discordgo.ApplicationCommand, all []bot.Verb, paths map[string]bot.Verb) {
	for _, v := range all {
		words := strings.Fields(v.Name)[1:]
		if len(words) == 0 {
			words = []string{c.Name}
		}
		sub := &discordgo.ApplicationCommandOption{Type: discordgo.ApplicationCommandOptionSubCommand, Name: strings.Join(words, "-"), Description: described(v.Summary), Options: optionsOf(v)}
		if len(words) != 2 {
			c.Options = append(c.Options, sub)
			paths[c.Name+" "+sub.Name] = v
			continue
		}
		sub.Name = words[1]
		i := slices.IndexFunc(c.Options, func(o *discordgo.ApplicationCommandOption) bool { return o.Name == words[0] })
		if i >= 0 && c.Options[i].Type == discordgo.ApplicationCommandOptionSubCommand {
			sub.Name = words[0] + "-" + words[1] // there is "override" already
			c.Options = append(c.Options, sub)
			paths[c.Name+" "+sub.Name] = v
			continue
		}
		if i < 0 {
			c.Options = append(c.Options, &discordgo.ApplicationCommandOption{Type: discordgo.ApplicationCommandOptionSubCommandGroup, Name: words[0], Description: described(c.Name + " " + words[0])})
			i = len(c.Options) - 1
		}
		c.Options[i].Options = append(c.Options[i].Options, sub)
		paths[c.Name+" "+words[0]+" "+sub.Name] = v
	}
}

// together describes verbs that share their first word.
func together(all []bot.Verb) string {
	var names []string
	for _, v := range all {
		_, rest, _ := strings.Cut(v.Name, " ")
		names = append(names, orElse(rest, v.Name))
	}
	return strings.Join(names, ", ")
}

// described makes a description, which must not be empty.
func described(s string) string { return orElse(cutPlain(bot.LegibleLine(s), maxDescribed), "…") }

// unfit says why Discord would not take a command beside those there are, "" when
// it does. One that it does not take would keep all others from being registered.
func (s *surface) unfit(c *discordgo.ApplicationCommand) string {
	if len(s.commands) >= maxCommands {
		return fmt.Sprintf("there are %d already, which is the most", maxCommands)
	}
	if !commandName.MatchString(c.Name) {
		return "its name is longer than 32 characters"
	}
	why, size := "", len(c.Name)+plainLength(c.Description)
	var walk func(options []*discordgo.ApplicationCommandOption)
	walk = func(options []*discordgo.ApplicationCommandOption) {
		if len(options) > maxOptions {
			why = fmt.Sprintf("it has %d options or verbs below it; the most is %d", len(options), maxOptions)
		}
		for i, o := range options {
			if !commandName.MatchString(o.Name) {
				why = fmt.Sprintf("the name %q in it is longer than 32 characters", o.Name)
			}
			if slices.ContainsFunc(options[:i], func(p *discordgo.ApplicationCommandOption) bool { return p.Name == o.Name }) {
				why = fmt.Sprintf("it has two options %q", o.Name)
			}
			size += len(o.Name) + plainLength(o.Description)
			for _, choice := range o.Choices {
				size += plainLength(choice.Name) + plainLength(fmt.Sprint(choice.Value))
			}
			walk(o.Options)
		}
	}
	if walk(c.Options); why == "" && size > maxCommandSize {
		why = fmt.Sprintf("it takes %d characters to describe; the most is %d", size, maxCommandSize)
	}
	return why
}

// optionsOf gives the typed options of a verb, those that are needed first, as
// Discord wants it.
func optionsOf(v bot.Verb) []*discordgo.ApplicationCommandOption {
	var needed, optional []*discordgo.ApplicationCommandOption
	for _, p := range v.Arguments {
		if o := optionOf(p); o.Required {
			needed = append(needed, o)
		} else {
			optional = append(optional, o)
		}
	}
	return append(needed, optional...)
}

func optionOf(p bot.Param) *discordgo.ApplicationCommandOption {
	o := &discordgo.ApplicationCommandOption{Type: discordgo.ApplicationCommandOptionString, Name: p.Name, Description: described(p.Help), Required: !p.Optional}
	whole := func(least float64) {
		o.Type, o.MinValue, o.MaxValue = discordgo.ApplicationCommandOptionInteger, &least, maxWhole
	}
	switch p.Type {
	case bot.TypeFlag:
		o.Type = discordgo.ApplicationCommandOptionBoolean
	case bot.TypeCount:
		whole(0)
	case bot.TypeNumber:
		whole(-maxWhole)
	case bot.TypeRun:
		whole(1)
		o.Autocomplete = true
	case bot.TypeText, bot.TypeWords, bot.TypeDuration:
		o.Autocomplete = p.Known != nil
	case bot.TypeChoice:
		if len(p.Choices) > maxOptions || slices.ContainsFunc(p.Choices, func(s string) bool { return len(s) > maxChoice }) {
			o.Autocomplete = true
			break
		}
		for _, c := range p.Choices {
			o.Choices = append(o.Choices, &discordgo.ApplicationCommandOptionChoice{Name: c, Value: c})
		}
	default: // whatever is known by name
		o.Autocomplete = true
	}
	return o
}

// digest tells one command surface from another. It is the same for what is
// registered and what Discord gives back of it, whatever Discord adds.
func digest(commands []*discordgo.ApplicationCommand) string {
	type choice struct {
		Name  string
		Value any
	}
	type option struct {
		Type              int
		Name, Description string
		Required, Auto    bool
		Min, Max          float64
		Choices           []choice
		Options           []option
	}
	type command struct {
		Type              int
		Name, Description string
		Options           []option
	}
	var project func(list []*discordgo.ApplicationCommandOption) []option
	project = func(list []*discordgo.ApplicationCommandOption) (all []option) {
		for _, o := range list {
			p := option{Type: int(o.Type), Name: o.Name, Description: o.Description, Required: o.Required, Auto: o.Autocomplete, Max: o.MaxValue, Options: project(o.Options)}
			if o.MinValue != nil {
				p.Min = *o.MinValue
			}
			for _, c := range o.Choices {
				p.Choices = append(p.Choices, choice{c.Name, c.Value})
			}
			all = append(all, p)
		}
		return all
	}
	var all []command
	for _, c := range commands {
		all = append(all, command{Type: max(int(c.Type), 1), Name: c.Name, Description: c.Description, Options: project(c.Options)})
	}
	slices.SortFunc(all, func(a, b command) int { return strings.Compare(fmt.Sprint(a.Type, a.Name), fmt.Sprint(b.Type, b.Name)) })
	raw, err := json.Marshal(all)
	if err != nil {
		return err.Error() // of strings and numbers there is none
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// drift says what differs between the surface and what is registered, "" for
// nothing.
func (s surface) drift(registered []*discordgo.ApplicationCommand) string {
	var missing, changed, surplus []string
	by := map[string]*discordgo.ApplicationCommand{}
	key := func(c *discordgo.ApplicationCommand) string { return fmt.Sprint(max(int(c.Type), 1), c.Name) }
	for _, c := range registered {
		by[key(c)] = c
	}
	for _, c := range s.commands {
		there := by[key(c)]
		delete(by, key(c))
		switch {
		case there == nil:
			missing = append(missing, c.Name)
		case digest([]*discordgo.ApplicationCommand{there}) != digest([]*discordgo.ApplicationCommand{c}):
			changed = append(changed, c.Name)
		}
	}
	for _, c := range by {
		surplus = append(surplus, c.Name)
	}
	slices.Sort(surplus)
	var parts []string
	for _, p := range []struct {
		what  string
		names []string
	}{{"missing", missing}, {"different", changed}, {"not the bot's any more", surplus}} {
		if len(p.names) > 0 {
			parts = append(parts, p.what+": "+strings.Join(p.names[:min(len(p.names), 10)], ", "))
		}
	}
	return strings.Join(parts, "; ")
}

// commandData is what an interaction says about the command that it is of.
type commandData struct {
	ID      string          `json:"id"`
	Name    string          `json:"name"`
	Type    int             `json:"type"`
	Target  string          `json:"target_id"` // of a command on a message
	Options []commandOption `json:"options"`
	GuildID string          `json:"guild_id"`
}

type commandOption struct {
	Name    string          `json:"name"`
	Type    int             `json:"type"`
	Value   json.RawMessage `json:"value"`
	Options []commandOption `json:"options"`
	Focused bool            `json:"focused"`
}

// text gives a value as it is typed on a line. What is being typed into a number
// comes as text.
func (o commandOption) text() string {
	var s string
	if json.Unmarshal(o.Value, &s) == nil {
		return s
	}
	var n json.Number
	if json.Unmarshal(o.Value, &n) == nil {
		if i, err := n.Int64(); err == nil {
			return fmt.Sprint(i)
		}
		if f, err := n.Float64(); err == nil && f == float64(int64(f)) && f < 1<<53 && f > -1<<53 {
			return fmt.Sprint(int64(f)) // 3.0 and 3e0 are whole
		}
		return n.String()
	}
	if string(o.Value) == "true" {
		return "true"
	}
	return ""
}

// typing is a typed command, whole or so far.
type typing struct {
	verb     bot.Verb
	values   map[string]string
	argument bot.Param // that is being typed, zero for none
	typed    string    // of it, so far
}

// read finds which verb a command is of, and with which values; ok is false where
// there is none such, as after a change of the commands.
func (s surface) read(d commandData) (t typing, ok bool) {
	path, options := d.Name, d.Options
	for len(options) == 1 && (options[0].Type == int(discordgo.ApplicationCommandOptionSubCommand) || options[0].Type == int(discordgo.ApplicationCommandOptionSubCommandGroup)) {
		path, options = path+" "+options[0].Name, options[0].Options
	}
	if t.verb, ok = s.verbs[path]; !ok {
		return typing{verb: bot.Verb{Name: path}}, false
	}
	t.values = map[string]string{}
	for _, o := range options {
		i := slices.IndexFunc(t.verb.Arguments, func(p bot.Param) bool { return p.Name == o.Name })
		if i < 0 {
			continue
		}
		if o.Focused {
			t.argument, t.typed = t.verb.Arguments[i], o.text()
			continue
		}
		t.values[o.Name] = o.text()
	}
	return t, true
}
