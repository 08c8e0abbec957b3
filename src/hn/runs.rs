//! The table of runs.

use diesel::{ExpressionMethods, QueryResult, RunQueryDsl};

use super::{
    clock::now,
    connection::{HnConnection, on_backend},
    schema::runs,
};
use crate::ingest::Progress;

/// Records that a run has begun. Returns the run's id.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn begin(conn: &mut impl HnConnection, command: &str) -> QueryResult<i64> {
    on_backend!(conn, |conn| diesel::insert_into(runs::table)
        .values((runs::command.eq(command), runs::started_at.eq(now())))
        .returning(runs::id)
        .get_result(conn))
}

/// Records how a run ended.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn finish(conn: &mut impl HnConnection, run: i64, totals: &Progress) -> QueryResult<()> {
    let column = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    on_backend!(conn, |conn| diesel::update(runs::table)
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
        .execute(conn))?;
    Ok(())
}
