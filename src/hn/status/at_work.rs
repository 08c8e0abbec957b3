//! Which of the runs under way are at work, as far as this process can tell.

use diesel::{OptionalExtension, QueryDsl, QueryResult, RunQueryDsl};

#[cfg(feature = "cli")]
use crate::hn::process::Process;
use crate::hn::{
    connection::{HnConnection, on_backend},
    live_runs::{self, LiveRun},
    schema::leases,
};

/// The command that follows the API.
pub(super) const FOLLOW: &str = "follow";

/// The first id of the lease of the run that follows. No item has it.
const FOLLOWER: i64 = 0;

/// Leaves out runs whose process has ended on this machine, and those of `follow` that another one has replaced. Both count as under
/// way for a minute after they were heard of last.
pub(super) fn at_work(conn: &mut impl HnConnection) -> QueryResult<Vec<LiveRun>> {
    let mut runs = live_runs::live(conn)?;
    #[cfg(feature = "cli")]
    {
        let this = Process::this();
        // The server that shows this may follow itself.
        runs.retain(|run| run.pid == this.pid || !this.knows_ended(&run.process()));
    }
    let lease = leases::table.find(FOLLOWER).select(leases::owner);
    let leader: Option<i64> = on_backend!(conn, |conn| lease.first(conn)).optional()?;
    if runs.iter().any(|run| Some(run.id) == leader) {
        runs.retain(|run| run.command != FOLLOW || Some(run.id) == leader);
    }
    Ok(runs)
}
