//! What the database holds, as the command `status` shows it. Needs no network.

mod at_work;
mod freshness;
#[cfg(feature = "serve")]
mod search_index;

use diesel::{
    ExpressionMethods, NullableExpressionMethods, OptionalExtension, QueryDsl, QueryResult,
    Queryable, RunQueryDsl, Selectable, SelectableHelper,
    dsl::{count_star, max, sql},
    sql_types::BigInt,
};
use serde::Serialize;

use self::at_work::at_work;
pub use self::freshness::{FollowRun, Freshness, NewestIds, Refreshes};
#[cfg(feature = "serve")]
pub use self::search_index::SearchIndexStatus;
use super::{
    connection::{HnConnection, on_backend},
    coverage::{self, Range, Ranges},
    live_runs::{LiveRun, SHARE_SECONDS, database_now},
    plan,
    schema::{
        absent, coverage as ranges, failures, item_history, items, leases, lists, runs, users,
    },
};

/// Failures that are shown of each kind.
const EXAMPLES: i64 = 3;

/// Runs that are shown.
const RUNS: i64 = 5;

/// Gaps that are listed. All are counted.
const HOLES: usize = 20;

/// What the database holds, read from one snapshot.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The stored items.
    pub items: Items,
    /// How fresh they are.
    pub freshness: Freshness,
    /// Which ids are settled.
    pub coverage: CoverageStatus,
    /// Ids whose last fetch failed.
    pub failures: Failures,
    /// How many ids are absent: the API said that there is no such item.
    pub absent: i64,
    /// How many profiles of users are stored.
    pub users: i64,
    /// How many earlier versions of items are kept.
    pub item_history: i64,
    /// The search index. `None` if there is none.
    #[cfg(feature = "serve")]
    pub search_index: Option<SearchIndexStatus>,
    /// The processes that work on the database, as far as this machine can tell, in the order in which they began.
    pub processes: Vec<WorkingProcess>,
    /// When the backfills under way will have fetched what is left, if they go on as they did in the last seconds.
    pub estimate: Option<Estimate>,
    /// The last runs, the latest first.
    pub runs: Vec<RunRow>,
}

/// The stored items.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Items {
    /// How many.
    pub count: i64,
    /// How many of each type, the most frequent first.
    pub by_type: Vec<TypeCount>,
    /// The item with the smallest id.
    pub oldest: Option<OutermostItem>,
    /// The item with the largest id.
    pub newest: Option<OutermostItem>,
}

/// How many items there are of a type.
#[derive(Clone, Debug, Queryable, Serialize)]
#[non_exhaustive]
pub struct TypeCount {
    /// The type. `None` for items without one.
    #[serde(rename = "type")]
    pub type_: Option<String>,
    /// How many.
    pub count: i64,
}

/// The item with the smallest or the largest id.
#[derive(Clone, Copy, Debug, Queryable, Serialize)]
#[non_exhaustive]
pub struct OutermostItem {
    /// The item's number.
    pub id: i64,
    /// When it was made, in Unix seconds.
    pub time: Option<i64>,
}

/// Which ids are settled, and which are not.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct CoverageStatus {
    /// Rows in the table `coverage`.
    pub ranges: u64,
    /// Ids in these ranges.
    pub ids: u64,
    /// Gaps below and between them.
    pub holes: Holes,
    /// The largest id that is stored, settled or on a list, or that a run under way goes to.
    pub highest_known: Option<i64>,
    /// Ids from 1 to `highest_known` that are not settled. Only the API knows how many came after it.
    pub left: u64,
    /// How many of those were absent, so that they are only fetched again.
    pub left_absent: i64,
}

/// Gaps below and between covered ranges.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Holes {
    /// How many.
    pub count: u64,
    /// Ids in the gaps.
    pub ids: u64,
    /// The first of them.
    pub listed: Vec<Range>,
}

/// Ids whose last fetch failed.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Failures {
    /// How many.
    pub count: i64,
    /// The failures of each kind, the most frequent kind first.
    pub by_kind: Vec<FailuresOfKind>,
}

/// Failures of one kind.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct FailuresOfKind {
    /// The kind's name.
    pub kind: String,
    /// How many.
    pub count: i64,
    /// Up to three of them, by id.
    pub examples: Vec<FailureExample>,
}

/// One failure.
#[derive(Clone, Debug, Queryable, Serialize)]
#[non_exhaustive]
pub struct FailureExample {
    /// The id.
    pub id: i64,
    /// What happened.
    pub message: String,
    /// Attempts that were made.
    pub attempts: i64,
    /// When, in Unix seconds.
    pub failed_at: i64,
}

/// A row of the table `runs`.
#[derive(Clone, Debug, Queryable, Selectable, Serialize)]
#[diesel(table_name = runs)]
#[allow(missing_docs)]
#[non_exhaustive]
pub struct RunRow {
    pub id: i64,
    pub command: String,
    pub host: String,
    pub pid: i64,
    pub started_at: i64,
    /// `None` while the run is under way, or if its process died.
    pub finished_at: Option<i64>,
    pub requested: i64,
    pub stored: i64,
    pub absent: i64,
    pub failed: i64,
    pub not_attempted: i64,
    pub attempts: i64,
    pub bytes: i64,
}

/// A process that works on the database.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct WorkingProcess {
    /// Its run's row in the table `runs`.
    pub run: i64,
    /// The command.
    pub command: String,
    /// The machine's name.
    pub host: String,
    /// The number of the process on that machine.
    pub pid: i64,
    /// The ranges of ids that it works on.
    pub leases: Vec<Range>,
    /// Ids per second that it settled in the last two seconds.
    pub ids_per_second: i64,
    /// Its limit of requests per second; 0 is none. The lowest limit counts for all processes together.
    pub rate: i64,
    /// When it was heard of last, in Unix seconds.
    pub heartbeat_at: i64,
}

/// How long the backfills under way still need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Estimate {
    /// Ids per second that all of them settled in the last two seconds.
    pub ids_per_second: i64,
    /// Seconds until nothing is left.
    pub seconds_left: i64,
    /// When that is, in Unix seconds.
    pub ends_at: i64,
}

impl Status {
    /// Reads it all from one snapshot.
    ///
    /// # Errors
    /// Whatever Diesel says.
    pub fn read(conn: &mut impl HnConnection) -> QueryResult<Self> {
        conn.snapshot(|conn| {
            let live = at_work(conn)?;
            let items = Items::read(conn)?;
            let newest = items.newest.map(|newest| (newest.id, newest.time));
            let freshness = Freshness::read(conn, &live, newest)?;
            let coverage = CoverageStatus::read(conn, &live)?;
            let processes = WorkingProcess::read(conn, live)?;
            Ok(Self {
                items,
                freshness,
                estimate: Estimate::of(&processes, coverage.left, database_now(conn)?),
                coverage,
                processes,
                #[cfg(feature = "serve")]
                search_index: SearchIndexStatus::read(conn)?,
                failures: Failures::read(conn)?,
                absent: on_backend!(conn, |conn| absent::table.count().get_result(conn))?,
                users: on_backend!(conn, |conn| users::table.count().get_result(conn))?,
                item_history: on_backend!(conn, |conn| item_history::table
                    .count()
                    .get_result(conn))?,
                runs: on_backend!(conn, |conn| runs::table
                    .order(runs::id.desc())
                    .limit(RUNS)
                    .select(RunRow::as_select())
                    .load(conn))?,
            })
        })
    }

    /// How a run without a report is: its process is at work, or has ended.
    #[cfg(feature = "serve")]
    pub(crate) fn state_of_unfinished(&self, run: &RunRow) -> &'static str {
        if self.processes.iter().any(|process| process.run == run.id) {
            "under way"
        } else {
            "ended without a report"
        }
    }
}

impl WorkingProcess {
    fn read(conn: &mut impl HnConnection, runs: Vec<LiveRun>) -> QueryResult<Vec<Self>> {
        // Below id 1 there are roles, not ids.
        let leased: Vec<(i64, Range)> = on_backend!(conn, |conn| leases::table
            .filter(leases::lo.gt(0))
            .select((leases::owner, (leases::lo, leases::hi)))
            .order(leases::lo)
            .load(conn))?;
        let of = |run: &LiveRun| {
            let own = leased.iter().filter(|(owner, _)| *owner == run.id);
            own.map(|(_, range)| *range).collect()
        };
        let runs = runs.into_iter().map(|run| Self {
            leases: of(&run),
            run: run.id,
            command: run.command,
            host: run.host,
            pid: run.pid,
            ids_per_second: run.ids_per_second,
            rate: run.rate,
            heartbeat_at: run.heartbeat_at,
        });
        Ok(runs.collect())
    }
}

impl Estimate {
    fn of(processes: &[WorkingProcess], left: u64, now: i64) -> Option<Self> {
        let backfills = processes.iter().filter(|process| {
            process.command == "backfill" && process.heartbeat_at > now - SHARE_SECONDS
        });
        let ids_per_second: i64 = backfills.map(|process| process.ids_per_second).sum();
        let left = i64::try_from(left).ok()?;
        let seconds_left = (ids_per_second > 0).then(|| left / ids_per_second)?;
        Some(Self {
            ids_per_second,
            seconds_left,
            ends_at: now.checked_add(seconds_left)?,
        })
    }
}

impl Items {
    fn read(conn: &mut impl HnConnection) -> QueryResult<Self> {
        let by_type: Vec<TypeCount> = on_backend!(conn, |conn| items::table
            .group_by(items::type_)
            .select((items::type_, count_star()))
            .order((count_star().desc(), items::type_))
            .load(conn))?;
        let ends = items::table.select((items::id, items::time));
        Ok(Self {
            count: by_type.iter().map(|of_type| of_type.count).sum(),
            by_type,
            oldest: on_backend!(conn, |conn| ends.order(items::id).first(conn)).optional()?,
            newest: on_backend!(conn, |conn| ends.order(items::id.desc()).first(conn))
                .optional()?,
        })
    }
}

impl CoverageStatus {
    fn read(conn: &mut impl HnConnection, live: &[LiveRun]) -> QueryResult<Self> {
        let all = coverage::all(conn)?;
        let merged = all.iter().copied().collect::<Ranges>().into_vec();
        let holes = match merged.last() {
            Some(&Range { hi, .. }) => plan::gaps(conn, Range { lo: 1, hi })?,
            None => Vec::new(),
        };
        let goals = live.iter().filter_map(|run| run.last_id);
        let highest_known = highest_known(conn)?.into_iter().chain(goals).max();
        let left = match highest_known {
            Some(hi) => plan::gaps(conn, Range { lo: 1, hi })?,
            None => Vec::new(),
        };
        Ok(Self {
            ranges: all.len() as u64,
            ids: ids(&merged),
            holes: Holes {
                count: holes.len() as u64,
                ids: ids(&holes),
                listed: holes.into_iter().take(HOLES).collect(),
            },
            highest_known,
            left: ids(&left),
            left_absent: left_absent(conn, highest_known.unwrap_or(0))?,
        })
    }
}

fn ids(ranges: &[Range]) -> u64 {
    ranges.iter().map(|range| range.count()).sum()
}

/// Absent ids up to this one that no range holds. One look-up for each absent id, since there may be very many gaps.
fn left_absent(conn: &mut impl HnConnection, highest: i64) -> QueryResult<i64> {
    let count = sql::<BigInt>(
        "SELECT count(*) FROM absent a WHERE a.id > 0 AND coalesce(
             (SELECT hi FROM coverage WHERE lo <= a.id ORDER BY lo DESC LIMIT 1) < a.id, TRUE) AND a.id <= ",
    )
    .bind::<BigInt, _>(highest);
    on_backend!(conn, |conn| count.get_result(conn))
}

/// The largest id that is known to exist. An id that was only asked for may be beyond all that the API has.
fn highest_known(conn: &mut impl HnConnection) -> QueryResult<Option<i64>> {
    let highest = [
        on_backend!(conn, |conn| items::table
            .select(max(items::id))
            .get_result(conn))?,
        on_backend!(conn, |conn| lists::table
            .select(max(lists::id))
            .get_result(conn))?,
        on_backend!(conn, |conn| ranges::table
            .select(ranges::hi.nullable())
            .order(ranges::lo.desc())
            .first::<Option<i64>>(conn))
        .optional()?
        .flatten(),
    ];
    Ok(highest.into_iter().flatten().max())
}

impl Failures {
    fn read(conn: &mut impl HnConnection) -> QueryResult<Self> {
        let kinds: Vec<(String, i64)> = on_backend!(conn, |conn| failures::table
            .group_by(failures::kind)
            .select((failures::kind, count_star()))
            .order((count_star().desc(), failures::kind))
            .load(conn))?;
        let by_kind = kinds.into_iter().map(|(kind, count)| {
            let examples = on_backend!(conn, |conn| failures::table
                .filter(failures::kind.eq(&kind))
                .order(failures::id)
                .limit(EXAMPLES)
                .select((
                    failures::id,
                    failures::message,
                    failures::attempts,
                    failures::failed_at,
                ))
                .load(conn))?;
            Ok(FailuresOfKind {
                kind,
                count,
                examples,
            })
        });
        let by_kind: Vec<FailuresOfKind> = by_kind.collect::<QueryResult<_>>()?;
        Ok(Self {
            count: by_kind.iter().map(|of_kind| of_kind.count).sum(),
            by_kind,
        })
    }
}
