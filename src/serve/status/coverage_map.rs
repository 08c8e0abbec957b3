//! The id space as a grid of cells, each with how much of it is settled.

use crate::hn::coverage::Range;

/// Cells of a row.
pub(in crate::serve) const COLUMNS: usize = 40;

/// Cells at most.
const CELLS: i64 = 400;

/// How much of a part of the ids is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Cell {
    Empty,
    /// Less than half.
    Little,
    /// Half or more.
    Much,
    Full,
    /// A process works on it.
    Leased,
}

/// The ids from 1 to the largest known one, as cells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::serve) struct CoverageMap {
    pub(in crate::serve) cells: Vec<Cell>,
    /// Ids of a cell; the last one may have fewer.
    pub(in crate::serve) ids_of_cell: i64,
}

impl CoverageMap {
    /// `covered` are ranges that do not overlap, in ascending order. `leased` are in any order.
    pub(in crate::serve) fn new(highest: i64, covered: &[Range], leased: &[Range]) -> Self {
        if highest < 1 {
            return Self::default();
        }
        let ids_of_cell = (highest - 1) / CELLS + 1;
        let count = (highest - 1) / ids_of_cell + 1;
        let mut at = 0;
        let cells = (0..count).map(|cell| {
            let lo = 1 + cell * ids_of_cell;
            let part = Range {
                lo,
                hi: lo.saturating_add(ids_of_cell - 1).min(highest),
            };
            while covered.get(at).is_some_and(|range| range.hi < part.lo) {
                at += 1;
            }
            let within = covered[at..].iter().take_while(|range| range.lo <= part.hi);
            let settled: u64 = within.map(|range| common(*range, part)).sum();
            let is_leased = || leased.iter().any(|range| common(*range, part) > 0);
            match part.count() {
                all if settled >= all => Cell::Full,
                _ if is_leased() => Cell::Leased,
                all if settled >= all.div_ceil(2) => Cell::Much,
                _ if settled > 0 => Cell::Little,
                _ => Cell::Empty,
            }
        });
        Self {
            cells: cells.collect(),
            ids_of_cell,
        }
    }
}

/// How many ids two ranges have in common.
fn common(a: Range, b: Range) -> u64 {
    let both = Range {
        lo: a.lo.max(b.lo),
        hi: a.hi.min(b.hi),
    };
    both.count()
}

#[cfg(test)]
mod tests {
    use super::{Cell::*, *};

    fn cells(highest: i64, covered: &[(i64, i64)], leased: &[(i64, i64)]) -> Vec<Cell> {
        let ranges = |pairs: &[(i64, i64)]| -> Vec<Range> {
            pairs.iter().map(|&(lo, hi)| Range { lo, hi }).collect()
        };
        CoverageMap::new(highest, &ranges(covered), &ranges(leased)).cells
    }

    #[test]
    fn each_cell_says_how_much_of_it_is_settled() {
        assert_eq!(cells(0, &[], &[]), []);
        assert_eq!(cells(3, &[(1, 1), (3, 9)], &[]), [Full, Empty, Full]);
        let few = cells(4000, &[(1, 10), (15, 20), (25, 26), (41, 50)], &[(35, 44)]);
        assert_eq!(few.len(), 400);
        assert_eq!(few[..6], [Full, Much, Little, Leased, Full, Empty]);
        assert_eq!(cells(i64::MAX, &[(1, i64::MAX)], &[]).len(), 400);
    }
}
