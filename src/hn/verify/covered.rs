//! Compares the ranges of `coverage` with the ids that are in the tables, both in ascending order. Pure.

use super::{
    report::{BadRange, Listed},
    walk::Row,
};
use crate::hn::coverage::Range;

/// The covered ids, and which of them are in no table.
///
/// Takes ranges and ids in ascending order: each range before the ids that it holds.
#[derive(Default)]
pub(super) struct CoveredIds {
    /// The covered ids that were not met yet, as far as the ranges are known. Ranges that overlap or touch are joined.
    unmet: Option<Range>,
    /// The largest covered id so far.
    last: Option<i64>,
    count: u64,
    missing: Listed<Range>,
}

impl CoveredIds {
    /// Adds a range that begins at the last met id or later. An empty one changes nothing.
    pub(super) fn add(&mut self, range: Range) {
        if range.lo > range.hi {
            return;
        }
        let is_new = self.last.is_none_or(|last| last < range.hi);
        if !is_new {
            return;
        }
        let lo = match self.last {
            Some(last) => range.lo.max(last + 1),
            None => range.lo,
        };
        let new = Range { lo, hi: range.hi };
        self.last = Some(new.hi);
        self.count = self.count.saturating_add(new.count());
        match &mut self.unmet {
            Some(unmet) if unmet.overlaps_or_touches(new) => unmet.hi = new.hi,
            unmet => {
                if let Some(before) = unmet.replace(new) {
                    self.miss(before);
                }
            }
        }
    }

    /// Takes an id that is in a table. Returns whether it is covered and comes for the first time. The covered ids below it that
    /// were not met are missing.
    pub(super) fn meet(&mut self, id: i64) -> bool {
        let Some(unmet) = self.unmet.filter(|unmet| unmet.lo <= id) else {
            return false;
        };
        let Range { lo, hi } = unmet;
        if lo < id {
            let hi = hi.min(id - 1);
            self.miss(Range { lo, hi });
        }
        self.unmet = (id < hi).then(|| Range { lo: id + 1, hi });
        id <= hi
    }

    /// How many ids are covered.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The ids that are covered and in no table.
    pub(super) fn missing(mut self) -> Listed<Range> {
        if let Some(unmet) = self.unmet.take() {
            self.miss(unmet);
        }
        self.missing
    }

    fn miss(&mut self, range: Range) {
        self.missing.add_counting(range, range.count());
    }
}

/// Finds the ranges that are empty, or that overlap or touch an earlier one.
#[derive(Default)]
pub(super) struct RangeCheck {
    /// The range that ends last, of those so far.
    before: Option<Range>,
    bad: Listed<BadRange>,
}

impl RangeCheck {
    pub(super) fn add(&mut self, range: Range) {
        let is_empty = range.lo > range.hi;
        let meets = self
            .before
            .filter(|before| before.overlaps_or_touches(range));
        if is_empty || meets.is_some() {
            self.bad.add(BadRange { range, meets });
        }
        if !is_empty && self.before.is_none_or(|before| before.hi < range.hi) {
            self.before = Some(range);
        }
    }

    pub(super) fn bad(self) -> Listed<BadRange> {
        self.bad
    }
}

/// Settled ids that no range holds.
#[derive(Default)]
pub(super) struct UnclaimedIds {
    /// The last id that was covered or added.
    seen: Option<i64>,
    /// The ids that were added last, without a gap.
    run: Option<Range>,
    runs: Listed<Range>,
}

impl UnclaimedIds {
    pub(super) fn see(&mut self, row: &Row, is_covered: bool) {
        let id = row.id;
        if self.seen == Some(id) || !(is_covered || row.is_settled()) {
            return;
        }
        self.seen = Some(id);
        if is_covered {
            return;
        }
        match &mut self.run {
            Some(run) if run.hi + 1 == id => run.hi = id,
            run => {
                if let Some(run) = run.replace(Range { lo: id, hi: id }) {
                    self.runs.add_counting(run, run.count());
                }
            }
        }
    }

    pub(super) fn ids(mut self) -> Listed<Range> {
        if let Some(run) = self.run {
            self.runs.add_counting(run, run.count());
        }
        self.runs
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::hn::coverage::Ranges;

    fn range(lo: i64, hi: i64) -> Range {
        Range { lo, hi }
    }

    /// Gives ranges and ids in the order of a walk. Returns the missing ids and how many are covered.
    fn missing(ranges: &[Range], ids: &[i64]) -> (Vec<Range>, u64) {
        let mut covered = CoveredIds::default();
        let mut ranges = ranges.iter().copied().peekable();
        for &id in ids {
            while let Some(range) = ranges.next_if(|range| range.lo <= id) {
                covered.add(range);
            }
            covered.meet(id);
        }
        ranges.for_each(|range| covered.add(range));
        let count = covered.count();
        (covered.missing().listed, count)
    }

    #[test]
    fn the_ends_of_the_number_range_are_covered_like_any_other_id() {
        let everything = [range(i64::MIN, i64::MAX)];
        let (missing_ids, count) = missing(&everything, &[i64::MIN, 0, i64::MAX]);
        assert_eq!(
            missing_ids,
            [range(i64::MIN + 1, -1), range(1, i64::MAX - 1)]
        );
        assert_eq!(count, u64::MAX);
        let twice = [range(i64::MAX, i64::MAX), range(i64::MAX, i64::MAX)];
        assert_eq!(missing(&twice, &[i64::MAX]), (vec![], 1));
    }

    fn small_ranges() -> impl Strategy<Value = Vec<Range>> {
        let one = (0..40_i64, -2..12_i64).prop_map(|(lo, length)| range(lo, lo + length));
        prop::collection::vec(one, 0..10).prop_map(|mut ranges| {
            ranges.sort_by_key(|range| range.lo);
            ranges
        })
    }

    proptest! {
        #[test]
        fn missing_is_what_is_covered_and_not_met(ranges in small_ranges(), ids in prop::collection::btree_set(0..60_i64, 0..50)) {
            let covered: BTreeSet<i64> = ranges.iter().flat_map(|range| range.lo..=range.hi).collect();
            let wanted: Ranges = covered.difference(&ids).copied().collect();
            let ids: Vec<i64> = ids.into_iter().collect();
            prop_assert_eq!(missing(&ranges, &ids), (wanted.into_vec(), covered.len() as u64));
        }
    }
}
