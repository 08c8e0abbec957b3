//! Finds the ids to fetch again because the API had no item, or because the fetch failed.
//!
//! | id | its last answer | fetched again |
//! |---|---|---|
//! | among the newest 500, not stored | absence or failure | every minute |
//! | older, not stored | absence | every hour, until its absence is settled |
//! | of the last 15 days | failure | every hour |
//!
//! An absence is settled when it has lasted for a day, or when the id is far below the newest: [`crate::hn::HnSink`] then records
//! it in `coverage`. Stored items with a newer absence or failure are read again by the ladder.

use diesel::QueryResult;

use super::{first_id::first_id_since, ids::ids, ladder::DAY};
use crate::hn::connection::HnConnection;

/// The API often has nothing for an id that has just appeared. So holes among this many of the newest ids are fetched every minute.
const NEWEST: i64 = 500;

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;

/// Ids as old as the last step of the default ladder are left to the commands `retry` and `backfill`.
const OLDEST: i64 = 15 * DAY;

/// Up to `limit` ids without an item that are to be fetched again now, from the newest down. `newest` is the API's largest id.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn holes(
    conn: &mut impl HnConnection,
    newest: i64,
    now: i64,
    limit: usize,
) -> QueryResult<Vec<i64>> {
    let minute_from = newest.saturating_sub(NEWEST);
    let oldest = first_id_since(conn, now.saturating_sub(OLDEST))?;
    let oldest = oldest.unwrap_or(1).min(minute_from);
    let minute_ago = now.saturating_sub(MINUTE);
    let hour_ago = now.saturating_sub(HOUR);
    // A failure beside an absence is the newer of the two.
    let sql = format!(
        "SELECT id FROM absent a
         WHERE id > {oldest} AND id <= {newest}
         AND last_checked_at <= CASE WHEN id > {minute_from} THEN {minute_ago} ELSE {hour_ago} END
         AND NOT EXISTS (SELECT 1 FROM items i WHERE i.id = a.id)
         AND NOT EXISTS (SELECT 1 FROM failures f WHERE f.id = a.id)
         AND coalesce((SELECT hi FROM coverage WHERE lo <= a.id ORDER BY lo DESC LIMIT 1) < a.id, TRUE)
         UNION ALL
         SELECT id FROM failures f
         WHERE id > {oldest} AND id <= {newest}
         AND failed_at <= CASE WHEN id > {minute_from} AND NOT EXISTS (SELECT 1 FROM items i WHERE i.id = f.id)
             THEN {minute_ago} ELSE {hour_ago} END
         ORDER BY id DESC LIMIT {limit}"
    );
    ids(conn, sql)
}
