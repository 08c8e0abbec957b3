CREATE TABLE packages (
    name TEXT PRIMARY KEY NOT NULL,
    version TEXT,
    problem TEXT
);
