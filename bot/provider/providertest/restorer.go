package providertest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// Vault is a far side that keeps backups, in memory: what is restored there stays
// when a RestoreTester is thrown away, as a crash does.
type Vault struct {
	Target  bot.Target
	Listed  []provider.Backup // newest first
	Found   provider.Findings // what every trial shows
	Fault   VaultFault
	Advance int // calls until a trial is settled; 3 by default

	mu      sync.Mutex
	places  map[string]bool // scratch places by key
	foreign map[string]bool // what others keep there
	calls   map[string]int  // of Advance, by key
	removed int             // calls that removed
}

// VaultFault is the manner in which a hostile vault misbehaves.
type VaultFault string

// The faults.
const (
	VaultSound   VaultFault = ""
	VaultFlaky   VaultFault = "flaky"            // every second look fails
	VaultSlow    VaultFault = "slow removal"     // the first removals are Busy
	VaultStuck   VaultFault = "no removal"       // removals never work
	VaultFails   VaultFault = "fails"            // a rung fails
	VaultSilent  VaultFault = "leaves rungs"     // it says that it succeeded, and left rungs out
	VaultLies    VaultFault = "fails silently"   // it failed, and no rung did
	VaultRefuses VaultFault = "refuses half-way" // an error that is not worth a retry
	VaultUnknown VaultFault = "unknown rung state"
)

// VaultFaults lists those with which a trial still comes to its end.
func VaultFaults() []VaultFault {
	return []VaultFault{VaultSound, VaultFlaky, VaultSlow, VaultFails}
}

// NewVault makes a Vault with one backup that is good.
func NewVault(t bot.Target, fault VaultFault, now time.Time) *Vault {
	v := &Vault{Target: t, Fault: fault, Advance: 3, places: map[string]bool{}, foreign: map[string]bool{"somebody else's": true}, calls: map[string]int{},
		Listed: []provider.Backup{{ID: "newest", Created: now.Add(-time.Minute), Bytes: 4096, Described: true}, {ID: "older", Created: now.Add(-time.Hour), Bytes: 2048}}}
	v.Found = provider.Findings{Scratch: "memory", Tools: []string{"memory 1"}, Source: "sha256:00", Began: now, Ready: 2 * time.Second, Newest: now.Add(-2 * time.Minute)}
	for _, name := range provider.Ladder() {
		switch name {
		case provider.RungAge, provider.RungFresh, provider.RungInTime, provider.RungRemoved:
			continue
		}
		r := provider.Rung{Name: name, State: provider.RungPassed, Text: "as it should be"}
		if name == provider.RungContent {
			switch fault {
			case VaultFails:
				r.State, r.Text = provider.RungFailed, "the table orders is missing"
			case VaultSilent:
				continue
			case VaultUnknown:
				r.State = "green"
			}
		}
		v.Found.Rungs = append(v.Found.Rungs, r)
		if r.State == provider.RungFailed {
			break
		}
	}
	return v
}

// Places counts the scratch places there are.
func (v *Vault) Places() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.places)
}

// Foreign counts what others keep there: it must stay.
func (v *Vault) Foreign() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.foreign)
}

// Restorer attaches a RestoreTester, as a bot does when it starts.
func (v *Vault) Restorer() provider.RestoreTester { return &restorer{v} }

type restorer struct{ far *Vault }

type restoreState struct {
	Trial     provider.Trial    `json:"trial"`
	Findings  provider.Findings `json:"findings"`
	Ended     bot.OpState       `json:"ended,omitempty"`
	Cancelled bool              `json:"cancelled,omitempty"`
}

func (r *restorer) Backups(ctx context.Context, limit int) ([]provider.Backup, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return slices.Clone(r.far.Listed[:min(limit, len(r.far.Listed))]), nil
}

func (r *restorer) Begin(body provider.Trial, t bot.Task) (bot.Handle, error) {
	if body.Target != r.far.Target || body.Backup.ID == "" || t.Key == "" {
		return bot.Handle{}, bot.Errorf(bot.Invalid, "a trial of %q on %s was given to %s", body.Backup.ID, body.Target, r.far.Target)
	}
	return packRestore(bot.Handle{Key: t.Key, Target: body.Target}, restoreState{Trial: body})
}

func packRestore(h bot.Handle, s restoreState) (bot.Handle, error) {
	raw, err := json.Marshal(s)
	h.State = raw
	return h, err
}

func unpackRestore(h bot.Handle) (s restoreState, err error) {
	return s, json.Unmarshal(h.State, &s)
}

func (r *restorer) Advance(ctx context.Context, h bot.Handle) (bot.Handle, bot.Progress, error) {
	s, err := unpackRestore(h)
	if err != nil {
		return h, bot.Progress{}, err
	}
	if err := ctx.Err(); err != nil {
		return h, bot.Progress{}, err
	}
	if s.Ended != "" {
		return h, bot.Progress{State: s.Ended}, nil
	}
	v := r.far
	v.mu.Lock()
	defer v.mu.Unlock()
	v.calls[h.Key]++
	n := v.calls[h.Key]
	switch {
	case s.Cancelled:
		s.Ended = bot.OpCancelled
	case v.Fault == VaultFlaky && n%2 == 0:
		return h, bot.Progress{}, bot.Errorf(bot.Unavailable, "the vault does not answer")
	case v.Fault == VaultRefuses && n > 1:
		return h, bot.Progress{}, bot.Errorf(bot.Conflict, "the vault was moved")
	case n < v.Advance:
		v.places[h.Key] = true
		return h, bot.Progress{State: bot.OpWorking, Text: fmt.Sprintf("restoring, %d of %d", n, v.Advance)}, nil
	default:
		v.places[h.Key] = true
		s.Findings, s.Ended = v.Found, bot.OpSucceeded
		if v.Fault == VaultFails || v.Fault == VaultLies {
			s.Ended = bot.OpFailed
		}
	}
	h, err = packRestore(h, s)
	return h, bot.Progress{State: s.Ended}, err
}

func (r *restorer) Cancel(ctx context.Context, h bot.Handle) (bot.Handle, error) {
	s, err := unpackRestore(h)
	if err != nil {
		return h, err
	}
	if err := ctx.Err(); err != nil {
		return h, err
	}
	s.Cancelled = s.Ended == ""
	return packRestore(h, s)
}

func (r *restorer) Findings(h bot.Handle) (provider.Findings, error) {
	s, err := unpackRestore(h)
	return s.Findings, err
}

func (r *restorer) Destroy(ctx context.Context, h bot.Handle) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	v := r.far
	v.mu.Lock()
	defer v.mu.Unlock()
	v.removed++
	switch {
	case v.Fault == VaultStuck:
		return bot.Errorf(bot.Unavailable, "the vault keeps what it has")
	case v.Fault == VaultSlow && v.removed < 3:
		return bot.Errorf(bot.Busy, "it is still being removed")
	}
	delete(v.places, h.Key)
	return nil
}

func (r *restorer) Sweep(ctx context.Context, keep func(string) bool) (all []provider.Leftover, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	v := r.far
	v.mu.Lock()
	defer v.mu.Unlock()
	for key := range v.places {
		if keep(key) {
			continue
		}
		left := provider.Leftover{Tag: key, Text: v.Target.String()}
		if v.Fault == VaultStuck {
			left.Err = bot.Errorf(bot.Unavailable, "the vault keeps what it has")
		} else {
			delete(v.places, key)
		}
		all = append(all, left)
	}
	return all, nil
}
