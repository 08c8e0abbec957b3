//! Ranges of ids, and how they are joined.

use diesel::{Insertable, Queryable};
use serde::Serialize;

use crate::hn::schema::coverage;

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
    /// The number of ids: 0 if `hi` is below `lo`.
    pub fn count(self) -> u64 {
        let count = i128::from(self.hi) - i128::from(self.lo) + 1;
        u64::try_from(count.max(0)).unwrap_or(u64::MAX)
    }

    /// Whether a range that begins no earlier than this one makes one range with it.
    pub(crate) fn overlaps_or_touches(self, later: Range) -> bool {
        later.lo <= self.hi.saturating_add(1)
    }
}

/// Ranges that neither overlap nor touch, in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<Range>);

impl Ranges {
    /// Adds a range that begins no earlier than any range before. An empty one changes nothing.
    pub fn push(&mut self, range: Range) {
        if range.lo > range.hi {
            return;
        }
        match self.0.last_mut() {
            Some(last) if last.overlaps_or_touches(range) => last.hi = last.hi.max(range.hi),
            _ => self.0.push(range),
        }
    }

    /// Whether there is no id.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// From the first id to the last. `None` if there is none.
    pub fn span(&self) -> Option<Range> {
        Some(Range {
            lo: self.0.first()?.lo,
            hi: self.0.last()?.hi,
        })
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
