//! The ids to fetch in a small range, and the first one from an id on. Looks at few rows, however many the tables hold.

use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, QueryResult, RunQueryDsl};

use crate::hn::{
    connection::{HnConnection, on_backend},
    coverage::{Range, Ranges, containing},
    plan::{Gaps, Refetch},
    schema::{absent, coverage, failures},
};

/// Which ids are to be fetched: those that are not settled, and settled ones to fetch again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    /// Which settled ids are fetched again.
    pub(super) refetch: Refetch,
    /// An answer since then settles its id, also one that says that there is no such item. In Unix seconds.
    pub(super) since: i64,
}

/// The first of `ids` from `from` on, in this direction.
macro_rules! next_id {
    ($conn:ident, $ids:ident, $id:path, $from:ident, $downwards:ident) => {
        if $downwards {
            let ids = $ids.filter($id.le($from)).order($id.desc());
            on_backend!($conn, |conn| ids.first::<i64>(conn)).optional()?
        } else {
            let ids = $ids.filter($id.ge($from)).order($id);
            on_backend!($conn, |conn| ids.first::<i64>(conn)).optional()?
        }
    };
}

impl Work {
    /// The ids to fetch in a range.
    pub(super) fn ids_in(self, conn: &mut impl HnConnection, within: Range) -> QueryResult<Ranges> {
        let Self { refetch, since } = self;
        let Range { lo, hi } = within;
        let absent = absent::table
            .filter(absent::id.between(lo, hi))
            .order(absent::id)
            .select((absent::id, absent::last_checked_at.ge(since)));
        let absent: Vec<(i64, bool)> = on_backend!(conn, |conn| absent.load(conn))?;
        let (answered, older): (Vec<_>, Vec<_>) =
            absent.into_iter().partition(|(_, is_new)| *is_new);
        let mut ranges = without(gaps(conn, within)?, answered.into_iter().map(|(id, _)| id));
        if refetch.absent {
            let older: Ranges = older.into_iter().map(|(id, _)| id).collect();
            ranges.extend(older.into_vec());
        }
        if refetch.failed {
            let failed = failures::table
                .filter(failures::id.between(lo, hi))
                .filter(failures::failed_at.lt(since))
                .order(failures::id)
                .select(failures::id);
            let failed: Vec<i64> = on_backend!(conn, |conn| failed.load(conn))?;
            ranges.extend(failed.into_iter().collect::<Ranges>().into_vec());
        }
        ranges.sort_unstable_by_key(|range| range.lo);
        Ok(ranges.into_iter().collect())
    }

    /// The first settled id from `from` on, in this direction, that is fetched again.
    pub(super) fn next_refetched(
        self,
        conn: &mut impl HnConnection,
        from: i64,
        downwards: bool,
    ) -> QueryResult<Option<i64>> {
        let Self { refetch, since } = self;
        let mut found = None;
        if refetch.absent {
            let ids = absent::table
                .filter(absent::last_checked_at.lt(since))
                .select(absent::id);
            found = next_id!(conn, ids, absent::id, from, downwards);
        }
        if refetch.failed {
            let ids = failures::table
                .filter(failures::failed_at.lt(since))
                .select(failures::id);
            let failed = next_id!(conn, ids, failures::id, from, downwards);
            found = match (found, failed) {
                (Some(a), Some(b)) if downwards => Some(a.max(b)),
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        Ok(found)
    }
}

/// The ids in `within` that the table `coverage` does not hold. Relies on its ranges being apart.
fn gaps(conn: &mut impl HnConnection, within: Range) -> QueryResult<Vec<Range>> {
    let mut gaps = Gaps::new(within);
    if let Some(range) = containing(conn, within.lo)? {
        gaps.settle(range);
    }
    let settled = coverage::table
        .filter(coverage::lo.between(within.lo, within.hi))
        .order(coverage::lo);
    let settled: Vec<Range> = on_backend!(conn, |conn| settled.load(conn))?;
    settled.into_iter().for_each(|range| gaps.settle(range));
    Ok(gaps.end())
}

/// The ranges without these ids. Both are in ascending order.
fn without(ranges: Vec<Range>, ids: impl Iterator<Item = i64>) -> Vec<Range> {
    let mut rest = Vec::with_capacity(ranges.len());
    let mut ids = ids.peekable();
    for Range { mut lo, hi } in ranges {
        while ids.next_if(|id| *id < lo).is_some() {}
        while let Some(id) = ids.next_if(|id| *id <= hi) {
            if lo < id {
                rest.push(Range { lo, hi: id - 1 });
            }
            lo = id + 1;
        }
        if lo <= hi {
            rest.push(Range { lo, hi });
        }
    }
    rest
}

/// The smallest `count` ids.
pub(super) fn smallest(ranges: Ranges, count: u64) -> Ranges {
    let mut room = count;
    let mut kept = Ranges::default();
    for Range { lo, hi } in ranges.into_vec() {
        if room == 0 {
            break;
        }
        let hi = hi.min(lo.saturating_add_unsigned(room - 1));
        kept.push(Range { lo, hi });
        room -= Range { lo, hi }.count();
    }
    kept
}

/// The largest `count` ids.
pub(super) fn largest(ranges: Ranges, count: u64) -> Ranges {
    let ranges = ranges.into_vec();
    let total: u64 = ranges.iter().map(|range| range.count()).sum();
    let mut surplus = total.saturating_sub(count);
    let mut kept = Ranges::default();
    for Range { lo, hi } in ranges {
        let dropped = surplus.min(Range { lo, hi }.count());
        surplus -= dropped;
        kept.push(Range {
            lo: lo.saturating_add_unsigned(dropped),
            hi,
        });
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids(ranges: &Ranges) -> Vec<i64> {
        let ranges = ranges.clone().into_vec();
        ranges
            .into_iter()
            .flat_map(|range| range.lo..=range.hi)
            .collect()
    }

    proptest! {
        #[test]
        fn a_part_of_some_ranges_has_the_ids_at_one_end(
            all in prop::collection::btree_set(0..50_i64, 0..40), count in 0..45_u64,
        ) {
            let ranges: Ranges = all.iter().copied().collect();
            let count = (count as usize).min(all.len());
            let (low, high) = (smallest(ranges.clone(), count as u64), largest(ranges, count as u64));
            let all: Vec<i64> = all.into_iter().collect();
            prop_assert_eq!(ids(&low), &all[..count]);
            prop_assert_eq!(ids(&high), &all[all.len() - count..]);
        }

        #[test]
        fn ranges_without_some_ids_have_all_others(
            all in prop::collection::btree_set(0..50_i64, 0..40), some in prop::collection::btree_set(0..50_i64, 0..20),
        ) {
            let ranges: Ranges = all.iter().copied().collect();
            let rest: Ranges = without(ranges.into_vec(), some.iter().copied()).into_iter().collect();
            let wanted: Vec<i64> = all.difference(&some).copied().collect();
            prop_assert_eq!(ids(&rest), wanted);
        }
    }
}
