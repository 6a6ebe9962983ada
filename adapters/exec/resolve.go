package execprovider

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/nearest"
	"quarterdeck/bot/provider"
)

const (
	minPrefix = 6  // of a digest or commit
	maxListed = 10 // releases named in a sentence
)

// Resolve takes a version, "latest", "previous", an artefact's digest or commit
// or a unique beginning of one (6 characters or more). An ambiguous beginning
// is Invalid; what does not exist is NotFound, with the nearest match and the
// newest versions there are.
func (d *deployer) Resolve(ctx context.Context, version string) (provider.Artefact, error) {
	version = strings.TrimSpace(version)
	if version == "previous" {
		return d.previous(ctx)
	}
	releases, err := d.releases(ctx)
	if err != nil {
		return provider.Artefact{}, err
	}
	if version == "latest" && len(releases) > 0 {
		return releases[0].Artefact, nil
	}
	var matches []provider.Release
	for _, r := range releases {
		if version == r.Version || version == r.ID || r.Commit != "" && version == r.Commit {
			return r.Artefact, nil
		}
		_, digest, _ := strings.Cut(r.ID, ":")
		if len(version) >= minPrefix && (strings.HasPrefix(r.ID, version) && strings.TrimPrefix(version, "sha256:") != "" ||
			digest != "" && strings.HasPrefix(digest, version) || strings.HasPrefix(r.Commit, version)) {
			matches = append(matches, r)
		}
	}
	switch len(matches) {
	case 1:
		return matches[0].Artefact, nil
	case 0:
		return provider.Artefact{}, d.noRelease(version, releases)
	}
	return provider.Artefact{}, &bot.Error{Op: "exec.resolve", Kind: bot.Invalid,
		Say: fmt.Sprintf("%q is the beginning of several releases of %s: %s; write more of it", version, d.target.Service, listed(matches))}
}

// previous is the release that was live before the present one, as far as the
// program's releases say when each was last live here.
func (d *deployer) previous(ctx context.Context) (provider.Artefact, error) {
	live, err := d.Current(ctx)
	if err != nil {
		return provider.Artefact{}, err
	}
	releases, err := d.releases(ctx)
	if err != nil {
		return provider.Artefact{}, err
	}
	var newest *provider.Release
	for i, r := range releases {
		if r.ID == live.Artefact.ID || r.LiveAt.IsZero() {
			continue
		}
		if newest == nil || r.LiveAt.After(newest.LiveAt) {
			newest = &releases[i]
		}
	}
	if newest == nil {
		return provider.Artefact{}, &bot.Error{Op: "exec.resolve", Kind: bot.NotFound,
			Say: fmt.Sprintf("no earlier release of %s is known; name one of: %s", d.target, listed(releases))}
	}
	return newest.Artefact, nil
}

func (d *deployer) noRelease(version string, releases []provider.Release) error {
	if len(releases) == 0 {
		return &bot.Error{Op: "exec.resolve", Kind: bot.NotFound,
			Say: fmt.Sprintf("%s has no releases that could be deployed", d.target.Service)}
	}
	guess := ""
	names := make([]string, 0, len(releases))
	for _, r := range releases {
		names = append(names, r.Version)
	}
	if near := nearest.Of(version, names); near != "" {
		guess = fmt.Sprintf("; did you mean %q?", near)
	}
	return &bot.Error{Op: "exec.resolve", Kind: bot.NotFound,
		Say: fmt.Sprintf("there is no release %q of %s; there are: %s%s", cut(plain(version), maxName), d.target.Service, listed(releases), guess)}
}

// listed names the newest releases for a sentence.
func listed(releases []provider.Release) string {
	var names []string
	for _, r := range releases {
		if len(names) == maxListed {
			names = append(names, fmt.Sprintf("and %d older ones", len(releases)-maxListed))
			break
		}
		if !slices.Contains(names, r.Version) {
			names = append(names, r.Version)
		}
	}
	return strings.Join(names, ", ")
}

// Preview shows what is known of the release to come, and warns when it is
// older than the one that is live.
func (d *deployer) Preview(ctx context.Context, from, to provider.Artefact) (provider.Preview, error) {
	releases, err := d.releases(ctx)
	if err != nil {
		return provider.Preview{}, err
	}
	find := func(a provider.Artefact) int {
		return slices.IndexFunc(releases, func(r provider.Release) bool { return r.ID == a.ID })
	}
	target := find(to)
	if target < 0 {
		return provider.Preview{}, d.noRelease(to.Version, releases)
	}
	var p provider.Preview
	r := releases[target]
	for _, f := range []bot.Field{
		{Name: "notes", Value: r.Notes},
		{Name: "created", Value: moment(r.Created)},
		{Name: "commit", Value: cut(r.Commit, 15)},
	} {
		if f.Value != "" {
			p.Fields = append(p.Fields, f)
		}
	}
	if at := find(from); at >= 0 && at != target && older(r, releases[at], target > at) {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s is older than %s, which is live; the program does not take back migrations or data by itself", r.Version, releases[at].Version))
	}
	return p, nil
}

// older tells by the dates, and where there are none by the order.
func older(a, b provider.Release, listedAfter bool) bool {
	if a.Created.IsZero() || b.Created.IsZero() || a.Created.Equal(b.Created) {
		return listedAfter
	}
	return a.Created.Before(b.Created)
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04 MST")
}
