//! A role that one run at a time has, as a lease. A run whose process dies loses it, and another one takes its turn.

use diesel::{QueryDsl, QueryResult, RunQueryDsl};

use super::{claim::live_leases, lease::Lease};
use crate::hn::{
    connection::{HnConnection, on_backend},
    coverage::Range,
    live_runs::database_now,
    process::Process,
    runs,
    schema::runs as table,
};

/// The lease of the run that follows the API. No item has this id.
pub(crate) const FOLLOWER: Range = Range { lo: 0, hi: 0 };

/// Whose turn it is.
pub(crate) enum Turn {
    /// This process's. The run is in this row of the table `runs`.
    Ours(i64),
    /// Another process's.
    Others { host: String, pid: i64 },
}

/// Begins a run of `command` that has the role of the follower, unless another run has it.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn begin_turn(
    conn: &mut impl HnConnection,
    command: &str,
    process: &Process,
    rate: u32,
) -> QueryResult<Turn> {
    conn.write_transaction(|conn| {
        conn.lock_claims()?;
        let time = database_now(conn)?;
        // No run has this number, so no lease counts as one of our own.
        let leases = live_leases(conn, 0, process, &[], time)?;
        if let Some(held) = leases.iter().find(|lease| lease.range() == FOLLOWER) {
            let row = table::table
                .find(held.owner)
                .select((table::host, table::pid));
            let (host, pid) = on_backend!(conn, |conn| row.first(conn))?;
            return Ok(Turn::Others { host, pid });
        }
        let run = runs::begin(conn, command, process, rate, None)?;
        Lease::insert(conn, FOLLOWER, run, time)?;
        Ok(Turn::Ours(run))
    })
}
