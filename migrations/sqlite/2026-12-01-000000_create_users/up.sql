-- Profiles, with the names of the API's fields. `about` is HTML. `submitted` is a JSON array of the ids of stories, polls and comments
-- in the API's order; NULL means that the field was absent. `extra` is as in `items`.
CREATE TABLE users (
    id         TEXT PRIMARY KEY NOT NULL,
    created    BIGINT,
    karma      BIGINT,
    about      TEXT,
    submitted  TEXT,
    extra      TEXT,
    fetched_at BIGINT NOT NULL
);
