//! How fresh the mirror is: its newest item, its lists, what is due to be read again, what the newest ids lack, and who follows.
//!
//! Each query reads few rows, however large the mirror is.

use std::cmp::Reverse;

use diesel::{
    ExpressionMethods, OptionalExtension, QueryDsl, QueryResult, Queryable, RunQueryDsl,
    Selectable, SelectableHelper,
    dsl::{exists, max, not},
};
use serde::Serialize;

use super::at_work::FOLLOW;
use crate::hn::{
    clock::now,
    connection::{HnConnection, on_backend},
    live_runs::{LiveRun, database_now},
    refresh::{MOST_COUNTED, count_due, indexed_ladder, longest_overdue},
    schema::{absent, failures, items, lists, runs},
};

/// How many of the newest ids are looked at: those whose absence is not final yet.
const NEWEST: i64 = 10_000;

/// How fresh the mirror is.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Freshness {
    /// The time that the ages are of, in Unix seconds.
    pub read_at: i64,
    /// How long ago the newest stored item was made, in seconds.
    pub newest_age: Option<i64>,
    /// When the list was last read that was read last, in Unix seconds.
    pub lists_read_at: Option<i64>,
    /// What is due to be read again. `None` if there is no index that finds it.
    pub refreshes: Option<Refreshes>,
    /// What the newest ids lack. `None` without any item.
    pub newest_ids: Option<NewestIds>,
    /// The run of `follow` that is under way, or else the last one.
    pub follow: Option<FollowRun>,
}

/// Items that are due to be read again.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Refreshes {
    /// The ages at which items are read again, as the setting has them.
    pub ladder: String,
    /// How many items are due.
    pub due: u64,
    /// Whether more may be due, because counting ended there.
    pub is_at_least: bool,
    /// For how many seconds the item has been due that has been due for longest.
    pub overdue: Option<i64>,
}

/// What the newest ids lack, and the ids above them that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NewestIds {
    /// The first of these ids.
    pub first: i64,
    /// The largest stored id.
    pub newest: i64,
    /// Ids for which the API had no item.
    pub absent: i64,
    /// Ids whose fetch failed, and for which the API did not say that there is no item.
    pub failed: i64,
    /// Ids up to `newest` that were never asked for.
    pub unknown: i64,
}

/// A run of `follow`.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct FollowRun {
    /// Its row in the table `runs`.
    pub run: i64,
    /// Whether it is under way.
    pub under_way: bool,
    /// When it began, in Unix seconds.
    pub started_at: i64,
    /// When it was heard of last.
    pub heartbeat_at: i64,
    /// How many seconds ago that was.
    pub silence: i64,
    /// When it ended. `None` while it is under way, or if its process died.
    pub finished_at: Option<i64>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = runs)]
struct RunTimes {
    id: i64,
    started_at: i64,
    heartbeat_at: i64,
    finished_at: Option<i64>,
}

impl Freshness {
    /// Reads it. `newest` is the id and the time of the newest stored item.
    pub(super) fn read(
        conn: &mut impl HnConnection,
        live: &[LiveRun],
        newest: Option<(i64, Option<i64>)>,
    ) -> QueryResult<Self> {
        let now = now();
        let made_at = newest.and_then(|(_, time)| time);
        Ok(Self {
            read_at: now,
            newest_age: made_at.map(|time| seconds_since(time, now)),
            lists_read_at: on_backend!(conn, |conn| lists::table
                .select(max(lists::fetched_at))
                .get_result(conn))?,
            refreshes: Refreshes::read(conn, now)?,
            newest_ids: newest
                .map(|(id, _)| NewestIds::read(conn, id))
                .transpose()?,
            follow: FollowRun::read(conn, live)?,
        })
    }
}

fn seconds_since(time: i64, now: i64) -> i64 {
    now.saturating_sub(time).max(0)
}

impl Refreshes {
    fn read(conn: &mut impl HnConnection, now: i64) -> QueryResult<Option<Self>> {
        let Some(ladder) = indexed_ladder(conn)? else {
            return Ok(None);
        };
        let due = count_due(conn, &ladder, now)?;
        let due_since = longest_overdue(conn, &ladder, now)?;
        Ok(Some(Self {
            ladder: ladder.to_string(),
            due,
            is_at_least: due >= MOST_COUNTED,
            overdue: due_since.map(|due_since| seconds_since(due_since, now)),
        }))
    }
}

impl NewestIds {
    fn read(conn: &mut impl HnConnection, newest: i64) -> QueryResult<Self> {
        let first = newest.saturating_sub(NEWEST - 1).max(1);
        let last = newest.saturating_add(NEWEST);
        let stored = items::table
            .filter(items::id.between(first, newest))
            .count();
        let stored: i64 = on_backend!(conn, |conn| stored.get_result(conn))?;
        let is_stored = items::table.filter(items::id.eq(absent::id));
        let absent = absent::table
            .filter(absent::id.between(first, last))
            .filter(not(exists(is_stored)))
            .select(absent::id);
        let absent: Vec<i64> = on_backend!(conn, |conn| absent.load(conn))?;
        let is_stored = items::table.filter(items::id.eq(failures::id));
        let is_absent = absent::table.filter(absent::id.eq(failures::id));
        let failed = failures::table
            .filter(failures::id.between(first, last))
            .filter(not(exists(is_stored)))
            .filter(not(exists(is_absent)))
            .select(failures::id);
        let failed: Vec<i64> = on_backend!(conn, |conn| failed.load(conn))?;
        let others = absent.iter().chain(&failed);
        let known = stored + count(others.filter(|id| **id <= newest).count());
        Ok(Self {
            first,
            newest,
            absent: count(absent.len()),
            failed: count(failed.len()),
            unknown: (newest - first + 1 - known).max(0),
        })
    }
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

impl FollowRun {
    fn read(conn: &mut impl HnConnection, live: &[LiveRun]) -> QueryResult<Option<Self>> {
        let at_work = live.iter().filter(|run| run.command == FOLLOW);
        // The lease of the follower may have ended. Then the one heard of last is at work.
        let at_work = at_work.min_by_key(|run| (Reverse(run.heartbeat_at), run.id));
        let newest = at_work.map_or(i64::MAX, |run| run.id);
        let row: Option<RunTimes> = on_backend!(conn, |conn| runs::table
            .filter(runs::command.eq(FOLLOW))
            .filter(runs::id.le(newest))
            .order(runs::id.desc())
            .select(RunTimes::as_select())
            .first(conn))
        .optional()?;
        let Some(row) = row else {
            return Ok(None);
        };
        Ok(Some(Self {
            run: row.id,
            under_way: at_work.is_some(),
            started_at: row.started_at,
            heartbeat_at: row.heartbeat_at,
            silence: seconds_since(row.heartbeat_at, database_now(conn)?),
            finished_at: row.finished_at,
        }))
    }
}
