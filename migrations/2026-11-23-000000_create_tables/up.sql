-- A column carries the API field's own name, so that a row reads like the JSON. `kids` and `parts` are JSON arrays in the
-- API's order; NULL means that the field was absent. `extra` is a JSON object of every field that has no column or did not
-- fit its column's type. Times of our own (…_at) are Unix seconds.
CREATE TABLE items (
    id          INTEGER PRIMARY KEY NOT NULL,
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
    deleted     BOOLEAN,
    dead        BOOLEAN,
    extra       TEXT,
    fetched_at  BIGINT NOT NULL
);

-- Ids of which the API said that there is no item.
CREATE TABLE absent (
    id               INTEGER PRIMARY KEY NOT NULL,
    checks           BIGINT NOT NULL,
    first_checked_at BIGINT NOT NULL,
    last_checked_at  BIGINT NOT NULL
);

-- Ids whose last fetch failed.
CREATE TABLE failures (
    id        INTEGER PRIMARY KEY NOT NULL,
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
) WITHOUT ROWID;

-- Disjoint, merged ranges of settled ids.
CREATE TABLE coverage (
    lo INTEGER PRIMARY KEY NOT NULL,
    hi BIGINT NOT NULL
);

-- finished_at is NULL while a run is under way, or if it died.
CREATE TABLE runs (
    id            INTEGER PRIMARY KEY NOT NULL,
    command       TEXT NOT NULL,
    started_at    BIGINT NOT NULL,
    finished_at   BIGINT,
    requested     BIGINT NOT NULL DEFAULT 0,
    stored        BIGINT NOT NULL DEFAULT 0,
    absent        BIGINT NOT NULL DEFAULT 0,
    failed        BIGINT NOT NULL DEFAULT 0,
    not_attempted BIGINT NOT NULL DEFAULT 0,
    attempts      BIGINT NOT NULL DEFAULT 0,
    bytes         BIGINT NOT NULL DEFAULT 0
);

CREATE VIEW stories AS
SELECT id, type, title, url, score, by, time, descendants, fetched_at
FROM items
WHERE type IN ('story', 'job', 'poll');
