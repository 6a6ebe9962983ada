package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"quarterdeck/adapters"
	"quarterdeck/bot/app"
	"quarterdeck/commands"
)

// manyServices is a configuration of many services in two environments, a
// hundred in each of as many included files as that takes, all of one template.
func manyServices(dir string, services int) (path string, err error) {
	write := func(name, text string) {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "conf.d"), 0o700); err != nil {
		return "", err
	}
	var b strings.Builder
	for i := range services {
		for _, env := range []string{"staging", "prod"} {
			fmt.Fprintf(&b, "[service.s%05d.%s]\ntemplate = \"web\"\n", i, env)
		}
		if i%100 == 99 || i == services-1 {
			write(fmt.Sprintf("conf.d/%05d.toml", i/100), b.String())
			b.Reset()
		}
	}
	var people strings.Builder
	for i := range 60 {
		fmt.Fprintf(&people, "[[person]]\nname = \"p%02d\"\naccounts = [\"os:%d\"]\nroles = [\"developer\"]\n", i, 2000+i)
	}
	path = filepath.Join(dir, "config.toml")
	write("config.toml", `include = ["conf.d/*.toml"]
[bot]
database = "sqlite:q.db"
[audit]
channels = ["file:audit.txt"]
key = "file:audit.key"
[chat.terminal]
[chat.file]
[[grant]]
roles = ["developer"]
permissions = ["deploy", "status"]
targets = ["*/*"]
[environment.staging]
[environment.prod]
[provider.scripts]
type = "exec"
[template.web]
deploy = { provider = "scripts", argv = ["./deploy", "{service}", "{env}"], current = ["./current", "{service}"], releases = ["./releases", "{service}"] }
`+people.String())
	return path, err
}

// reloads measures how long a bot with 5,000 services takes to start, and then
// to take a change of its rules in while it serves.
func reloads(s *suite) error {
	dir := filepath.Join(s.dir, "reload")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	path, err := manyServices(dir, s.scale(5000))
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	t := app.Tables{Chats: adapters.Chats(), Providers: adapters.Providers(), Stores: adapters.Stores(), Commands: commands.All}
	var started, reloaded []float64
	for range rounds {
		begun := time.Now()
		c, err := app.Load(path, t)
		if err != nil {
			return err
		}
		a, err := app.New(c, t, app.Options{})
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- a.Run(ctx) }()
		select {
		case <-a.Ready():
		case err := <-ended:
			cancel()
			return err
		}
		started = append(started, ms(time.Since(begun)))
		for _, text := range []string{strings.Replace(string(raw), `["deploy", "status"]`, `["deploy", "status", "rollback"]`, 1), string(raw)} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				cancel()
				return err
			}
			begun = time.Now()
			changes, _, err := a.Reload(ctx)
			if err != nil || changes == 0 {
				cancel()
				return fmt.Errorf("reloaded with %d changes: %w", changes, err)
			}
			reloaded = append(reloaded, ms(time.Since(begun)))
		}
		cancel()
		if err := <-ended; err != nil {
			return err
		}
	}
	s.absolute(fmt.Sprintf("start, %d services in 2 environments", s.scale(5000)), median(started), "ms", "", spread(started))
	s.absolute(fmt.Sprintf("reload, %d services in 2 environments", s.scale(5000)), median(reloaded), "ms", "", spread(reloaded))
	return nil
}
