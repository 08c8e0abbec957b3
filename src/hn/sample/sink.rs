//! Compares answers with the rows of their ids, and stores them on request.

use diesel::QueryResult;

use super::{
    difference::Difference,
    held::{Held, held},
    open_checks::{Finding, OpenChecks},
};
use crate::{
    hn::{clock::unix_seconds, connection::HnConnection, item::Item, sink::HnSink},
    ingest::{Outcome, Settled, Sink},
};

/// Compares each answer with what the mirror holds. `C` is the connection of the database.
#[derive(Debug)]
pub(crate) struct SampleSink<C> {
    checks: OpenChecks,
    repair: Option<Repair<C>>,
}

/// Stores what was read.
#[derive(Debug)]
struct Repair<C> {
    usual: HnSink<C>,
    /// For ids that the mirror knew nothing of, and that are absent now: the next backfill asks for them once more and decides whether
    /// they are settled.
    newly_absent: HnSink<C>,
}

impl<C: HnConnection> SampleSink<C> {
    /// A sink that writes nothing.
    pub(crate) fn new(checks: OpenChecks) -> Self {
        Self {
            checks,
            repair: None,
        }
    }

    /// A sink that stores the answers.
    pub(crate) fn repairing(checks: OpenChecks) -> Self {
        let repair = Repair {
            usual: HnSink::new().over(),
            newly_absent: HnSink::for_retry().over(),
        };
        Self {
            checks,
            repair: Some(repair),
        }
    }
}

impl<C: HnConnection> Sink for SampleSink<C> {
    type Id = i64;
    type Record = Item;
    type Connection = C;

    fn write(&self, conn: &mut C, batch: &[Settled<i64, Item>]) -> QueryResult<()> {
        let ids: Vec<i64> = batch.iter().map(|row| row.id).collect();
        let held = held(conn, &ids)?;
        let mut usual = Vec::new();
        let mut newly_absent = Vec::new();
        for row in batch {
            let answer = match &row.outcome {
                Outcome::Stored(item) => Some(item),
                Outcome::Absent => None,
                // It was not read, so there is nothing to compare or to store.
                Outcome::Failed(_) => continue,
            };
            let held = held.get(&row.id).unwrap_or(&Held::Nothing);
            let begin = self.checks.begin_of(row.id);
            // Another process has stored an answer since. It may be newer than this one.
            let is_newer = held.version() != begin.version
                && begin
                    .asked_at
                    .is_some_and(|asked_at| held.as_of() >= Some(asked_at));
            let difference = Difference::between(held, answer).filter(|_| !is_newer);
            let item = answer.or(held.item());
            let finding = Finding {
                difference,
                answered_at: unix_seconds(row.received_at),
                made_at: item.and_then(|item| item.time),
                copied_at: held.as_of(),
            };
            self.checks.note_finding(row.id, finding);
            if self.repair.is_some() && !is_newer {
                let is_newly_absent = answer.is_none() && matches!(held, Held::Nothing);
                let rows = if is_newly_absent {
                    &mut newly_absent
                } else {
                    &mut usual
                };
                rows.push(row.clone());
            }
        }
        if let Some(repair) = &self.repair {
            repair.usual.write(conn, &usual)?;
            repair.newly_absent.write(conn, &newly_absent)?;
        }
        Ok(())
    }
}
