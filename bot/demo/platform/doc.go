// Package platform is the small real platform that the demo deploys to. On
// loopback, and as ordinary operating-system processes, it has what a team's
// own platform has: instances that are started, probed, drained and restarted,
// a front that balances over the healthy ones, rolling deployments that put the
// old version back when the new one fails, figures scraped from the instances,
// backups of their database, and a log of what was done.
//
// A Supervisor runs it. Main is the command line that talks to a running
// Supervisor over a Unix socket, and is what a bot's exec provider calls.
//
// The log, deployments.jsonl, is also the platform's only memory: what is live
// is what the log says was deployed last. So there are no two files that could
// contradict each other, and one fsync is the moment at which a change counts.
// The log tells what happened, not what was meant: asked twice with the same
// operation id, the platform acts twice and says so twice.
package platform
