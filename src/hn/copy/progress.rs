//! How far a copy is. The thread that copies writes it, and any other may read it.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};

use super::page::Refused;
use crate::hn::verify::Listed;

/// How many tables are copied.
pub(crate) const TABLES: u64 = 8;

/// How much of a table was copied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableCount {
    pub(crate) table: &'static str,
    /// Rows that were read, without those that were refused.
    pub(crate) read: u64,
    /// Rows that the target lacked or had in an older state.
    pub(crate) written: u64,
}

/// What was copied so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct CopiedRows {
    /// The tables so far.
    pub(crate) tables: Vec<TableCount>,
    /// The rows that were not copied.
    pub(crate) refused: Listed<Refused>,
}

/// How far a copy is.
#[derive(Debug, Default)]
pub(crate) struct CopyProgress {
    copied: Mutex<CopiedRows>,
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

    /// What was copied so far.
    pub(crate) fn copied(&self) -> CopiedRows {
        self.lock_copied().clone()
    }

    fn lock_copied(&self) -> MutexGuard<'_, CopiedRows> {
        self.copied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, table: &'static str, last_number: i64) {
        self.lock_copied().tables.push(TableCount {
            table,
            read: 0,
            written: 0,
        });
        *self.table.lock().unwrap_or_else(PoisonError::into_inner) = table;
        self.tables.fetch_add(1, Relaxed);
        self.number.store(0, Relaxed);
        self.last_number.store(last_number, Relaxed);
    }

    /// A page is copied: how many rows it has, how many of them were written and which were refused, and its last number.
    pub(super) fn add(&self, rows: u64, written: u64, refused: Vec<Refused>, number: i64) {
        let mut copied = self.lock_copied();
        if let Some(table) = copied.tables.last_mut() {
            table.read += rows - refused.len() as u64;
            table.written += written;
        }
        copied.refused.extend(refused);
        drop(copied);
        self.rows.fetch_add(rows, Relaxed);
        if number != 0 {
            self.number.store(number, Relaxed);
        }
    }
}
