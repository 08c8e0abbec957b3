//! The largest id, and what was fetched last.

use diesel::{
    ExpressionMethods, JoinOnDsl, OptionalExtension, QueryDsl, QueryResult, RunQueryDsl, dsl::max,
};

use crate::hn::{
    connection::{HnConnection, on_backend},
    schema::{coverage, items, lists, users},
};

/// Updates are looked for among this many of the newest items, and among the items of the lists. There is no index by the time of the
/// fetch, because every write would have to update it.
const NEWEST: i64 = 1000;

/// About as many items as the API names at a time.
const ITEMS: usize = 100;

/// At most this many names of users.
const PROFILES: usize = 100;

/// What was fetched last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Updates {
    /// Ids of items, what was fetched last first.
    pub items: Vec<i64>,
    /// Names of users, what was fetched last first.
    pub profiles: Vec<String>,
}

/// The largest id that is stored or settled; 0 if there is none.
///
/// # Errors
/// Whatever Diesel says.
pub fn largest_id(conn: &mut impl HnConnection) -> QueryResult<i64> {
    let stored: Option<i64> =
        on_backend!(conn, |conn| items::table.select(max(items::id)).first(conn))?;
    let settled: Option<i64> = on_backend!(conn, |conn| coverage::table
        .select(coverage::hi)
        .order(coverage::lo.desc())
        .first(conn)
        .optional())?;
    Ok(stored.max(settled).unwrap_or(0))
}

/// What was fetched last: of the newest items and those of the lists, and of the profiles of their authors.
///
/// # Errors
/// Whatever Diesel says.
pub fn updates(conn: &mut impl HnConnection) -> QueryResult<Updates> {
    type Row = (i64, i64, Option<String>);
    let columns = (items::id, items::fetched_at, items::by);
    let mut rows: Vec<Row> = on_backend!(conn, |conn| items::table
        .select(columns)
        .order(items::id.desc())
        .limit(NEWEST)
        .load(conn))?;
    let listed: Vec<Row> = on_backend!(conn, |conn| lists::table
        .inner_join(items::table.on(items::id.eq(lists::id)))
        .select(columns)
        .limit(6 * NEWEST)
        .load(conn))?;
    rows.extend(listed);
    rows.sort_unstable_by_key(|(id, fetched_at, _)| std::cmp::Reverse((*fetched_at, *id)));
    rows.dedup_by_key(|(id, _, _)| *id);
    rows.truncate(ITEMS);
    let mut names: Vec<String> = rows.iter().filter_map(|(_, _, by)| by.clone()).collect();
    names.sort_unstable();
    names.dedup();
    let profiles = on_backend!(conn, |conn| users::table
        .filter(users::id.eq_any(names))
        .order((users::fetched_at.desc(), users::id))
        .limit(PROFILES as i64)
        .select(users::id)
        .load(conn))?;
    Ok(Updates {
        items: rows.into_iter().map(|(id, _, _)| id).collect(),
        profiles,
    })
}
