//! The tables of Hacker News as a [`Sink`].
//!
//! *Stored* deletes the id's rows in `failures` and `absent`. *Absent* deletes its row in `failures`. No item is ever deleted.
//! An older answer changes nothing that a newer one wrote, in whichever order the two are committed.

pub(in crate::hn) mod outcomes;

#[cfg(test)]
mod tests;

use std::{collections::HashSet, marker::PhantomData};

use diesel::{QueryResult, SqliteConnection};

use self::outcomes::{Outcomes, StoredItems};
use super::{connection::HnConnection, coverage, item::Item};
use crate::ingest::{Settled, Sink};

/// Writes items, absences and failures, and updates the table `coverage`.
///
/// `C` is the connection of the database.
#[derive(Clone, Debug)]
pub struct HnSink<C = SqliteConnection> {
    coverage: CoverageMode,
    connection: PhantomData<fn(C)>,
}

/// What a batch does to the table `coverage`.
#[derive(Clone, Copy, Debug)]
enum CoverageMode {
    /// Nothing.
    Ignore,
    /// Every id is recorded as settled, except absent ids beyond the frontier.
    Record { frontier: i64 },
    /// Absent ids are no longer recorded as settled.
    Revoke,
}

impl HnSink {
    /// A sink for an SQLite database whose [migrations](super::migrations) were run. It does not change the table `coverage`.
    pub fn new() -> Self {
        Self::with_mode(CoverageMode::Ignore)
    }

    /// A sink that also records each id as settled, in the same transaction. It does not record an absent id beyond the
    /// [`frontier`](coverage::frontier): the API may have that item later.
    pub fn with_coverage(frontier: i64) -> Self {
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
            connection: PhantomData,
        }
    }

    /// The same sink for another type of connection.
    pub fn over<C: HnConnection>(self) -> HnSink<C> {
        HnSink {
            coverage: self.coverage,
            connection: PhantomData,
        }
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
        let mut changes = CoverageChanges::default();
        // Where an id comes twice, its outcomes are applied one after the other.
        for part in without_repeats(batch) {
            let stored = StoredItems::of(part);
            stored.write(conn)?;
            // Only from here on does what one writer reads depend on what another one writes.
            conn.lock_ledger()?;
            let outcomes = Outcomes::read(conn, part, stored)?;
            outcomes.write(conn)?;
            changes.add(self.coverage, &outcomes);
        }
        changes.write(conn)
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

/// What a batch adds to the table `coverage`, and what it takes out.
#[derive(Default)]
struct CoverageChanges {
    settled: Vec<i64>,
    unsettled: Vec<i64>,
}

impl CoverageChanges {
    fn add(&mut self, mode: CoverageMode, outcomes: &Outcomes<'_>) {
        match mode {
            CoverageMode::Ignore => {}
            CoverageMode::Record { frontier } => {
                let is_new = |id: &i64| *id > frontier;
                self.unsettled.extend(outcomes.absent_ids().filter(is_new));
                self.settled.extend(outcomes.stored_ids());
                self.settled.extend(outcomes.failed_ids());
                let old = outcomes.absent_ids().filter(|id| !is_new(id));
                self.settled.extend(old);
            }
            CoverageMode::Revoke => self.unsettled.extend(outcomes.absent_ids()),
        }
    }

    fn write(self, conn: &mut impl HnConnection) -> QueryResult<()> {
        for id in self.unsettled {
            coverage::forget(conn, id)?;
        }
        coverage::record(conn, self.settled)
    }
}
