//! Walks down from the newest items to those of a kind, a bounded way.

use diesel::{
    ExpressionMethods, OptionalExtension, QueryDsl, QueryResult, Queryable, RunQueryDsl,
    Selectable, SelectableHelper,
};

use super::{
    indexed::{BY_AUTHOR, is_indexed},
    items::{StoredItem, items},
    kids::ids_of,
};
use crate::{
    hn::{
        connection::{HnConnection, on_backend},
        schema::{items, users},
    },
    store::sqlite::check_deadline,
};

/// Rows of one query.
const ROWS: usize = 1000;

/// Rows that are looked at. No index leads to stories by their ids: it would cost every write.
const LOOKED_AT: usize = 200_000;

/// Which part of a walk is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The largest id that is wanted.
    pub from: i64,
    /// Items that are skipped.
    pub skip: usize,
    /// Items that are wanted.
    pub count: usize,
}

/// What an item is chosen by.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = items)]
#[allow(missing_docs)]
#[non_exhaustive]
pub struct ItemRow {
    pub id: i64,
    pub type_: Option<String>,
    pub url: Option<String>,
    pub deleted: Option<i32>,
    pub dead: Option<i32>,
}

impl ItemRow {
    /// Whether it is neither deleted nor dead.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.deleted != Some(1) && self.dead != Some(1)
    }
}

/// What a walk found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// The items, the newest first.
    pub items: Vec<StoredItem>,
    /// The id of the one after them, if there is one.
    pub next: Option<i64>,
    /// Whether the walk ended before the items did.
    pub gave_up: bool,
}

/// The newest items that `is_wanted`.
///
/// # Errors
/// Whatever Diesel says.
pub fn newest(
    conn: &mut impl HnConnection,
    place: Place,
    is_wanted: impl Fn(&ItemRow) -> bool,
) -> QueryResult<Found> {
    walk(conn, place, is_wanted, |conn, from| {
        on_backend!(conn, |conn| items::table
            .filter(items::id.le(from))
            .order(items::id.desc())
            .limit(ROWS as i64)
            .select(ItemRow::as_select())
            .load(conn))
    })
}

/// The newest items of an author that `is_wanted`. Without an index that leads to them, those that the profile names. `None` if there is
/// neither.
///
/// # Errors
/// Whatever Diesel says.
pub fn of_author(
    conn: &mut impl HnConnection,
    name: &str,
    place: Place,
    is_wanted: impl Fn(&ItemRow) -> bool,
) -> QueryResult<Option<Found>> {
    // No database keeps one, and PostgreSQL refuses it.
    if name.contains('\0') {
        return Ok(None);
    }
    if is_indexed(conn, BY_AUTHOR)? {
        let found = walk(conn, place, is_wanted, |conn, from| {
            on_backend!(conn, |conn| items::table
                .filter(items::by.eq(name))
                .filter(items::id.le(from))
                .order(items::id.desc())
                .limit(ROWS as i64)
                .select(ItemRow::as_select())
                .load(conn))
        });
        return found.map(Some);
    }
    let profile = users::table.find(name).select(users::submitted);
    let submitted: Option<Option<String>> =
        on_backend!(conn, |conn| profile.first(conn)).optional()?;
    let Some(submitted) = submitted else {
        return Ok(None);
    };
    let mut submitted = ids_of(submitted.as_deref());
    submitted.sort_unstable_by(|a, b| b.cmp(a));
    let found = walk(conn, place, is_wanted, |conn, from| {
        // Ids that are not stored give no row, so more are looked at until there is one.
        let wanted = &submitted[submitted.partition_point(|id| *id > from)..];
        for ids in wanted.chunks(ROWS) {
            check_deadline()?;
            let mut rows: Vec<ItemRow> = on_backend!(conn, |conn| items::table
                .filter(items::id.eq_any(ids))
                .select(ItemRow::as_select())
                .load(conn))?;
            if !rows.is_empty() {
                rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.id));
                return Ok(rows);
            }
        }
        Ok(Vec::new())
    });
    found.map(Some)
}

/// `read_down` gives rows from an id downwards, none at the end.
fn walk<C: HnConnection>(
    conn: &mut C,
    place: Place,
    is_wanted: impl Fn(&ItemRow) -> bool,
    mut read_down: impl FnMut(&mut C, i64) -> QueryResult<Vec<ItemRow>>,
) -> QueryResult<Found> {
    let mut from = place.from;
    let mut ids: Vec<i64> = Vec::new();
    let mut gave_up = true;
    // One more than wanted shows whether there are more.
    let enough = place.skip + place.count + 1;
    for _ in 0..LOOKED_AT / ROWS {
        check_deadline()?;
        let rows = read_down(conn, from)?;
        let Some(last) = rows.last() else {
            gave_up = false;
            break;
        };
        from = last.id.saturating_sub(1);
        ids.extend(rows.iter().filter(|row| is_wanted(row)).map(|row| row.id));
        if ids.len() >= enough {
            gave_up = false;
            break;
        }
    }
    let wanted: Vec<i64> = ids
        .iter()
        .copied()
        .skip(place.skip)
        .take(place.count)
        .collect();
    Ok(Found {
        items: items(conn, &wanted)?,
        next: ids.get(place.skip + place.count).copied(),
        gave_up,
    })
}
