//! How far a check is. The thread that checks writes it, and any other may read it.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering::Relaxed};

/// What a check is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckStep {
    /// SQLite checks its file. It does not say how far it is.
    File,
    /// Every row is read, by ascending id.
    Rows,
    /// Stored kids are compared with the items that list them.
    Kids,
}

/// How far a check is.
#[derive(Debug, Default)]
pub struct CheckProgress {
    step: AtomicU8,
    rows: AtomicU64,
    id: AtomicI64,
    last_id: AtomicI64,
}

impl CheckProgress {
    /// What the check is doing.
    pub fn step(&self) -> CheckStep {
        match self.step.load(Relaxed) {
            0 => CheckStep::File,
            1 => CheckStep::Rows,
            _ => CheckStep::Kids,
        }
    }

    /// How many rows were read.
    pub fn rows(&self) -> u64 {
        self.rows.load(Relaxed)
    }

    /// The id of the row that was read last.
    pub fn id(&self) -> i64 {
        self.id.load(Relaxed)
    }

    /// The largest id of an item.
    pub fn last_id(&self) -> i64 {
        self.last_id.load(Relaxed)
    }

    pub(super) fn begin_rows(&self, last_id: i64) {
        self.last_id.store(last_id, Relaxed);
        self.step.store(1, Relaxed);
    }

    pub(super) fn add_row(&self, id: i64) {
        self.rows.fetch_add(1, Relaxed);
        self.id.store(id, Relaxed);
    }

    pub(super) fn begin_kids(&self) {
        self.step.store(2, Relaxed);
    }
}
