package platform

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Release is one build of the service that can be deployed.
type Release struct {
	Version string `json:"version"`
	// Artefact is the immutable digest of the build.
	Artefact string    `json:"artefact"`
	Commit   string    `json:"commit"`
	Created  time.Time `json:"created"`
	Notes    string    `json:"notes"`
	// Live names the targets it is live in, such as "shop/prod".
	Live []string `json:"live"`
	// LastLive says, by target, when it went live there last.
	LastLive map[string]time.Time `json:"last_live,omitempty"`
}

// build describes a release independently of where it runs.
type build struct {
	version, commit, notes string
	age                    time.Duration // before the platform's first start
}

func builds() []build {
	return []build{
		{"v1", "b1f7c04e92d3a86157ce0f4ab82d916e3c75a0d8", "good", 9 * 24 * time.Hour},
		{"v2", "27ae5d913fc8b06241d7e95a0c3f84b6d1e27f90", "good", 26 * time.Hour},
		{"v3", "e4c90b7a1d5f238694ab07ce6f31d8529a0be743", "starts fine, then fails 1 order in 3", 3 * time.Hour},
		{"v4", "905d3ef8c1a7624b80fd93e5a2761bc4f08de35a", "never healthy", 40 * time.Minute},
	}
}

// artefact digests all that makes the build what it is, so it names the same
// content on every machine and in every run.
func (b build) artefact() string {
	sum := sha256.Sum256([]byte(strings.Join([]string{service, b.version, b.commit, b.notes}, "\n")))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// findRelease finds a build by version, artefact or commit (7 digits or more).
func findRelease(name string) (build, bool) {
	for _, b := range builds() {
		if name == b.version || name == b.artefact() ||
			len(name) >= 7 && strings.HasPrefix(b.commit, name) {
			return b, true
		}
	}
	return build{}, false
}

func versionNames() string {
	var names []string
	for _, b := range builds() {
		names = append(names, b.version)
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// Releases returns every release, the newest last.
func (s *Supervisor) Releases() []Release {
	s.mu.Lock()
	journal, envs := s.journal, s.envs
	s.mu.Unlock()
	if journal == nil {
		return nil
	}
	born := journal.born()
	var out []Release
	for _, b := range builds() {
		r := Release{
			Version: b.version, Artefact: b.artefact(), Commit: b.commit, Notes: b.notes,
			Created: born.Add(-b.age).Truncate(time.Second), Live: []string{}, LastLive: map[string]time.Time{},
		}
		for _, e := range envs {
			target := fmt.Sprintf("%s/%s", service, e.cfg.Name)
			if e.liveVersion() == b.version {
				r.Live = append(r.Live, target)
			}
			if at := journal.lastLive(e.cfg.Name, b.version); !at.IsZero() {
				r.LastLive[target] = at
			}
		}
		slices.Sort(r.Live)
		out = append(out, r)
	}
	return out
}
