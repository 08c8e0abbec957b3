//! The ids of a sample, in random order and each once.

use std::sync::{Arc, Mutex, PoisonError};

use diesel::QueryResult;

use super::{
    held::held,
    open_checks::OpenChecks,
    population::{Candidate, Population},
    shuffle::Shuffle,
};
use crate::hn::{connection::HnConnection, sink::outcomes::stored_times};

/// Ids of a page. Few, so that it is not long before the last of them is asked for.
const PAGE: usize = 100;

/// This many places are looked at together, if some of them may be no items.
const PLACES: u64 = 500;

/// A random sample of the settled ids, given out in pages. Any number of its first ids is a random sample, too.
///
/// Memory does not grow with the sample. Clones give out the same ids, and share how far it is.
#[derive(Clone, Debug)]
pub(crate) struct SampleIds {
    population: Arc<Population>,
    shuffle: Shuffle,
    /// How many ids are wanted.
    size: u64,
    checks: OpenChecks,
    position: Arc<Mutex<Position>>,
}

/// How far a sample is.
#[derive(Clone, Copy, Debug, Default)]
struct Position {
    /// Places of the order that were looked at.
    places: u64,
    /// Ids that were given out.
    given_out: u64,
    /// Places in gaps that were looked at.
    looked_up: u64,
    /// How many of these are items.
    found: u64,
}

impl SampleIds {
    pub(crate) fn new(population: Population, size: u64, seed: u64, checks: OpenChecks) -> Self {
        Self {
            shuffle: Shuffle::new(population.places(), seed),
            population: Arc::new(population),
            size,
            checks,
            position: Arc::default(),
        }
    }

    /// The checks of these ids.
    pub(crate) fn checks(&self) -> OpenChecks {
        self.checks.clone()
    }

    /// How many ids the sample has, as far as is known.
    pub(crate) fn len(&self) -> u64 {
        self.population
            .count()
            .map_or(self.size, |count| self.size.min(count))
    }

    /// How many settled ids there are. About, if that is not known.
    pub(crate) fn population_count(&self) -> u64 {
        let Position {
            looked_up, found, ..
        } = self.position();
        let in_gaps = self.population.gap_count();
        let in_gaps = if looked_up == in_gaps {
            found
        } else {
            (in_gaps as f64 * found as f64 / looked_up.max(1) as f64) as u64
        };
        self.population.settled_count().saturating_add(in_gaps)
    }

    /// Whether it is known how many settled ids there are.
    pub(crate) fn is_population_known(&self) -> bool {
        self.population.count().is_some() || self.position().places >= self.population.places()
    }

    /// The next ids. Empty if there are no more. Notes the rows that they have now.
    ///
    /// # Errors
    /// Whatever Diesel says. Then nothing has been given out.
    pub(crate) fn next_page(&self, conn: &mut impl HnConnection) -> QueryResult<Vec<i64>> {
        let mut position = self.position();
        let mut page = Vec::new();
        while page.is_empty() && position.given_out < self.size {
            let left = usize::try_from(self.size - position.given_out).unwrap_or(PAGE);
            let most = PAGE.min(left);
            let looks = if self.population.gap_count() > 0 {
                PLACES
            } else {
                most as u64
            };
            let end = position
                .places
                .saturating_add(looks)
                .min(self.population.places());
            if position.places >= end {
                break;
            }
            let places = position.places..end;
            let candidates: Vec<_> = places
                .map_while(|place| self.population.at(self.shuffle.at(place)))
                .collect();
            let in_gaps = candidates.iter().filter_map(|candidate| match candidate {
                Candidate::InGap(id) => Some(*id),
                Candidate::Settled(_) => None,
            });
            let stored = stored_times(conn, &in_gaps.collect::<Vec<_>>())?;
            for candidate in candidates {
                if page.len() == most {
                    break;
                }
                position.places += 1;
                match candidate {
                    Candidate::Settled(id) => page.push(id),
                    Candidate::InGap(id) => {
                        position.looked_up += 1;
                        if stored.contains_key(&id) {
                            position.found += 1;
                            page.push(id);
                        }
                    }
                }
            }
        }
        position.given_out += page.len() as u64;
        for (id, held) in held(conn, &page)? {
            self.checks.begin(id, held.version());
        }
        *self.position.lock().unwrap_or_else(PoisonError::into_inner) = position;
        Ok(page)
    }

    fn position(&self) -> Position {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use diesel::{SqliteConnection, connection::SimpleConnection};

    use super::*;
    use crate::hn::migrations::empty_database;

    /// 1 to 300 are covered. Of the ids above, every tenth up to 5,000 is an item.
    fn database() -> SqliteConnection {
        let mut conn = empty_database();
        conn.batch_execute(
            "INSERT INTO coverage VALUES (1, 300);
             WITH RECURSIVE n (i) AS (SELECT 310 UNION ALL SELECT i + 10 FROM n WHERE i < 5000)
             INSERT INTO items (id, fetched_at) SELECT i, 0 FROM n",
        )
        .unwrap();
        conn
    }

    fn settled() -> BTreeSet<i64> {
        (1..=300).chain((310..=5000).step_by(10)).collect()
    }

    /// All ids of a sample, in order.
    fn drawn(conn: &mut SqliteConnection, ids: &SampleIds) -> Vec<i64> {
        let mut all = Vec::new();
        loop {
            let page = ids.next_page(conn).unwrap();
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }

    #[test]
    fn a_sample_has_as_many_ids_as_are_wanted_or_all_and_none_twice() {
        let mut conn = database();
        for read_max in [1000, 10] {
            let population = Population::read_up_to(&mut conn, read_max).unwrap();
            assert_eq!(population.count().is_some(), read_max == 1000);
            for size in [0, 1, 99, 250, 770, 771, 1_000_000] {
                let ids = SampleIds::new(population.clone(), size, 5, OpenChecks::default());
                let all = drawn(&mut conn, &ids);
                let distinct: BTreeSet<i64> = all.iter().copied().collect();
                assert_eq!(all.len() as u64, size.min(770), "{read_max} {size}");
                assert_eq!(distinct.len(), all.len());
                assert!(distinct.is_subset(&settled()));
            }
        }
    }

    #[test]
    fn a_seed_gives_the_same_sample_again_and_a_larger_one_begins_with_it() {
        let mut conn = database();
        let population = Population::read(&mut conn).unwrap();
        let mut draw = |size, seed| {
            let ids = SampleIds::new(population.clone(), size, seed, OpenChecks::default());
            drawn(&mut conn, &ids)
        };
        let one = draw(150, 3);
        assert_eq!(draw(150, 3), one);
        assert_eq!(draw(400, 3)[..150], one);
        assert_ne!(draw(150, 4), one);
    }

    #[test]
    fn the_number_of_settled_ids_is_estimated_where_it_is_not_read() {
        let mut conn = database();
        let population = Population::read_up_to(&mut conn, 10).unwrap();
        let ids = SampleIds::new(population, 400, 1, OpenChecks::default());
        assert_eq!(drawn(&mut conn, &ids).len(), 400);
        assert!(!ids.is_population_known());
        let estimate = ids.population_count();
        assert!((700..850).contains(&estimate), "{estimate}");
        let ids = SampleIds { size: 1000, ..ids };
        drawn(&mut conn, &ids);
        assert!(ids.is_population_known());
        assert_eq!(ids.population_count(), 770);
    }

    #[test]
    fn each_settled_id_is_as_likely_as_any_other() {
        let mut conn = database();
        let population = Population::read_up_to(&mut conn, 10).unwrap();
        let (mut covered, mut total) = (0, 0);
        for seed in 0..200 {
            let ids = SampleIds::new(population.clone(), 20, seed, OpenChecks::default());
            let all = drawn(&mut conn, &ids);
            total += all.len();
            covered += all.iter().filter(|id| **id <= 300).count();
        }
        // 300 of 770 are covered, which is 0.39. Of 4,000 draws, a deviation of 0.04 is five standard deviations.
        let share = covered as f64 / total as f64;
        assert!((share - 0.39).abs() < 0.04, "{share}");
    }
}
