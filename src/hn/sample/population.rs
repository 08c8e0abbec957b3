//! The ids that a sample is drawn from: those in `coverage`, and the items outside of it.
//!
//! It holds ranges, not ids, and reads few rows. If very many items are outside of coverage, it does not read their ids. It then holds
//! whole gaps, and the sampler looks up whether an id of a gap is an item when it draws that id.

use diesel::{
    ExpressionMethods, QueryDsl, QueryResult, RunQueryDsl,
    dsl::{max, min},
};

use crate::hn::{
    connection::{HnConnection, on_backend},
    coverage::{self, Range, Ranges},
    plan::Gaps,
    schema::items,
};

/// If there are more items than this outside of coverage, their ids are not read. Reading this many takes a tenth of a second.
const READ_MAX: u64 = 100_000;
/// Ids are drawn until one of them is an item. If fewer than one id in this many is an item, that takes longer than reading all items, so
/// all are read.
const LOOKS_PER_ITEM_MAX: u64 = 1000;

/// Ids of one query.
const PAGE: i64 = 10_000;

/// Gaps at most this far apart are read with one query. The rows between them cost less than another query.
const NEAR: i64 = 100;

/// Settled ids, each at a place: a number from 0.
#[derive(Clone, Debug)]
pub(crate) struct Population {
    /// Ranges in which every id is settled. They come first.
    settled: PlacedRanges,
    /// Gaps of coverage in which only the items are settled. Empty if the ids of these items were read.
    gaps: PlacedRanges,
}

/// Ranges whose ids are numbered from 0.
#[derive(Clone, Debug, Default)]
struct PlacedRanges {
    /// Each with the number of its first id.
    ranges: Vec<(u64, Range)>,
    count: u64,
}

impl PlacedRanges {
    fn add(&mut self, range: Range) {
        self.ranges.push((self.count, range));
        self.count = self.count.saturating_add(range.count());
    }

    fn id_at(&self, place: u64) -> Option<i64> {
        let after = self.ranges.partition_point(|(first, _)| *first <= place);
        let (first, range) = self.ranges.get(after.checked_sub(1)?)?;
        let id = range.lo.checked_add_unsigned(place - first);
        id.filter(|id| *id <= range.hi)
    }
}

impl FromIterator<Range> for PlacedRanges {
    fn from_iter<I: IntoIterator<Item = Range>>(ranges: I) -> Self {
        let mut placed = Self::default();
        ranges.into_iter().for_each(|range| placed.add(range));
        placed
    }
}

/// The id at a place of a population.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Candidate {
    Settled(i64),
    /// Settled if there is an item of this id.
    InGap(i64),
}

impl Population {
    /// Reads it from one snapshot.
    ///
    /// # Errors
    /// Whatever Diesel says.
    pub(crate) fn read(conn: &mut impl HnConnection) -> QueryResult<Self> {
        Self::read_up_to(conn, READ_MAX)
    }

    pub(super) fn read_up_to(conn: &mut impl HnConnection, read_max: u64) -> QueryResult<Self> {
        conn.snapshot(|conn| {
            let covered = covered(conn)?;
            let gaps = gaps_among_items(conn, &covered)?;
            let gap_ids = gaps
                .iter()
                .map(|gap| gap.count())
                .fold(0, u64::saturating_add);
            let is_dense = gap_ids / LOOKS_PER_ITEM_MAX <= read_max;
            let outside = items_in(conn, &gaps, if is_dense { read_max } else { u64::MAX })?;
            let mut settled: PlacedRanges = covered.into_iter().collect();
            let mut unread = PlacedRanges::default();
            match outside {
                Some(ranges) => ranges
                    .into_vec()
                    .into_iter()
                    .for_each(|range| settled.add(range)),
                None => gaps.into_iter().for_each(|range| unread.add(range)),
            }
            Ok(Self {
                settled,
                gaps: unread,
            })
        })
    }

    /// How many settled ids there are, if that is known.
    pub(crate) fn count(&self) -> Option<u64> {
        (self.gaps.count == 0).then_some(self.settled.count)
    }

    /// How many ids are settled, as far as is known.
    pub(super) fn settled_count(&self) -> u64 {
        self.settled.count
    }

    /// How many ids may be settled beside those.
    pub(super) fn gap_count(&self) -> u64 {
        self.gaps.count
    }

    /// How many places there are.
    pub(super) fn places(&self) -> u64 {
        self.settled.count.saturating_add(self.gaps.count)
    }

    pub(super) fn at(&self, place: u64) -> Option<Candidate> {
        match place.checked_sub(self.settled.count) {
            None => self.settled.id_at(place).map(Candidate::Settled),
            Some(place) => self.gaps.id_at(place).map(Candidate::InGap),
        }
    }
}

/// The covered ids above 0, as ranges that lie apart. Only a damaged table has other ids.
fn covered(conn: &mut impl HnConnection) -> QueryResult<Vec<Range>> {
    let ranges = coverage::all(conn)?.into_iter();
    let ranges = ranges.map(|range| Range {
        lo: range.lo.max(1),
        ..range
    });
    Ok(ranges.collect::<Ranges>().into_vec())
}

/// The largest id of an item.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn last_item(conn: &mut impl HnConnection) -> QueryResult<Option<i64>> {
    on_backend!(conn, |conn| items::table.select(max(items::id)).first(conn))
}

/// The ids that are not covered, from the first item to the last.
fn gaps_among_items(conn: &mut impl HnConnection, covered: &[Range]) -> QueryResult<Vec<Range>> {
    // One query for both ends would read the whole table.
    let positive = items::table.filter(items::id.gt(0));
    let first: Option<i64> = on_backend!(conn, |conn| positive.select(min(items::id)).first(conn))?;
    let last = last_item(conn)?;
    let (Some(lo), Some(hi)) = (first, last) else {
        return Ok(Vec::new());
    };
    let mut gaps = Gaps::new(Range { lo, hi });
    covered.iter().for_each(|range| gaps.settle(*range));
    let gaps = gaps.end().into_iter();
    // A range that begins after the last item leaves a gap that goes beyond it.
    let gaps = gaps.map(|gap| Range {
        hi: gap.hi.min(hi),
        ..gap
    });
    Ok(gaps.filter(|gap| gap.lo <= gap.hi).collect())
}

/// The ids of the items in these gaps. `None` if there are more than `most`.
fn items_in(
    conn: &mut impl HnConnection,
    gaps: &[Range],
    most: u64,
) -> QueryResult<Option<Ranges>> {
    let (mut found, mut count) = (Ranges::default(), 0);
    for near in gaps.chunk_by(|gap, next| next.lo - gap.hi <= NEAR) {
        let (Some(first), Some(last)) = (near.first(), near.last()) else {
            continue;
        };
        let mut from = Some(first.lo);
        while let Some(lo) = from {
            let ids = items::table.filter(items::id.between(lo, last.hi));
            let ids = ids.select(items::id).order(items::id).limit(PAGE);
            let ids: Vec<i64> = on_backend!(conn, |conn| ids.load(conn))?;
            for &id in ids.iter().filter(|id| holds(near, **id)) {
                found.push(Range { lo: id, hi: id });
                count += 1;
            }
            if count > most {
                return Ok(None);
            }
            let is_full = ids.len() as i64 == PAGE;
            from = ids.last().filter(|_| is_full).map(|id| id + 1);
        }
    }
    Ok(Some(found))
}

/// Whether one of these ranges, which are in ascending order, holds an id.
fn holds(ranges: &[Range], id: i64) -> bool {
    let at = ranges.partition_point(|range| range.hi < id);
    ranges.get(at).is_some_and(|range| range.lo <= id)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use diesel::{SqliteConnection, connection::SimpleConnection};
    use proptest::prelude::*;

    use super::*;
    use crate::hn::migrations::empty_database;

    fn database(ranges: &[(i64, i64)], items: &BTreeSet<i64>) -> SqliteConnection {
        let mut conn = empty_database();
        let mut sql = String::new();
        for (lo, hi) in ranges {
            sql += &format!("INSERT OR IGNORE INTO coverage VALUES ({lo}, {hi});");
        }
        for id in items {
            sql += &format!("INSERT INTO items (id, fetched_at) VALUES ({id}, 0);");
        }
        conn.batch_execute(&sql).unwrap();
        conn
    }

    /// All places of a population: the settled ids, and those in its gaps.
    fn all(population: &Population) -> (Vec<i64>, Vec<i64>) {
        let (mut settled, mut in_gaps) = (Vec::new(), Vec::new());
        for place in 0..population.places() {
            match population.at(place).unwrap() {
                Candidate::Settled(id) => settled.push(id),
                Candidate::InGap(id) => in_gaps.push(id),
            }
        }
        assert_eq!(population.at(population.places()), None);
        (settled, in_gaps)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn it_holds_what_is_covered_and_all_other_items_each_once(
            ranges in prop::collection::vec((-3..400_i64, -2..90_i64).prop_map(|(lo, more)| (lo, lo + more)), 0..8),
            items in prop::collection::btree_set(-3..700_i64, 0..60),
            read_max in 0..40_u64,
        ) {
            let mut conn = database(&ranges, &items);
            // Of two ranges that begin at one id, the table has the first.
            let stored: Vec<Range> = coverage::all(&mut conn).unwrap();
            let covered: BTreeSet<i64> = stored.iter().flat_map(|range| range.lo.max(1)..=range.hi).collect();
            let outside: BTreeSet<i64> = items.iter().copied().filter(|id| *id > 0 && !covered.contains(id)).collect();
            let population = Population::read_up_to(&mut conn, read_max).unwrap();
            let (settled, in_gaps) = all(&population);
            let distinct: BTreeSet<i64> = settled.iter().chain(&in_gaps).copied().collect();
            prop_assert_eq!(distinct.len(), settled.len() + in_gaps.len());
            if outside.len() as u64 <= read_max {
                let wanted: BTreeSet<i64> = covered.union(&outside).copied().collect();
                prop_assert_eq!(population.count(), Some(wanted.len() as u64));
                prop_assert_eq!(distinct, wanted);
            } else if population.count().is_none() {
                prop_assert_eq!(settled, covered.into_iter().collect::<Vec<_>>());
                prop_assert!(outside.iter().all(|id| in_gaps.contains(id)));
            }
        }
    }

    #[test]
    fn a_damaged_claim_of_every_number_is_counted_without_harm() {
        let mut conn = database(&[(i64::MIN, i64::MAX)], &[5].into());
        let population = Population::read(&mut conn).unwrap();
        assert_eq!(population.count(), Some(i64::MAX as u64));
        assert_eq!(population.at(0), Some(Candidate::Settled(1)));
        let last = population.places() - 1;
        assert_eq!(population.at(last), Some(Candidate::Settled(i64::MAX)));
    }

    #[test]
    fn few_items_far_apart_are_all_found() {
        let items = [7, 46_000_000, i64::MAX].into();
        let mut conn = database(&[], &items);
        let population = Population::read_up_to(&mut conn, 1).unwrap();
        assert_eq!(all(&population), (items.into_iter().collect(), Vec::new()));
    }
}
