// Package action holds the verbs of the team's own: what the configuration says
// of each, which values its arguments take, and the workflow that runs them at
// their providers. They take the same road as every other command; commands/action
// makes commands of them.
package action

import (
	"slices"
	"strings"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// PermissionFamily begins the name of every permission of an action, so that no
// action can take over a permission that means something else, and a grant of
// "action.*" means all of them.
const PermissionFamily = "action"

// Slot says which runs of actions wait for one another.
type Slot string

// The closed set of slots.
const (
	SlotTarget Slot = "target" // one action at a time on each target
	SlotAction Slot = "action" // one run of this action at a time, anywhere
)

// Definition is what the configuration says of one action.
type Definition struct {
	Name       string // one or two words, as typed
	Summary    string
	Help       string
	Permission bot.Permission
	Parameters []Parameter
	Slot       Slot
	// Undo is the line that takes it back, with {NAME} for the value of an
	// argument; "" where there is none.
	Undo string
	// Reads marks an action that changes nothing: neither locks, freezes nor the
	// halt stop it, and it waits for nothing.
	Reads bool
}

// Slug gives a name as one word: "cache-flush".
func Slug(name string) string { return strings.ReplaceAll(name, " ", "-") }

// DefaultPermission gives the permission of an action that names none.
func DefaultPermission(name string) bot.Permission {
	return bot.Permission(PermissionFamily + "." + Slug(name))
}

// Targeted reports whether the action is about a target.
func (d Definition) Targeted() bool {
	return slices.ContainsFunc(d.Parameters, func(p Parameter) bool { return p.Type == TypeTarget })
}

// Resource gives what rights are asked about: the target, or the action itself
// where it is about none.
func (d Definition) Resource(t bot.Target) bot.Resource {
	if d.Targeted() {
		return t.Resource()
	}
	return bot.Resource(bot.KindAction + ":" + Slug(d.Name))
}

// Shape gives what a binding is told.
func (d Definition) Shape() provider.ActionShape {
	s := provider.ActionShape{Name: d.Name}
	for _, p := range d.Parameters {
		s.Arguments = append(s.Arguments, provider.ActionArgument{Name: p.Name, Target: p.Type == TypeTarget,
			Optional: p.Optional && p.Default == "" && p.Type != TypeSwitch,
			Signed:   p.Type == TypeNumber && (p.Min == nil || *p.Min < 0)})
	}
	return s
}

// PermissionInfo gives what the policy is told of the action's permission.
func (d Definition) PermissionInfo() bot.PermissionInfo {
	kind := bot.KindAction
	if d.Targeted() {
		kind = bot.KindTarget
	}
	return bot.PermissionInfo{Name: d.Permission, Resource: kind, Help: d.Summary}
}

// Action is a definition bound to what runs it. Digest tells its configuration,
// and that of its provider, from an earlier one.
type Action struct {
	Definition
	Actor  provider.Actor
	Digest string
}

// Table is all actions, in the order of the configuration. It is never changed,
// so it is safe for concurrent use. A nil Table is empty.
type Table struct{ all []Action }

// NewTable makes a Table.
func NewTable(all []Action) *Table { return &Table{all} }

// All lists the actions.
func (t *Table) All() []Action {
	if t == nil {
		return nil
	}
	return t.all
}

// Lookup gives the action of that name.
func (t *Table) Lookup(name string) (Action, bool) {
	for _, a := range t.All() {
		if a.Name == name {
			return a, true
		}
	}
	return Action{}, false
}

// Permissions lists the permissions of all actions, each once.
func (t *Table) Permissions() []bot.PermissionInfo {
	var all []bot.PermissionInfo
	for _, a := range t.All() {
		if !slices.ContainsFunc(all, func(i bot.PermissionInfo) bool { return i.Name == a.Permission }) {
			all = append(all, a.PermissionInfo())
		}
	}
	return all
}
