//! Claims a range of ids for a run.

use diesel::{
    ExpressionMethods, OptionalExtension, QueryDsl, QueryResult, RunQueryDsl,
    dsl::{exists, select},
};

use super::{
    lease::Lease,
    search::{IdsInOrder, Search},
};
use crate::hn::{
    clock::now,
    connection::{HnConnection, on_backend},
    coverage::Range,
    live_runs::database_now,
    process::Process,
    runs,
    schema::{absent, failures, runs as table},
};

/// What a run gets to work on.
pub(crate) enum Claim {
    /// These ids, all in `lease`, which no other run claims meanwhile.
    Ids { lease: Range, ids: IdsInOrder },
    /// No ids now. Others work on those that are left, and may fail.
    HeldByOthers,
    /// No ids are left.
    Nothing,
}

/// Claims up to `count` ids for a run of this process, in a transaction of its own.
///
/// Leases that have expired, and those of a process of this machine that has ended, are taken away from their runs first. So are
/// those of this run that it does not `know`: a claim whose commit was not answered has left them.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn claim(
    conn: &mut impl HnConnection,
    search: &mut Search,
    run: i64,
    command: &str,
    process: &Process,
    known: &[Range],
    count: u64,
) -> QueryResult<Claim> {
    // If the transaction does not commit, the next search begins at the same place.
    let mut found = search.clone();
    let claim = conn.write_transaction(|conn| {
        conn.lock_claims()?;
        let time = database_now(conn)?;
        let held = live_leases(conn, run, process, known, time)?;
        // No run fetches an id again that another run under way has fetched, even if the answer settles nothing.
        let since = found.own_since(runs::first_start(conn, command)?.unwrap_or(i64::MAX));
        let ranges: Vec<Range> = held.iter().map(Lease::range).collect();
        let Some(ids) = found.next(conn, &ranges, found.work(since), count)? else {
            return others_work(conn, &found, &held, run, since);
        };
        let Some(lease) = ids.span() else {
            return Ok(Claim::Nothing);
        };
        Lease::insert(conn, lease, run, time)?;
        let ids = found.in_order(ids);
        Ok(Claim::Ids { lease, ids })
    })?;
    *search = found;
    Ok(claim)
}

/// Whether an id was found absent or failed in this second, and no run of `command` is under way.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn answered_this_second(
    conn: &mut impl HnConnection,
    command: &str,
) -> QueryResult<bool> {
    if runs::first_start(conn, command)?.is_some() {
        return Ok(false);
    }
    let absent = absent::table.filter(absent::last_checked_at.ge(now()));
    let failed = failures::table.filter(failures::failed_at.ge(now()));
    Ok(
        on_backend!(conn, |conn| select(exists(absent)).get_result(conn))?
            || on_backend!(conn, |conn| select(exists(failed)).get_result(conn))?,
    )
}

/// The leases that count. Deletes the others.
pub(super) fn live_leases(
    conn: &mut impl HnConnection,
    run: i64,
    process: &Process,
    known: &[Range],
    time: i64,
) -> QueryResult<Vec<Lease>> {
    let mut live = Vec::new();
    for lease in Lease::all(conn)? {
        let has_lapsed = if lease.owner == run {
            !known.contains(&lease.range())
        } else {
            lease.expires_at <= time || has_ended(conn, process, lease.owner)?
        };
        if has_lapsed {
            lease.delete(conn)?;
        } else {
            live.push(lease);
        }
    }
    Ok(live)
}

/// Whether a run is known to have ended, or its process.
fn has_ended(conn: &mut impl HnConnection, process: &Process, run: i64) -> QueryResult<bool> {
    let columns = (table::host, table::pid, table::machine, table::finished_at);
    let row = table::table.find(run).select(columns);
    let found: Option<(String, i64, String, Option<i64>)> =
        on_backend!(conn, |conn| row.first(conn)).optional()?;
    let Some((host, pid, machine, finished_at)) = found else {
        return Ok(true);
    };
    let owner = Process { host, pid, machine };
    Ok(finished_at.is_some() || process.knows_ended(&owner))
}

/// Whether runs of others hold ids that `search` looks for.
fn others_work(
    conn: &mut impl HnConnection,
    search: &Search,
    leases: &[Lease],
    run: i64,
    since: i64,
) -> QueryResult<Claim> {
    for lease in leases.iter().filter(|lease| lease.owner != run) {
        let lo = lease.lo.max(search.within.lo);
        let hi = lease.hi.min(search.within.hi);
        if lo <= hi
            && !search
                .work(since)
                .ids_in(conn, Range { lo, hi })?
                .is_empty()
        {
            return Ok(Claim::HeldByOthers);
        }
    }
    Ok(Claim::Nothing)
}
