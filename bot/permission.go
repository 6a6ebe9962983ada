package bot

// Permission is a named verb that grants speak of. Names are persisted in
// records and configurations and never change their meaning.
type Permission string

// The permissions that exist. A configuration naming any other is refused.
const (
	MayDeploy      Permission = "deploy"
	MayRollback    Permission = "rollback"
	MayRestart     Permission = "restart"
	MayScale       Permission = "scale"
	MayTestRestore Permission = "restore-test" // restores a copy of the data, and may see what the checks show of it
	MaySeeBackups  Permission = "backup.read"
	MaySeeStatus   Permission = "status"
	MaySeeHistory  Permission = "history"
	MayReadLogs    Permission = "logs"
	MaySeeRuns     Permission = "run.read"
	MaySeeMetrics  Permission = "metrics"
	MayCancelRun   Permission = "run.cancel" // another person's run; one's own needs the right to start it
	MayApproveRun  Permission = "run.approve"
	MayReadAudit   Permission = "audit"
	MayLock        Permission = "lock"
	MayStealLock   Permission = "lock.steal" // take or end another person's lock
	MayFreeze      Permission = "freeze"
	MayHalt        Permission = "halt" // and resume
	// MayOverrideOrder deploys what was not live where it should have been first.
	MayOverrideOrder Permission = "order.override"
	// MayOverrideFreeze passes a freeze with a reason.
	MayOverrideFreeze Permission = "freeze.override"
	MayOverrideBad    Permission = "release.override" // deploy a release that is marked bad, or whose checks are not green
	// MayOverrideStep scales by more than the largest step at once.
	MayOverrideStep Permission = "scale.override"
	// MayBreakGlass acts at once where rules ask for approvals, a confirmation, a
	// reason or a ticket first, or a freeze or an order stands against it; another
	// person reviews it afterwards.
	MayBreakGlass Permission = "break-glass"
	// MayResetTOTP ends another person's enrolment, so that they can enrol anew.
	MayResetTOTP Permission = "totp.reset"
	// MayDigest reads a digest, and has it posted to its channel. A digest holds
	// what its own principal may see, whoever asks for it.
	MayDigest   Permission = "digest"
	MayReadFlag Permission = "flag.read"
	MaySetFlag  Permission = "flag.set"  // on, off, set, ramp and undo
	MayKillFlag Permission = "flag.kill" // off at once; a way back
	// MayCreateFlag makes flags and takes them out of use.
	MayCreateFlag Permission = "flag.create"
	// Those of pages are asked about the page, and about its target where it has one.
	MaySeePages   Permission = "page.read"
	MayOpenPage   Permission = "page.open"
	MayAckPage    Permission = "page.ack"
	MayResolve    Permission = "page.resolve"
	MayEscalate   Permission = "page.escalate"
	MaySnooze     Permission = "page.snooze"
	MayNotePage   Permission = "page.note"
	MayUpdatePage Permission = "page.update" // tell those who follow from afar
	MaySeeOnCall  Permission = "oncall"
	MayPutOnCall  Permission = "oncall.override" // put somebody on call for a while
	// MayAskSelf covers help, whoami and can: what every declared person may
	// do without a grant, because it only speaks of the asker's own rights.
	MayAskSelf Permission = "self"
)

// PermissionInfo describes one permission for help and for checks.
type PermissionInfo struct {
	Name     Permission
	Resource string // the kind of resource it is asked about
	Help     string
}

// Permissions lists every permission that a grant may name, in the order in
// which help shows them.
func Permissions() []PermissionInfo {
	return []PermissionInfo{
		{MayDeploy, KindTarget, "deploy a version"},
		{MayRollback, KindTarget, "go back to the last good release"},
		{MayRestart, KindTarget, "restart what is live"},
		{MayScale, KindTarget, "change the desired count"},
		{MayTestRestore, KindTarget, "restore a backup into a throw-away place and check it"},
		{MaySeeBackups, KindTarget, "see which backups there are"},
		{MaySeeStatus, KindTarget, "see what is live"},
		{MaySeeHistory, KindTarget, "see what changed"},
		{MayReadLogs, KindTarget, "read the logs of a target"},
		{MaySeeRuns, KindTarget, "see runs"},
		{MaySeeMetrics, KindTarget, "see metrics"},
		{MayCancelRun, KindTarget, "cancel another person's run"},
		{MayApproveRun, KindTarget, "approve or deny another person's run"},
		{MayOverrideBad, KindTarget, "deploy a release that is marked bad, or whose checks are not green"},
		{MayOverrideStep, KindTarget, "scale by more than the largest step"},
		{MayLock, KindTarget, "keep others from changing a target for a while"},
		{MayStealLock, KindTarget, "take or end another person's lock"},
		{MayOverrideFreeze, KindTarget, "change a target during a freeze"},
		{MayOverrideOrder, KindTarget, "deploy what was not live in the environment before"},
		{MayBreakGlass, KindTarget, "break glass: act now and be reviewed after"},
		{MayFreeze, KindBot, "freeze an environment, and end that"},
		{MayHalt, KindBot, "halt all changes, and resume them"},
		{MayReadFlag, KindFlag, "see flags"},
		{MaySetFlag, KindFlag, "turn a flag on and off, set and ramp it"},
		{MayKillFlag, KindFlag, "kill a flag: off at once"},
		{MayCreateFlag, KindFlag, "make flags and take them out of use"},
		{MayReadAudit, KindBot, "read the audit log"},
		{MayDigest, KindDigest, "read digests, and have them posted to their channels"},
		{MaySeePages, KindTarget, "see pages"},
		{MayOpenPage, KindTarget, "open a page"},
		{MayAckPage, KindTarget, "acknowledge a page"},
		{MayResolve, KindTarget, "resolve a page"},
		{MayEscalate, KindTarget, "escalate a page"},
		{MaySnooze, KindTarget, "snooze a page"},
		{MayNotePage, KindTarget, "add a note to a page"},
		{MayUpdatePage, KindTarget, "tell those who follow a page from afar"},
		{MaySeeOnCall, KindSchedule, "see who is on call"},
		{MayPutOnCall, KindSchedule, "put somebody on call for a while"},
		{MayResetTOTP, KindBot, "end another person's second factor, so that they can enrol anew"},
	}
}
