//! How far a copy is. The thread that copies writes it, and any other may read it.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};

/// How many tables are copied.
pub(crate) const TABLES: u64 = 8;

/// How far a copy is.
#[derive(Debug, Default)]
pub(crate) struct CopyProgress {
    table: Mutex<&'static str>,
    tables: AtomicU64,
    rows: AtomicU64,
    number: AtomicI64,
    last_number: AtomicI64,
}

impl CopyProgress {
    /// The table that is being copied.
    pub(crate) fn table(&self) -> &'static str {
        *self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which of the tables it is, from 1.
    pub(crate) fn tables(&self) -> u64 {
        self.tables.load(Relaxed)
    }

    /// How many rows were read, of all tables.
    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Relaxed)
    }

    /// The id of the row that was copied last. 0 if the table has no ids.
    pub(crate) fn number(&self) -> i64 {
        self.number.load(Relaxed)
    }

    /// The largest id of the table. 0 if it has none.
    pub(crate) fn last_number(&self) -> i64 {
        self.last_number.load(Relaxed)
    }

    pub(super) fn begin(&self, table: &'static str, last_number: i64) {
        *self.table.lock().unwrap_or_else(PoisonError::into_inner) = table;
        self.tables.fetch_add(1, Relaxed);
        self.number.store(0, Relaxed);
        self.last_number.store(last_number, Relaxed);
    }

    pub(super) fn add(&self, rows: u64, number: i64) {
        self.rows.fetch_add(rows, Relaxed);
        if number != 0 {
            self.number.store(number, Relaxed);
        }
    }
}
