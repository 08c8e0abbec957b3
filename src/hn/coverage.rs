//! Which ids are settled: the table `coverage`, whose ranges neither overlap nor touch.
//!
//! It is written in the transaction that settles the ids.

mod range;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

#[cfg(feature = "postgres")]
use diesel::{CombineDsl, OptionalExtension};
use diesel::{ExpressionMethods, QueryDsl, QueryResult, RunQueryDsl, upsert::excluded};

pub use self::range::{Range, Ranges};
use super::{
    connection::{Backend, HnConnection, on_backend},
    schema::coverage,
};

/// An id this close to the largest may be absent only because it is new, so it is fetched again.
const NEWEST: i64 = 10_000;

/// New ranges this near each other are looked up together.
const NEAR: i64 = 1000;

/// The last id whose absence is final, where `max_item` is the largest id.
pub fn frontier(max_item: i64) -> i64 {
    max_item.saturating_sub(NEWEST)
}

/// The last id whose absence is final, while the largest id grows. Clones share it.
#[derive(Clone, Debug)]
pub struct Frontier(Arc<AtomicI64>);

impl Frontier {
    /// The frontier where `max_item` is the largest id.
    #[must_use]
    pub fn below(max_item: i64) -> Self {
        Self::at(frontier(max_item))
    }

    /// A frontier that begins at this id.
    pub(super) fn at(last_final: i64) -> Self {
        Self(Arc::new(AtomicI64::new(last_final)))
    }

    /// Moves the frontier up, because `max_item` is the largest id now. It never moves down.
    pub fn raise(&self, max_item: i64) {
        self.0.fetch_max(frontier(max_item), Ordering::Relaxed);
    }

    /// The last id whose absence is final.
    #[must_use]
    pub fn last_final(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Adds settled ids, in any order. To be called in a transaction that has locked the ledger, like every change of the table.
///
/// # Errors
/// Whatever Diesel says.
pub fn record(conn: &mut impl HnConnection, mut ids: Vec<i64>) -> QueryResult<()> {
    ids.sort_unstable();
    let ranges: Ranges = ids.into_iter().collect();
    let ranges = ranges.into_vec();
    // One query finds what is stored near all of them.
    let are_near = |one: &Range, next: &Range| next.lo <= one.hi.saturating_add(NEAR);
    for near in ranges.chunk_by(are_near) {
        record_ranges(conn, near)?;
    }
    Ok(())
}

/// Adds ranges, which are apart and in ascending order, and joins them with those that they overlap or touch.
fn record_ranges(conn: &mut impl HnConnection, new: &[Range]) -> QueryResult<()> {
    let (Some(first), Some(last)) = (new.first(), new.last()) else {
        return Ok(());
    };
    let stored = touching(conn, first.lo, last.hi)?;
    let mut all: Vec<Range> = stored.iter().chain(new).copied().collect();
    all.sort_unstable_by_key(|range| range.lo);
    let joined = Ranges::from_iter(all).into_vec();
    let gone = stored.iter().map(|range| range.lo);
    let gone: Vec<i64> = gone
        .filter(|lo| joined.binary_search_by_key(lo, |range| range.lo).is_err())
        .collect();
    if !gone.is_empty() {
        let rows = coverage::table.filter(coverage::lo.eq_any(gone));
        on_backend!(conn, |conn| diesel::delete(rows).execute(conn))?;
    }
    for range in joined.iter().filter(|range| !stored.contains(range)) {
        on_backend!(conn, |conn| diesel::insert_into(coverage::table)
            .values(range)
            .on_conflict(coverage::lo)
            .do_update()
            .set(coverage::hi.eq(excluded(coverage::hi)))
            .execute(conn))?;
    }
    Ok(())
}

/// The stored ranges that overlap or touch the ids from `lo` to `hi`, in any order.
fn touching(conn: &mut impl HnConnection, lo: i64, hi: i64) -> QueryResult<Vec<Range>> {
    let later = coverage::table
        .filter(coverage::lo.gt(lo))
        .filter(coverage::lo.le(hi.saturating_add(1)));
    let mut found: Vec<Range> = match conn.backend() {
        Backend::Sqlite(conn) => {
            let mut found: Vec<Range> = later.load(conn)?;
            found.extend(last_from(conn, lo)?);
            found
        }
        #[cfg(feature = "postgres")]
        Backend::Postgres(conn) => {
            let ranges = coverage::table.filter(coverage::lo.le(lo));
            let last = ranges.order(coverage::lo.desc()).limit(1);
            last.union_all(later).load(conn)?
        }
    };
    found.retain(|range| range.hi >= lo.saturating_sub(1));
    Ok(found)
}

/// Takes an id out, so that the next backfill fetches it.
///
/// # Errors
/// Whatever Diesel says.
pub fn forget(conn: &mut impl HnConnection, id: i64) -> QueryResult<()> {
    let Some(Range { lo, hi }) = containing(conn, id)? else {
        return Ok(());
    };
    let row = coverage::table.find(lo);
    if lo < id {
        on_backend!(conn, |conn| diesel::update(row)
            .set(coverage::hi.eq(id - 1))
            .execute(conn))?;
    } else {
        on_backend!(conn, |conn| diesel::delete(row).execute(conn))?;
    }
    if id < hi {
        let above = Range { lo: id + 1, hi };
        on_backend!(conn, |conn| diesel::insert_into(coverage::table)
            .values(above)
            .execute(conn))?;
    }
    Ok(())
}

/// The range that holds `id`, if it is settled.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn containing(conn: &mut impl HnConnection, id: i64) -> QueryResult<Option<Range>> {
    Ok(last_from(conn, id)?.filter(|range| range.hi >= id))
}

/// The last range that begins at `id` or before.
///
/// A condition on `hi` as well would make SQLite walk the table.
fn last_from(conn: &mut impl HnConnection, id: i64) -> QueryResult<Option<Range>> {
    let ranges = coverage::table
        .filter(coverage::lo.le(id))
        .order(coverage::lo.desc());
    match conn.backend() {
        // A `LIMIT`, whose value Diesel binds, would make SQLite prepare the statement anew each time; so this takes the first row
        // and drops the rest unread.
        Backend::Sqlite(conn) => ranges.load_iter(conn)?.next().transpose(),
        #[cfg(feature = "postgres")]
        Backend::Postgres(conn) => ranges.first(conn).optional(),
    }
}

/// All ranges as they are stored, in ascending order.
///
/// # Errors
/// Whatever Diesel says.
pub fn all(conn: &mut impl HnConnection) -> QueryResult<Vec<Range>> {
    on_backend!(conn, |conn| coverage::table.order(coverage::lo).load(conn))
}

/// Replaces the ranges that begin at `from` or later and before `until` by `ranges`, which must not begin later than those.
///
/// Belongs into a transaction.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn replace(
    conn: &mut impl HnConnection,
    from: i64,
    until: Option<i64>,
    ranges: &[Range],
) -> QueryResult<()> {
    let later = coverage::table.filter(coverage::lo.ge(from));
    match until {
        Some(until) => {
            let between = later.filter(coverage::lo.lt(until));
            on_backend!(conn, |conn| diesel::delete(between).execute(conn))?
        }
        None => on_backend!(conn, |conn| diesel::delete(later).execute(conn))?,
    };
    for &range in ranges {
        on_backend!(conn, |conn| diesel::insert_into(coverage::table)
            .values(range)
            .execute(conn))?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::hn::migrations::empty_database;

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
            let mut conn = empty_database();
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
        let mut conn = empty_database();
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
    fn a_frontier_moves_up_only_and_its_clones_with_it() {
        let frontier = Frontier::below(46_000_000);
        let clone = frontier.clone();
        frontier.raise(46_000_500);
        frontier.raise(45_000_000);
        assert_eq!(clone.last_final(), 45_990_500);
        clone.raise(i64::MAX);
        assert_eq!(frontier.last_final(), i64::MAX - 10_000);
    }

    #[test]
    fn only_the_newest_ten_thousand_absences_are_not_final() {
        assert_eq!(frontier(46_000_000), 45_990_000);
        assert_eq!(frontier(3), -9_997);
    }
}
