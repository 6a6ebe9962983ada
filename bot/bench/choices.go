package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"quarterdeck/adapters"
	"quarterdeck/adapters/discord/fakediscord"
	"quarterdeck/bot/app"
	"quarterdeck/commands"
)

// typists is how many people type at once while choices are measured.
const typists = 20

// choices measures how long Discord waits for what it offers to somebody who types
// a command, in a bot with 5,000 services: from the letter to the choices, through
// the gateway, over many people and letters.
func choices(s *suite) (err error) {
	dir := filepath.Join(s.dir, "choices")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	path, err := manyServices(dir, s.scale(5000))
	if err != nil {
		return err
	}
	fake, err := fakediscord.New(fakediscord.Options{})
	if err != nil {
		return err
	}
	defer fake.Close()
	const guild, channel = "500", "600"
	fake.SetGuild(fakediscord.Guild{ID: guild, Name: "Acme"})
	fake.SetChannel(fakediscord.Channel{ID: channel, Guild: guild, Name: "ops"})
	var people strings.Builder
	for i := range typists {
		id := fmt.Sprint(200 + i)
		fake.SetUser(fakediscord.User{ID: id, Name: "p" + id, Roles: map[string][]string{guild: {}}})
		fmt.Fprintf(&people, "[[person]]\nname = \"d%02d\"\naccounts = [\"discord:%s\"]\nroles = [\"developer\"]\n", i, id)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text := strings.Replace(string(raw), "[chat.file]\n", fmt.Sprintf("[chat.file]\n[chat.discord]\nguilds = [%q]\napi_url = %q\n", guild, fake.URL()), 1) + people.String()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	if err := os.Setenv("DISCORD_BOT_TOKEN", fake.Options().Token); err != nil {
		return err
	}
	t := app.Tables{Chats: adapters.Chats(), Providers: adapters.Providers(), Stores: adapters.Stores(), Commands: commands.All}
	c, err := app.Load(path, t)
	if err != nil {
		return err
	}
	a, err := app.New(c, t, app.Options{})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	defer func() {
		cancel()
		err = errors.Join(err, <-ended)
	}()
	if err := fake.Until(ctx, "the bot's commands", func() bool { return fake.Sessions() == 1 && len(fake.Commands(guild)) > 0 }); err != nil {
		return err
	}
	const text3 = 3 // a string option
	letter := func(i int) error {
		service := fmt.Sprintf("s%05d", i*37%s.scale(5000))
		options := []fakediscord.Option{{Name: "service", Type: text3, Value: service[:1+i%6], Focused: true}}
		if i%3 == 2 {
			options = []fakediscord.Option{{Name: "service", Type: text3, Value: service}, {Name: "environment", Type: text3, Value: "p", Focused: true}}
		}
		found, sent, err := fake.Complete(ctx, fakediscord.Way{}, fmt.Sprint(200+i%typists), channel, "deploy", options...)
		if err == nil && (!sent.Acked || len(found) == 0 || len(found) > 25) {
			err = fmt.Errorf("%d choices for letter %d, answered in time: %v", len(found), i, sent.Acked)
		}
		return err
	}
	var p50, p99 []float64
	for range rounds {
		took, err := paced(100, s.scale(1000), letter)
		if err != nil {
			return err
		}
		p50, p99 = append(p50, ms(took[len(took)/2])), append(p99, ms(took[len(took)*99/100]))
	}
	name := fmt.Sprintf("choices while typing in Discord, %d services, 100 a second", s.scale(5000))
	s.absolute(name+", p99", median(p99), "ms", "50 ms", spread(p99))
	s.absolute("  the same, p50", median(p50), "ms", "", spread(p50))
	return nil
}
