//! Counts how many of the items that are read again have changed: whether refreshes are worth their requests.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use diesel::QueryResult;

use crate::{
    hn::{HnConnection, HnSink, Item, sample::count_changes},
    ingest::{Outcome, Settled, Sink},
};

/// Writes through another sink. Clones share the counts.
#[derive(Clone)]
pub(crate) struct CountingSink<C> {
    sink: HnSink<C>,
    counts: Arc<Counts>,
}

/// What was read again since the start. A batch that is written anew, because the database was busy, counts again.
#[derive(Default)]
pub(crate) struct Counts {
    read: AtomicU64,
    changed: AtomicU64,
}

/// How many items were read again, and how many of them had changed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReadAgain {
    pub(crate) items: u64,
    pub(crate) changed: u64,
}

impl Counts {
    pub(crate) fn get(&self) -> ReadAgain {
        ReadAgain {
            items: self.read.load(Relaxed),
            changed: self.changed.load(Relaxed),
        }
    }
}

impl<C: HnConnection> CountingSink<C> {
    pub(crate) fn new(sink: HnSink<C>) -> Self {
        Self {
            sink,
            counts: Arc::default(),
        }
    }

    pub(crate) fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }
}

impl<C: HnConnection> Sink for CountingSink<C> {
    type Id = i64;
    type Record = Item;
    type Connection = C;

    fn write(&self, conn: &mut C, batch: &[Settled<i64, Item>]) -> QueryResult<()> {
        let items = batch.iter().filter_map(|row| match &row.outcome {
            Outcome::Stored(item) => Some(item),
            _ => None,
        });
        let items: Vec<&Item> = items.collect();
        let (read, changed) = count_changes(conn, &items)?;
        self.sink.write(conn, batch)?;
        self.counts.read.fetch_add(read, Relaxed);
        self.counts.changed.fetch_add(changed, Relaxed);
        Ok(())
    }
}
