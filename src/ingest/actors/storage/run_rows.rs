//! The rows of one run in Storage: those that wait for their batch, and at most one batch ahead of the one that is being written.

use std::{collections::VecDeque, sync::Arc};

use actix::SpawnHandle;

use super::decoder::DecodedBatch;
use crate::ingest::{
    backlog::BATCH_BYTES,
    handle::control::RunControl,
    messages::{Committed, RunId, Save},
    outcome::report::GaveUp,
    priority::Priority,
    source::Source,
    stats::event::BatchTrigger,
};

/// While no batch is being written, this many rows are written at once. Rows that come meanwhile make the next batch, so a slow
/// disk gets larger batches. Only a full batch is decoded before the write is over.
///
/// A larger number is slower where all cores are busy. A batch that takes long keeps a core from the arbiter, or from an API on the
/// same machine, until the requests in flight run out.
const ROWS_WORTH_WRITING: usize = 100;

/// See the [module](self).
pub(super) struct RunRows<S: Source> {
    pub(super) run: RunId,
    pub(super) control: Arc<RunControl>,
    /// Rows that wait for their batch, oldest first.
    waiting: VecDeque<Save<S::Id>>,
    /// The bytes of the bodies of these rows.
    waiting_bytes: usize,
    /// Ends the linger time of these rows.
    pub(super) linger_timer: Option<SpawnHandle>,
    /// Whether these rows have lingered, and only wait for the batch before them.
    pub(super) has_lingered: bool,
    /// Whether no more rows are coming before these are committed.
    pub(super) is_flushing: bool,
    /// Rows of the batch that is being decoded.
    pub(super) being_decoded: usize,
    /// A decoded batch that waits until another one is written.
    // In a box, because an actor must be `Unpin` and a record need not be.
    pub(super) decoded: Option<Box<NextBatch<S>>>,
    /// Rows of the batch that is being written.
    pub(super) being_written: usize,
    /// Why nothing more can be committed. Then further rows are dropped.
    pub(super) lost: Option<GaveUp>,
}

/// A decoded batch.
pub(super) struct NextBatch<S: Source> {
    pub(super) trigger: BatchTrigger,
    pub(super) batch: DecodedBatch<S::Id, S::Record>,
}

impl<S: Source> RunRows<S> {
    pub(super) fn new(run: RunId, control: Arc<RunControl>) -> Self {
        Self {
            run,
            control,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            linger_timer: None,
            has_lingered: false,
            is_flushing: false,
            being_decoded: 0,
            decoded: None,
            being_written: 0,
            lost: None,
        }
    }

    pub(super) fn priority(&self) -> Priority {
        self.control.priority
    }

    /// One more row waits.
    pub(super) fn add(&mut self, save: Save<S::Id>) {
        self.is_flushing = false;
        self.waiting_bytes += body_bytes(&save);
        self.waiting.push_back(save);
    }

    /// How many rows wait for their batch.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many rows are not committed.
    pub(super) fn unsaved(&self) -> usize {
        let decoded = self.decoded.as_ref().map_or(0, |next| next.batch.len());
        self.waiting.len() + self.being_decoded + decoded + self.being_written
    }

    /// The reason to begin a batch, if there is one. `is_writing` says whether any batch is being written.
    pub(super) fn due_trigger(&self, rows_max: usize, is_writing: bool) -> Option<BatchTrigger> {
        let has_one_ahead = self.being_decoded > 0 || self.decoded.is_some();
        if self.waiting.is_empty() || has_one_ahead {
            return None;
        }
        let rows_worth_a_batch = if is_writing {
            rows_max
        } else {
            rows_max.min(ROWS_WORTH_WRITING)
        };
        if self.waiting.len() >= rows_worth_a_batch {
            Some(BatchTrigger::Rows)
        } else if self.waiting_bytes >= BATCH_BYTES {
            Some(BatchTrigger::Bytes)
        } else if self.being_written > 0 {
            None
        } else if self.is_flushing {
            Some(BatchTrigger::End)
        } else if self.has_lingered {
            Some(BatchTrigger::Linger)
        } else {
            None
        }
    }

    /// Takes as many of the waiting rows as one batch may hold, and counts them as being decoded.
    pub(super) fn begin_batch(&mut self, rows_max: usize) -> Vec<Save<S::Id>> {
        let mut rows = 0;
        let mut bytes = 0;
        for save in self.waiting.iter().take(rows_max) {
            if bytes >= BATCH_BYTES {
                break;
            }
            rows += 1;
            bytes += body_bytes(save);
        }
        self.has_lingered = false;
        self.waiting_bytes -= bytes;
        self.being_decoded = rows;
        self.waiting.drain(..rows).collect()
    }

    /// Nothing more can be committed. Drops the rows that are neither being decoded nor being written, and reports them.
    pub(super) fn lose(&mut self, why: GaveUp) -> Committed<S::Id> {
        let dropped = self.unsaved() - self.being_decoded - self.being_written;
        self.waiting.clear();
        self.waiting_bytes = 0;
        self.decoded = None;
        self.lost = Some(why);
        self.report_dropped(dropped)
    }

    /// Reports rows that were dropped because nothing more can be committed.
    pub(super) fn report_dropped(&self, rows: usize) -> Committed<S::Id> {
        Committed {
            not_attempted: rows,
            lost: self.lost.clone(),
            ..Committed::nothing(self.run)
        }
    }
}

fn body_bytes<I>(save: &Save<I>) -> usize {
    save.row.answered.answer.len()
}
