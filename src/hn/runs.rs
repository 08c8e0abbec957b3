//! The table of runs, and what a run's report shows of its items.

use std::cmp::Reverse;

use diesel::{ExpressionMethods, QueryDsl, QueryResult, Queryable, RunQueryDsl, SqliteConnection};
use serde::Serialize;

use super::{
    now,
    schema::{absent, failures, items, runs},
};
use crate::ingest::Progress;

/// A report shows this many items.
const TOP: usize = 5;

/// Ids of one query, well under SQLite's 32,766 bound values.
const IDS: usize = 1000;

/// Notes that a run begins; gives its id.
///
/// # Errors
/// Whatever Diesel says.
pub fn begin(conn: &mut SqliteConnection, command: &str) -> QueryResult<i64> {
    diesel::insert_into(runs::table)
        .values((runs::command.eq(command), runs::started_at.eq(now())))
        .returning(runs::id)
        .get_result(conn)
}

/// Notes what a run came to.
///
/// # Errors
/// Whatever Diesel says.
pub fn finish(conn: &mut SqliteConnection, run: i64, totals: &Progress) -> QueryResult<()> {
    let column = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    diesel::update(runs::table)
        .filter(runs::id.eq(run))
        .set((
            runs::finished_at.eq(now()),
            runs::requested.eq(column(totals.requested)),
            runs::stored.eq(column(totals.stored)),
            runs::absent.eq(column(totals.absent)),
            runs::failed.eq(column(totals.failed)),
            runs::not_attempted.eq(column(totals.not_attempted)),
            runs::attempts.eq(column(totals.attempts)),
            runs::bytes.eq(column(totals.bytes)),
        ))
        .execute(conn)?;
    Ok(())
}

/// An item as a report shows it.
#[derive(Clone, Debug, Queryable, Serialize)]
pub struct TopItem {
    /// Which.
    pub id: i64,
    /// Its points.
    pub score: Option<i64>,
    /// Its title, in HTML.
    pub title: Option<String>,
}

/// Up to five of these items that the run stored, by score descending, then id.
///
/// An earlier run's row stays when an id fails, is absent or is not attempted: those are told by their rows in `failures` and
/// `absent`, and by the time of the fetch.
///
/// # Errors
/// Whatever Diesel says.
pub fn top(conn: &mut SqliteConnection, run: i64, ids: &[i64]) -> QueryResult<Vec<TopItem>> {
    let began: i64 = runs::table.find(run).select(runs::started_at).first(conn)?;
    let mut best: Vec<TopItem> = Vec::new();
    for ids in ids.chunks(IDS) {
        let more = items::table
            .filter(items::id.eq_any(ids))
            .filter(items::fetched_at.ge(began))
            .filter(items::id.ne_all(failures::table.select(failures::id)))
            .filter(items::id.ne_all(absent::table.select(absent::id)))
            .order((items::score.desc(), items::id))
            .limit(TOP as i64)
            .select((items::id, items::score, items::title))
            .load(conn)?;
        best.extend(more);
        best.sort_by_key(|item| (Reverse(item.score), item.id));
        best.dedup_by_key(|item| item.id);
        best.truncate(TOP);
    }
    Ok(best)
}
