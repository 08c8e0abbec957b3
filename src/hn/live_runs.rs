//! The runs that are under way on a database, on whichever machine.

use diesel::{
    ExpressionMethods, QueryDsl, QueryResult, Queryable, RunQueryDsl, Selectable, SelectableHelper,
    dsl::sql, sql_types::BigInt,
};

#[cfg(feature = "cli")]
use super::process::Process;
use super::{
    connection::{HnConnection, on_backend},
    schema::runs,
};

/// After this many seconds without a sign of a process, it has no share of the rate, and its speed no longer counts.
pub(crate) const SHARE_SECONDS: i64 = 10;

/// A run is under way if it has not ended, and its process was heard of within this many seconds.
pub(crate) const SILENCE_SECONDS: i64 = 60;

/// A run that is under way.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = runs)]
pub(crate) struct LiveRun {
    pub(crate) id: i64,
    pub(crate) command: String,
    pub(crate) host: String,
    pub(crate) pid: i64,
    #[cfg(feature = "cli")]
    machine: String,
    pub(crate) rate: i64,
    pub(crate) heartbeat_at: i64,
    pub(crate) ids_per_second: i64,
    /// The largest id that a backfill goes to.
    pub(crate) last_id: Option<i64>,
}

#[cfg(feature = "cli")]
impl LiveRun {
    /// The process of the run.
    pub(super) fn process(&self) -> Process {
        Process {
            host: self.host.clone(),
            pid: self.pid,
            machine: self.machine.clone(),
        }
    }
}

/// The runs under way, in the order in which they began.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn live(conn: &mut impl HnConnection) -> QueryResult<Vec<LiveRun>> {
    let earliest = sql::<BigInt>(conn.dialect().now) - SILENCE_SECONDS;
    on_backend!(conn, |conn| runs::table
        .filter(runs::finished_at.is_null())
        .filter(runs::heartbeat_at.gt(earliest))
        .order(runs::id)
        .select(LiveRun::as_select())
        .load(conn))
}

/// The database's time, in Unix seconds.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn database_now(conn: &mut impl HnConnection) -> QueryResult<i64> {
    let now = diesel::select(sql::<BigInt>(conn.dialect().now));
    on_backend!(conn, |conn| now.get_result(conn))
}
