-- What an item was before its title, url or text was lost or changed, or before it became deleted or dead; so the mirror never
-- knows less than it did. changed_at, in Unix seconds, is when the mirror learnt of it.
CREATE TABLE item_history (
    id         BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    title      TEXT,
    url        TEXT,
    text       TEXT,
    score      BIGINT,
    type       TEXT,
    deleted    BOOLEAN,
    dead       BOOLEAN
);

-- No primary key: an item may change twice in a second.
CREATE INDEX item_history_by_id ON item_history (id, changed_at);

-- Fires on an upsert's ON CONFLICT DO UPDATE too. A field that was not there before is not lost.
CREATE TRIGGER keep_history BEFORE UPDATE ON items
WHEN (old.title IS NOT NULL AND old.title IS NOT new.title)
  OR (old.url IS NOT NULL AND old.url IS NOT new.url)
  OR (old.text IS NOT NULL AND old.text IS NOT new.text)
  OR (new.deleted IS TRUE AND old.deleted IS NOT TRUE)
  OR (new.dead IS TRUE AND old.dead IS NOT TRUE)
BEGIN
    INSERT INTO item_history (id, changed_at, title, url, text, score, type, deleted, dead)
    VALUES (old.id, unixepoch(), old.title, old.url, old.text, old.score, old.type, old.deleted, old.dead);
END;
