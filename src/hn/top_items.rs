//! The items that a report of a run shows.

use std::cmp::Reverse;

use diesel::{ExpressionMethods, QueryDsl, QueryResult, Queryable, RunQueryDsl};
use serde::Serialize;

use super::{
    connection::{HnConnection, IDS_OF_QUERY, on_backend},
    schema::{absent, failures, items, runs},
};

/// A report shows this many items.
const TOP: usize = 5;

/// An item as a report shows it.
#[derive(Clone, Debug, Queryable, Serialize)]
pub(crate) struct TopItem {
    /// The item's number.
    pub(crate) id: i64,
    /// Points.
    pub(crate) score: Option<i64>,
    /// Title, as HTML.
    pub(crate) title: Option<String>,
}

/// Up to five of these items that the run stored, by score descending, then id.
///
/// When an id of this run fails, is absent or is not attempted, the item of an earlier run stays in the table. Rows in `failures`
/// and `absent`, and the time of the fetch, tell such items apart.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn read(
    conn: &mut impl HnConnection,
    run: i64,
    ids: &[i64],
) -> QueryResult<Vec<TopItem>> {
    let began: i64 = on_backend!(conn, |conn| runs::table
        .find(run)
        .select(runs::started_at)
        .first(conn))?;
    let mut best: Vec<TopItem> = Vec::new();
    for ids in ids.chunks(IDS_OF_QUERY) {
        let more = on_backend!(conn, |conn| items::table
            .filter(items::id.eq_any(ids))
            .filter(items::fetched_at.ge(began))
            .filter(items::id.ne_all(failures::table.select(failures::id)))
            .filter(items::id.ne_all(absent::table.select(absent::id)))
            .order((items::score.desc(), items::id))
            .limit(TOP as i64)
            .select((items::id, items::score, items::title))
            .load(conn))?;
        best.extend(more);
        best.sort_by_key(|item| (Reverse(item.score), item.id));
        best.dedup_by_key(|item| item.id);
        best.truncate(TOP);
    }
    Ok(best)
}
