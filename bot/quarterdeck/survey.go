package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	toml "github.com/pelletier/go-toml/v2"

	"quarterdeck/bot"
)

const (
	// surveyWithin bounds a survey, waits included.
	surveyWithin = 15 * time.Minute
	// maxDeclared bounds how many people are written, and maxListed how many
	// channels and groups.
	maxDeclared = 300
	maxListed   = 200
)

// survey asks a network what there is and gives a first configuration with it.
func (i initCmd) survey(ctx context.Context, network string) (text, summary string, err error) {
	var table []string
	for _, key := range slices.Sorted(maps.Keys(i.Set)) {
		table = append(table, key+" = "+tomlValue(i.Set[key]))
	}
	chat, err := setUp(network, strings.Join(table, "\n"))
	if err != nil {
		return "", "", err
	}
	surveyor, ok := chat.(bot.Surveyor)
	if !ok {
		return "", "", bot.Errorf(bot.Invalid, "%s cannot be asked what there is", network)
	}
	fmt.Fprintf(os.Stderr, "asking %s what there is ...\n", network)
	ctx, cancel := context.WithTimeout(ctx, surveyWithin)
	defer cancel()
	found, err := surveyor.Survey(ctx)
	if err != nil {
		fmt.Fprintf(os.Stderr, "how %s is set up, with its tokens: quarterdeck manifest %s\n", network, network)
		return "", "", err
	}
	if finder, ok := chat.(bot.Finder); ok && i.Me != "" && len(found.Members) == 0 {
		if found.Members, err = finder.Find(ctx, i.Me); err != nil {
			return "", "", err
		}
	}
	me, err := whoIs(i.Me, found.Members)
	if err != nil {
		return "", "", err
	}
	text = surveyed(network, found, me)
	audit := "no channel yet; invite the bot to one and name it in [audit]"
	if len(found.Channels) > 0 && found.Channels[0].Audit {
		audit = found.Channels[0].Name
	}
	summary = fmt.Sprintf("%s: %s, %s, %s; audit channel: %s", found.Where, count(len(found.Channels), "channel", "channels"),
		count(len(found.Groups), "group", "groups"), count(len(found.Members), "member", "members"), audit)
	return text, summary, nil
}

// tomlValue gives a value as it would stand in the table: as it is where it is
// one, such as a list, and in quotes otherwise.
func tomlValue(value string) string {
	var parsed map[string]any
	if toml.Unmarshal([]byte("x = "+value), &parsed) == nil && len(parsed) == 1 {
		return value
	}
	return fmt.Sprintf("%q", value)
}

// whoIs finds the member of that name or id; "" is nobody.
func whoIs(name string, members []bot.Surveyed) (*bot.Surveyed, error) {
	if name == "" {
		return nil, nil
	}
	var all []bot.Surveyed
	for _, m := range members {
		id := local(m.ID)
		if strings.EqualFold(m.Name, strings.TrimPrefix(name, "@")) || strings.EqualFold(m.Note, name) || id == name {
			all = append(all, m)
		}
	}
	switch len(all) {
	case 0:
		return nil, bot.Errorf(bot.Invalid, "no full member is called %q; give the name to mention you by, or your member id", name)
	case 1:
		return &all[0], nil
	}
	var ids []string
	for _, m := range all {
		ids = append(ids, local(m.ID))
	}
	return nil, bot.Errorf(bot.Invalid, "%d members are called %q; give the id: %s", len(all), name, strings.Join(ids, ", "))
}

// local gives the part of an id that the network itself uses: U1 of "slack:T1/U1",
// 42 of "discord:42".
func local(id string) string { return id[strings.LastIndexAny(id, ":/")+1:] }

// surveyed writes the starter with what was found. Ids are what counts in it;
// names stand in comments beside them, because whoever bears one can change it.
func surveyed(network string, found bot.Survey, me *bot.Surveyed) string {
	s := starter
	var b strings.Builder
	fmt.Fprintf(&b, "[chat.%s]                      # %s\n%s\n", network, comment(found.Where), strings.Join(found.Keys, "\n"))
	s = strings.Replace(s, "[chat.file]\n", b.String()+"[chat.file]\n", 1)
	if len(found.Channels) > 0 && found.Channels[0].Audit {
		c := found.Channels[0]
		s = strings.Replace(s, `channels = ["file:audit-channel.txt"]`, fmt.Sprintf("channels = [%q]           # %s: is this where everything is to be written back?", c.ID, comment(c.Name)), 1)
	} else {
		s = strings.Replace(s, `channels = ["file:audit-channel.txt"]`, "channels = [\"file:audit-channel.txt\"] # the bot is in no channel that is fit; invite it to one and name that here", 1)
	}
	b.Reset()
	b.WriteString("\n# Channels, for [audit] and the channels of rules:\n")
	list(&b, found.Channels, maxListed, "channels", func(c bot.Surveyed) string { return fmt.Sprintf("# %q  %s", c.ID, beside(c)) })
	for _, left := range found.Left {
		fmt.Fprintf(&b, "# Left out: %s.\n", comment(left))
	}
	s = strings.Replace(s, "\n[[person]]\n", b.String()+"\n[[person]]\n", 1)

	b.Reset()
	taken := map[string]bool{"me": true}
	if me != nil {
		s = strings.Replace(s, `accounts = ["os:UID"]`, fmt.Sprintf(`accounts = ["os:UID", %q] # %s`, me.ID, beside(*me)), 1)
	} else {
		s = strings.Replace(s, `accounts = ["os:UID"]`, `accounts = ["os:UID"] # put your own account from below here, and take it away there`, 1)
	}
	b.WriteString("\n# Everybody else. They hold no role: they may ask for help, and nothing more\n# until you give them one.\n")
	var others []bot.Surveyed
	for _, m := range found.Members {
		if me == nil || m.ID != me.ID {
			others = append(others, m)
		}
	}
	list(&b, others, maxDeclared, "people", func(m bot.Surveyed) string {
		id := local(m.ID)
		return fmt.Sprintf("[[person]]\nname = %q\naccounts = [%q] # %s\n", unique(taken, m.Name, id), m.ID, beside(m))
	})
	if len(found.Groups) > 0 {
		b.WriteString("\n# Groups give their members a role; name it in rules.\n")
		taken = map[string]bool{"developer": true}
		list(&b, found.Groups, maxListed, "groups", func(g bot.Surveyed) string {
			id := local(g.ID)
			return fmt.Sprintf("[[role]]\nname = %q\ngroups = [%q] # %s\n", unique(taken, g.Name, id), g.ID, beside(g))
		})
	}
	return strings.Replace(s, "\n[[grant]]\n", b.String()+"\n[[grant]]\n", 1)
}

// list writes at most most of the things, a line each, and says what it left out.
func list(b *strings.Builder, all []bot.Surveyed, most int, what string, line func(bot.Surveyed) string) {
	for i, one := range all {
		if i == most {
			fmt.Fprintf(b, "# ... and %d %s more.\n", len(all)-most, what)
			return
		}
		b.WriteString(line(one) + "\n")
	}
}

// beside gives the comment beside an id.
func beside(s bot.Surveyed) string {
	if s.Note == "" {
		return comment(s.Name)
	}
	return comment(s.Name + ": " + s.Note)
}

// comment makes text safe in a comment: whoever chose it could otherwise end the
// line and write rules, or hide what is written.
func comment(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > 120 {
		s = string(runes[:120]) + "…"
	}
	return s
}

// unique makes a name of the configuration of what somebody is called, one that
// is not taken: with the id where it would be.
func unique(taken map[string]bool, called, id string) string {
	name := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._-", r) {
			return r
		}
		return -1
	}, called)
	if name == "" {
		name = id
	}
	if len(name) > 40 || taken[strings.ToLower(name)] {
		name = strings.ToValidUTF8(name[:min(len(name), 40)], "") + "-" + id
	}
	taken[strings.ToLower(name)] = true
	return name
}
