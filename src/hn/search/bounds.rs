//! Times as ids. Ids grow with time, so a search within a time need not look at all others.

use diesel::{
    QueryResult, RunQueryDsl,
    sql_types::{BigInt, Nullable},
};

use super::{
    filters::Filters,
    statement::{Part, Statement},
};
use crate::hn::{
    connection::{HnConnection, on_backend},
    indexes,
};

/// How far an id may be from where its time would have it. The times themselves are compared too.
const MARGIN: i64 = 10_000;

/// Items on the other side of a time that are looked at, in case that one of them has an odd time.
const NEIGHBOURS: i64 = 100;

/// Ids outside of which nothing can fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct IdBounds {
    pub(super) lo: Option<i64>,
    pub(super) hi: Option<i64>,
}

impl IdBounds {
    pub(super) fn of(conn: &mut impl HnConnection, filters: &Filters) -> QueryResult<Self> {
        let (earliest, latest) = filters.times();
        if earliest.is_none() && latest.is_none() {
            return Ok(Self::default());
        }
        let missing = indexes::missing(conn)?;
        if missing.iter().any(|index| index.name() == "items_by_time") {
            return Ok(Self::default());
        }
        let lo = match earliest {
            Some(time) => beyond(conn, "min", "<", "DESC", time)?,
            None => None,
        };
        let hi = match latest {
            Some(time) => beyond(conn, "max", ">", "ASC", time)?,
            None => None,
        };
        Ok(Self {
            lo: lo.map(|id| id.saturating_sub(MARGIN)),
            hi: hi.map(|id| id.saturating_add(MARGIN)),
        })
    }

    /// The narrower of both.
    pub(super) fn from(self, lo: Option<i64>) -> Self {
        Self {
            lo: self.lo.max(lo),
            ..self
        }
    }

    /// How many ids there are between the bounds. `None` if an end is open.
    pub(super) fn count(self, largest: i64) -> Option<i64> {
        Some(self.hi.unwrap_or(largest).saturating_sub(self.lo?))
    }

    /// As conditions on the id, each after an `AND`.
    pub(super) fn conditions(self, id: &str) -> Part {
        let mut conditions = Part::new("");
        if let Some(lo) = self.lo {
            conditions = conditions.sql(format!(" AND {id} >= ")).number(lo);
        }
        if let Some(hi) = self.hi {
            conditions = conditions.sql(format!(" AND {id} <= ")).number(hi);
        }
        conditions
    }
}

/// The outermost id of the items just beyond a time.
fn beyond(
    conn: &mut impl HnConnection,
    outermost: &str,
    beyond: &str,
    order: &str,
    time: i64,
) -> QueryResult<Option<i64>> {
    let query = Statement::<Nullable<BigInt>>::new(format!(
        "SELECT {outermost}(id) FROM (SELECT id FROM items WHERE time {beyond} "
    ));
    let query = query
        .number(time)
        .sql(format!(" ORDER BY time {order} LIMIT {NEIGHBOURS}) near"));
    on_backend!(conn, |conn| query.get_result(conn))
}
