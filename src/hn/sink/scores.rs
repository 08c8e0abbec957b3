//! The scores and numbers of descendants that items had before, for the table `item_history`.
//!
//! Such a row has neither title, url nor text. Every other row of the table has one of them.

use std::collections::HashMap;

use diesel::{ExpressionMethods, Insertable, QueryDsl, QueryResult, Queryable, RunQueryDsl};

use super::outcomes::{ROWS, StoredItems};
use crate::hn::{
    connection::{Backend, HnConnection, on_backend},
    item::Item,
    refresh::Ladder,
    schema::{item_history, items},
    upsert::Received,
};

/// What the items of a batch lose of their scores.
#[derive(Default)]
pub(super) struct ChangedScores(Vec<ChangedScore>);

struct ChangedScore {
    row: ScoreRow,
    /// When the item was made.
    time: i64,
}

#[derive(Insertable)]
#[diesel(table_name = item_history, treat_none_as_default_value = false)]
struct ScoreRow {
    id: i64,
    changed_at: i64,
    score: Option<i64>,
    descendants: Option<i64>,
}

/// An item as it is stored.
#[derive(Queryable)]
struct StoredScore {
    id: i64,
    type_: Option<String>,
    time: Option<i64>,
    score: Option<i64>,
    descendants: Option<i64>,
    fetched_at: i64,
}

impl ChangedScores {
    /// Expects that the new items are not written yet.
    pub(super) fn read(
        conn: &mut impl HnConnection,
        StoredItems(new): &StoredItems<'_>,
    ) -> QueryResult<Self> {
        let new: Vec<_> = new
            .iter()
            .filter(|row| !is_comment(&row.record.type_))
            .collect();
        let ids: Vec<i64> = new.iter().map(|row| row.record.id).collect();
        let mut old: HashMap<i64, StoredScore> = HashMap::new();
        for ids in ids.chunks(ROWS) {
            old.extend(stored(conn, ids)?.into_iter().map(|row| (row.id, row)));
        }
        let changed = |new: &&Received<'_, Item>| change(old.get(&new.record.id)?, new);
        Ok(Self(new.iter().filter_map(changed).collect()))
    }

    /// Keeps them, unless a row of the same item and step is there, which the change itself may just have left. Expects that the
    /// ledger is locked.
    pub(super) fn write(&self, conn: &mut impl HnConnection, ladder: &Ladder) -> QueryResult<()> {
        let Self(changed) = self;
        let ids: Vec<i64> = changed.iter().map(|change| change.row.id).collect();
        let mut kept: HashMap<i64, Vec<i64>> = HashMap::new();
        for ids in ids.chunks(ROWS) {
            let rows = item_history::table.filter(item_history::id.eq_any(ids));
            let rows = rows.select((item_history::id, item_history::changed_at));
            let rows: Vec<(i64, i64)> = on_backend!(conn, |conn| rows.load(conn))?;
            for (id, changed_at) in rows {
                kept.entry(id).or_default().push(changed_at);
            }
        }
        let is_new_step = |change: &&ChangedScore| {
            let step = |at: i64| ladder.step_of(at.saturating_sub(change.time));
            let this_step = step(change.row.changed_at);
            let kept = kept.get(&change.row.id);
            !kept.is_some_and(|times| times.iter().any(|at| step(*at) == this_step))
        };
        let rows = changed.iter().filter(is_new_step).map(|change| &change.row);
        let rows: Vec<&ScoreRow> = rows.collect();
        for rows in rows.chunks(ROWS) {
            let rows = rows.to_vec();
            on_backend!(conn, |conn| diesel::insert_into(item_history::table)
                .values(rows)
                .execute(conn))?;
        }
        Ok(())
    }
}

/// The stored rows of these ids, in their order. On PostgreSQL they are locked, so that they still hold these values when they
/// are overwritten.
fn stored(conn: &mut impl HnConnection, ids: &[i64]) -> QueryResult<Vec<StoredScore>> {
    let rows = items::table
        .filter(items::id.eq_any(ids))
        .order(items::id)
        .select((
            items::id,
            items::type_,
            items::time,
            items::score,
            items::descendants,
            items::fetched_at,
        ));
    match conn.backend() {
        Backend::Sqlite(conn) => rows.load(conn),
        #[cfg(feature = "postgres")]
        Backend::Postgres(conn) => rows.for_update().load(conn),
    }
}

fn is_comment(type_: &Option<String>) -> bool {
    type_.as_deref() == Some("comment")
}

/// What the item loses, if it loses anything that is to be kept.
fn change(old: &StoredScore, new: &Received<'_, Item>) -> Option<ChangedScore> {
    let Received {
        record: item,
        fetched_at,
    } = *new;
    let is_older = fetched_at < old.fetched_at;
    let is_lost = |old: Option<i64>, new| old.is_some() && old != new;
    let is_changed = is_lost(old.score, item.score) || is_lost(old.descendants, item.descendants);
    if is_older || !is_changed || is_comment(&old.type_) {
        return None;
    }
    Some(ChangedScore {
        row: ScoreRow {
            id: old.id,
            changed_at: fetched_at,
            score: old.score,
            descendants: old.descendants,
        },
        time: item.time.or(old.time)?,
    })
}
