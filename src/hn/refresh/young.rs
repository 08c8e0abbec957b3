//! Young items, which are read again after a gap in the streams, since the streams do not say what they missed.

use diesel::QueryResult;

use super::{first_id::first_id_since, ids::ids};
use crate::hn::connection::HnConnection;

/// Up to `limit` items above `after_id`, by id, that were made at `created_since` or later and were not read since `read_before`.
/// An absence or a failure counts as a reading.
///
/// Walks the ids from about where those times begin, so it reads as many rows as were made since.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn young(
    conn: &mut impl HnConnection,
    created_since: i64,
    read_before: i64,
    after_id: i64,
    limit: usize,
) -> QueryResult<Vec<i64>> {
    let Some(first) = first_id_since(conn, created_since)? else {
        return Ok(Vec::new());
    };
    let after = after_id.max(first.saturating_sub(1));
    let sql = format!(
        "SELECT id FROM items
         WHERE id > {after} AND \"time\" >= {created_since} AND fetched_at < {read_before}
         AND NOT EXISTS (SELECT 1 FROM absent a WHERE a.id = items.id AND a.last_checked_at >= {read_before})
         AND NOT EXISTS (SELECT 1 FROM failures f WHERE f.id = items.id AND f.failed_at >= {read_before})
         ORDER BY id LIMIT {limit}"
    );
    ids(conn, sql)
}
