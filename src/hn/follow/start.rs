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
pub(crate) struct Start {
    /// The first id to read. `None` if the database holds nothing that could be followed.
    pub(crate) first: Option<i64>,
    /// When the process before was last heard of, in Unix seconds: what changed since was not told to anyone.
    pub(crate) left_at: Option<i64>,
}

impl Start {
    /// Reads it for the run in this row of the table `runs`, which is of `command`.
    ///
    /// It begins behind the largest settled id, or behind the mark of the run before, if that is lower: a process that was killed
    /// leaves holes above its mark.
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
