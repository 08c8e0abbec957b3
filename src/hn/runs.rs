//! Writes the table of runs: who works on this database, and how each run ended.

use diesel::{
    ExpressionMethods, NullableExpressionMethods, OptionalExtension, QueryDsl, QueryResult,
    Queryable, RunQueryDsl,
    dsl::{min, sql},
    sql_types::BigInt,
};

use super::{
    clock::now,
    connection::{HnConnection, on_backend},
    live_runs::SILENCE_SECONDS,
    process::Process,
    schema::runs,
};
use crate::ingest::Progress;

/// Records that a run of this process has begun, with its limit of requests per second, and with the largest id that a backfill
/// goes to. Returns the run's id.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn begin(
    conn: &mut impl HnConnection,
    command: &str,
    process: &Process,
    rate: u32,
    last_id: Option<i64>,
) -> QueryResult<i64> {
    let database_now = sql::<BigInt>(conn.dialect().now);
    on_backend!(conn, |conn| diesel::insert_into(runs::table)
        .values((
            runs::command.eq(command),
            runs::host.eq(&process.host),
            runs::pid.eq(process.pid),
            runs::machine.eq(&process.machine),
            runs::rate.eq(i64::from(rate)),
            runs::last_id.eq(last_id),
            runs::started_at.eq(now()),
            runs::heartbeat_at.eq(database_now),
        ))
        .returning(runs::id)
        .get_result(conn))
}

/// Records that a run is under way, and its counts so far; of a run that follows the API also up to which id all are settled.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn beat(
    conn: &mut impl HnConnection,
    run: i64,
    totals: &Progress,
    ids_per_second: u64,
    settled_up_to: Option<i64>,
) -> QueryResult<()> {
    let database_now = sql::<BigInt>(conn.dialect().now);
    let last_id = settled_up_to.map(|id| runs::last_id.eq(id));
    on_backend!(conn, |conn| diesel::update(runs::table.find(run))
        .set((
            last_id,
            runs::heartbeat_at.eq(database_now),
            runs::ids_per_second.eq(column(ids_per_second)),
            runs::requested.eq(column(totals.requested)),
            runs::stored.eq(column(totals.stored)),
            runs::absent.eq(column(totals.absent)),
            runs::failed.eq(column(totals.failed)),
            runs::attempts.eq(column(totals.attempts)),
            runs::bytes.eq(column(totals.bytes)),
        ))
        .execute(conn))?;
    Ok(())
}

/// Records how a run ended.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn finish(
    conn: &mut impl HnConnection,
    run: i64,
    totals: &Progress,
    settled_up_to: Option<i64>,
) -> QueryResult<()> {
    beat(conn, run, totals, 0, settled_up_to)?;
    on_backend!(conn, |conn| diesel::update(runs::table.find(run))
        .set((
            runs::finished_at.eq(now()),
            runs::not_attempted.eq(column(totals.not_attempted)),
        ))
        .execute(conn))?;
    Ok(())
}

fn column(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// When the first of the runs of `command` that are under way began.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn first_start(conn: &mut impl HnConnection, command: &str) -> QueryResult<Option<i64>> {
    let earliest = sql::<BigInt>(conn.dialect().now) - SILENCE_SECONDS;
    on_backend!(conn, |conn| runs::table
        .filter(runs::command.eq(command))
        .filter(runs::finished_at.is_null())
        .filter(runs::heartbeat_at.gt(earliest))
        .select(min(runs::started_at))
        .first(conn))
}

/// Records up to which id all are settled when a run begins to follow the API.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn set_settled_up_to(
    conn: &mut impl HnConnection,
    run: i64,
    id: i64,
) -> QueryResult<()> {
    let row = diesel::update(runs::table.find(run)).set(runs::last_id.eq(id));
    on_backend!(conn, |conn| row.execute(conn))?;
    Ok(())
}

/// Where the last run of a command that follows the API has left off.
#[derive(Clone, Copy, Debug, Queryable)]
pub(crate) struct LeftOff {
    /// Up to this id all were settled.
    pub(crate) settled_up_to: i64,
    /// When the run was last heard of, in Unix seconds.
    pub(crate) heard_at: i64,
}

/// Where the last run of `command` before `run` has left off. `None` if there was none.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn left_off(
    conn: &mut impl HnConnection,
    command: &str,
    run: i64,
) -> QueryResult<Option<LeftOff>> {
    let earlier = runs::table
        .filter(runs::command.eq(command))
        .filter(runs::id.lt(run))
        .filter(runs::last_id.is_not_null())
        .order(runs::id.desc())
        .select((runs::last_id.assume_not_null(), runs::heartbeat_at));
    on_backend!(conn, |conn| earlier.first(conn)).optional()
}
