//! What copies of items and of users have in common. What PostgreSQL keeps in `extra` because it cannot hold it in a column is compared,
//! and given to SQLite, as if it were in its column.

use std::{collections::HashMap, hash::Hash, mem::size_of};

use diesel::{
    QueryResult,
    sql_types::{BigInt, Binary, Nullable},
};

use super::{
    page::{Misfit, ReadRow},
    table::Target,
};
#[cfg(feature = "postgres")]
use crate::hn::record::taken_from_extra;
use crate::{
    hn::{
        connection::HnConnection,
        item::Item,
        upsert::{self, Received, Stored},
    },
    store::any::AnyConnection,
};

pub(super) type Bytes = Option<Vec<u8>>;
pub(super) type Field = Nullable<Binary>;
pub(super) type Number = Nullable<BigInt>;

/// A record with the time of its answer.
#[derive(PartialEq)]
pub(super) struct Timed<R> {
    pub(super) record: R,
    pub(super) fetched_at: i64,
}

/// An id of the target, and its record if the row can be read as one.
pub(super) type StoredRow<R> = (<R as Record>::Id, Option<Timed<R>>);

/// A record with a table of its own.
pub(super) trait Record: Stored + PartialEq {
    type Id: Clone + Eq + Hash + Ord;

    fn id(&self) -> Self::Id;

    /// The rows of these ids. A row that cannot be read as a record is there without one.
    fn stored(conn: &mut AnyConnection, ids: &[Self::Id]) -> QueryResult<Vec<StoredRow<Self>>>;

    /// Deletes a row, unless it is newer. An update would leave a row in `item_history`, which has been copied or will be.
    fn delete_older(conn: &mut AnyConnection, id: &Self::Id, fetched_at: i64) -> QueryResult<()>;

    /// The columns for texts: name, and value.
    fn texts(&mut self) -> Vec<(&'static str, &mut Option<String>)>;

    /// The columns for lists of ids.
    fn lists(&self) -> Vec<(&'static str, Option<&str>)>;

    fn extra(&mut self) -> &mut Option<String>;

    /// The record with those texts in their columns that are in `extra` only because PostgreSQL cannot hold them.
    #[cfg(feature = "postgres")]
    fn with_misfits_in_columns(mut self) -> Self {
        let mut extra = self.extra().take();
        // The last one was added last.
        for (name, value) in self.texts().into_iter().rev() {
            if value.is_none()
                && let Some((rest, text)) = extra
                    .as_deref()
                    .and_then(|extra| taken_from_extra(extra, name))
                && !upsert::fits_postgres(name, &text)
            {
                *value = Some(text);
                extra = rest;
            }
        }
        *self.extra() = extra;
        self
    }

    /// Whether all of it fits the target.
    fn require_fit(&mut self, target: Target) -> Result<(), Misfit> {
        if target.holds_nul {
            return Ok(());
        }
        let mut texts = self.texts().into_iter();
        let moves_text = texts.any(|(_, text)| text.as_deref().is_some_and(has_nul));
        for (column, text) in self.lists() {
            require_no_nul(target, column, text.unwrap_or_default())?;
        }
        let extra = self.extra().as_deref().unwrap_or("{}");
        if moves_text && !extra.trim_start().starts_with('{') {
            return Err(Misfit {
                column: "extra".to_owned(),
                why: "it is no JSON object, and a text with a NUL would have to go there",
            });
        }
        require_no_nul(target, "extra", extra)
    }
}

fn has_nul(text: &str) -> bool {
    text.contains('\0')
}

const HAS_NUL: &str = "it holds a NUL, which PostgreSQL cannot hold";

/// Refuses a text that the target cannot hold and that has no other place.
pub(super) fn require_no_nul(target: Target, column: &str, text: &str) -> Result<(), Misfit> {
    if target.holds_nul || !has_nul(text) {
        return Ok(());
    }
    Err(Misfit {
        column: column.to_owned(),
        why: HAS_NUL,
    })
}

/// Writes the records that the target lacks or has in an older state. Returns them.
pub(super) fn write_newer<'a, R: Record>(
    to: &mut AnyConnection,
    rows: &'a [Timed<R>],
) -> QueryResult<Vec<Received<'a, R>>> {
    let ids: Vec<_> = rows.iter().map(|row| row.record.id()).collect();
    let stored: HashMap<_, _> = R::stored(to, &ids)?.into_iter().collect();
    let mut newer = Vec::new();
    for row in rows {
        let id = row.record.id();
        match stored.get(&id) {
            Some(Some(stored)) if stored == row || stored.fetched_at > row.fetched_at => continue,
            Some(_) => R::delete_older(to, &id, row.fetched_at)?,
            None => {}
        }
        newer.push(Received {
            record: &row.record,
            fetched_at: row.fetched_at,
        });
    }
    // Two writers that wait for each other's rows would never end.
    newer.sort_unstable_by_key(|row| row.record.id());
    upsert::save(to, &newer)?;
    Ok(newer)
}

/// About how much memory a record takes.
pub(super) fn size_of_texts(texts: &[&Bytes]) -> usize {
    let lengths = texts.iter().map(|text| text.as_ref().map_or(0, Vec::len));
    size_of::<Item>() + lengths.sum::<usize>()
}

/// A record as SQLite would hold it.
pub(super) fn as_read<R: Record>(record: R, moves_texts: bool) -> R {
    #[cfg(feature = "postgres")]
    if moves_texts {
        return record.with_misfits_in_columns();
    }
    let _ = moves_texts;
    record
}

/// Whether the database keeps some texts in `extra` that have a column.
pub(super) fn moves_texts(conn: &impl HnConnection) -> bool {
    conn.dialect().has_typed_columns
}

/// The row, refused if it does not fit the target.
pub(super) fn fitting<R: Record, K>(
    mut read: ReadRow<Timed<R>, K>,
    target: Target,
) -> ReadRow<Timed<R>, K> {
    read.row = read.row.and_then(|mut row| {
        row.record.require_fit(target)?;
        Ok(row)
    });
    read
}
