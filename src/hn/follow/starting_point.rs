//! Where following begins.

use diesel::{
    ExpressionMethods, NullableExpressionMethods, OptionalExtension, QueryDsl, QueryResult,
    RunQueryDsl, dsl::max,
};

use crate::hn::{
    connection::{HnConnection, on_backend},
    runs,
    schema::{coverage, lists},
};

/// What a process that begins to follow finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StartingPoint {
    /// The first id to read. `None` if the database holds nothing that could be followed.
    pub(crate) first: Option<i64>,
    /// Since when nothing has followed the changes, in Unix seconds: the process before was under way until then, and had last stored a
    /// list then or later. It may have gone on without an API for a long time.
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
        let list_at = lists::table.select(max(lists::fetched_at));
        let list_at: Option<i64> = on_backend!(conn, |conn| list_at.first(conn))?;
        let mark = left_off.map(|left_off| left_off.settled_up_to);
        let last = highest.flatten().into_iter().chain(mark).min();
        Ok(Self {
            first: last.map(|last| last.saturating_add(1)),
            left_at: left_off.map(|left_off| {
                list_at.map_or(left_off.heard_at, |list_at| list_at.min(left_off.heard_at))
            }),
        })
    }
}
