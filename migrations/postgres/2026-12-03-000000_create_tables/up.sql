-- A column has the name of the API's field, so that a row reads like the JSON. `kids` and `parts` are JSON arrays in the API's
-- order; NULL means that the field was absent. `deleted` and `dead` are 0 or 1. `extra` is a JSON object of every field that
-- has no column or does not fit its column; a text with a NUL fits none. `fetched_at` is when the answer was received. Our own times
-- (…_at) are Unix seconds.
CREATE TABLE items (
    id          BIGINT PRIMARY KEY,
    type        TEXT,
    by          TEXT,
    time        BIGINT,
    title       TEXT,
    url         TEXT,
    text        TEXT,
    score       BIGINT,
    descendants BIGINT,
    parent      BIGINT,
    poll        BIGINT,
    kids        TEXT,
    parts       TEXT,
    deleted     INTEGER,
    dead        INTEGER,
    extra       TEXT,
    fetched_at  BIGINT NOT NULL
);

-- Finds the items that are to be read again by the default ladder of ages: by the step that is next, and by time. Step 0 is a text that is
-- held back. The program makes this statement (src/hn/refresh/index.rs); the name is made of a hash of its text.
CREATE INDEX items_to_refresh_6de3cd1c8d94d4f2 ON items ((CASE WHEN "time" NOT BETWEEN 0 AND 253402300799 THEN NULL WHEN fetched_at >= "time" + 1296000 THEN NULL WHEN text = '[delayed]' AND fetched_at < "time" + 86400 THEN 0 WHEN fetched_at < "time" + 60 THEN 1 WHEN fetched_at < "time" + 300 THEN 2 WHEN fetched_at < "time" + 900 THEN 3 WHEN fetched_at < "time" + 3600 THEN 4 WHEN fetched_at < "time" + 10800 THEN 5 WHEN fetched_at < "time" + 43200 THEN 6 WHEN fetched_at < "time" + 86400 THEN 7 WHEN fetched_at < "time" + 172800 THEN 8 WHEN fetched_at < "time" + 604800 THEN 9 WHEN fetched_at < "time" + 1296000 THEN 10 END), "time") WHERE (CASE WHEN "time" NOT BETWEEN 0 AND 253402300799 THEN NULL WHEN fetched_at >= "time" + 1296000 THEN NULL WHEN text = '[delayed]' AND fetched_at < "time" + 86400 THEN 0 WHEN fetched_at < "time" + 60 THEN 1 WHEN fetched_at < "time" + 300 THEN 2 WHEN fetched_at < "time" + 900 THEN 3 WHEN fetched_at < "time" + 3600 THEN 4 WHEN fetched_at < "time" + 10800 THEN 5 WHEN fetched_at < "time" + 43200 THEN 6 WHEN fetched_at < "time" + 86400 THEN 7 WHEN fetched_at < "time" + 172800 THEN 8 WHEN fetched_at < "time" + 604800 THEN 9 WHEN fetched_at < "time" + 1296000 THEN 10 END) IS NOT NULL;

-- Profiles, with the names of the API's fields. `about` is HTML. `submitted` is a JSON array of the ids of stories, polls and comments
-- in the API's order; NULL means that the field was absent. `extra` is as in `items`.
CREATE TABLE users (
    id         TEXT PRIMARY KEY,
    created    BIGINT,
    karma      BIGINT,
    about      TEXT,
    submitted  TEXT,
    extra      TEXT,
    fetched_at BIGINT NOT NULL
);

-- What an item was before its title, url or text changed or was lost, or before it became deleted or dead. `changed_at` is the
-- `fetched_at` of what it became. A row without title, url and text keeps only what score and descendants were (`follow --score-history`).
CREATE TABLE item_history (
    id          BIGINT NOT NULL,
    changed_at  BIGINT NOT NULL,
    title       TEXT,
    url         TEXT,
    text        TEXT,
    score       BIGINT,
    descendants BIGINT,
    type        TEXT,
    deleted     INTEGER,
    dead        INTEGER
);

-- Not a primary key: an item may change twice in a second.
CREATE INDEX item_history_by_id ON item_history (id, changed_at);

CREATE FUNCTION keep_history() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    lost_text TEXT := CASE WHEN old.text NOT IN ('[delayed]', '[flagged]') THEN old.text END;
BEGIN
    IF coalesce(old.title, old.url, lost_text) IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM item_history AS last
        WHERE last.id = old.id
          AND last.changed_at = (
            SELECT max(changed_at) FROM item_history
            WHERE id = old.id AND coalesce(title, url, text) IS NOT NULL
          )
          AND last.title IS NOT DISTINCT FROM old.title
          AND last.url IS NOT DISTINCT FROM old.url
          AND last.text IS NOT DISTINCT FROM lost_text
          AND last.deleted IS NOT DISTINCT FROM old.deleted
          AND last.dead IS NOT DISTINCT FROM old.dead
    ) THEN
        INSERT INTO item_history (id, changed_at, title, url, text, score, descendants, type, deleted, dead)
        VALUES (
            old.id, new.fetched_at, old.title, old.url, lost_text, old.score, old.descendants, old.type, old.deleted, old.dead
        );
    END IF;
    RETURN new;
END
$$;

-- Fires on the update of an upsert too. A field that is new in an item is no loss. The texts `[delayed]` and `[flagged]` are not kept.
-- What comes back and goes again unchanged is not kept twice.
CREATE TRIGGER keep_history BEFORE UPDATE ON items FOR EACH ROW
WHEN ((old.title IS NOT NULL AND old.title IS DISTINCT FROM new.title)
   OR (old.url IS NOT NULL AND old.url IS DISTINCT FROM new.url)
   OR (old.text NOT IN ('[delayed]', '[flagged]') AND old.text IS DISTINCT FROM new.text)
   OR (new.deleted <> 0 AND (old.deleted <> 0) IS NOT TRUE)
   OR (new.dead <> 0 AND (old.dead <> 0) IS NOT TRUE))
EXECUTE FUNCTION keep_history();

-- Ids of which the API said that there is no such item.
CREATE TABLE absent (
    id               BIGINT PRIMARY KEY,
    checks           BIGINT NOT NULL,
    first_checked_at BIGINT NOT NULL,
    last_checked_at  BIGINT NOT NULL
);

-- Ids whose last fetch failed.
CREATE TABLE failures (
    id        BIGINT PRIMARY KEY,
    kind      TEXT NOT NULL,
    message   TEXT NOT NULL,
    attempts  BIGINT NOT NULL,
    failed_at BIGINT NOT NULL
);

-- Each list as last read, whole, in rank order (from 1).
CREATE TABLE lists (
    list       TEXT NOT NULL,
    rank       BIGINT NOT NULL,
    id         BIGINT NOT NULL,
    fetched_at BIGINT NOT NULL,
    PRIMARY KEY (list, rank)
);

-- Disjoint, merged ranges of settled ids.
CREATE TABLE coverage (
    lo BIGINT PRIMARY KEY,
    hi BIGINT NOT NULL
);

-- Ranges of ids that a run works on, its `owner`. They do not overlap. Others may take over one that has expired.
CREATE TABLE leases (
    lo         BIGINT PRIMARY KEY,
    hi         BIGINT NOT NULL,
    owner      BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- Until when no process asks the API for anything, because the API said so to one of them: one row, in milliseconds since 1970.
CREATE TABLE cool_down (
    id       BIGINT PRIMARY KEY CHECK (id = 1),
    until_ms BIGINT NOT NULL
);

INSERT INTO cool_down (id, until_ms) VALUES (1, 0);

-- finished_at is NULL while a run is under way, or if it died. A run under way renews heartbeat_at every few seconds, and its counts
-- with it. `machine` identifies the machine (or container) whose process numbers `pid` is one of; it is empty if that is unknown.
-- `rate` is its limit of requests per second; 0 is none. `last_id` is the largest id that a backfill goes to, and
-- for a follow the id up to which all new ones are settled.
CREATE TABLE runs (
    id             BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    command        TEXT NOT NULL,
    host           TEXT NOT NULL,
    pid            BIGINT NOT NULL,
    machine        TEXT NOT NULL,
    rate           BIGINT NOT NULL,
    started_at     BIGINT NOT NULL,
    heartbeat_at   BIGINT NOT NULL,
    ids_per_second BIGINT NOT NULL DEFAULT 0,
    finished_at    BIGINT,
    last_id        BIGINT,
    requested      BIGINT NOT NULL DEFAULT 0,
    stored         BIGINT NOT NULL DEFAULT 0,
    absent         BIGINT NOT NULL DEFAULT 0,
    failed         BIGINT NOT NULL DEFAULT 0,
    not_attempted  BIGINT NOT NULL DEFAULT 0,
    attempts       BIGINT NOT NULL DEFAULT 0,
    bytes          BIGINT NOT NULL DEFAULT 0
);

CREATE VIEW stories AS
SELECT id, type, title, url, score, by, time, descendants, fetched_at
FROM items
WHERE type IN ('story', 'job', 'poll');

-- Rows that transactions lock, because a row that is not there yet cannot be locked: `ledger` while ids are settled, `claims` while ids
-- are claimed. The value of `ledger` says whose items the tables hold: real or demo; that of `indexes` which session builds indexes.
CREATE TABLE hn_ingest (
    name  TEXT PRIMARY KEY,
    value TEXT
);

INSERT INTO hn_ingest (name) VALUES ('ledger'), ('claims'), ('indexes');
