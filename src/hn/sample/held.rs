//! What the mirror holds for an id.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use diesel::QueryResult;

use crate::hn::{
    connection::HnConnection,
    copy::{ItemRow, item_rows},
    item::Item,
    sink::outcomes::absent_times,
};

/// What the mirror says of an id, by its latest answer.
pub(super) enum Held {
    /// It stores the item as of this time.
    Item { item: Box<Item>, fetched_at: i64 },
    /// It stores an item of which this column cannot be read.
    Unreadable { column: String },
    /// As of this time there was no such item. (An item that was there before is still stored.)
    Absent { checked_at: i64 },
    /// The id has failed, or is in no table.
    Nothing,
}

impl Held {
    /// When the answer was received that the mirror holds.
    pub(super) fn as_of(&self) -> Option<i64> {
        match self {
            Self::Item { fetched_at, .. } => Some(*fetched_at),
            Self::Absent { checked_at } => Some(*checked_at),
            Self::Unreadable { .. } | Self::Nothing => None,
        }
    }

    pub(super) fn version(&self) -> Version {
        let mut hasher = DefaultHasher::new();
        self.item().map(Item::encode).hash(&mut hasher);
        Version {
            as_of: self.as_of(),
            content: hasher.finish(),
        }
    }

    pub(super) fn item(&self) -> Option<&Item> {
        match self {
            Self::Item { item, .. } => Some(item),
            _ => None,
        }
    }

    fn new(row: Option<ItemRow>, checked_at: Option<i64>) -> Self {
        match (row, checked_at) {
            (Some(ItemRow::Read { fetched_at, .. }), Some(checked_at))
                if checked_at >= fetched_at =>
            {
                Self::Absent { checked_at }
            }
            (Some(ItemRow::Read { item, fetched_at }), _) => Self::Item { item, fetched_at },
            (Some(ItemRow::Unreadable { column }), _) => Self::Unreadable { column },
            (None, Some(checked_at)) => Self::Absent { checked_at },
            (None, None) => Self::Nothing,
        }
    }
}

/// What the mirror holds for each of these ids.
pub(super) fn held(conn: &mut impl HnConnection, ids: &[i64]) -> QueryResult<HashMap<i64, Held>> {
    let mut rows = item_rows(conn, ids)?;
    let absent = absent_times(conn, ids)?;
    let held = ids
        .iter()
        .map(|id| (*id, Held::new(rows.remove(id), absent.get(id).copied())));
    Ok(held.collect())
}

/// What the mirror held at one moment, in short. It tells whether that has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Version {
    as_of: Option<i64>,
    /// Times are whole seconds, and a row may be written twice in one.
    content: u64,
}
