//! Keeps the leases of a run, and gives them up.

use diesel::{ExpressionMethods, QueryDsl, QueryResult, RunQueryDsl, dsl::sql, sql_types::BigInt};

use super::{
    lease::{Lease, SECONDS},
    search::Search,
};
use crate::hn::{
    connection::{HnConnection, on_backend},
    coverage::Range,
    runs::first_start,
    schema::leases,
};

/// What is to be renewed.
#[derive(Debug)]
pub(crate) struct Renewal {
    /// What the run looks for.
    pub(crate) search: Search,
    /// Leases whose ids were all handed out.
    pub(crate) handed_out: Vec<Range>,
    /// The other leases.
    pub(crate) being_handed_out: Vec<Range>,
}

impl Renewal {
    pub(crate) fn leases(&self) -> impl Iterator<Item = Range> {
        self.handed_out
            .iter()
            .chain(&self.being_handed_out)
            .copied()
    }
}

/// Renews the leases of a run, and returns those that it still holds. Others may have taken over some. Those whose ids were
/// handed out and are settled are given up.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn renew(
    conn: &mut impl HnConnection,
    run: i64,
    command: &str,
    renewal: &Renewal,
) -> QueryResult<Vec<Range>> {
    // A claim that finds a lease expired must not take it away after its renewal.
    conn.lock_claims()?;
    let since = first_start(conn, command)?.unwrap_or(i64::MAX);
    let expires_at = sql::<BigInt>(conn.dialect().now) + SECONDS;
    on_backend!(conn, |conn| diesel::update(leases::table)
        .filter(leases::owner.eq(run))
        .set(leases::expires_at.eq(expires_at))
        .execute(conn))?;
    let mut held = Vec::new();
    for lease in Lease::all(conn)? {
        if lease.owner != run {
            continue;
        }
        let range = lease.range();
        if renewal.handed_out.contains(&range)
            && renewal.search.work(since).ids_in(conn, range)?.is_empty()
        {
            lease.delete(conn)?;
        } else {
            held.push(range);
        }
    }
    Ok(held)
}

/// Gives up all leases of a run.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn surrender(conn: &mut impl HnConnection, run: i64) -> QueryResult<()> {
    let rows = leases::table.filter(leases::owner.eq(run));
    on_backend!(conn, |conn| diesel::delete(rows).execute(conn))?;
    Ok(())
}
