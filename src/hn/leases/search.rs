//! Finds the next ids to claim: those to fetch that no lease holds, from either end of a range.

use diesel::QueryResult;

use super::work::{Work, largest, smallest};
use crate::hn::{
    connection::HnConnection,
    coverage::{self, Range, Ranges},
    plan::{Refetch, RemainingIds},
};

/// A lease spans at most this many ids, settled ones between the others included. So a claim takes milliseconds however the holes
/// lie.
const SPAN: i64 = 20_000;

/// Where a run looks for ids to claim. It goes on behind the last claim, and begins again at the end.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    /// The ids to consider.
    pub(super) within: Range,
    /// Which settled ids are fetched again.
    pub(super) refetch: Refetch,
    /// Whether to go from the largest id down.
    newest_first: bool,
    /// Where to go on, as a position.
    next: i64,
    /// Answers since this time count as the run's own. It is when the first of those runs began that were under way at its first claim.
    since: Option<i64>,
}

/// Ids in the order of a search.
pub(crate) type IdsInOrder = Box<dyn Iterator<Item = i64> + Send>;

/// From the largest id down, the position of an id is its negative.
fn flip(range: Range) -> Range {
    Range {
        lo: -range.hi,
        hi: -range.lo,
    }
}

impl Search {
    pub(crate) fn new(within: Range, refetch: Refetch, newest_first: bool) -> Self {
        let mut search = Self {
            within,
            refetch,
            newest_first,
            next: 0,
            since: None,
        };
        search.next = search.positions(within).lo;
        search
    }

    /// Since when answers count as the run's own, where the first of the runs under way began at `first_start`. That run may have ended
    /// meanwhile, and what it asked for is still not asked for again.
    pub(super) fn own_since(&mut self, first_start: i64) -> i64 {
        let since = self
            .since
            .map_or(first_start, |known| known.min(first_start));
        self.since = Some(since);
        since
    }

    /// What this search looks for. Answers since `since` count as settled.
    pub(super) fn work(&self, since: i64) -> Work {
        Work {
            refetch: self.refetch,
            since,
        }
    }

    pub(super) fn in_order(&self, ids: Ranges) -> IdsInOrder {
        let ids = RemainingIds::new(ids);
        if self.newest_first {
            Box::new(ids.rev())
        } else {
            Box::new(ids)
        }
    }

    /// The next up to `ids` ids to fetch that are not in `busy`. `None` if there are none.
    pub(super) fn next(
        &mut self,
        conn: &mut impl HnConnection,
        busy: &[Range],
        work: Work,
        ids: u64,
    ) -> QueryResult<Option<Ranges>> {
        let start = self.positions(self.within).lo;
        let found = self.next_from(conn, busy, work, ids)?;
        if found.is_some() || self.next == start {
            return Ok(found);
        }
        // Ids that another process has left lie before the place where the search was.
        self.next = start;
        self.next_from(conn, busy, work, ids)
    }

    fn next_from(
        &mut self,
        conn: &mut impl HnConnection,
        busy: &[Range],
        work: Work,
        ids: u64,
    ) -> QueryResult<Option<Ranges>> {
        let mut busy: Vec<Range> = busy.iter().map(|&range| self.positions(range)).collect();
        busy.sort_unstable_by_key(|range| range.lo);
        let end = self.positions(self.within).hi;
        let mut from = self.next;
        loop {
            from = after(&busy, from);
            from = self.skip_settled(conn, from, work)?;
            if from > end {
                return Ok(None);
            }
            if after(&busy, from) > from {
                continue;
            }
            let next_busy = busy.iter().find(|range| range.lo > from);
            let hi = next_busy
                .map_or(end, |range| range.lo - 1)
                .min(end)
                .min(from + SPAN - 1);
            let window = self.positions(Range { lo: from, hi });
            let found = work.ids_in(conn, window)?;
            let found = if self.newest_first {
                largest(found, ids)
            } else {
                smallest(found, ids)
            };
            match found.span() {
                Some(range) => {
                    self.next = self.positions(range).hi + 1;
                    return Ok(Some(found));
                }
                None => from = hi + 1,
            }
        }
    }

    /// The first position from `from` on that may hold an id to fetch.
    fn skip_settled(
        &self,
        conn: &mut impl HnConnection,
        from: i64,
        work: Work,
    ) -> QueryResult<i64> {
        let mut unsettled = from;
        while let Some(settled) = coverage::containing(conn, self.id_at(unsettled))? {
            unsettled = self.positions(settled).hi + 1;
        }
        let again = work.next_refetched(conn, self.id_at(from), self.newest_first)?;
        Ok(again.map_or(unsettled, |id| unsettled.min(self.id_at(id))))
    }

    /// A range of ids as positions, and the other way round.
    fn positions(&self, range: Range) -> Range {
        if self.newest_first {
            flip(range)
        } else {
            range
        }
    }

    /// The id at a position, and the other way round.
    fn id_at(&self, position: i64) -> i64 {
        if self.newest_first {
            -position
        } else {
            position
        }
    }
}

/// The first position from `from` on that is in none of these ranges.
fn after(busy: &[Range], mut from: i64) -> i64 {
    for range in busy {
        if range.lo <= from && from <= range.hi {
            from = range.hi + 1;
        }
    }
    from
}
