//! What the database holds, as `status` tells it. Needs no network.

use diesel::{
    Connection, ExpressionMethods, NullableExpressionMethods, OptionalExtension, QueryDsl,
    QueryResult, Queryable, RunQueryDsl, SqliteConnection,
    dsl::{count_star, max, sql},
    sql_types::BigInt,
};
use serde::Serialize;

use super::{
    coverage::{self, Range, Ranges},
    plan,
    schema::{absent, coverage as ranges, failures, item_history, items, runs},
};

const EXAMPLES: i64 = 3;
const RUNS: i64 = 5;
/// So many holes are listed; all are counted.
const HOLES: usize = 20;

/// What the database holds, all of one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The stored items.
    pub items: Items,
    /// What is settled.
    pub coverage: Covered,
    /// Ids whose last fetch failed.
    pub failures: Failures,
    /// Ids of which the API said that there is no item.
    pub absent: i64,
    /// Earlier versions of items.
    pub item_history: i64,
    /// The last runs, the latest first.
    pub runs: Vec<Run>,
}

/// The stored items.
#[derive(Clone, Debug, Serialize)]
pub struct Items {
    /// How many.
    pub count: i64,
    /// Of each type, the most frequent first.
    pub by_type: Vec<OfType>,
    /// The smallest id.
    pub oldest: Option<End>,
    /// The largest id.
    pub newest: Option<End>,
}

/// How many items there are of a type.
#[derive(Clone, Debug, Queryable, Serialize)]
pub struct OfType {
    /// The type, where the item has one.
    #[serde(rename = "type")]
    pub type_: Option<String>,
    /// How many.
    pub count: i64,
}

/// An item at one end of what is stored.
#[derive(Clone, Copy, Debug, Queryable, Serialize)]
pub struct End {
    /// Which.
    pub id: i64,
    /// When it was made, in Unix seconds.
    pub time: Option<i64>,
}

/// What is settled, and what is not.
#[derive(Clone, Debug, Serialize)]
pub struct Covered {
    /// Rows in the table `coverage`.
    pub ranges: u64,
    /// Ids in them.
    pub ids: u64,
    /// Gaps below and between them.
    pub holes: Holes,
    /// The largest id that any table names.
    pub highest_known: Option<i64>,
    /// Ids from 1 to that one that are not settled. How many came after it only the API knows.
    pub left: u64,
    /// Those of them that were absent and are only asked for again.
    pub left_absent: i64,
}

/// Gaps below and between covered ranges.
#[derive(Clone, Debug, Serialize)]
pub struct Holes {
    /// How many.
    pub count: u64,
    /// Ids in them.
    pub ids: u64,
    /// The first of them.
    pub listed: Vec<Range>,
}

/// Ids whose last fetch failed.
#[derive(Clone, Debug, Serialize)]
pub struct Failures {
    /// How many.
    pub count: i64,
    /// By kind, the most frequent first.
    pub by_kind: Vec<OfKind>,
}

/// Failures of one kind.
#[derive(Clone, Debug, Serialize)]
pub struct OfKind {
    /// The kind's name.
    pub kind: String,
    /// How many.
    pub count: i64,
    /// Up to three, by id.
    pub examples: Vec<Example>,
}

/// A failure.
#[derive(Clone, Debug, Queryable, Serialize)]
pub struct Example {
    /// Which id.
    pub id: i64,
    /// What happened.
    pub message: String,
    /// Attempts that were made.
    pub attempts: i64,
    /// When, in Unix seconds.
    pub failed_at: i64,
}

/// A row of the table `runs`.
#[derive(Clone, Debug, Queryable, Serialize)]
#[allow(missing_docs)]
pub struct Run {
    pub id: i64,
    pub command: String,
    pub started_at: i64,
    /// None while it is under way, or if it died.
    pub finished_at: Option<i64>,
    pub requested: i64,
    pub stored: i64,
    pub absent: i64,
    pub failed: i64,
    pub not_attempted: i64,
    pub attempts: i64,
    pub bytes: i64,
}

impl Status {
    /// Reads it all from one snapshot.
    ///
    /// # Errors
    /// Whatever Diesel says.
    pub fn read(conn: &mut SqliteConnection) -> QueryResult<Self> {
        conn.transaction(|conn| {
            Ok(Self {
                items: Items::read(conn)?,
                coverage: Covered::read(conn)?,
                failures: Failures::read(conn)?,
                absent: absent::table.count().get_result(conn)?,
                item_history: item_history::table.count().get_result(conn)?,
                runs: runs::table.order(runs::id.desc()).limit(RUNS).load(conn)?,
            })
        })
    }
}

impl Items {
    fn read(conn: &mut SqliteConnection) -> QueryResult<Self> {
        let by_type: Vec<OfType> = items::table
            .group_by(items::type_)
            .select((items::type_, count_star()))
            .order((count_star().desc(), items::type_))
            .load(conn)?;
        let ends = items::table.select((items::id, items::time));
        Ok(Self {
            count: by_type.iter().map(|of_type| of_type.count).sum(),
            by_type,
            oldest: ends.order(items::id).first(conn).optional()?,
            newest: ends.order(items::id.desc()).first(conn).optional()?,
        })
    }
}

impl Covered {
    fn read(conn: &mut SqliteConnection) -> QueryResult<Self> {
        let all = coverage::all(conn)?;
        let merged = all.iter().copied().collect::<Ranges>().into_vec();
        let holes = match merged.last() {
            Some(&Range { hi, .. }) => plan::gaps(conn, Range { lo: 1, hi })?,
            None => Vec::new(),
        };
        let highest_known = highest_known(conn)?;
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
            left_absent: left_absent(conn)?,
        })
    }
}

fn ids(ranges: &[Range]) -> u64 {
    ranges.iter().map(|range| range.count()).sum()
}

/// One look-up for each absent id, since there may be very many gaps.
fn left_absent(conn: &mut SqliteConnection) -> QueryResult<i64> {
    let count = sql::<BigInt>(
        "SELECT count(*) FROM absent a WHERE a.id > 0 AND coalesce(
             (SELECT hi FROM coverage WHERE lo <= a.id ORDER BY lo DESC LIMIT 1) < a.id, TRUE)",
    );
    count.get_result(conn)
}

fn highest_known(conn: &mut SqliteConnection) -> QueryResult<Option<i64>> {
    let highest = [
        items::table.select(max(items::id)).get_result(conn)?,
        absent::table.select(max(absent::id)).get_result(conn)?,
        failures::table.select(max(failures::id)).get_result(conn)?,
        ranges::table
            .select(ranges::hi.nullable())
            .order(ranges::lo.desc())
            .first::<Option<i64>>(conn)
            .optional()?
            .flatten(),
    ];
    Ok(highest.into_iter().flatten().max())
}

impl Failures {
    fn read(conn: &mut SqliteConnection) -> QueryResult<Self> {
        let kinds: Vec<(String, i64)> = failures::table
            .group_by(failures::kind)
            .select((failures::kind, count_star()))
            .order((count_star().desc(), failures::kind))
            .load(conn)?;
        let by_kind = kinds.into_iter().map(|(kind, count)| {
            let examples = failures::table
                .filter(failures::kind.eq(&kind))
                .order(failures::id)
                .limit(EXAMPLES)
                .select((
                    failures::id,
                    failures::message,
                    failures::attempts,
                    failures::failed_at,
                ))
                .load(conn)?;
            Ok(OfKind {
                kind,
                count,
                examples,
            })
        });
        let by_kind: Vec<OfKind> = by_kind.collect::<QueryResult<_>>()?;
        Ok(Self {
            count: by_kind.iter().map(|of_kind| of_kind.count).sum(),
            by_kind,
        })
    }
}
