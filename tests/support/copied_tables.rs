//! What a copy of a mirror holds.

/// All tables that are copied, with all their columns.
pub(super) const TABLES: [(&str, &str); 8] = [
    (
        "items",
        "id, type, \"by\", time, title, url, text, score, descendants, parent, poll, kids, parts, deleted, dead, extra, fetched_at",
    ),
    (
        "users",
        "id, created, karma, about, submitted, extra, fetched_at",
    ),
    ("absent", "id, checks, first_checked_at, last_checked_at"),
    ("failures", "id, kind, message, attempts, failed_at"),
    ("lists", "list, rank, id, fetched_at"),
    ("coverage", "lo, hi"),
    (
        "item_history",
        "id, changed_at, title, url, text, score, descendants, type, deleted, dead",
    ),
    (
        "runs",
        "id, command, host, pid, machine, rate, started_at, heartbeat_at, ids_per_second, finished_at, last_id, requested, stored, absent,
         failed, not_attempted, attempts, bytes",
    ),
];
