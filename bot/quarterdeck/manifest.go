package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	toml "github.com/pelletier/go-toml/v2"

	"quarterdeck/bot"
	"quarterdeck/bot/nearest"
)

type manifestCmd struct {
	Config  string `help:"Path of the configuration; its table of the network counts where it is there." default:"config.toml" type:"path" env:"QUARTERDECK_CONFIG"`
	Network string `arg:"" help:"The chat network, such as slack."`
	HTTP    string `name:"http" help:"Where the public listener is reached from outside; without it the bot opens its connections itself." placeholder:"URL"`
	JSON    bool   `name:"json" help:"Print it as JSON."`
}

// Run prints the manifest alone on standard output, so that it can be piped, and
// what to do with it beside it.
func (m manifestCmd) Run() error {
	chat, err := m.network()
	if err != nil {
		return err
	}
	maker, ok := chat.(bot.Manifester)
	if !ok {
		return bot.Errorf(bot.Invalid, "%s needs no manifest", m.Network)
	}
	made, err := maker.Manifest(m.HTTP)
	if err != nil {
		return err
	}
	if m.JSON {
		fmt.Println(string(made.JSON))
	} else {
		fmt.Print(made.Text)
	}
	for i, step := range made.Next {
		fmt.Fprintf(os.Stderr, "%d. %s\n", i+1, step)
	}
	return nil
}

// network gives the network as it is configured, or as it is by default where no
// configuration is there yet.
func (m manifestCmd) network() (bot.Chat, error) {
	if _, err := os.Stat(m.Config); errors.Is(err, fs.ErrNotExist) {
		return setUp(m.Network, "")
	}
	c, err := configured{Config: m.Config}.load()
	if err != nil {
		return nil, err
	}
	raw, there := c.Chats[m.Network]
	if !there {
		return setUp(m.Network, "")
	}
	return openForSetup(m.Network, raw)
}

// setUp opens a network that is not configured yet, with these lines as its
// table.
func setUp(network, table string) (bot.Chat, error) {
	return openForSetup(network, typed(table))
}

func openForSetup(network string, raw bot.Raw) (bot.Chat, error) {
	for _, t := range tables().Chats {
		if t.Name == network {
			return t.Open(bot.ChatOptions{Raw: raw, Version: version(), Setup: true})
		}
	}
	names := chatNames()
	if near := nearest.Of(network, names); near != "" {
		return nil, bot.Errorf(bot.Invalid, "there is no chat network %q; did you mean %q?", network, near)
	}
	return nil, bot.Errorf(bot.Invalid, "there is no chat network %q; expected one of %s", network, strings.Join(names, ", "))
}

// chatNames lists the chat networks, sorted.
func chatNames() []string {
	var names []string
	for _, t := range tables().Chats {
		names = append(names, t.Name)
	}
	slices.Sort(names)
	return names
}

// typed is a network's table as lines of TOML, before there is a configuration.
type typed string

// Decode implements bot.Raw.
func (t typed) Decode(dst any) error {
	d := toml.NewDecoder(strings.NewReader(string(t)))
	d.DisallowUnknownFields()
	if err := d.Decode(dst); err != nil {
		return &bot.Error{Op: "quarterdeck.setup", Kind: bot.Invalid, Say: "what --set gives does not fit", Err: err}
	}
	return nil
}

// Dir implements bot.Raw.
func (typed) Dir() string { return "." }

// Where implements bot.Raw.
func (typed) Where() string { return "--set" }
