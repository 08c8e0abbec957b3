//! Finds about where the ids of the items begin that were made since some time.

use diesel::{
    ExpressionMethods, QueryDsl, QueryResult, RunQueryDsl,
    dsl::{max, min},
};

use crate::hn::{
    connection::{HnConnection, on_backend},
    schema::items,
};

/// The time of an id is the median of this many items near it. So one or two odd times do no harm.
const NEIGHBOURS: i64 = 9;

/// Ids and times grow together, but items that are near each other may be in another order. So the result is this much lower.
const MARGIN: i64 = 1000;

/// An id below those of the items that were made at `since` or later, so far as ids and times grow together. `None` without any
/// item.
///
/// Looks at about 30 places of the primary key.
///
/// # Errors
/// Whatever Diesel says.
pub(super) fn first_id_since(conn: &mut impl HnConnection, since: i64) -> QueryResult<Option<i64>> {
    let ends = items::table.select((min(items::id), max(items::id)));
    let (Some(first), Some(last)): (Option<i64>, Option<i64>) =
        on_backend!(conn, |conn| ends.get_result(conn))?
    else {
        return Ok(None);
    };
    let (mut lo, mut hi) = (first.max(1), last);
    while lo < hi {
        let middle = i64::midpoint(lo, hi);
        match time_at(conn, middle)? {
            Some(time) if time < since => lo = middle + 1,
            _ => hi = middle,
        }
    }
    Ok(Some(lo.saturating_sub(MARGIN)))
}

/// The time of the stored items from this id on.
fn time_at(conn: &mut impl HnConnection, id: i64) -> QueryResult<Option<i64>> {
    let near = items::table
        .filter(items::id.ge(id))
        .filter(items::time.is_not_null())
        .order(items::id)
        .select(items::time)
        .limit(NEIGHBOURS);
    let mut times: Vec<Option<i64>> = on_backend!(conn, |conn| near.load(conn))?;
    times.sort_unstable();
    Ok(times.get(times.len() / 2).copied().flatten())
}
