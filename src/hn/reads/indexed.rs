//! Whether an index is there. Those that a backfill builds at its end may be missing.

use diesel::{QueryResult, QueryableByName, RunQueryDsl, sql_query, sql_types::Text};

use crate::hn::connection::{HnConnection, on_backend};

/// Leads to the comments of an item.
pub(super) const BY_PARENT: &str = "items_by_parent";

/// Leads to the items of an author.
pub(super) const BY_AUTHOR: &str = "items_by_author";

#[derive(QueryableByName)]
struct Index {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Whether the table `items` has this index.
pub(super) fn is_indexed(conn: &mut impl HnConnection, name: &str) -> QueryResult<bool> {
    let query = sql_query(conn.dialect().indexes_of_items);
    let built: Vec<Index> = on_backend!(conn, |conn| query.load(conn))?;
    Ok(built.iter().any(|index| index.name == name))
}
