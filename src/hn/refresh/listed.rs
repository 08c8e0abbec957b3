//! Items on the lists, which are read again while they are there.

use diesel::QueryResult;

use super::ids::ids;
use crate::hn::connection::HnConnection;

/// Up to `limit` ids of the table `lists` that were not read since `read_before`, the best rank first. An absence or a failure
/// counts as a reading.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn due_on_lists(
    conn: &mut impl HnConnection,
    read_before: i64,
    limit: usize,
) -> QueryResult<Vec<i64>> {
    let sql = format!(
        "SELECT id FROM lists
         WHERE NOT EXISTS (SELECT 1 FROM items i WHERE i.id = lists.id AND i.fetched_at >= {read_before})
         AND NOT EXISTS (SELECT 1 FROM absent a WHERE a.id = lists.id AND a.last_checked_at >= {read_before})
         AND NOT EXISTS (SELECT 1 FROM failures f WHERE f.id = lists.id AND f.failed_at >= {read_before})
         GROUP BY id ORDER BY min(rank), id LIMIT {limit}"
    );
    ids(conn, sql)
}
