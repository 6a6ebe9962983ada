-- +goose Up
-- Times are microseconds since 1970 in UTC. latest is the greatest "at" of this
-- record and all before it. An empty search field is NULL. What was hashed is
-- kept as bytes, exactly as it was given. Texts that an index holds compare by
-- their bytes, so that an update of the system's sorting rules breaks none.
CREATE TABLE records (
    seq    BIGINT PRIMARY KEY,
    at     BIGINT NOT NULL,
    latest BIGINT NOT NULL,
    kind   TEXT   COLLATE "C" NOT NULL,
    run    BIGINT,
    target TEXT   COLLATE "C",
    person TEXT   COLLATE "C",
    hash   TEXT   NOT NULL,
    body   BYTEA  NOT NULL,
    text   BYTEA
);
CREATE INDEX records_search ON records (latest, seq, person, target, kind, at);
CREATE INDEX records_run    ON records (run, seq) WHERE run IS NOT NULL;

CREATE TABLE runs (
    number  BIGINT PRIMARY KEY,
    rev     BIGINT NOT NULL,
    state   TEXT   COLLATE "C" NOT NULL,
    open    BIGINT NOT NULL, -- the state is not a settled one
    target  TEXT   COLLATE "C" NOT NULL,
    person  TEXT   NOT NULL,
    slot    TEXT   COLLATE "C" NOT NULL,
    holds   BIGINT NOT NULL,
    owner   TEXT   NOT NULL,
    lease   BIGINT NOT NULL,
    wake_at BIGINT,
    created BIGINT NOT NULL,
    body    BYTEA  NOT NULL
);
CREATE UNIQUE INDEX runs_slot ON runs (slot) WHERE holds = 1;
CREATE INDEX runs_wake         ON runs (wake_at, number) WHERE open = 1 AND wake_at IS NOT NULL;
CREATE INDEX runs_open_target  ON runs (target, number)  WHERE open = 1;
CREATE INDEX runs_open         ON runs (number)          WHERE open = 1;
CREATE INDEX runs_state        ON runs (state, number);
CREATE INDEX runs_target       ON runs (target, number);
CREATE INDEX runs_target_state ON runs (target, state, number);

CREATE TABLE documents (
    kind TEXT   COLLATE "C" NOT NULL,
    id   TEXT   COLLATE "C" NOT NULL,
    rev  BIGINT NOT NULL,
    due  BIGINT NOT NULL,
    body BYTEA,
    PRIMARY KEY (kind, id)
);

CREATE TABLE inbox (
    n        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id       TEXT   COLLATE "C" NOT NULL UNIQUE,
    state    TEXT   NOT NULL,
    received BIGINT NOT NULL,
    message  BYTEA  NOT NULL
);
CREATE INDEX inbox_new  ON inbox (received, n) WHERE state = 'new';
CREATE INDEX inbox_done ON inbox (received)    WHERE state = 'done';

CREATE TABLE outbox (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- a delivered card's ID is never given again
    channel TEXT   COLLATE "C" NOT NULL,
    thread  TEXT   NOT NULL,
    under   TEXT   NOT NULL,
    account TEXT   NOT NULL,
    key     TEXT   COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    ordered BIGINT NOT NULL,
    card    BYTEA  NOT NULL,
    created BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    tries   BIGINT NOT NULL
);
CREATE UNIQUE INDEX outbox_key ON outbox (channel, key) WHERE key <> '';
CREATE INDEX outbox_lane ON outbox (channel, id) WHERE ordered = 1;
CREATE INDEX outbox_due  ON outbox (next_at)     WHERE ordered = 0;

CREATE TABLE counters (
    name  TEXT   COLLATE "C" PRIMARY KEY,
    value BIGINT NOT NULL
);
-- Whoever writes, in whatever process, first locks the row 'writer'.
INSERT INTO counters (name, value) VALUES ('run', 0), ('writer', 0);

-- +goose Down
DROP TABLE counters;
DROP TABLE outbox;
DROP TABLE inbox;
DROP TABLE documents;
DROP TABLE runs;
DROP TABLE records;
