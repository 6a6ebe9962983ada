// Package backupprovider restores backups that lie in a folder: SQLite files, file
// trees, PostgreSQL and MariaDB dumps, alone or as a set of members that belong
// together. It restores into a throw-away place and looks at what came of it.
//
// # Where it restores
//
// Every trial has a tag, made from its run's key: qd_rt_ and 24 hexadecimal digits.
// In the scratch folder lie TAG.json, which says for whom and is written durably
// before anything else, TAG.lock, and TAG, the folder that everything restored is
// in. SQLite and file trees are copied there. A dump goes into a database server
// that is started for it in that folder, listening on a Unix socket alone, or into
// databases TAG_N of a server that the configuration names; that has to be on this
// machine, and its role may own nothing else.
//
// # Why nothing stays
//
// The lock is a flock(2) that the trial and every process it starts share, so the
// kernel says whether any of them lives, whatever happened to the bot. Each process
// is started by a small watcher, the bot's own executable, which kills it and its
// group when the bot ends or closes the pipe that they share. Whoever removes a
// place first has its lock; at its start and every hour the bot sweeps what no run
// needs. A place is known by its TAG.json, whose key gives exactly its tag, and
// nothing else is ever removed.
//
// # What it trusts
//
// A backup may be wrong or hostile. Reading is bounded to the configured folder,
// links are not followed, what was checked is what is restored (a copy), programs
// get argv arrays and no shell, and psql and mariadb run in their restricted modes,
// in which a dump's own commands to the client are refused. The database role is
// no superuser.
package backupprovider
