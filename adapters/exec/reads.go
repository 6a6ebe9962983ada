package execprovider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// Bounds of what current and releases may print.
const (
	maxAnswer   = 4 << 20
	maxReleases = 1000
	maxName     = 200  // of a version, digest or commit
	maxText     = 500  // of a message or note
	maxLink     = 1000 // of an address
)

// reportedLive is what the program named by current prints.
type reportedLive struct {
	Version   string    `json:"version"`
	Artefact  string    `json:"artefact"`
	Running   int       `json:"running"`
	Healthy   int       `json:"healthy"`
	Desired   int       `json:"desired"`
	Mixed     []string  `json:"mixed"`
	Since     time.Time `json:"since"`
	Deploying string    `json:"deploying"`
	URL       string    `json:"url"`
}

// reportedRelease is one element of what the program named by releases prints.
type reportedRelease struct {
	Version  string               `json:"version"`
	Artefact string               `json:"artefact"`
	Commit   string               `json:"commit"`
	Created  time.Time            `json:"created"`
	Notes    string               `json:"notes"`
	Live     []string             `json:"live"`
	LastLive map[string]time.Time `json:"last_live"`
}

// Current asks the program named by current. A program that does not answer
// within read_timeout gives Timeout, one that fails or prints something else
// Unavailable, exit status 75 Busy.
func (d *deployer) Current(ctx context.Context) (provider.Live, error) {
	var live reportedLive
	hide, err := d.ask(ctx, "current", d.table.Current, &live)
	if err != nil {
		return provider.Live{}, err
	}
	version := live.Version
	if version == "" && live.Running > 0 {
		return provider.Live{}, d.unreadable("current", errors.New("instances run and version is empty"))
	}
	if err := names(version, live.Artefact); err != nil {
		return provider.Live{}, d.unreadable("current", err)
	}
	out := provider.Live{
		Artefact: provider.Artefact{ID: live.Artefact, Version: version},
		Running:  live.Running, Healthy: live.Healthy, Desired: live.Desired,
		Since: live.Since, Deploying: d.show(live.Deploying, hide, maxName),
		Link: d.show(live.URL, hide, maxLink),
	}
	for _, v := range live.Mixed {
		if len(out.Mixed) < maxReleases {
			out.Mixed = append(out.Mixed, d.show(v, hide, maxName))
		}
	}
	if len(out.Mixed) == 1 && out.Mixed[0] == version {
		out.Mixed = nil
	}
	if version == "" {
		return out, nil
	}
	releases, err := d.releases(ctx)
	if err != nil {
		return provider.Live{}, err
	}
	for _, r := range releases {
		if r.Version == version && (out.Artefact.ID == "" || out.Artefact.ID == r.ID) {
			out.Artefact = r.Artefact
			return out, nil
		}
	}
	if out.Artefact.ID == "" { // live, and no release any more
		out.Artefact.ID = version
	}
	return out, nil
}

// Releases asks the program named by releases; the newest come first. Errors
// are as for Current.
func (d *deployer) Releases(ctx context.Context, limit int) ([]provider.Release, error) {
	all, err := d.releases(ctx)
	if err != nil {
		return nil, err
	}
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	return all, nil
}

func (d *deployer) releases(ctx context.Context) ([]provider.Release, error) {
	var reported []reportedRelease
	hide, err := d.ask(ctx, "releases", d.table.Releases, &reported)
	if err != nil {
		return nil, err
	}
	if len(reported) > maxReleases {
		reported = reported[len(reported)-maxReleases:]
	}
	out := make([]provider.Release, 0, len(reported))
	for i := len(reported) - 1; i >= 0; i-- {
		r := reported[i]
		if err := names(r.Version, r.Artefact, r.Commit); err != nil {
			return nil, d.unreadable("releases", fmt.Errorf("element %d: %w", i, err))
		}
		release := provider.Release{Artefact: provider.Artefact{
			ID: r.Artefact, Version: r.Version, Commit: r.Commit, Origin: d.name,
			Notes: d.show(r.Notes, hide, maxText),
		}, Created: r.Created, LiveAt: r.LastLive[d.target.String()]}
		if release.Version == "" {
			return nil, d.unreadable("releases", fmt.Errorf("element %d has no version", i))
		}
		if release.ID == "" {
			release.ID = release.Version
		}
		for _, t := range r.Live {
			if t == d.target.String() {
				release.LiveAt = d.clock.Now()
			}
		}
		out = append(out, release)
	}
	return out, nil
}

// names checks what is compared and handed back to the program: it must be
// usable as it is, since a name that was cleaned is another name.
func names(texts ...string) error {
	for _, text := range texts {
		if len(text) > maxName || plain(text) != text {
			return fmt.Errorf("%.60q is no name: it is longer than %d bytes or holds control characters", text, maxName)
		}
	}
	return nil
}

// examples are what a program of each kind prints, told when one printed
// something else: whoever reads that has no other page open.
var examples = map[string]string{
	"current":  `{"version":"v1","running":2,"healthy":2,"desired":2}`,
	"releases": `[{"version":"v1"},{"version":"v2"}], the newest last`,
	"scale":    `{"desired":2,"healthy":2}`,
	"logs":     `{"lines":[{"at":"2026-11-21T03:00:00Z","stream":"web-1","text":"started"}]}`,
}

func (d *deployer) unreadable(what string, cause error) error {
	command := "the " + what + " command"
	if what == "scale" { // which has an argv of its own that prints nothing of the kind
		command = "the current command in the scale table"
	}
	return &bot.Error{
		Op: "exec." + what, Kind: bot.Unavailable, Err: cause,
		Say: fmt.Sprintf("%s of %s printed something that cannot be read; expected is JSON such as %s", command, d.target, examples[what]),
	}
}

// ask runs a program that reads, with more in its environment, and decodes what
// it prints.
func (d *deployer) ask(ctx context.Context, what string, argv []string, into any, more ...variable) (secrets, error) {
	env, hide, err := d.environment(what)
	if err != nil {
		return nil, err
	}
	for _, v := range more {
		env = append(env, v.name+"="+v.value)
	}
	program, err := d.program(argv)
	if err != nil {
		return nil, d.failed(what, "could not be started: "+notInPath(argv[0]), err)
	}
	ctx, cancel := context.WithTimeout(ctx, d.settings.ReadTimeout.or(defaultReadTimeout))
	defer cancel()
	stdout, stderr := &bounded{max: maxAnswer}, &bounded{max: maxText}
	cmd := exec.CommandContext(ctx, program, argv[1:]...)
	cmd.Args[0] = argv[0]
	cmd.Dir, cmd.Env = d.dir, env
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = ownGroup()
	cmd.Cancel = func() error { return signalGroup(cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	if ctx.Err() != nil {
		return nil, &bot.Error{Op: "exec." + what, Kind: bot.Timeout, Err: ctx.Err(),
			Say: fmt.Sprintf("the %s command of %s gave no answer in time", what, d.target)}
	}
	var ended *exec.ExitError
	switch {
	case err == nil || errors.Is(err, exec.ErrWaitDelay):
	case errors.As(err, &ended):
		// Some programs tell what is wrong as a progress line, some on stderr.
		said := strings.TrimSpace(stderr.kept.String())
		var p progress
		if p.merge(bytes.TrimSpace(stdout.kept.Bytes())) && p.Message != "" {
			said = p.Message
		}
		cause := errors.New(d.show(said, hide, maxText))
		if ended.ExitCode() == codeTryAgain {
			return nil, &bot.Error{Op: "exec." + what, Kind: bot.Busy, Err: cause,
				Say: fmt.Sprintf("the %s command of %s is busy or does not reach its platform; try again later", what, d.target)}
		}
		return nil, d.failed(what, "failed ("+ended.ProcessState.String()+")", cause)
	default:
		return nil, d.failed(what, "could not be started: "+notStarted(program, d.dir, err), err)
	}
	if stdout.over {
		return nil, d.unreadable(what, fmt.Errorf("more than %d bytes", maxAnswer))
	}
	dec := json.NewDecoder(bytes.NewReader(stdout.kept.Bytes()))
	if err := dec.Decode(into); err != nil {
		return nil, d.unreadable(what, err)
	}
	return hide, nil
}

func (d *deployer) failed(what, how string, cause error) error {
	return &bot.Error{Op: "exec." + what, Kind: bot.Unavailable, Err: cause,
		Say: fmt.Sprintf("the %s command of %s %s", what, d.target, how)}
}

// bounded keeps the first max bytes written to it and takes the rest in
// silence, so that the writer on the other side does not fail.
type bounded struct {
	kept bytes.Buffer // not embedded: its ReadFrom would pass the bound
	max  int
	over bool
}

// Write never fails.
func (b *bounded) Write(p []byte) (int, error) {
	n := len(p)
	if room := b.max - b.kept.Len(); n > room {
		b.over = true
		p = p[:room]
	}
	b.kept.Write(p)
	return n, nil
}
