//! The lists, each as it was last read.

use diesel::{ExpressionMethods, QueryDsl, QueryResult, RunQueryDsl};

use crate::hn::{
    List,
    connection::{HnConnection, on_backend},
    schema::lists,
};

/// The lists of the API are much shorter than this.
const IDS: i64 = 10_000;

/// A list, and when the API gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredList {
    /// Its ids, in rank order.
    pub ids: Vec<i64>,
    /// When it was received, in Unix seconds.
    pub fetched_at: i64,
}

/// The list as it was last read. `None` if it never was, or was empty.
///
/// # Errors
/// Whatever Diesel says.
pub fn list(conn: &mut impl HnConnection, list: List) -> QueryResult<Option<StoredList>> {
    let rows: Vec<(i64, i64)> = on_backend!(conn, |conn| lists::table
        .filter(lists::list.eq(list.name()))
        .order(lists::rank)
        .limit(IDS)
        .select((lists::id, lists::fetched_at))
        .load(conn))?;
    let Some((_, fetched_at)) = rows.first().copied() else {
        return Ok(None);
    };
    Ok(Some(StoredList {
        ids: rows.into_iter().map(|(id, _)| id).collect(),
        fetched_at,
    }))
}
