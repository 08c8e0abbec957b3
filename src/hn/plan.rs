//! Which ids a backfill still has to fetch: those of a range that `coverage` does not hold. Reads no item.

use std::collections::VecDeque;

use diesel::{ExpressionMethods, QueryDsl, QueryResult, RunQueryDsl};

use super::{
    connection::{HnConnection, on_backend},
    coverage::{Range, Ranges},
    schema::{absent, coverage, failures},
};

/// Which settled ids are fetched again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refetch {
    /// Those in the table `absent`.
    pub absent: bool,
    /// Those in the table `failures`.
    pub failed: bool,
}

/// The ids to fetch, each once, from either end. It holds ranges, so its memory does not grow with the number of ids.
#[derive(Clone, Debug)]
pub struct RemainingIds {
    ranges: VecDeque<Range>,
    /// Ids in the ranges.
    count: usize,
}

impl RemainingIds {
    /// The ids in `within` that are not settled, and those to `refetch`.
    ///
    /// # Errors
    /// Whatever Diesel says.
    pub fn plan(
        conn: &mut impl HnConnection,
        within: Range,
        refetch: Refetch,
    ) -> QueryResult<Self> {
        let mut ranges = gaps(conn, within)?;
        if refetch.absent {
            let ids = absent::table.select(absent::id).order(absent::id);
            let ids = ids.filter(absent::id.between(within.lo, within.hi));
            let ids: Ranges = on_backend!(conn, |conn, Mode| ids
                .load_iter::<i64, Mode>(conn)?
                .collect::<QueryResult<_>>())?;
            ranges.extend(ids.into_vec());
        }
        if refetch.failed {
            let ids = failures::table.select(failures::id).order(failures::id);
            let ids = ids.filter(failures::id.between(within.lo, within.hi));
            let ids: Ranges = on_backend!(conn, |conn, Mode| ids
                .load_iter::<i64, Mode>(conn)?
                .collect::<QueryResult<_>>())?;
            ranges.extend(ids.into_vec());
        }
        ranges.sort_unstable_by_key(|range| range.lo);
        Ok(Self::new(ranges.into_iter().collect()))
    }

    pub(super) fn new(ranges: Ranges) -> Self {
        let ranges = VecDeque::from(ranges.into_vec());
        let count: u64 = ranges.iter().map(|range| range.count()).sum();
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        Self { ranges, count }
    }
}

/// The ids in `within` that no range of the table holds. Does not rely on the ranges being apart.
pub(super) fn gaps(conn: &mut impl HnConnection, within: Range) -> QueryResult<Vec<Range>> {
    let mut gaps = Gaps::new(within);
    let settled = coverage::table
        .filter(coverage::lo.le(within.hi))
        .filter(coverage::hi.ge(within.lo))
        .order(coverage::lo);
    on_backend!(conn, |conn, Mode| {
        for range in settled.load_iter::<Range, Mode>(conn)? {
            gaps.settle(range?);
        }
    });
    Ok(gaps.end())
}

/// Finds the gaps between settled ranges.
pub(super) struct Gaps {
    within: Range,
    found: Vec<Range>,
    /// The first id that may be in a gap. `None` after the largest possible id.
    next: Option<i64>,
}

impl Gaps {
    pub(super) fn new(within: Range) -> Self {
        Self {
            within,
            found: Vec::new(),
            next: Some(within.lo),
        }
    }

    /// Takes the next settled range. The ranges come in ascending order of `lo`.
    pub(super) fn settle(&mut self, Range { lo, hi }: Range) {
        let Some(from) = self.next else { return };
        if lo > from {
            self.found.push(Range {
                lo: from,
                hi: lo - 1,
            });
        }
        self.next = from.max(hi).checked_add(i64::from(hi >= from));
    }

    pub(super) fn end(mut self) -> Vec<Range> {
        let hi = self.within.hi;
        if let Some(lo) = self.next.filter(|&next| next <= hi) {
            self.found.push(Range { lo, hi });
        }
        self.found
    }
}

impl Iterator for RemainingIds {
    type Item = i64;

    fn next(&mut self) -> Option<i64> {
        let range = self.ranges.front_mut()?;
        let id = range.lo;
        if id < range.hi {
            range.lo += 1;
        } else {
            self.ranges.pop_front();
        }
        self.count -= 1;
        Some(id)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count, Some(self.count))
    }
}

impl DoubleEndedIterator for RemainingIds {
    fn next_back(&mut self) -> Option<i64> {
        let range = self.ranges.back_mut()?;
        let id = range.hi;
        if id > range.lo {
            range.hi -= 1;
        } else {
            self.ranges.pop_back();
        }
        self.count -= 1;
        Some(id)
    }
}

impl ExactSizeIterator for RemainingIds {}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::hn::{coverage::record, migrations::empty_database};

    fn ids() -> impl Strategy<Value = BTreeSet<i64>> {
        prop::collection::btree_set(1..80_i64, 0..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn the_remaining_ids_are_those_not_settled_each_once_and_counted(
            settled in ids(), missing in ids(), failed in ids(),
            lo in 1..80_i64, hi in 0..80_i64, absent in any::<bool>(), retry in any::<bool>(),
        ) {
            let mut conn = empty_database();
            record(&mut conn, settled.iter().copied().collect()).unwrap();
            for id in &missing {
                let row = (absent::id.eq(id), absent::checks.eq(1), absent::first_checked_at.eq(0), absent::last_checked_at.eq(0));
                diesel::insert_into(absent::table).values(row).execute(&mut conn).unwrap();
            }
            for id in &failed {
                let row = (failures::id.eq(id), failures::kind.eq("timeout"), failures::message.eq(""), failures::attempts.eq(1), failures::failed_at.eq(0));
                diesel::insert_into(failures::table).values(row).execute(&mut conn).unwrap();
            }
            let wanted: Vec<i64> = (lo..=hi)
                .filter(|id| !settled.contains(id) || absent && missing.contains(id) || retry && failed.contains(id))
                .collect();
            let refetch = Refetch { absent, failed: retry };
            let left = RemainingIds::plan(&mut conn, Range { lo, hi }, refetch).unwrap();
            prop_assert_eq!(left.len(), wanted.len());
            let mut down: Vec<i64> = left.clone().rev().collect();
            down.reverse();
            prop_assert_eq!(&left.collect::<Vec<_>>(), &wanted);
            prop_assert_eq!(&down, &wanted);
        }
    }

    #[test]
    fn ranges_that_overlap_or_reach_the_end_of_the_number_range_are_planned_around() {
        let mut conn = empty_database();
        let broken = [(2, 9), (3, 4), (20, 15), (30, i64::MAX), (40, 50)];
        let rows: Vec<_> = broken.map(|(lo, hi)| Range { lo, hi }).into();
        diesel::insert_into(coverage::table)
            .values(rows)
            .execute(&mut conn)
            .unwrap();
        let within = Range { lo: 1, hi: 60 };
        let left = RemainingIds::plan(&mut conn, within, Refetch::default()).unwrap();
        let wanted: Vec<i64> = std::iter::once(1).chain(10..30).collect();
        assert_eq!(left.collect::<Vec<_>>(), wanted);
    }
}
