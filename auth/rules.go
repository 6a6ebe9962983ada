// Package auth is the policy: it answers whether a person may use a permission
// on resources, from a channel, at a time, and what must happen first. It is
// pure: rules go in once, and the same request gives the same answer ever
// after, without I/O. Who a person is and which roles they hold is found out
// by auth/directory.
//
// [[grant]] says who may, [[deny]] says no and wins over every grant,
// [[require]] says how, and all that match count together. What no grant
// permits is denied.
package auth

import (
	"time"

	"quarterdeck/bot"
)

// Grant permits. A request is granted when one grant names its person or one
// of its roles, its permission, its resource, its channel and its hour; every
// resource of a request needs such a grant.
//
// Roles and Persons may not both be empty. Targets select "target:" resources
// and Flags "flag:" resources, by patterns of whole segments in which "*"
// stands for one segment: "*/staging", "shop/*", "shop/prod". They may be
// empty only when no permission of the grant is asked about that kind; "*" with
// Targets and without Flags is everything but flags.
// Resources of other kinds are not selected: whoever holds the permission
// holds it for all of them. Empty Channels mean every channel, empty Hours
// every hour.
type Grant struct {
	Where       string // "config.toml:41"
	Roles       []string
	Persons     []string
	Permissions []string // names, "flag.*", or "*" for every permission
	Targets     []string
	Flags       []string // "ENVIRONMENT/FLAG"
	Channels    []string // exact ids, or a whole network: "slack:C0OPS", "terminal:*"
	Hours       []string // "mon-fri 08:00-18:00", "22:00-06:00", "sat"
}

// Deny forbids, whatever is granted. With neither Roles nor Persons it speaks
// of everybody; with neither Targets nor Flags of every resource; otherwise of
// the resources that one of them matches. Channels and Hours narrow it.
type Deny struct {
	Where       string
	Roles       []string
	Persons     []string
	Permissions []string
	Targets     []string
	Flags       []string
	Channels    []string
	Hours       []string
	Reason      string // for the person who is refused
}

// Require says what must happen before a granted action runs. It matches like
// a Deny without people, channels and hours, with one exception: it applies to
// rollback and to flag.kill only when Permissions name them in full, so that a rule
// about everything never delays the way back.
type Require struct {
	Where       string
	Permissions []string
	Targets     []string
	Flags       []string
	Confirm     bool
	Approvals   *bot.ApprovalRule // nil when none are needed
	Reason      bool
	Ticket      string // a regular expression that the reason must match
	StepUp      bool   // a second factor with what lets the action run
}

// Rules is the whole policy as configured, and the names that it may speak of.
type Rules struct {
	Grants   []Grant
	Denies   []Deny
	Requires []Require
	// Location is the zone that hours are read in; nil means UTC.
	Location *time.Location

	// Roles are the roles that somebody can hold and Persons the declared
	// persons; a rule that names any other is refused.
	Roles   []string
	Persons []string
	// Permissions are those that the configuration adds to bot.Permissions: of
	// the verbs of the team's own.
	Permissions []bot.PermissionInfo
	// Targets are the catalog's. A pattern that matches none of them is
	// refused, unless there are no targets at all.
	Targets []bot.Target
}
