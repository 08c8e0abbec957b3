//! Which ids are settled: the table `coverage`, ranges that neither overlap nor touch, written in the transaction that settles
//! the ids.

use diesel::{
    ExpressionMethods, Insertable, OptionalExtension, QueryDsl, QueryResult, Queryable,
    RunQueryDsl, SqliteConnection, upsert::excluded,
};
use serde::Serialize;

use super::schema::coverage;

/// An id as close as this to the largest may be absent only because it is new: it is asked for again.
const NEWEST: i64 = 10_000;

/// Rows of one insert, well under SQLite's 32,766 bound values.
const ROWS: usize = 1000;

/// The ids from `lo` to `hi`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Queryable, Insertable, Serialize)]
#[diesel(table_name = coverage)]
pub struct Range {
    /// The first.
    pub lo: i64,
    /// The last.
    pub hi: i64,
}

impl Range {
    /// How many ids there are in it; none if `hi` is below `lo`.
    pub fn count(self) -> u64 {
        let past = i128::from(self.hi) - i128::from(self.lo) + 1;
        u64::try_from(past.max(0)).unwrap_or(u64::MAX)
    }
}

/// Ranges that neither overlap nor touch, in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<Range>);

impl Ranges {
    /// Adds ids that begin no earlier than those of any range before.
    pub fn push(&mut self, range: Range) {
        match self.0.last_mut() {
            _ if range.lo > range.hi => {}
            Some(last) if range.lo <= last.hi.saturating_add(1) => last.hi = last.hi.max(range.hi),
            _ => self.0.push(range),
        }
    }

    /// The ranges.
    pub fn into_vec(self) -> Vec<Range> {
        self.0
    }
}

impl FromIterator<Range> for Ranges {
    /// Joins ranges that come in ascending order of `lo`.
    fn from_iter<R: IntoIterator<Item = Range>>(ranges: R) -> Self {
        let mut joined = Self::default();
        ranges.into_iter().for_each(|range| joined.push(range));
        joined
    }
}

impl FromIterator<i64> for Ranges {
    /// Joins ids that come in ascending order.
    fn from_iter<I: IntoIterator<Item = i64>>(ids: I) -> Self {
        ids.into_iter().map(|id| Range { lo: id, hi: id }).collect()
    }
}

/// The last id whose absence is believed, where `max_item` is the largest.
pub fn frontier(max_item: i64) -> i64 {
    max_item.saturating_sub(NEWEST)
}

/// Adds settled ids, in any order.
///
/// # Errors
/// Whatever Diesel says.
pub fn record(conn: &mut SqliteConnection, mut ids: Vec<i64>) -> QueryResult<()> {
    ids.sort_unstable();
    let runs: Ranges = ids.into_iter().collect();
    runs.0.into_iter().try_for_each(|run| record_run(conn, run))
}

fn record_run(conn: &mut SqliteConnection, run: Range) -> QueryResult<()> {
    let Range { mut lo, mut hi } = run;
    // From the top down: each range that overlaps or touches is taken in. Below one that begins before the run none can touch.
    while let Some(found) = last_from(conn, hi.saturating_add(1))?
        && found.hi >= lo.saturating_sub(1)
    {
        if found.lo <= lo && found.hi >= hi {
            return Ok(());
        }
        hi = hi.max(found.hi);
        if found.lo <= lo {
            lo = found.lo;
            break;
        }
        diesel::delete(coverage::table.find(found.lo)).execute(conn)?;
    }
    diesel::insert_into(coverage::table)
        .values(Range { lo, hi })
        .on_conflict(coverage::lo)
        .do_update()
        .set(coverage::hi.eq(excluded(coverage::hi)))
        .execute(conn)?;
    Ok(())
}

/// Takes an id out, so that the next backfill asks for it.
///
/// # Errors
/// Whatever Diesel says.
pub fn forget(conn: &mut SqliteConnection, id: i64) -> QueryResult<()> {
    let Some(Range { lo, hi }) = last_from(conn, id)?.filter(|found| found.hi >= id) else {
        return Ok(());
    };
    let row = coverage::table.find(lo);
    if lo < id {
        diesel::update(row)
            .set(coverage::hi.eq(id - 1))
            .execute(conn)?;
    } else {
        diesel::delete(row).execute(conn)?;
    }
    if id < hi {
        let above = Range { lo: id + 1, hi };
        diesel::insert_into(coverage::table)
            .values(above)
            .execute(conn)?;
    }
    Ok(())
}

/// The last range that begins at `id` or before. (A condition on `hi` as well would make SQLite walk the table.)
fn last_from(conn: &mut SqliteConnection, id: i64) -> QueryResult<Option<Range>> {
    coverage::table
        .filter(coverage::lo.le(id))
        .order(coverage::lo.desc())
        .first(conn)
        .optional()
}

/// The table as it stands, in ascending order.
///
/// # Errors
/// Whatever Diesel says.
pub fn all(conn: &mut SqliteConnection) -> QueryResult<Vec<Range>> {
    coverage::table.order(coverage::lo).load(conn)
}

/// Puts `ranges` in place of the whole table. Belongs into a transaction.
///
/// # Errors
/// Whatever Diesel says.
pub fn replace(conn: &mut SqliteConnection, ranges: &[Range]) -> QueryResult<()> {
    diesel::delete(coverage::table).execute(conn)?;
    for rows in ranges.chunks(ROWS) {
        diesel::insert_into(coverage::table)
            .values(rows.to_vec())
            .execute(conn)?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use diesel::Connection;
    use proptest::prelude::*;

    use super::*;

    fn database() -> SqliteConnection {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        crate::hn::migrations::run(&mut conn).unwrap();
        conn
    }

    fn joined(ids: &BTreeSet<i64>) -> Vec<Range> {
        let mut ranges: Vec<Range> = Vec::new();
        for &id in ids {
            match ranges.last_mut() {
                Some(last) if last.hi + 1 == id => last.hi = id,
                _ => ranges.push(Range { lo: id, hi: id }),
            }
        }
        ranges
    }

    #[derive(Clone, Debug)]
    enum Step {
        Record(Vec<i64>),
        Forget(i64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let id = || 1..60_i64;
        let run = (id(), 1..12_i64).prop_map(|(lo, count)| (lo..lo + count).collect());
        let record = prop_oneof![prop::collection::vec(id(), 0..15), run].prop_map(Step::Record);
        let step = prop_oneof![4 => record, 1 => id().prop_map(Step::Forget)];
        prop::collection::vec(step, 1..20)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn coverage_is_the_merged_ranges_of_what_was_recorded_and_not_forgotten(steps in steps()) {
            let mut conn = database();
            let mut model = BTreeSet::new();
            for step in steps {
                match step {
                    Step::Record(ids) => {
                        model.extend(ids.iter().copied());
                        record(&mut conn, ids).unwrap();
                    }
                    Step::Forget(id) => {
                        model.remove(&id);
                        forget(&mut conn, id).unwrap();
                    }
                }
                prop_assert_eq!(all(&mut conn).unwrap(), joined(&model));
            }
        }
    }

    #[test]
    fn ids_at_the_end_of_the_number_range_do_no_harm() {
        let mut conn = database();
        record(&mut conn, vec![i64::MAX, i64::MIN, i64::MAX - 1]).unwrap();
        record(&mut conn, vec![i64::MIN, i64::MAX]).unwrap();
        let low = Range {
            lo: i64::MIN,
            hi: i64::MIN,
        };
        let high = Range {
            lo: i64::MAX - 1,
            hi: i64::MAX,
        };
        assert_eq!(all(&mut conn).unwrap(), [low, high]);
        forget(&mut conn, i64::MAX).unwrap();
        forget(&mut conn, i64::MIN).unwrap();
        assert_eq!(all(&mut conn).unwrap().len(), 1);
        let everything = Range {
            lo: i64::MIN,
            hi: i64::MAX,
        };
        assert_eq!(everything.count(), u64::MAX);
    }

    #[test]
    fn only_the_newest_ten_thousand_absences_are_doubted() {
        assert_eq!(frontier(46_000_000), 45_990_000);
        assert_eq!(frontier(3), -9_997);
    }
}
