-- +goose Up
-- Times are microseconds since 1970 in UTC. latest is the greatest "at" of this
-- record and all before it. An empty search field is NULL.
CREATE TABLE records (
    seq    INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    latest INTEGER NOT NULL,
    kind   TEXT    NOT NULL,
    run    INTEGER,
    target TEXT,
    person TEXT,
    hash   TEXT    NOT NULL,
    body   BLOB    NOT NULL,
    text   BLOB
);
-- What is searched by, in the order of the log: it grows at its end alone. An
-- index by person and one by target would each change as many pages with every
-- commit as there are people and targets in it, which cost more than the records.
CREATE INDEX records_search ON records (latest, seq, person, target, kind, at);
CREATE INDEX records_run    ON records (run) WHERE run IS NOT NULL;

CREATE TABLE runs (
    number  INTEGER PRIMARY KEY,
    rev     INTEGER NOT NULL,
    state   TEXT    NOT NULL,
    open    INTEGER NOT NULL, -- the state is not a settled one
    target  TEXT    NOT NULL,
    person  TEXT    NOT NULL,
    slot    TEXT    NOT NULL,
    holds   INTEGER NOT NULL,
    owner   TEXT    NOT NULL,
    lease   INTEGER NOT NULL,
    wake_at INTEGER,
    created INTEGER NOT NULL,
    body    BLOB    NOT NULL
);
CREATE UNIQUE INDEX runs_slot ON runs (slot) WHERE holds = 1;
CREATE INDEX runs_wake         ON runs (open, wake_at) WHERE open = 1 AND wake_at IS NOT NULL;
CREATE INDEX runs_open_target  ON runs (open, target)  WHERE open = 1;
CREATE INDEX runs_open         ON runs (open, number)  WHERE open = 1;
CREATE INDEX runs_state        ON runs (state);
CREATE INDEX runs_target       ON runs (target);
CREATE INDEX runs_target_state ON runs (target, state);

CREATE TABLE documents (
    kind TEXT    NOT NULL,
    id   TEXT    NOT NULL,
    rev  INTEGER NOT NULL,
    due  INTEGER NOT NULL,
    body BLOB,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;

CREATE TABLE inbox (
    n        INTEGER PRIMARY KEY,
    id       TEXT    NOT NULL UNIQUE,
    state    TEXT    NOT NULL,
    received INTEGER NOT NULL,
    message  BLOB    NOT NULL
);
CREATE INDEX inbox_new  ON inbox (received) WHERE state = 'new';
CREATE INDEX inbox_done ON inbox (received) WHERE state = 'done';

CREATE TABLE outbox (
    id      INTEGER PRIMARY KEY AUTOINCREMENT, -- a delivered card's ID is never given again
    channel TEXT    NOT NULL,
    thread  TEXT    NOT NULL,
    under   TEXT    NOT NULL,
    account TEXT    NOT NULL,
    key     TEXT    NOT NULL,
    version INTEGER NOT NULL,
    ordered INTEGER NOT NULL,
    card    BLOB    NOT NULL,
    created INTEGER NOT NULL,
    next_at INTEGER NOT NULL,
    tries   INTEGER NOT NULL
);
CREATE UNIQUE INDEX outbox_key ON outbox (channel, key) WHERE key <> '';
CREATE INDEX outbox_lane ON outbox (channel) WHERE ordered = 1;
CREATE INDEX outbox_due  ON outbox (next_at) WHERE ordered = 0;

CREATE TABLE counters (
    name  TEXT    PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO counters (name, value) VALUES ('run', 0);

-- +goose Down
DROP TABLE counters;
DROP TABLE outbox;
DROP TABLE inbox;
DROP TABLE documents;
DROP TABLE runs;
DROP TABLE records;
