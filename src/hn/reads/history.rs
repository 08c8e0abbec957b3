//! Earlier versions of items.

use std::collections::HashSet;

use diesel::{ExpressionMethods, QueryDsl, QueryResult, Queryable, RunQueryDsl};

use crate::hn::{
    connection::{HnConnection, IDS_OF_QUERY, on_backend},
    schema::item_history,
};

/// Versions of an item that are read, the latest.
const VERSIONS: i64 = 200;

/// What an item was before it changed.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
#[allow(missing_docs)]
#[non_exhaustive]
pub struct Version {
    /// The item.
    pub id: i64,
    /// When the mirror learnt of the change, in Unix seconds.
    pub changed_at: i64,
    pub title: Option<String>,
    pub url: Option<String>,
    pub text: Option<String>,
    pub score: Option<i64>,
    pub descendants: Option<i64>,
    pub type_: Option<String>,
    pub deleted: Option<i32>,
    pub dead: Option<i32>,
}

/// The earlier versions of an item, the latest first.
///
/// # Errors
/// Whatever Diesel says.
pub fn versions(conn: &mut impl HnConnection, id: i64) -> QueryResult<Vec<Version>> {
    on_backend!(conn, |conn| item_history::table
        .filter(item_history::id.eq(id))
        .order(item_history::changed_at.desc())
        .limit(VERSIONS)
        .load(conn))
}

/// Those of these items that have an earlier version.
///
/// # Errors
/// Whatever Diesel says.
pub fn changed_items(conn: &mut impl HnConnection, ids: &[i64]) -> QueryResult<HashSet<i64>> {
    let mut changed = HashSet::new();
    for ids in ids.chunks(IDS_OF_QUERY) {
        let found: Vec<i64> = on_backend!(conn, |conn| item_history::table
            .filter(item_history::id.eq_any(ids))
            .select(item_history::id)
            .distinct()
            .load(conn))?;
        changed.extend(found);
    }
    Ok(changed)
}
