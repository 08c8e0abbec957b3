//! The tables of Hacker News as a [`Sink`].
//!
//! *Stored* deletes the id's rows in `failures` and `absent`. *Absent* deletes its row in `failures`. No item is ever deleted.
//! An older answer changes nothing that a newer one wrote, in whichever order the two are committed.

pub(in crate::hn) mod outcomes;
mod scores;

#[cfg(test)]
mod tests;

use std::{collections::HashSet, marker::PhantomData};

use diesel::{QueryResult, SqliteConnection};

use self::{
    outcomes::{AbsencesLeft, Outcomes, StoredItems},
    scores::ChangedScores,
};
use super::{
    connection::HnConnection,
    coverage::{self, Frontier},
    item::Item,
    refresh::Ladder,
};
use crate::ingest::{Settled, Sink};

/// Writes items, absences and failures, and updates the table `coverage`.
///
/// `C` is the connection of the database.
#[derive(Clone, Debug)]
pub struct HnSink<C = SqliteConnection> {
    coverage: CoverageMode,
    /// Keeps scores in `item_history`, at most one for each step of the ladder.
    score_steps: Option<Ladder>,
    connection: PhantomData<fn(C)>,
}

/// What a batch does to the table `coverage`.
#[derive(Clone, Debug)]
enum CoverageMode {
    /// Nothing.
    Ignore,
    /// Every id is recorded as settled, except absent ids beyond the frontier whose absence has not lasted yet.
    Record { frontier: Frontier },
    /// Absent ids are no longer recorded as settled.
    Revoke,
}

impl HnSink {
    /// A sink for an SQLite database whose [migrations](super::migrations) were run. It does not change the table `coverage`.
    pub fn new() -> Self {
        Self::with_mode(CoverageMode::Ignore)
    }

    /// A sink that also records each id as settled, in the same transaction. It does not record an absent id beyond the
    /// [`frontier`](coverage::frontier), because the API may have that item later, unless its absence has lasted for a day.
    pub fn with_coverage(frontier: i64) -> Self {
        Self::with_moving_frontier(Frontier::at(frontier))
    }

    /// The same with a frontier that moves while the run goes on, because the API has ever more items.
    pub fn with_moving_frontier(frontier: Frontier) -> Self {
        Self::with_mode(CoverageMode::Record { frontier })
    }

    /// A sink for ids that failed before. It takes an id that is now absent out of the table `coverage`: only the next backfill
    /// knows the largest id, so it asks once more and decides.
    pub fn for_retry() -> Self {
        Self::with_mode(CoverageMode::Revoke)
    }

    fn with_mode(coverage: CoverageMode) -> Self {
        Self {
            coverage,
            score_steps: None,
            connection: PhantomData,
        }
    }

    /// The same sink for another type of connection.
    pub fn over<C: HnConnection>(self) -> HnSink<C> {
        HnSink {
            coverage: self.coverage,
            score_steps: self.score_steps,
            connection: PhantomData,
        }
    }
}

impl<C> HnSink<C> {
    /// Also keeps what score and descendants were before they changed, in the table `item_history`: at most one row for an item and a
    /// step of the ladder, and none for comments.
    #[must_use]
    pub fn keep_scores(mut self, steps: Ladder) -> Self {
        self.score_steps = Some(steps);
        self
    }
}

impl Default for HnSink {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: HnConnection> Sink for HnSink<C> {
    type Id = i64;
    type Record = Item;
    type Connection = C;

    fn write(&self, conn: &mut C, batch: &[Settled<i64, Item>]) -> QueryResult<()> {
        // Where an id comes twice, its outcomes are applied one after the other.
        for part in without_repeats(batch) {
            let stored = StoredItems::of(part);
            let scores = match &self.score_steps {
                Some(_) => ChangedScores::read(conn, &stored)?,
                None => ChangedScores::default(),
            };
            stored.write(conn)?;
            // Only from here on does what one writer reads depend on what another one writes.
            conn.lock_ledger()?;
            if let Some(ladder) = &self.score_steps {
                scores.write(conn, ladder)?;
            }
            let outcomes = Outcomes::read(conn, part, stored)?;
            let left = outcomes.write(conn)?;
            CoverageChanges::of(&self.coverage, &outcomes, &left).write(conn)?;
        }
        Ok(())
    }
}

/// Cuts a batch into parts in which no id comes twice.
fn without_repeats(batch: &[Settled<i64, Item>]) -> impl Iterator<Item = &[Settled<i64, Item>]> {
    let mut rest = batch;
    std::iter::from_fn(move || {
        let mut seen = HashSet::with_capacity(rest.len());
        let end = rest
            .iter()
            .position(|row| !seen.insert(row.id))
            .unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        rest = after;
        (!part.is_empty()).then_some(part)
    })
}

/// What outcomes add to the table `coverage`, and what they take out.
#[derive(Default)]
struct CoverageChanges {
    settled: Vec<i64>,
    unsettled: Vec<i64>,
}

impl CoverageChanges {
    fn of(mode: &CoverageMode, outcomes: &Outcomes<'_>, left: &AbsencesLeft) -> Self {
        let mut changes = Self::default();
        match mode {
            CoverageMode::Ignore => {}
            CoverageMode::Record { frontier } => {
                let last_final = frontier.last_final();
                let may_appear = |id: i64| id > last_final && !left.lasting.contains(&id);
                for id in outcomes.absent_ids() {
                    if may_appear(id) && !outcomes.is_failed_later(id) {
                        changes.unsettled.push(id);
                    } else {
                        changes.settled.push(id);
                    }
                }
                changes.settled.extend(outcomes.failed_ids());
                // A newer absence counts, although it was written first.
                let is_absent_later = |id: &i64| left.newer.contains(id) && may_appear(*id);
                let stored = outcomes.stored_ids();
                changes
                    .settled
                    .extend(stored.filter(|id| !is_absent_later(id)));
            }
            CoverageMode::Revoke => {
                let absent = outcomes.absent_ids();
                let last = absent.filter(|id| !outcomes.is_failed_later(*id));
                changes.unsettled.extend(last);
            }
        }
        changes
    }

    fn write(self, conn: &mut impl HnConnection) -> QueryResult<()> {
        for id in self.unsettled {
            coverage::forget(conn, id)?;
        }
        coverage::record(conn, self.settled)
    }
}
