//! The table of runs, and what a run's report shows of its items.

use diesel::{ExpressionMethods, QueryDsl, QueryResult, Queryable, RunQueryDsl, SqliteConnection};
use serde::Serialize;

use super::{
    now,
    schema::{items, runs},
};
use crate::ingest::Progress;

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

/// Up to five of these items, by score descending, then id.
///
/// # Errors
/// Whatever Diesel says.
pub fn top(conn: &mut SqliteConnection, ids: &[i64]) -> QueryResult<Vec<TopItem>> {
    items::table
        .filter(items::id.eq_any(ids))
        .order((items::score.desc(), items::id))
        .limit(5)
        .select((items::id, items::score, items::title))
        .load(conn)
}
