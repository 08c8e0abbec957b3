//! Items by their ids.

use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, QueryResult, Queryable, RunQueryDsl};

use crate::{
    hn::{
        Item,
        connection::{HnConnection, IDS_OF_QUERY, on_backend},
        schema::{absent, items},
    },
    store::sqlite::check_deadline,
};

/// An item, and when the API gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredItem {
    /// The item.
    pub item: Item,
    /// When its answer was received, in Unix seconds.
    pub fetched_at: i64,
}

/// A row of `items`, its columns in the table's order.
#[derive(Queryable)]
struct Row {
    id: i64,
    type_: Option<String>,
    by: Option<String>,
    time: Option<i64>,
    title: Option<String>,
    url: Option<String>,
    text: Option<String>,
    score: Option<i64>,
    descendants: Option<i64>,
    parent: Option<i64>,
    poll: Option<i64>,
    kids: Option<String>,
    parts: Option<String>,
    deleted: Option<i32>,
    dead: Option<i32>,
    extra: Option<String>,
    fetched_at: i64,
}

impl From<Row> for StoredItem {
    fn from(row: Row) -> Self {
        Self {
            item: Item {
                id: row.id,
                type_: row.type_,
                by: row.by,
                time: row.time,
                title: row.title,
                url: row.url,
                text: row.text,
                score: row.score,
                descendants: row.descendants,
                parent: row.parent,
                poll: row.poll,
                kids: row.kids,
                parts: row.parts,
                deleted: row.deleted.map(|flag| flag != 0),
                dead: row.dead.map(|flag| flag != 0),
                extra: row.extra,
            },
            fetched_at: row.fetched_at,
        }
    }
}

/// The item with this id.
///
/// # Errors
/// Whatever Diesel says.
pub fn item(conn: &mut impl HnConnection, id: i64) -> QueryResult<Option<StoredItem>> {
    let row: Option<Row> =
        on_backend!(conn, |conn| items::table.find(id).first(conn)).optional()?;
    Ok(row.map(StoredItem::from))
}

/// The items with these ids that are stored, in the order of the ids.
///
/// # Errors
/// Whatever Diesel says.
pub fn items(conn: &mut impl HnConnection, ids: &[i64]) -> QueryResult<Vec<StoredItem>> {
    let mut found = std::collections::HashMap::with_capacity(ids.len());
    for ids in ids.chunks(IDS_OF_QUERY) {
        check_deadline()?;
        let rows: Vec<Row> = on_backend!(conn, |conn| items::table
            .filter(items::id.eq_any(ids))
            .load(conn))?;
        found.extend(rows.into_iter().map(|row| (row.id, StoredItem::from(row))));
    }
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

/// The items that name one of these as their parent. Needs an index to be quick.
pub(super) fn items_below(
    conn: &mut impl HnConnection,
    parents: &[i64],
) -> QueryResult<Vec<StoredItem>> {
    let mut found = Vec::new();
    for parents in parents.chunks(IDS_OF_QUERY) {
        check_deadline()?;
        let rows: Vec<Row> = on_backend!(conn, |conn| items::table
            .filter(items::parent.eq_any(parents))
            .load(conn))?;
        found.extend(rows.into_iter().map(StoredItem::from));
    }
    Ok(found)
}

/// When the API last said that there is no such item, in Unix seconds. `None` if it never did, or has given one since.
///
/// # Errors
/// Whatever Diesel says.
pub fn absent_at(conn: &mut impl HnConnection, id: i64) -> QueryResult<Option<i64>> {
    let query = absent::table.find(id).select(absent::last_checked_at);
    on_backend!(conn, |conn| query.first(conn)).optional()
}
