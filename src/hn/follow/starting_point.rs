//! Where following begins.

use diesel::{
    ExpressionMethods, NullableExpressionMethods, OptionalExtension, QueryDsl, QueryResult,
    RunQueryDsl,
};

use crate::hn::{
    connection::{HnConnection, on_backend},
    runs,
    schema::coverage,
};

/// What a process that begins to follow finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StartingPoint {
    /// The first id to read. `None` if the database holds nothing that could be followed.
    pub(crate) first: Option<i64>,
    /// When the process before last recorded that it was under way, in Unix seconds. Nothing has followed the changes since then.
    pub(crate) left_at: Option<i64>,
}

impl StartingPoint {
    /// Reads it for the run of `command` in this row of the table `runs`.
    ///
    /// The first id comes after the largest settled one. If the run before was killed, there may be holes above the id up to which it
    /// had recorded everything as settled. Then the first id comes after that one.
    ///
    /// # Errors
    /// Whatever Diesel says.
    pub(crate) fn read(conn: &mut impl HnConnection, command: &str, run: i64) -> QueryResult<Self> {
        let left_off = runs::left_off(conn, command, run)?;
        let highest = coverage::table
            .order(coverage::lo.desc())
            .select(coverage::hi.nullable());
        let highest: Option<Option<i64>> =
            on_backend!(conn, |conn| highest.first(conn)).optional()?;
        let mark = left_off.map(|left_off| left_off.settled_up_to);
        let last = highest.flatten().into_iter().chain(mark).min();
        Ok(Self {
            first: last.map(|last| last.saturating_add(1)),
            left_at: left_off.map(|left_off| left_off.heard_at),
        })
    }
}
