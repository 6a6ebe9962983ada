// Package execprovider is the universal provider: a team's own program deploys,
// and Quarterdeck calls it by an argv array, never through a shell.
//
// # What the program gets and gives
//
// The environment is PATH, HOME and LANG of the bot, what the configuration
// adds, and OP_SERVICE, OP_ENV and OP_ACTION: deploy, rollback, restart, or before
// and after for the steps around a deployment over several components. For a change also OP_ID (the same
// however often one operation is asked for), OP_ACTOR, OP_VERSION, OP_ARTEFACT,
// OP_FROM and OP_REASON. Standard input is empty.
//
// An action has its values in its argv, each inside the one element that names it,
// and OP_SERVICE and OP_ENV are empty where it has no target.
//
// A line on standard output that is a JSON object with phase, percent, message
// or url is progress; every other line is log. Exit status 0 is done, 1 failed,
// 2 refused (nothing was done) and 75 try again later (nothing was done). The
// message of a last line with the phase "done" or percent 100 is the result. When
// the status is not 0, the reason is the message of a last line with the phase
// "failed", "refused", "busy" or one of those below, else the last line of
// standard error, else the last message or line; and the last phase tells more: "rolled-back" or "restored"
// (the old state is back), "partly-done", "aborted" (stopped on request) and
// "unknown" (the program cannot tell either).
//
// A change of how much there is gets OP_ACTION scale, OP_DIMENSION, OP_COUNT (the
// value, also where that is the name of a size) and OP_FROM. Its current prints
// an object with dimensions, an array of: name, unit, value, actual, min, max,
// choices, control (who else sets it), disrupts (what changing it interrupts)
// and one_way (why it cannot be set back); value and actual are texts. One with desired and healthy,
// as a deployment's current prints it, has the dimension replicas alone.
//
// The program named by current prints one object: version, artefact, running,
// healthy, desired, mixed, since, deploying, url. The one named by releases
// prints an array, newest last, of objects: version, artefact, commit, created,
// notes, live (targets it is live in) and last_live (target to time).
//
// The one named by a logs table's argv gets OP_ACTION logs, OP_SINCE and OP_UNTIL
// (RFC 3339), OP_LIMIT and OP_GREP, a text that lines must hold whatever the case,
// which may be empty. It prints one object with lines, an array, oldest first, of:
// at, stream and text.
//
// # Why an operation outlives the bot
//
// The command is not started by the bot but by a small watcher, the shim: the
// bot's own executable, re-executed in a session of its own. It takes a claim,
// notes durably that it is about to start, starts the command, and writes down
// how that ended. Everything lies in files of one folder per operation, created
// by link(2) or rename(2), so each exists whole or not at all. Any bot process
// on the host can follow, cancel or finish an operation from that folder alone.
//
// Two decisions are taken by creating a file that can be created only once:
//
//	N.claim  which shim runs attempt N, or that nobody ever will (withdrawn)
//	N.start  whether attempt N was started, or given up before (abandoned)
//
// So a stale bot and its successor may both start a shim, and a shim may be
// suspended for a day at any line: one command runs. What cannot be known (the
// host restarted, or the watcher was killed while the command ran) is OpUnknown.
//
// # What the host must grant
//
// The bot's end must not end the shim: under systemd KillMode=process; in a
// container an init as process 1 that reaps orphans, and the state folder on a
// local volume that outlives the container, with host set in the provider's
// table. Linux and macOS only.
package execprovider
